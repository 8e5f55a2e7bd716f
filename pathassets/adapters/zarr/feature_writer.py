"""Features <-> Zarr v3 on disk, whole chunk by whole chunk; one that was killed is continued.

    rows ─▶ buffer of one chunk ─▶ chunk file, written aside and renamed ─▶ a line in the journal

`features` (n, …) float32 without a compressor, `coordinates` (n, 4) int64 and whatever boxes else
belong to the rows. A chunk that is missing reads as NaN, so it can never pass for a feature.

Chunk files are written here and not by zarr: it writes aside and renames, too, but flushes nothing
to the disk and leaves out a chunk of nothing but fill values. Without a compressor a chunk is its
bytes, little-endian, under the key `c/NUMBER/0/…`. Source: Zarr v3 core specification, `bytes`
codec and default chunk key encoding. zarr writes the metadata, once the number of rows is known.
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import shutil
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import zarr

from pathassets.core.spec import canonical_json, digest_of
from pathassets.errors import StoreError

CHUNK_ROWS = 1024
"""Of a chunk, unless there are fewer boxes: a chunk has the size of a whole one, however few it
holds."""
CHUNK_BYTES = 16 * 2**20
"""Of a chunk, unless one row has more: where rows are long, a chunk has fewer of them."""
FEATURES = "features"
JOURNAL = "journal"
METADATA = "zarr.json"
PARTIAL = ".partial"
VERSION = 1
"""Of the journal."""


def is_finished(path: Path) -> bool:
    """Whether a folder holds features that were finished."""
    return (path / METADATA).is_file() and not (path / JOURNAL).exists()


class FeatureWriter:
    """Writes rows in order into a folder, which is a Zarr group once it has been finished.

    Where the folder holds what an earlier writer with the same arguments began, and a kill ended,
    its whole chunks are kept: `n_done` tells how many rows need not be computed again.
    """

    def __init__(
        self,
        path: Path,
        *,
        shape: tuple[int, ...],
        boxes: Mapping[str, np.ndarray],
        attributes: Mapping[str, Any],
        is_growing: bool = False,
    ) -> None:
        """Begin, or continue.

        Args:
            path: folder of the group; nobody else's while it is written.
            shape: of the features of one patch.
            boxes: int64 (n, 4) by the name of their array: `coordinates`, `coordinates_px0`.
            attributes: of the group, in plain JSON.
            is_growing: whether more boxes come than these.

        Raises:
            StoreError: it cannot be written, or holds finished features or something else.
        """
        (self._n_boxes,) = {len(array) for array in boxes.values()}
        self._path = path
        self._shape = shape
        self._boxes = {name: np.asarray(array, np.int64) for name, array in boxes.items()}
        self._attributes = dict(attributes)
        row_bytes = max(1, 4 * math.prod(shape))
        n_most = CHUNK_ROWS if is_growing else self._n_boxes
        self._chunk_rows = max(1, min(CHUNK_ROWS, CHUNK_BYTES // row_bytes, n_most))
        self._chunk = np.empty((self._chunk_rows, *shape), "<f4")  # no memory before rows come
        self._n_held = 0
        self._is_kept = np.ones(self._n_boxes, bool)
        with _telling(path):
            done = self._continue()
        self._n_chunks = len(done)
        self._n_done = done[-1].n_done if done else 0
        self._next = self._n_done
        """Box of the next row, or one before it that is left out."""
        self._is_kept[[place for entry in done for place in entry.left_out]] = False
        self._n_left_out = self._n_boxes - int(self._is_kept.sum())

    @property
    def n_done(self) -> int:
        """Boxes dealt with by what is on the disk already: the next `write` begins after them."""
        return self._n_done

    @property
    def left_out(self) -> list[int]:
        """Boxes without a row, as far as that is known, ascending."""
        places: list[int] = np.flatnonzero(~self._is_kept).tolist()
        return places

    def write(self, rows: np.ndarray) -> None:
        """Take the rows of the next boxes that were not left out, float32 (m, *shape).

        Raises:
            ValueError: there are more rows than boxes, or they have another shape.
            StoreError: they cannot be written.
        """
        if rows.dtype != np.float32 or rows.shape[1:] != self._shape:
            raise ValueError(f"rows are {rows.dtype} {rows.shape}, not float32 (n, *{self._shape})")
        ahead = self._is_kept[self._next : self._next + len(rows) + self._n_left_out]
        places = np.flatnonzero(ahead)[: len(rows)] + self._next
        if len(places) < len(rows):
            n_rows = self._n_rows + len(rows)
            raise ValueError(f"{n_rows} rows for {self._n_boxes - self._n_left_out} boxes")
        while len(rows):
            n = min(len(rows), self._chunk_rows - self._n_held)
            self._chunk[self._n_held : self._n_held + n] = rows[:n]
            self._n_held += n
            self._next = int(places[n - 1]) + 1
            rows, places = rows[n:], places[n:]
            if self._n_held == self._chunk_rows:
                self._flush()

    @property
    def _n_rows(self) -> int:
        """Rows taken so far."""
        return int(self._is_kept[: self._next].sum())

    def leave_out(self, places: Sequence[int]) -> None:
        """Say of which boxes there is no row, because they could not be read.

        To be told before a later box is written. What was said of boxes that `n_done` counts is
        known, and may be said again.

        Raises:
            ValueError: a later box was written, or there is no such box.
        """
        for place in places:
            if not 0 <= place < self._n_boxes:
                raise ValueError(f"there is no box {place} among {self._n_boxes}")
            if place < self._next and self._is_kept[place]:
                raise ValueError(f"box {place} is left out, and a row was written for it")
        self._n_left_out += int(self._is_kept[list(set(places))].sum())
        self._is_kept[list(places)] = False

    def rewind(self) -> None:
        """Forget what is not on the disk: the next `write` begins after `n_done` again."""
        self._n_held, self._next = 0, self._n_done
        self._is_kept[self._n_done :] = True
        self._n_left_out = self._n_boxes - int(self._is_kept.sum())

    def finish(self, **attributes: Any) -> None:
        """Write the boxes and what is known only now; the group is whole then, without a journal.

        Raises:
            ValueError: rows are missing.
            StoreError: it cannot be written.
        """
        n_rows, n_wanted = self._n_rows, self._n_boxes - self._n_left_out
        if n_rows != n_wanted:
            raise ValueError(f"{n_rows} rows written of {n_wanted}")
        if self._n_held:
            self._next = self._n_boxes
            self._flush()
        with _telling(self._path):
            self._tidy()  # what an earlier writer was killed at
            self._write_metadata(n_rows, {**self._attributes, **attributes, "is_complete": True})
            (self._path / JOURNAL).unlink()
            _sync(self._path)

    def _write_metadata(self, n_rows: int, attributes: dict[str, Any]) -> None:
        """Write all but the chunks of features; the group's own metadata last."""
        zarr.create_array(
            store=str(self._path / FEATURES), shape=(n_rows, *self._shape),
            chunks=(self._chunk_rows, *self._shape), dtype="float32", compressors=None,
            fill_value=float("nan"),
        )  # fmt: skip
        rows_of_boxes = max(1, min(CHUNK_ROWS, n_rows))
        for name, boxes in self._boxes.items():
            array = zarr.create_array(
                store=str(self._path / name), shape=(n_rows, 4), chunks=(rows_of_boxes, 4),
                dtype="int64", compressors=None, fill_value=0,
            )  # fmt: skip
            if n_rows:
                array[:] = boxes[self._is_kept]
            _sync_all(self._path / name)
        _sync(self._path / FEATURES / METADATA)
        for folder in (self._path / FEATURES, self._path / FEATURES / "c"):
            if folder.exists():
                _sync(folder)
        zarr.create_group(store=str(self._path), attributes=attributes)
        _sync(self._path / METADATA)
        _sync(self._path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Let go of it; what is on the disk can be continued."""

    def _flush(self) -> None:
        """Write the buffer as one chunk, then its line in the journal."""
        self._chunk[self._n_held :] = np.nan
        data = self._chunk.tobytes()
        left_out = np.flatnonzero(~self._is_kept[self._n_done : self._next]) + self._n_done
        entry = _Entry(
            chunk=self._n_chunks, crc=zlib.crc32(data), n_done=self._next,
            left_out=left_out.tolist(),
        )  # fmt: skip
        with _telling(self._path):
            _write_aside(self._chunk_file(entry.chunk), data)
            with (self._path / JOURNAL).open("ab") as journal:
                journal.write(_line_of(_values_of(entry)))
                journal.flush()
                os.fsync(journal.fileno())
        self._n_chunks, self._n_done, self._n_held = self._n_chunks + 1, self._next, 0

    def _chunk_file(self, number: int) -> Path:
        return self._path.joinpath(FEATURES, "c", str(number), *("0" for _ in self._shape))

    def _continue(self) -> list[_Entry]:
        """Begin the journal, or cut it back to the last chunk that is right; returns those."""
        self._path.mkdir(parents=True, exist_ok=True)
        journal = self._path / JOURNAL
        head = _line_of(
            {"version": VERSION, "digest": self._digest(), "chunk_rows": self._chunk_rows}
        )
        done: list[_Entry] = []
        data = journal.read_bytes() if journal.is_file() else b""
        self._refuse_others(data)
        if not data.startswith(head):
            with journal.open("wb") as file:
                file.write(head)
                file.flush()
                os.fsync(file.fileno())
        else:
            done, n_bytes = self._right_entries(data, len(head))
            os.truncate(journal, n_bytes)
        self._n_chunks = len(done)
        self._tidy()
        return done

    def _refuse_others(self, journal: bytes) -> None:
        """Delete nothing but what a writer began: its journal tells, or the names of its files."""
        if is_finished(self._path):
            raise StoreError(
                self._path, "holds features that were finished",
                remedy="Delete it to make them again, or write elsewhere",
            )  # fmt: skip
        own = {JOURNAL, FEATURES, METADATA, *self._boxes}
        names = {path.name for path in self._path.iterdir()}
        is_own = JOURNAL in names and names <= own
        if names and not is_own and not _is_whole(journal.partition(b"\n")[0] + b"\n"):
            raise StoreError(
                self._path, "is a folder with something else in it", remedy="Write elsewhere"
            )

    def _digest(self) -> str:
        """Tell what is asked for: what was begun for something else is of no use."""
        boxes = {
            name: hashlib.sha256(np.ascontiguousarray(array, "<i8").data).hexdigest()
            for name, array in self._boxes.items()
        }
        return digest_of({"shape": self._shape, "boxes": boxes, "attributes": self._attributes})

    def _right_entries(self, data: bytes, start: int) -> tuple[list[_Entry], int]:
        """The first chunks, as long as journal and file agree, and where the journal ends then."""
        done: list[_Entry] = []
        for line in data[start:].splitlines(keepends=True):
            entry = _entry_of(line)
            if entry is None or entry.chunk != len(done) or not self._is_right(entry):
                break
            done.append(entry)
            start += len(line)
        return done, start

    def _is_right(self, entry: _Entry) -> bool:
        try:
            data = self._chunk_file(entry.chunk).read_bytes()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return False
        return len(data) == self._chunk.nbytes and zlib.crc32(data) == entry.crc

    def _tidy(self) -> None:
        """Delete all but the journal and the chunks that it lists."""
        kept = {self._chunk_file(number) for number in range(self._n_chunks)}
        kept |= {folder for file in kept for folder in file.parents} | {self._path / JOURNAL}
        for folder, names, files in os.walk(self._path):
            for name in [name for name in names if Path(folder, name) not in kept]:
                names.remove(name)
                shutil.rmtree(Path(folder, name))
            for name in files:
                if Path(folder, name) not in kept:
                    Path(folder, name).unlink()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """A line of the journal: a chunk that is on the disk."""

    chunk: int
    crc: int
    n_done: int
    """Boxes dealt with by it and those before it."""
    left_out: list[int]
    """Those of them without a row, after the last line's."""


def _values_of(entry: _Entry) -> dict[str, Any]:
    return {name: getattr(entry, name) for name in entry.__dataclass_fields__}


def _line_of(values: Mapping[str, Any]) -> bytes:
    """A line that tells by itself whether it is whole."""
    text = canonical_json(values).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def _entry_of(line: bytes) -> _Entry | None:
    """What a line says; None where it is not whole."""
    return _Entry(**json.loads(line[9:-1])) if _is_whole(line) else None


def _is_whole(line: bytes) -> bool:
    text = line[9:-1]
    return line == b"%08x %s\n" % (zlib.crc32(text), text)


def _write_aside(path: Path, data: bytes) -> None:
    """Write a file so that it is there whole or not at all, on the disk for certain."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(path.name + PARTIAL)
    try:
        with aside.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    except BaseException:
        with suppress(OSError):
            aside.unlink(missing_ok=True)
        raise
    _sync(path.parent)


def _sync_all(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        _sync(path)


def _sync(path: Path) -> None:
    """Wait until a file's content, or a folder's names, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def _telling(path: Path) -> Iterator[None]:
    """Say of which features it is that the disk refuses something.

    Raises:
        StoreError: it does.
    """
    try:
        yield
    except OSError as error:
        remedy = "Make it writable, or write elsewhere"
        if error.errno in _FULL:
            remedy = "Free some space and run it again: it goes on with the chunk that it was at"
        raise StoreError(
            path, f"cannot be written: {error.strerror or error}", remedy=remedy
        ) from error
