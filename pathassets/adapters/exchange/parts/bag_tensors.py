"""Bags <-> .pt files with one tensor (n, d), as CLAM, slide2vec and slideflow train from.

Rows go to a file that is mapped into memory, and from there into the .pt: what the system cannot
keep it drops, so a slide of a million patches needs no memory for all of them.
"""

from __future__ import annotations

import tempfile
import zipfile
from pathlib import Path

import numpy as np

from pathassets.adapters.exchange.parts.strangers import reading
from pathassets.core.exchange.bags import Bag
from pathassets.errors import StoreError


def write_pt(where: Path, *, bag: Bag) -> None:
    """Write the features, float32 (n, d)."""
    import torch  # noqa: PLC0415 - takes seconds

    with tempfile.TemporaryFile(dir=where.parent) as raw, where.open("wb") as file:
        n_rows = 0
        for rows in bag.chunks():
            raw.write(np.ascontiguousarray(rows, "<f4").data)
            n_rows += len(rows)
        if n_rows != len(bag):
            raise StoreError(where, f"{n_rows} rows of {len(bag)}")
        raw.flush()
        shape = (len(bag), bag.n_columns)
        rows_on_disk = (
            np.memmap(raw, "<f4", "r+", shape=shape) if n_rows else np.zeros(shape, "<f4")
        )
        torch.save(torch.from_numpy(rows_on_disk), file)


def open_pt(path: Path) -> np.ndarray:
    """Open a stranger's tensor (n, d) without executing anything in it; rows are read when taken.

    Raises:
        StoreError: it is no tensor of two axes whose numbers all lie in the file.
    """
    import torch  # noqa: PLC0415 - takes seconds

    with reading(path, "a tensor"):
        _refuse_compressed(path)
        found = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
        if not isinstance(found, torch.Tensor) or found.ndim != 2:  # noqa: PLR2004
            raise StoreError(path, "holds no tensor (n, d)")
        if not found.is_contiguous():  # a few numbers can be said to be the rows of a terabyte
            raise StoreError(path, "holds a view of other numbers: save it after .contiguous()")
        array: np.ndarray = (found.float() if found.dtype == torch.bfloat16 else found).numpy()
    return array


def _refuse_compressed(path: Path) -> None:
    """Refuse what torch does not write: members that are not stored as they are."""
    with zipfile.ZipFile(path) as members:
        if any(one.compress_type != zipfile.ZIP_STORED for one in members.infolist()):
            raise StoreError(path, "is compressed, and torch.save compresses nothing")
