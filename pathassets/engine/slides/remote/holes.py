"""An object -> a file of its size that is nothing but holes, filled with what is read of it.

    read ─▶ are its blocks there? ─no─▶ requests ─▶ written ─▶ noted as there
                    │yes                                            │
                    └──────────────────────┬────────────────────────┘
                                           ▼
                                  read from the file

So whatever reads files, OpenSlide too, reads this one, once what it will read was fetched. What is
there is noted in a table of one byte a block, shared by all processes that read the slide: they
need no lock, for two that fetch the same block write the same bytes. Each request is for the very
version that was looked at: of another one it gets nothing.

In a process of its own each opens the file again, by its `HoledSource`.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import numpy as np

from pathassets.adapters.files import content_changed, fingerprint_of
from pathassets.adapters.objects.place import ObjectPlace
from pathassets.adapters.objects.remote_slides import RemoteSlide
from pathassets.engine.slides.remote.copying import require_unchanged
from pathassets.engine.slides.remote.spans import BLOCK_BYTES, Span, blocks_of, requests_for
from pathassets.engine.slides.scratch_copy import FILES
from pathassets.errors import ResourcesShort, StorageUnavailable, StoreError

PRESENT = "present"
"""Name of the table, beside the copy's card."""
AHEAD_BLOCKS = 16
"""64 KB at least are fetched where nobody said beforehand what would be read."""
N_REQUESTS = 8
"""At once for one slide: what a network card of 5 Gb/s takes. Source: AWS, S3 performance design
patterns, 85 to 90 MB/s for each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HoledSource:
    """What such a file is opened by, in any process of this machine."""

    slide: RemoteSlide
    """Of one object."""
    fingerprint: str
    """What its content was registered as."""
    file: Path
    """The file with holes."""
    present: Path
    """Which blocks of it are there, a byte each."""


def make_holes(folder: Path, slide: RemoteSlide) -> None:
    """Make the file of a slide with nothing in it, and the table that says so."""
    # No holes in the table: where the disk is full, to write to one by way of memory is a SIGBUS.
    (folder / PRESENT).write_bytes(bytes(-(-slide.size_bytes // BLOCK_BYTES)))
    path = folder / FILES / slide.file.name
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as file:
        file.truncate(slide.size_bytes)


class HoledFile:
    """One that is open; for any number of threads at once."""

    def __init__(self, source: HoledSource) -> None:
        self.source = source
        self.size_bytes = source.slide.size_bytes
        self.n_requests = self.n_bytes_fetched = 0
        """Of this process, since it was opened."""
        self._counting = Lock()
        self._place: ObjectPlace = source.slide.folder
        self._fd = os.open(source.file, os.O_RDWR | os.O_CLOEXEC)
        try:
            handle = os.open(source.present, os.O_RDWR | os.O_CLOEXEC)
            try:
                self._present = mmap.mmap(handle, 0)
            finally:
                os.close(handle)
        except BaseException:
            os.close(self._fd)
            raise

    @property
    def n_blocks(self) -> int:
        """Of the whole file."""
        return len(self._present)

    def need(self, start_bytes: int, stop_bytes: int) -> None:
        """Make sure that some bytes are there; those beyond the end are nobody's.

        Raises:
            SlideChanged: the object was overwritten, or is gone.
            StoreError: its storage does not give it.
            ResourcesShort: the scratch disk is full.
        """
        start = start_bytes // BLOCK_BYTES
        stop = min(-(-stop_bytes // BLOCK_BYTES), self.n_blocks)
        if 0 not in self._present[start:stop]:
            return
        wanted = np.zeros(self.n_blocks, bool)
        first, last = start // AHEAD_BLOCKS, -(-stop // AHEAD_BLOCKS)
        wanted[first * AHEAD_BLOCKS : last * AHEAD_BLOCKS] = True
        self._fetch(requests_for(wanted & ~self.there()))

    def fetch(self, starts_bytes: np.ndarray, n_bytes: np.ndarray) -> None:
        """Fetch bytes that will be read soon, near ones by one request, several at once.

        Raises:
            SlideChanged: the object was overwritten, or is gone.
            StoreError: its storage does not give it.
            ResourcesShort: the scratch disk is full.
        """
        wanted = blocks_of(starts_bytes, n_bytes, self.n_blocks)
        self._fetch(requests_for(wanted & ~self.there()))

    def n_bytes_with(self, starts_bytes: np.ndarray, n_bytes: np.ndarray) -> int:
        """What would be there after a `fetch` of these bytes, holes that come along included."""
        there = self.there()
        todo = requests_for(blocks_of(starts_bytes, n_bytes, self.n_blocks) & ~there)
        n_holes = sum(int((~there[start:stop]).sum()) for start, stop in todo)
        return (int(there.sum()) + n_holes) * BLOCK_BYTES

    def fetch_all(self) -> None:
        """Fill every hole, and hold what came against what was registered.

        Raises:
            SlideChanged: the object was overwritten, or is gone, or is another.
            StoreError: its storage does not give it.
            ResourcesShort: the scratch disk is full.
        """
        todo = requests_for(~self.there())
        self._fetch(todo)
        if todo and fingerprint_of([self.source.file]) != self.source.fingerprint:
            raise content_changed(self.source.slide.file)

    def there(self) -> np.ndarray:
        """Bool (n_blocks,): which blocks were fetched by now, by whichever process."""
        return np.frombuffer(self._present[:], np.uint8) > 0

    def _fetch(self, spans: Iterable[Span]) -> None:
        todo = list(spans)
        if len(todo) == 1:
            self._fetch_one(todo[0])
        elif todo:
            with ThreadPoolExecutor(min(N_REQUESTS, len(todo)), "fetch") as pool:
                for _ in pool.map(self._fetch_one, todo):
                    pass

    def _fetch_one(self, span: Span) -> None:
        start_bytes = span[0] * BLOCK_BYTES
        stop_bytes = min(span[1] * BLOCK_BYTES, self.size_bytes)
        data = self._read(start_bytes, stop_bytes)
        try:
            _write_all(self._fd, data, start_bytes)
        except OSError as error:
            raise ResourcesShort.of_scratch(
                self.source.slide.file, error.strerror or str(error)
            ) from error
        self._present[span[0] : span[1]] = b"\1" * (span[1] - span[0])  # after what it tells of
        with self._counting:
            self.n_requests += 1
            self.n_bytes_fetched += len(data)

    def _read(self, start_bytes: int, stop_bytes: int) -> bytes:
        slide = self.source.slide
        try:
            return self._place.read_of(slide.members[0], start=start_bytes, end=stop_bytes)
        except StorageUnavailable:
            raise
        except StoreError as error:
            require_unchanged(slide, error)
            raise

    def close(self) -> None:
        """Give the descriptors back; a second time it does nothing."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)
            self._present.close()


def _write_all(fd: int, data: bytes, at_bytes: int) -> None:
    rest = memoryview(data)
    while rest:
        n_written = os.pwrite(fd, rest, at_bytes)
        rest, at_bytes = rest[n_written:], at_bytes + n_written
