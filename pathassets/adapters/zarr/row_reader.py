"""Rows of a Zarr v3 array at rest -> NumPy, without zarr where a chunk is its bytes.

zarr opens an array and reads a bag of 2,750 rows in 3 ms of CPU, most of it spent on handing each
chunk to a thread of its own; the same bytes are read from the chunks' files in 0.2 ms. So what
`feature_writer` writes (no compressor, little-endian, chunks along the rows alone, each a file
`c/NUMBER/0/…`) is read here, and what has been written in another way by zarr. A chunk that is
missing is damage here, where zarr would fill it in.

Source: Zarr v3 core specification, regular chunk grid, `bytes` codec, default chunk key encoding.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from pathassets.adapters.store.damage import open_plain, read_plain
from pathassets.errors import ArtifactCorrupt, ArtifactMissing

METADATA = "zarr.json"
RUN_BYTES = 1 << 16
"""Reading this much goes as fast as one more call: rows that lie further apart are read one by one,
others with what is between them."""
_NO_ARRAY = (LookupError, TypeError, ValueError, OverflowError, AttributeError, RecursionError)
"""What metadata that are none, or are nested to no end, lead to."""
_TYPES = {"float16": "<f2", "float32": "<f4", "float64": "<f8", "int64": "<i8"}
REMEDY = (
    "pathassets doctor --bytes notes it, then pathassets run makes it anew or says what does; of a "
    "copied folder, copy it again"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRows:
    """An array at rest: what its metadata say."""

    path: Path
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    chunk_rows: int
    is_plain: bool
    """Whether a chunk's file is its rows, and nothing else."""

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def row_bytes(self) -> int:
        """Size of a row."""
        return self.dtype.itemsize * math.prod(self.shape[1:])

    def read(self, rows: np.ndarray | None = None) -> np.ndarray:
        """Read some rows, int64 ascending without repetition, or all; chunks without one are not.

        Raises:
            ArtifactCorrupt: a chunk is gone, of another size, or cannot be decoded.
        """
        with _telling(self.path):
            read_chunk = _read_plain_chunk if self.is_plain else _decoded(self)
            n_rows = len(self) if rows is None else len(rows)
            if self.is_plain and n_rows:  # a look before memory is taken
                last = n_rows - 1 if rows is None else int(rows[-1])
                os.lstat(_chunk_file(self, last // self.chunk_rows))
            found = np.empty((n_rows, *self.shape[1:]), self.dtype)
            for chunk, here, local in _by_chunk(rows, n_rows, self.chunk_rows):
                read_chunk(self, chunk, local, found[here])
        return found


def open_rows(path: Path) -> StoredRows:
    """Read an array's metadata; one small file.

    Raises:
        ArtifactMissing: there is none.
        ArtifactCorrupt: it is no array of numbers with rows.
    """
    with _telling(path):
        try:
            stated = json.loads(read_plain(path / METADATA))
        except FileNotFoundError as error:
            raise ArtifactMissing(path, "is gone", remedy=REMEDY) from error
        return _parse(path, stated)


def _parse(path: Path, stated: Mapping[str, Any]) -> StoredRows:
    if (stated["zarr_format"], stated["node_type"]) != (3, "array"):
        raise ValueError("it is no Zarr v3 array")
    shape = tuple(int(n) for n in stated["shape"])
    if not shape or min(shape) < 0:
        raise ValueError(f"its shape is {shape}")
    if not isinstance(stated["data_type"], str) or stated["data_type"] not in _TYPES:
        raise ValueError(f"it holds {stated['data_type']!r}, and none of {', '.join(_TYPES)}")
    chunk = [int(n) for n in stated["chunk_grid"]["configuration"]["chunk_shape"]]
    if len(chunk) != len(shape) or min(chunk) < 1:
        raise ValueError(f"its chunks are {chunk}")
    return StoredRows(
        path=path, shape=shape, dtype=np.dtype(_TYPES[stated["data_type"]]), chunk_rows=chunk[0],
        is_plain=_is_plain(stated) and tuple(chunk[1:]) == shape[1:],
    )  # fmt: skip


def _is_plain(stated: Mapping[str, Any]) -> bool:
    keys = stated["chunk_key_encoding"]
    return (
        stated["chunk_grid"]["name"] == "regular"
        and stated["codecs"] == [{"name": "bytes", "configuration": {"endian": "little"}}]
        and keys["name"] == "default"
        and keys.get("configuration", {}).get("separator", "/") == "/"
        and not stated.get("storage_transformers")
    )


def _by_chunk(
    rows: np.ndarray | None, n_rows: int, chunk_rows: int
) -> Iterator[tuple[int, slice, np.ndarray]]:
    """Each chunk that has some of the rows, where they go, and their places in it."""
    if rows is None:
        for start in range(0, n_rows, chunk_rows):
            stop = min(start + chunk_rows, n_rows)
            yield start // chunk_rows, slice(start, stop), np.arange(stop - start)
        return
    if not n_rows:
        return
    chunks = rows // chunk_rows
    edges = [0, *(np.flatnonzero(np.diff(chunks)) + 1).tolist(), len(rows)]
    for start, stop in pairwise(edges):
        chunk = int(chunks[start])
        yield chunk, slice(start, stop), rows[start:stop] - chunk * chunk_rows


def _read_plain_chunk(array: StoredRows, chunk: int, local: np.ndarray, out: np.ndarray) -> None:
    """Read rows of one chunk from its file."""
    if not out.size:
        return
    row_bytes, first = array.row_bytes, int(local[0])
    n_span = int(local[-1]) + 1 - first
    with _opened(array, chunk) as handle:
        if n_span == len(local):
            _fill(handle, out, first * row_bytes)
        elif len(local) * RUN_BYTES < n_span * row_bytes:
            for place, row in enumerate(local.tolist()):
                _fill(handle, out[place], row * row_bytes)
        else:
            span = np.empty((n_span, *array.shape[1:]), array.dtype)
            _fill(handle, span, first * row_bytes)
            np.take(span, local - first, axis=0, out=out)


@contextmanager
def _opened(array: StoredRows, chunk: int) -> Iterator[int]:
    """A chunk's file, which has the size that it must have: the last one is padded."""
    path = _chunk_file(array, chunk)
    handle = open_plain(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        size, whole = os.fstat(handle).st_size, array.chunk_rows * array.row_bytes
        if size != whole:
            raise _Damaged(f"its chunk {chunk} has {size} bytes, not {whole}")
        yield handle
    finally:
        os.close(handle)


def _chunk_file(array: StoredRows, chunk: int) -> str:
    return f"{array.path}/c/{chunk}" + "/0" * (len(array.shape) - 1)


def _fill(handle: int, out: np.ndarray, offset: int) -> None:
    """Read until the array, which is contiguous, is full; one call reads 2 GB at most."""
    left = out.reshape(-1).view(np.uint8).data
    while left:
        n_read = os.preadv(handle, [left], offset)
        if not n_read:
            raise _Damaged("a chunk ended while it was read")
        left, offset = left[n_read:], offset + n_read


def _decoded(array: StoredRows) -> Callable[[StoredRows, int, np.ndarray, np.ndarray], None]:
    """A reader of chunks by zarr; it is imported where it is needed, for it takes 0.4 s."""
    import zarr  # noqa: PLC0415 - see above
    import zarr.errors  # noqa: PLC0415

    try:
        opened = zarr.open_array(store=str(array.path), mode="r")
    except (zarr.errors.BaseZarrError, RuntimeError) as error:
        raise _Damaged(f"cannot be read: {error}") from error

    def read(array: StoredRows, chunk: int, local: np.ndarray, out: np.ndarray) -> None:
        start = chunk * array.chunk_rows
        try:
            rows = np.asarray(opened[start : start + array.chunk_rows])
        except (zarr.errors.BaseZarrError, RuntimeError) as error:
            raise _Damaged(f"cannot be read: {error}") from error
        np.take(rows, local, axis=0, out=out)

    return read


class _Damaged(ValueError):
    """What is wrong with an array, in words that say all."""


@contextmanager
def _telling(path: Path) -> Iterator[None]:
    """Say of which array it is that something cannot be read.

    Raises:
        ArtifactCorrupt: it cannot.
    """
    try:
        yield
    except _Damaged as error:
        raise ArtifactCorrupt(path, str(error), remedy=REMEDY) from error
    except ArtifactMissing:
        raise  # it is a FileNotFoundError, too
    except FileNotFoundError as error:
        raise ArtifactCorrupt(error.filename, "is gone", remedy=REMEDY) from error
    except OSError as error:
        said = error.strerror or error
        raise ArtifactCorrupt(
            error.filename or path, f"cannot be read: {said}", remedy=REMEDY
        ) from error
    except _NO_ARRAY as error:
        raise ArtifactCorrupt(path, f"cannot be read: {error}", remedy=REMEDY) from error
