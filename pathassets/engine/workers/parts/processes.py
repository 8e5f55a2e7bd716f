"""Processes that read parts, each with its ring, as the process that hands the parts out sees them.

    start ─▶ hand_over(part) ══▶ (messages) ══▶ free, for the next part ─▶ … ─▶ end
                                    │ its slots, lent to receivers
             give_back ◀────────────┘

They outlive the streams that use them, one after the other, so that whoever reads many slides
starts them once.
"""

from __future__ import annotations

import os
import weakref
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from pathassets.engine.workers.buffers import Buffers
from pathassets.engine.workers.parts.job import ReadPart, Source
from pathassets.engine.workers.parts.reader import ReaderSetup, serve_parts
from pathassets.engine.workers.parts.schedule import Part
from pathassets.engine.workers.process import WorkerProcess, start_worker
from pathassets.engine.workers.ring import Held, make_ring, shape_ring
from pathassets.errors import WorkerLost


@dataclass(eq=False, slots=True)
class PartWorker(WorkerProcess):
    """One that reads parts."""

    ring: np.ndarray
    part: Part | None = None
    n_left: int = 0
    """Patches of the part that have not come."""
    silent_s: float = 0.0
    """For how long it was listened to and said nothing."""
    gathered: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)
    """Corners and pixels of the resolutions of a set that have come."""
    held: Held = field(init=False)
    """Its slots that a receiver looks at."""

    def __post_init__(self) -> None:
        self.held = Held(self.ring)

    def take_on(self, part: Part, task: bytes) -> bool:
        """Hand it a part; False where it has died."""
        self.part, self.n_left = part, part.squares.stop - part.squares.start
        self.silent_s = 0.0
        try:
            self.pipe.send_bytes(task)
        except OSError:
            return False
        return True

    def give_back(self, slot: int) -> None:
        """Tell it that nobody looks at a slot any more."""
        with suppress(OSError):  # where it has died, the wait will tell
            self.pipe.send_bytes(bytes([slot]))


class ReaderProcesses:
    """Processes that read parts by one function; started as they are needed, until they are ended.

    One stream uses them at a time. `patch_bytes` is what a slot must hold, one patch.
    """

    def __init__(self, read: ReadPart, *, n_processes: int, patch_bytes: int = 1) -> None:
        self.n_processes = n_processes
        self.shape = shape_ring(n_workers=max(1, n_processes), patch_bytes=patch_bytes)
        self.workers: list[PartWorker] = []
        self.idle: list[PartWorker] = []
        """The one that is employed next is the last."""
        self.buffers = Buffers()
        """What slots are copied out to."""
        self._read = read
        self._is_stopped = False
        self._finalizer = weakref.finalize(self, _end_all, self.workers)

    @property
    def is_open(self) -> bool:
        """Whether they may be given parts."""
        return self._finalizer.alive and not self._is_stopped

    def fit(self, patch_bytes: int) -> None:
        """Let slots hold a patch; where they did not, all processes are ended, for other ones."""
        if patch_bytes > self.shape.slot_bytes:
            for worker in list(self.workers):
                self.discard(worker)
            n_workers = max(1, self.n_processes)
            self.shape = shape_ring(n_workers=n_workers, patch_bytes=patch_bytes)

    def add(self, first: Source) -> None:
        """Start one more, which opens a source while it has no part yet; it is employed last.

        Raises:
            ResourcesShort: the system starts no more processes.
            WorkerLost: they were ended.
            PathAssetsError: there is too little shared memory.
        """
        if not self.is_open:
            raise WorkerLost("the processes that read were ended")
        ring, fd = make_ring(self.shape)
        setup = ReaderSetup(read=self._read, fd=fd, shape=self.shape, first=first)
        try:
            started = start_worker(partial(serve_parts, setup=setup), fds=(fd,))
        finally:
            os.close(fd)
        self.workers.append(PartWorker(started.process, started.pipe, ring))
        self.idle.insert(0, self.workers[-1])

    def hand_over(self, part: Part, task: bytes, source: Source) -> PartWorker:
        """Give a part to a free process, or to a new one."""
        while self.idle:
            worker = self.idle.pop()
            if worker.take_on(part, task):
                return worker
            self.discard(worker)  # it died while it had nothing to do: no part is lost
        self.add(source)
        worker = self.idle.pop()
        worker.take_on(part, task)  # where it dies at once, the wait will tell
        return worker

    def give_back(self) -> None:
        """Tell processes which of their slots nobody looks at any more."""
        for worker in self.workers:
            for slot in worker.held.returned():
                worker.give_back(slot)

    def discard(self, worker: PartWorker) -> None:
        """End one, and start another when it is needed."""
        self.workers.remove(worker)
        if worker in self.idle:
            self.idle.remove(worker)
        worker.end()

    def end_busy(self) -> None:
        """End at once those that have parts, which nobody wants any more."""
        busy = [worker for worker in self.workers if worker.part is not None]
        for worker in busy:
            worker.process.kill()
        for worker in busy:
            self.discard(worker)

    def stop(self) -> None:
        """Kill them, so that whoever waits for them in another thread goes on; `end` comes then."""
        self._is_stopped = True
        for worker in list(self.workers):
            worker.process.kill()

    def end(self) -> None:
        """End all of them at once."""
        self._finalizer()
        self.idle.clear()


def _end_all(workers: list[PartWorker]) -> None:
    for worker in workers:
        worker.process.kill()
    for worker in workers:
        worker.end()
    workers.clear()
