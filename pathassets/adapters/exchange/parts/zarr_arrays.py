"""Arrays of strangers' Zarr stores: which may be read, and why the others may not.

A store is a folder of chunks, each of which says by itself how large it becomes, and an array names
the codecs that open it: one of them runs code. What raw2features writes, as zarr-python by
default, is compressed by Zstandard or Blosc, and these say the size in their first bytes.

Source: RFC 8878 (Zstandard), 3.1.1; https://github.com/Blosc/c-blosc, README_CHUNK_FORMAT.rst.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pathassets.adapters.exchange.parts.strangers import refuse_large
from pathassets.errors import StoreError

LAYOUT = "bytes"
"""The codec that only lays numbers out."""
PLAIN = {"zstd", "blosc"}
"""Those that compress, and say in their first bytes to what they open."""
METADATA = {".zarray", ".zattrs", "zarr.json"}
HEAD_BYTES = 18
_ZSTD = bytes.fromhex("28b52ffd")
_SIZE_BYTES = (0, 2, 4, 8)


def refuse_odd_store(path: Path) -> None:
    """Refuse a store with links in it: they lead to files that are none of its own.

    Raises:
        StoreError: there is one.
    """
    for inner in (path, *path.rglob("*")):
        if inner.is_symlink():
            raise StoreError(inner, "is a link, and no part of the store: copy what it leads to")


def refuse_odd_array(path: Path, array: Any, *, is_full: bool) -> None:
    """Refuse an array that runs code or fills a memory; `is_full` where no chunk may be missing.

    Raises:
        StoreError: it is one.
    """
    where, name = path / array.path, array.path
    codecs = [codec for codec in _codecs_of(array) if codec != LAYOUT]
    if len(codecs) > 1 or not PLAIN.issuperset(codecs):  # one within another hides its size
        raise StoreError(path, f"{name} is opened by {', '.join(codecs)}, not zstd or blosc alone")
    n_bytes = math.prod(array.chunks) * array.dtype.itemsize
    refuse_large(path, name, n_bytes)
    chunks = [p for p in where.rglob("*") if p.is_file() and p.name not in METADATA]
    for chunk in chunks:
        if _size_said(chunk, codecs) != n_bytes:
            raise StoreError(
                chunk, f"becomes another size than a chunk of {name}: {n_bytes:,} bytes"
            )
    if is_full and len(chunks) < array.nchunks:
        raise StoreError(path, f"{name}: not all of it was written, what is missing reads as 0")


def _codecs_of(array: Any) -> Iterator[str]:
    """Names of what opens the chunks, of both versions of Zarr."""
    said = array.metadata.to_dict()
    if "codecs" in said:
        yield from (str(codec["name"]) for codec in said["codecs"])
        return
    for codec in (said.get("compressor"), *(said.get("filters") or ())):
        if codec is not None:
            yield str(codec["id"])


def _size_said(chunk: Path, codecs: Sequence[str]) -> int:
    """How many bytes a chunk becomes; -1 where it does not say."""
    with chunk.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if "zstd" in codecs:
        return _zstd_size(head)
    if "blosc" in codecs:
        return int.from_bytes(head[4:8], "little") if len(head) >= 16 else -1  # noqa: PLR2004
    return chunk.stat().st_size


def _zstd_size(head: bytes) -> int:
    """Content size of a frame's header.

    >>> _zstd_size(bytes.fromhex("28b52ffd2005"))
    5
    """
    if head[:4] != _ZSTD or len(head) < 6:  # noqa: PLR2004
        return -1
    flag, is_single, dictionary = head[4] >> 6, head[4] >> 5 & 1, head[4] & 3
    n_bytes = _SIZE_BYTES[flag] or is_single
    start = 5 + (not is_single) + (0, 1, 2, 4)[dictionary]
    said = int.from_bytes(head[start : start + n_bytes], "little")
    return -1 if not n_bytes else said + (256 if flag == 1 else 0)
