"""Bytes -> directories of a TIFF or BigTIFF: its table of contents, and nothing of its pixels.

tifffile is made to get something out of any file: it mends counts and offsets in silence, and reads
a table as long as its count says. Here a damaged file must be told from a healthy one, so the
structure is read as it stands, and each length is held against the size of the file before anything
is read.

Source: TIFF 6.0, section 2 (Adobe, 1992); BigTIFF, https://www.awaresystems.be/imaging/tiff
"""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pathassets.adapters.files import unreadable
from pathassets.errors import SlideUnreadable

MAX_ENTRIES = 4096
"""libtiff's own bound; real directories have 10 to 40 entries."""
MAX_DIRECTORIES = 65_535

_MAGIC = {
    b"II*\0": ("<", False),
    b"MM\0*": (">", False),
    b"II+\0": ("<", True),
    b"MM\0+": (">", True),
}
_ITEM_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4} | {
    16: 8, 17: 8, 18: 8
}  # fmt: skip
"""Bytes of one value of each type."""
_UNSIGNED = {3: "u2", 4: "u4", 13: "u4", 16: "u8", 18: "u8"}
"""Types in which sizes, offsets and codes are written."""
_LARGEST = np.uint64((1 << 62) - 1)
"""What a BigTIFF says beyond it is cut to it: so that a sum of two stays an int64."""
_SECTION_BYTES = 1 << 30
"""No more than this is read at once."""


Fill = Callable[[int, int], None]
"""Sees to it that the bytes from here up to there are in the file, before they are read."""


@dataclass(frozen=True, slots=True)
class TagEntry:
    """One tag of a directory: where its values are."""

    kind: int
    """TIFF's number of the type."""
    count: int
    at_bytes: int
    """Where in the file the values begin, be it inside of the directory or elsewhere."""
    n_bytes: int
    """Length of the values; 0 for a type that TIFF does not know."""
    is_apart: bool
    """Whether they stand outside of the directory."""


@dataclass(frozen=True, slots=True)
class Directory:
    """One directory, an image or a level of one."""

    number: int
    start_bytes: int
    end_bytes: int
    entries: dict[int, TagEntry]
    """By tag; of a tag that stands there twice the first, as libtiff reads it."""
    repeated: frozenset[int]
    """Tags that stand there twice."""


@dataclass(frozen=True, slots=True)
class TiffBytes:
    """An open TIFF, read by position."""

    path: Path
    fd: int
    size_bytes: int
    order: str
    """`<` or `>`."""
    is_big: bool
    fill: Fill | None = None
    """Where the file has holes for what nobody asked for yet."""

    def read(self, at_bytes: int, n_bytes: int, what: str) -> bytes:
        """Exactly these bytes.

        Raises:
            SlideUnreadable: they reach beyond the end of the file, or the disk fails.
        """
        if at_bytes + n_bytes > self.size_bytes:
            raise truncated(self.path, f"{what} lies beyond its end")
        if n_bytes > _SECTION_BYTES:
            raise damaged(self.path, f"{what} is said to have {n_bytes} bytes")
        if self.fill is not None:
            self.fill(at_bytes, at_bytes + n_bytes)
        try:
            data = os.pread(self.fd, n_bytes, at_bytes)
        except OSError as error:
            raise unreadable(self.path, error) from error
        if len(data) < n_bytes:
            raise truncated(self.path, f"{what} cannot be read whole")
        return data

    def numbers(self, entry: TagEntry, what: str) -> np.ndarray:
        """The values of a tag, as int64 below 2**62.

        Raises:
            SlideUnreadable: they are no unsigned numbers, or not within the file.
        """
        if entry.kind not in _UNSIGNED:
            raise damaged(self.path, f"{what} is of type {entry.kind}, which is no whole number")
        data = self.read(entry.at_bytes, entry.n_bytes, what)
        values = np.frombuffer(data, self.order + _UNSIGNED[entry.kind]).astype(np.uint64)
        return np.minimum(values, _LARGEST).astype(np.int64)


def damaged(path: object, fact: str) -> SlideUnreadable:
    """A TIFF whose structure contradicts itself."""
    return SlideUnreadable(
        path,
        f"its structure is damaged: {fact}",
        remedy="Copy the file again from where it was scanned; if it stays so, export it anew",
        reason="damaged_structure",
    )


def truncated(path: object, fact: str) -> SlideUnreadable:
    """A TIFF whose end is missing."""
    return SlideUnreadable(
        path,
        f"the file is cut short: {fact}",
        remedy="Copy it again from where it was scanned, and compare the sizes of both",
        reason="truncated",
    )


