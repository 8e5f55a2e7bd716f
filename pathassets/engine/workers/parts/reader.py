"""A part of a job -> its patches in slots of a ring: what a process that reads parts does.

part ─▶ its source (kept open from part to part) ─▶ ReadPart ─▶ slots ─▶ a description of each
"""

from __future__ import annotations

import os
import pickle
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, NamedTuple, Self

import numpy as np

from pathassets.engine.workers.parts.job import Job, Note, PartHow, ReadPart, ReadSet, Source
from pathassets.engine.workers.ring import Outlet, RingShape, map_ring
from pathassets.engine.workers.worker import sealed, sealed_error

MARK = -1
"""First number of a message that describes a slot; no pickle begins like it."""
N_HEAD = 7
"""Numbers in such a message before its arrays."""
READ_BYTES = 96 * 2**20
"""Pixels that one process may have begun and not delivered."""


class PartTask(NamedTuple):
    """What a process is told of its part."""

    job: Job
    """That part alone."""
    n_batch: int
    n_threads: int


class SlotDescription(NamedTuple):
    """What a process says of a slot."""

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


def heard_from(message: bytes) -> SlotDescription | Note | Exception | None:
    """What a process says: of a slot, of the part, or what ended the part; None: it is whole."""
    if not message:
        return None
    if message[0] == MARK % 256:
        return SlotDescription.unpacked(message)
    said: Note | Exception = pickle.loads(message)  # noqa: S301 - our own process wrote it
    return said


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderSetup:
    """What a process is told before its first part."""

    read: ReadPart
    fd: int
    """File with the ring's memory, which it inherits."""
    shape: RingShape
    first: Source
    """What it opens while it has no part yet."""


def serve_parts(pipe: Connection, *, setup: ReaderSetup) -> None:
    """Read one part after the other into the ring; the first source is opened before all."""
    setup.first.prepare()
    outlet = Outlet(map_ring(setup.fd, setup.shape), pipe)
    os.close(setup.fd)
    with _LastOpened() as kept:
        with suppress(Exception):  # the slide boundary: its part will tell
            kept.at(setup.first)
        reader = _PartReader(setup.read, kept, outlet, pipe)
        while True:
            message = pipe.recv_bytes()
            if len(message) == 1:
                outlet.give_back(message)
            else:
                task = pickle.loads(message)  # noqa: S301 - our own parent wrote it
                pipe.send_bytes(reader.answer(task))


class _LastOpened:
    """Keeps what was opened last for the next part: a slide takes 14 ms to open, 50 patches."""

    def __init__(self) -> None:
        self._source: Source | None = None
        self._stack = ExitStack()

    def at(self, source: Source) -> Any:
        """What a source opens, open."""
        if source != self._source:
            self.close()
            self._opened = self._stack.enter_context(source.open())
            self._source = source
        return self._opened

    def close(self) -> None:
        """Close it; after an error nothing is left of what it did to a handle."""
        self._source = None
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _PartReader:
    """Reads parts, and sends what comes of them."""

    def __init__(self, read: ReadPart, kept: _LastOpened, outlet: Outlet, pipe: Connection) -> None:
        self._read = read
        self._kept = kept
        self._outlet = outlet
        self._pipe = pipe

    def answer(self, task: PartTask) -> bytes:
        """Send all batches of a part; returns the error that ended it, or nothing."""
        how = PartHow(
            n_batch=task.n_batch, n_threads=task.n_threads, allocate=self._outlet.allocate,
            budget_bytes=READ_BYTES,
        )  # fmt: skip
        try:
            opened = self._kept.at(task.job.source)
            with closing(self._read(opened, task.job, how)) as batches:
                for one in batches:
                    self._send(one)
        except BaseException as error:  # noqa: BLE001 - the slide boundary: even an exit is an answer
            self._kept.close()
            return sealed_error(error)
        finally:
            self._outlet.reclaim()  # no thread decodes any more: the reading is closed
        return b""

    def _send(self, one: ReadSet | Note) -> None:
        if isinstance(one, Note):
            self._pipe.send_bytes(sealed(one))
            return
        for i, batch in enumerate(one.pixels):
            slot = self._outlet.hand_over(batch)
            said = SlotDescription(slot, i, batch.shape, one.places, one.corners_px0[i])
            self._pipe.send_bytes(said.packed())
