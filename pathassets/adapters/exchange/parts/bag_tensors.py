"""Bags <-> .pt files with one tensor (n, d), as CLAM, slide2vec and slideflow train from.

Rows go to a file that is mapped into memory, and from there into the .pt: what the system cannot
keep it drops, so a slide of a million patches needs no memory for all of them.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

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
        StoreError: it is no tensor of two axes.
    """
    import torch  # noqa: PLC0415 - takes seconds

    try:
        found = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
        is_list = isinstance(found, torch.Tensor) and found.ndim == 2  # noqa: PLR2004
        if is_list and found.dtype == torch.bfloat16:
            found = found.float()
        array: np.ndarray | None = found.detach().numpy() if is_list else None
    except Exception as error:
        raise StoreError(path, f"cannot be read as a tensor: {error}") from error
    if array is None:
        raise StoreError(path, "holds no tensor (n, d)")
    return array
