"""A part of a job -> its patches in slots of a ring: what a worker process of a stream does.

part ─▶ slide (kept open from part to part) ─▶ read_sets ─▶ slots ─▶ a description of each
"""

from __future__ import annotations

import os
import pickle
from contextlib import ExitStack, closing, suppress
from importlib import import_module
from multiprocessing.connection import Connection
from typing import NamedTuple, Self

import numpy as np

from pathassets.engine.patches.extraction import ExtractionJob, SlideSource
from pathassets.engine.patches.multi_resolution import ReadHow, read_sets
from pathassets.engine.slides.open import OpenedSlide, open_slide
from pathassets.engine.workers.ring import Outlet, RingShape, map_ring
from pathassets.engine.workers.worker import sealed_error

MARK = -1
"""First number of a message that describes a slot; no pickle begins like it."""
N_HEAD = 7
"""Numbers in such a message before its arrays."""
READ_BYTES = 96 * 2**20
"""Pixels that one worker may have begun and not delivered."""
IMPORTED_LATE = ("numpy.ma", "numpy.random", "PIL.ImageFile")
"""What the first slide that is opened would have to wait for: 60 ms, 250 patches."""


class PartTask(NamedTuple):
    """What a worker is told of its part."""

    job: ExtractionJob
    """That part alone."""
    n_batch: int
    n_threads: int


class SlotDescription(NamedTuple):
    """What a worker says of a slot."""

    slot: int
    resolution: int
    shape: tuple[int, ...]
    """(m, y, x, 3)."""
    places: np.ndarray
    """int64 (m,)."""
    corners_px0: np.ndarray
    """int64 (m, 2)."""

    def packed(self) -> bytes:
        """As a message: 64-bit numbers, which the parent reads in a tenth of a pickle's time."""
        head = np.array([MARK, self.slot, self.resolution, *self.shape], np.int64)
        return b"".join(map(np.ndarray.tobytes, (head, self.places, self.corners_px0)))

    @classmethod
    def unpacked(cls, message: bytes) -> Self:
        """From a message."""
        _, slot, resolution, m, *rest = np.frombuffer(message, np.int64, N_HEAD).tolist()
        numbers = np.frombuffer(message, np.int64, offset=8 * N_HEAD)
        return cls(slot, resolution, (m, *rest), numbers[:m], numbers[m:].reshape(m, 2))


def heard_from(message: bytes) -> SlotDescription | Exception | None:
    """What a worker says: of a slot, or what ended its part, None where it is whole."""
    if not message:
        return None
    if message[0] == MARK % 256:
        return SlotDescription.unpacked(message)
    error: Exception = pickle.loads(message)  # noqa: S301 - our own worker wrote it
    return error


def serve_parts(pipe: Connection, *, fd: int, shape: RingShape, first: SlideSource) -> None:
    """Read one part after the other into the ring behind `fd`; a slide is opened before all."""
    for name in IMPORTED_LATE:
        import_module(name)
    outlet = Outlet(map_ring(fd, shape), pipe)
    os.close(fd)
    with _LastSlide() as slides:
        with suppress(Exception):  # the slide boundary: its part will tell
            slides.at(first)
        while True:
            message = pipe.recv_bytes()
            if len(message) == 1:
                outlet.give_back(message)
            else:
                task = pickle.loads(message)  # noqa: S301 - our own parent wrote it
                pipe.send_bytes(_read_part(task, slides, outlet, pipe))


class _LastSlide:
    """Keeps the last slide open for its next part: opening it costs 14 ms, 50 patches."""

    def __init__(self) -> None:
        self._source: SlideSource | None = None
        self._stack = ExitStack()

    def at(self, source: SlideSource) -> OpenedSlide:
        """The slide, open."""
        if source != self._source:
            self.close()
            self._slide = self._stack.enter_context(open_slide(source.wsi_file, mpp=source.mpp))
            self._source = source
        return self._slide

    def close(self) -> None:
        """Close it; after an error nothing is left of what it did to a handle."""
        self._source = None
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _read_part(task: PartTask, slides: _LastSlide, outlet: Outlet, pipe: Connection) -> bytes:
    """Send all batches of a part; returns the error that ended it, or nothing."""
    how = ReadHow(
        n_batch=task.n_batch, n_threads=task.n_threads, allocate=outlet.allocate,
        budget_bytes=READ_BYTES,
    )  # fmt: skip
    try:
        with closing(read_sets(slides.at(task.job.source), task.job, how)) as sets:
            for places, corners_px0, pixels in sets:
                for i, batch in enumerate(pixels):
                    slot = outlet.hand_over(batch)
                    said = SlotDescription(slot, i, batch.shape, places, corners_px0[i])
                    pipe.send_bytes(said.packed())
    except BaseException as error:  # noqa: BLE001 - the slide boundary: even an exit is an answer
        slides.close()
        return sealed_error(error)
    finally:
        outlet.reclaim()  # no thread decodes any more: `sets` is closed
    return b""
