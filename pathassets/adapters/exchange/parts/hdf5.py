"""The door to h5py: files of equal bytes for equal content, read and written chunk by chunk.

h5py is of the extra `exchange`, and imported when a file is opened.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from pathassets.errors import SpecError, StoreError

CHUNK_ROWS = 1024
"""Rows of a chunk, and that are read at once: chunks of one row make readers 30 times slower."""


def load_h5py() -> ModuleType:
    """Import h5py.

    Raises:
        SpecError: it is not installed.
    """
    try:
        import h5py  # type: ignore[import-untyped]  # noqa: PLC0415 - of an extra
    except ModuleNotFoundError as error:
        raise SpecError(
            "HDF5 files need the package h5py, which is not installed",
            remedy="pip install 'pathassets[exchange]'",
        ) from error
    module: ModuleType = h5py
    return module


@contextmanager
def new_h5(path: Path) -> Iterator[Any]:
    """Open a new file to write."""
    with load_h5py().File(path, "w", track_order=False) as file:
        yield file


@contextmanager
def open_h5(path: Path) -> Iterator[Any]:
    """Open a file of a stranger to read.

    Raises:
        StoreError: it is none, or damaged.
    """
    h5py = load_h5py()
    try:
        with h5py.File(path, "r") as file:
            yield file
    except (OSError, KeyError, RuntimeError) as error:
        raise StoreError(path, f"cannot be read as HDF5: {error}") from error


def put_array(
    group: Any, name: str, array: np.ndarray, attributes: Mapping[str, Any] | None = None
) -> None:
    """Write a whole array, such as coordinates."""
    shape = (max(1, min(CHUNK_ROWS, len(array))), *array.shape[1:]) if array.ndim else None
    chunks = shape if array.ndim and all(shape or ()) else None
    dataset = group.create_dataset(
        name, data=array, chunks=chunks, track_times=False,
        maxshape=None if chunks is None else (None, *array.shape[1:]),
    )  # fmt: skip
    for key, value in (attributes or {}).items():
        dataset.attrs[key] = value


def put_rows(
    group: Any, name: str, chunks: Iterator[np.ndarray], shape: tuple[int, int], dtype: str
) -> Any:
    """Write rows as they come, (n, d) in all; gives the dataset.

    Raises:
        StoreError: a number is too large for the type.
    """
    n_rows, n_columns = shape
    dataset = group.create_dataset(
        name, shape=shape, dtype=dtype, maxshape=(None, n_columns), track_times=False,
        chunks=(max(1, min(CHUNK_ROWS, n_rows)), max(1, n_columns)),
    )  # fmt: skip
    start = 0
    for rows in chunks:
        if np.finfo(dtype).max < np.abs(rows).max(initial=0):
            raise StoreError(group.file.filename, f"{name}: a number is too large for {dtype}")
        dataset[start : start + len(rows)] = rows
        start += len(rows)
    if start != n_rows:
        raise StoreError(group.file.filename, f"{name}: {start} rows of {n_rows}")
    return dataset


def own_dataset(path: Path, file: Any, name: str) -> Any:
    """A dataset whose numbers lie in this very file: HDF5 can lead to any other on the disk.

    Raises:
        StoreError: there is none.
    """
    h5py = load_h5py()
    link = file.get(name, getlink=True) if name in file else None
    dataset = file[name] if isinstance(link, h5py.HardLink) else None
    if not isinstance(dataset, h5py.Dataset) or dataset.external or dataset.is_virtual:
        raise StoreError(path, f"has no dataset {name!r} of its own")
    return dataset


def rows_of(path: Path, name: str) -> Iterator[np.ndarray]:
    """Read the rows of a dataset, as they are stored, a thousand at a time."""
    with open_h5(path) as file:
        dataset = own_dataset(path, file, name)
        for start in range(0, dataset.shape[0], CHUNK_ROWS):
            yield dataset[start : start + CHUNK_ROWS]


def plain(value: Any) -> Any:
    """An attribute as Python has it: numbers, text, lists."""
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    return value
