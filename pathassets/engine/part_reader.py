"""A part of a job -> its patches in slots of a ring: what a worker process of a stream does.

part ─▶ slide (kept open from part to part) ─▶ read_sets ─▶ slots ─▶ a description of each
"""

from __future__ import annotations

import os
from contextlib import ExitStack, closing
from multiprocessing.connection import Connection
from typing import NamedTuple, Self

import numpy as np

from pathassets.engine.extraction import ExtractionJob
from pathassets.engine.ring import Outlet, RingShape, map_ring
from pathassets.engine.set_reader import ReadHow, read_sets
from pathassets.engine.slides import OpenedSlide, open_slide
from pathassets.engine.worker import sealed_error

READ_BYTES = 96 * 2**20
"""Pixels that one worker may have begun and not delivered."""


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
    places: np.ndarray
    corners_px0: np.ndarray


def serve_parts(pipe: Connection, *, fd: int, shape: RingShape) -> None:
    """Read one part after the other into the ring behind `fd`."""
    outlet = Outlet(map_ring(fd, shape), pipe)
    os.close(fd)
    with _LastSlide() as slides:
        while True:
            message = pipe.recv()
            if isinstance(message, int):
                outlet.give_back(message)
            else:
                pipe.send(_read_part(message, slides, outlet, pipe))


class _LastSlide:
    """Keeps the last slide open for its next part: opening it costs 14 ms, 50 patches."""

    def __init__(self) -> None:
        self._key: tuple[str, float | None] | None = None
        self._stack = ExitStack()

    def of(self, job: ExtractionJob) -> OpenedSlide:
        """The slide of a job, open."""
        key = (job.wsi_file, job.slide_mpp)
        if key != self._key:
            self.close()
            self._slide = self._stack.enter_context(open_slide(job.wsi_file, mpp=job.slide_mpp))
            self._key = key
        return self._slide

    def close(self) -> None:
        """Close it; after an error nothing is left of what it did to a handle."""
        self._key = None
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
        with closing(read_sets(slides.of(task.job), task.job, how)) as sets:
            for places, corners_px0, pixels in sets:
                for i, batch in enumerate(pixels):
                    slot = outlet.hand_over(batch)
                    pipe.send(SlotDescription(slot, i, batch.shape, places, corners_px0[i]))
    except BaseException as error:  # noqa: BLE001 - the slide boundary: even an exit is an answer
        slides.close()
        return sealed_error(error)
    finally:
        outlet.reclaim()  # no thread decodes any more: `sets` is closed
    return b""
