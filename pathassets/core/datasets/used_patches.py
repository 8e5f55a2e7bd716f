"""Which patches of a slide a dataset uses: a bit for each row of its features, in their order.

A dataset without rules for patches uses all, and keeps no bits.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from pathassets.errors import SpecError

USED_COLUMNS = ("slide_id", "n_patches", "n_used", "bits")
"""Of the table of all slides: rows of the features, how many are used, and which."""


def pack_used(is_used: np.ndarray) -> bytes:
    """Bits of bool (n,), the first row's lowest."""
    return np.packbits(is_used, bitorder="little").tobytes()


def used_rows(bits: bytes, n_patches: int) -> np.ndarray:
    """Rows that are used, int64 ascending.

    Raises:
        SpecError: there are bits of fewer or more rows.

    >>> used_rows(pack_used(np.array([True, False, True])), 3).tolist()
    [0, 2]
    """
    if len(bits) != -(-n_patches // 8):
        raise SpecError(
            f"bits of {len(bits) * 8} rows, the features have {n_patches}",
            remedy="Copy or build the dataset again",
        )
    flags = np.unpackbits(np.frombuffer(bits, np.uint8), count=n_patches, bitorder="little")
    return np.flatnonzero(flags)


def n_used_of(bits: bytes) -> int:
    r"""How many rows are used.

    >>> n_used_of(b"\x05\x01")
    3
    """
    return int.from_bytes(bits).bit_count()


def used_table(manifest: pd.DataFrame, used: Mapping[str, bytes]) -> pd.DataFrame:
    """The table of all slides of a manifest, in its order."""
    table = manifest[["slide_id", "n_patches", "n_used"]]
    return table.assign(bits=[used[slide_id] for slide_id in manifest["slide_id"]])


def bits_of(table: pd.DataFrame) -> dict[str, bytes]:
    """Bits of each slide, by slide, of a table that anybody may have written.

    Raises:
        SpecError: it is no such table, or contradicts itself.
    """
    if not {*USED_COLUMNS} <= {*table.columns} or table["slide_id"].duplicated().any():
        raise SpecError("is no table of the patches that are used", remedy="Build it again")
    rows = zip(*(table[name].tolist() for name in USED_COLUMNS), strict=True)
    return {row[0]: _checked(*row) for row in rows}


def _checked(slide_id: Any, n_patches: Any, n_used: Any, bits: Any) -> bytes:
    is_count = isinstance(n_patches, int) and n_patches >= 0
    if isinstance(bits, bytes) and is_count and len(used_rows(bits, n_patches)) == n_used:
        return bits
    raise SpecError(
        f"slide {slide_id}: does not have bits of {n_used} patches", remedy="Build it again"
    )
