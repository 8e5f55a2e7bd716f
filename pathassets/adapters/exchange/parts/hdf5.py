"""The door to h5py: files of equal bytes for equal content, read and written chunk by chunk.

h5py is of the extra `exchange`, and imported when a file is opened.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from pathassets.adapters.exchange.parts.strangers import reading, refuse_bomb, refuse_large
from pathassets.adapters.exchange.parts.values import MAX_VALUES
from pathassets.errors import SpecError, StoreError

CHUNK_ROWS = 1024
"""Rows of a chunk, and that are read at once: chunks of one row make readers 30 times slower."""
DEFLATE, SHUFFLE, FLETCHER32 = 1, 2, 3
"""Numbers of HDF5's own filters that can be undone here without its help. Source: H5Zpublic.h."""
KNOWN_FILTERS = {DEFLATE, SHUFFLE, FLETCHER32}
CHECKSUM_BYTES = 4
"""That a checksum adds to a chunk before it is compressed."""


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
    with reading(path, "HDF5"), h5py.File(path, "r") as file:
        yield file


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
    """A dataset whose numbers lie in this very file, all that it declares, and no more.

    HDF5 can lead to any other file on the disk, declare rows that nobody wrote, which are read as
    zeros, and keep chunks that fill a memory.

    Raises:
        StoreError: there is none.
    """
    dataset = file[name] if is_own(file, name) else None
    if not isinstance(dataset, load_h5py().Dataset) or dataset.external or dataset.is_virtual:
        raise StoreError(path, f"has no dataset {name!r} of its own")
    _refuse_unwritten(path, name, dataset)
    return dataset


def is_own(group: Any, name: str) -> bool:
    """Whether a group has something of that name itself: no link leads elsewhere for it."""
    return isinstance(group.get(name, getlink=True), load_h5py().HardLink)


def _refuse_unwritten(path: Path, name: str, dataset: Any) -> None:
    """Refuse rows that were declared and never written, and chunks that become too large."""
    if dataset.chunks is None:
        n_stored, n_due = dataset.id.get_storage_size(), dataset.nbytes
    else:
        refuse_large(path, name, math.prod(dataset.chunks) * dataset.dtype.itemsize)
        parts = zip(dataset.shape, dataset.chunks, strict=True)
        n_stored, n_due = dataset.id.get_num_chunks(), math.prod(-(-n // m) for n, m in parts)
        _refuse_bombs(path, name, dataset)
    if n_stored < n_due:
        raise StoreError(path, f"{name}: not all of it was written, what is missing reads as 0")


def _refuse_bombs(path: Path, name: str, dataset: Any) -> None:
    plist = dataset.id.get_create_plist()
    filters = [plist.get_filter(i)[0] for i in range(plist.get_nfilters())]
    if {*filters} - KNOWN_FILTERS or len({*filters}) < len(filters):
        raise StoreError(
            path, f"{name} is compressed by other filters than gzip: h5repack -f GZIP=1 changes it"
        )
    if DEFLATE not in filters:
        return
    n_bytes = math.prod(dataset.chunks) * dataset.dtype.itemsize + CHECKSUM_BYTES
    for chunk in _chunks_of(dataset):
        is_deflated = not chunk.filter_mask >> filters.index(DEFLATE) & 1
        refuse_large(path, name, chunk.size)
        if is_deflated:
            _, stored = dataset.id.read_direct_chunk(chunk.chunk_offset)
            refuse_bomb(path, name, stored, n_bytes)


def _chunks_of(dataset: Any) -> list[Any]:
    """Where the stored chunks are, how large, and which filters they went through."""
    found: list[Any] = []
    dataset.id.chunk_iter(found.append)
    return found


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


def attributes_of(item: Any) -> dict[str, Any]:
    """What is written at a file or dataset, of few numbers or texts each."""
    return {
        str(name): plain(item.attrs[name])
        for name in item.attrs
        if math.prod(item.attrs.get_id(name).shape or ()) <= MAX_VALUES
    }
