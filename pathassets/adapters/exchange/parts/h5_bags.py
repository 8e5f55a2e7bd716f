"""HDF5 files with features and coordinates, as TRIDENT, CLAM and STAMP left them.

A dataset says its own shape, so shapes are looked at before anything is read; rows are read when
they are asked for.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pathassets.adapters.exchange.parts.claims import PREFIX
from pathassets.adapters.exchange.parts.hdf5 import attributes_of, open_h5, own_dataset, rows_of
from pathassets.adapters.exchange.parts.strangers import own_file
from pathassets.errors import StoreError

MAX_ROWS = 5_000_000
"""Coordinates that are read whole: a slide of 100,000 x 100,000 px has 150,000 patches of 256."""


@dataclass(frozen=True, slots=True, kw_only=True)
class H5Bag:
    """What a file of features says of itself; its coordinates and rows are read later."""

    read_corners: Callable[[], np.ndarray]
    """Reads float64 (n, 2)."""
    n_rows: int
    n_columns: int
    dtype: str
    of_file: Mapping[str, Any]
    """Attributes of the file."""
    of_features: Mapping[str, Any]
    of_coords: Mapping[str, Any]

    def claim(self, name: str) -> Any:
        """What an export of ours says of itself; None in the files of others."""
        for said in (self.of_file, self.of_coords):
            if f"{PREFIX}{name}" in said:
                return said[f"{PREFIX}{name}"]
        return None

    @property
    def has_claims(self) -> bool:
        """Whether anything in it is said that only exports of ours say."""
        said = (*self.of_file, *self.of_features, *self.of_coords)
        return any(name.startswith(PREFIX) for name in said)

    def claimed(self, name: str) -> str:
        """The same of a text; "" where there is none."""
        return as_text(self.claim(name))

    @property
    def slide_size_px0(self) -> tuple[int, int] | None:
        """Width and height of level 0, where they are said."""
        width, height = (number(self.of_coords, f"level0_{side}") for side in ("width", "height"))
        return None if width is None or height is None else (int(width), int(height))


def read_h5_bag(path: Path, folder: Path, features: str = "features") -> H5Bag:
    """Read the headers of a file that lies in a folder.

    Raises:
        StoreError: it has no such features or coordinates.
    """
    with open_h5(own_file(path, folder)) as file:
        rows, coords = (own_dataset(path, file, name) for name in (features, "coords"))
        if rows.ndim != 2:  # noqa: PLR2004
            raise StoreError(path, f"{features} has the shape {rows.shape}, not (n, d)")
        _require_pairs(path, coords)
        return H5Bag(
            read_corners=partial(_corners, path), n_rows=rows.shape[0], n_columns=rows.shape[1],
            dtype=str(rows.dtype), of_file=attributes_of(file), of_features=attributes_of(rows),
            of_coords=attributes_of(coords),
        )  # fmt: skip


def _require_pairs(path: Path, coords: Any) -> None:
    is_list = coords.ndim == 2 and coords.shape[1] >= 2  # noqa: PLR2004
    if not is_list or coords.shape[0] > MAX_ROWS or coords.dtype.kind not in "iuf":
        raise StoreError(path, f"coords are {coords.dtype} {coords.shape}, not numbers (n, 2)")


def _corners(path: Path) -> np.ndarray:
    with open_h5(path) as file:
        coords = own_dataset(path, file, "coords")
        _require_pairs(path, coords)  # it may be another since
        return np.asarray(coords[:, :2], np.float64)


def h5_rows(path: Path, name: str = "features") -> partial[Iterator[np.ndarray]]:
    """What yields the rows of a file."""
    return partial(rows_of, path, name)


def number(said: Mapping[str, Any], name: str) -> float | None:
    """A number among attributes; None where there is none."""
    value = said.get(name)
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return float(value) if math.isfinite(value) else None


def as_text(value: Any) -> str:
    """A text among attributes; "" where there is none."""
    return value if isinstance(value, str) else ""