@contextmanager
def open_tiff(path: Path, fill: Fill | None = None) -> Iterator[TiffBytes]:
    """Open a TIFF for reading its structure; a named pipe does not hold it up.

    Raises:
        SlideUnreadable: it is missing, forbidden, no regular file, or no TIFF.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise unreadable(path, error) from error
    try:
        yield _identify(path, fd, fill)
    finally:
        os.close(fd)


def _identify(path: Path, fd: int, fill: Fill | None) -> TiffBytes:
    if fill is not None:
        fill(0, 8)
    try:
        look = os.fstat(fd)
        head = os.pread(fd, 8, 0) if stat.S_ISREG(look.st_mode) else b""
    except OSError as error:
        raise unreadable(path, error) from error
    if head[:4] not in _MAGIC:
        raise SlideUnreadable(
            path,
            "is no TIFF",
            remedy="Open it in a viewer such as QuPath to see what it is",
            reason="not_a_slide",
        )
    order, is_big = _MAGIC[head[:4]]
    return TiffBytes(path, fd, look.st_size, order, is_big, fill)


def read_directories(file: TiffBytes) -> tuple[Directory, ...]:
    """All directories of the main chain, in file order; those below others are not followed.

    Raises:
        SlideUnreadable: the chain leads beyond the end of the file, or in a circle.
    """
    found: list[Directory] = []
    starts: set[int] = set()
    at_bytes = _first_offset(file)
    while at_bytes:
        if at_bytes in starts:
            raise damaged(file.path, f"directory {len(found)} is directory 0 to {len(found) - 1}")
        if len(found) == MAX_DIRECTORIES:
            raise damaged(file.path, f"more than {MAX_DIRECTORIES} directories")
        starts.add(at_bytes)
        directory, at_bytes = read_directory(file, len(found), at_bytes)
        found.append(directory)
    if not found:
        raise damaged(file.path, "it has no directory")
    return tuple(found)


def _first_offset(file: TiffBytes) -> int:
    what = "its first directory"
    if not file.is_big:
        return int(struct.unpack(file.order + "I", file.read(4, 4, what))[0])
    offset_bytes, zero, at_bytes = struct.unpack(file.order + "HHQ", file.read(4, 12, what))
    if (offset_bytes, zero) != (8, 0):
        raise damaged(file.path, "the header is not that of a BigTIFF")
    return int(at_bytes)


def read_directory(file: TiffBytes, number: int, at_bytes: int) -> tuple[Directory, int]:
    """A directory, and where the next one is; 0 where there is none.

    Raises:
        SlideUnreadable: it lies beyond the end of the file, or is none.
    """
    what = f"directory {number}"
    count_code, count_bytes, entry_bytes, next_code = (
        ("Q", 8, 20, "Q") if file.is_big else ("H", 2, 12, "I")
    )
    (n_entries,) = struct.unpack(file.order + count_code, file.read(at_bytes, count_bytes, what))
    if n_entries == 0:
        raise damaged(file.path, f"where {what} should be are zeros, as a broken copy leaves them")
    if n_entries > MAX_ENTRIES:
        raise damaged(file.path, f"{what} has {n_entries} entries")
    first_bytes = at_bytes + count_bytes
    next_bytes = struct.calcsize("=" + next_code)
    data = file.read(first_bytes, n_entries * entry_bytes + next_bytes, what)
    entries: dict[int, TagEntry] = {}
    repeated = set()
    for index in range(n_entries):
        start = index * entry_bytes
        tag, entry = _parse_entry(file, data[start : start + entry_bytes], first_bytes + start)
        if tag in entries:
            repeated.add(tag)
        entries.setdefault(tag, entry)
    (following,) = struct.unpack(file.order + next_code, data[-next_bytes:])
    end_bytes = first_bytes + len(data)
    return Directory(number, at_bytes, end_bytes, entries, frozenset(repeated)), int(following)


def _parse_entry(file: TiffBytes, data: bytes, at_bytes: int) -> tuple[int, TagEntry]:
    code = "HHQQ" if file.is_big else "HHII"
    tag, kind, count, pointer = struct.unpack(file.order + code, data)
    n_bytes = count * _ITEM_BYTES.get(kind, 0)
    slot_bytes = 8 if file.is_big else 4
    if n_bytes <= slot_bytes:
        return tag, TagEntry(
            kind, count, at_bytes + len(data) - slot_bytes, n_bytes, is_apart=False
        )
    return tag, TagEntry(kind, count, pointer, n_bytes, is_apart=True)
