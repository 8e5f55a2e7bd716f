"""ExtractionJobs -> their patches, read by worker processes while the first are being used.

    jobs ─▶ parts ─▶ worker: read_sets ══ ring ══▶ parent ─▶ (wait for its turn) ─▶ caller

A part is a slide, or consecutive patches of one. A worker that is killed costs the slide whose part
it had, and nothing else. What a patch looks like depends on none of this.
"""

from __future__ import annotations

import logging
import math
import os
import pickle
import weakref
from collections.abc import Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from multiprocessing.connection import wait
from selectors import EVENT_READ, DefaultSelector

import numpy as np

from pathassets.engine.patches.extraction import ExtractionJob
from pathassets.engine.patches.memory.part_reader import (
    PartTask,
    SlotDescription,
    heard_from,
    serve_parts,
)
from pathassets.engine.patches.memory.parts import (
    WAITING_BYTES,
    Delivered,
    End,
    Part,
    ReorderBuffer,
    Schedule,
)
from pathassets.engine.patches.multi_resolution import ReadSet
from pathassets.engine.patches.parameters import OnError
from pathassets.engine.workers.buffers import Buffers
from pathassets.engine.workers.process import WorkerProcess, lost, start_worker
from pathassets.engine.workers.ring import Held, make_ring, shape_ring
from pathassets.errors import PathAssetsError, WorkerLost, shortage_of

logger = logging.getLogger(__name__)

PART_PATCHES = 250
"""Least in a part of a slide, in no order: some 50 ms. Tiles on its edge are decoded again."""
ORDERED_PART_BYTES = 64 * 2**20
"""Least pixels in a part of a slide, if ordered: 325 patches of 256 px."""
BATCH_PATCHES = 256
"""Most in a batch, however small they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamSpec:
    """How patches are streamed; of no account for what they hold."""

    n_processes: int
    n_threads: int
    """Of each process."""
    is_ordered: bool
    on_error: OnError


@dataclass(slots=True, kw_only=True)
class Progress:
    """How far a stream is."""

    pids: list[int] = field(default_factory=list)
    """The process that finished each slide."""
    errors: dict[int, PathAssetsError] = field(default_factory=dict)
    """What became of bad slides, by the number of their job."""
    n_missing: int = 0
    """Patches of bad slides that did not come."""


@dataclass(eq=False, slots=True)
class _PartWorker(WorkerProcess):
    """One that reads parts."""

    ring: np.ndarray
    part: Part | None = None
    n_left: int = 0
    """Patches of the part that have not come."""
    gathered: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)
    """Corners and pixels of the resolutions of a set that have come."""
    held: Held = field(init=False)
    """Its slots that a receiver looks at."""

    def __post_init__(self) -> None:
        self.held = Held(self.ring)

    def take_on(self, part: Part, task: bytes) -> bool:
        """Hand it a part; False where it has died."""
        self.part, self.n_left = part, part.squares.stop - part.squares.start
        try:
            self.pipe.send_bytes(task)
        except OSError:
            return False
        return True

    def give_back(self, slot: int) -> None:
        """Tell it that nobody looks at a slot any more."""
        with suppress(OSError):  # where it has died, the wait will tell
            self.pipe.send_bytes(bytes([slot]))


class Stream:
    """Worker processes that read the patches of some jobs, once; they start at once."""

    def __init__(self, jobs: Sequence[ExtractionJob], spec: StreamSpec) -> None:
        self._jobs = jobs
        self._spec = spec
        self.progress = Progress()
        sizes = [len(job) for job in jobs]
        self._reorder = ReorderBuffer(is_ordered=spec.is_ordered)
        self._n_left = list(sizes)
        """Patches of each job in parts that are not over."""
        self._n_given = [0] * len(jobs)
        """Patches of each job that have been yielded."""
        self._bad: set[int] = set()
        self._buffers = Buffers()
        self._selector = DefaultSelector()
        """Waits for the pipes of busy workers: to set one up for each wait costs 0.1 ms."""
        n_parts = sum(max(1, n // PART_PATCHES) for n in sizes)
        self._n_workers = min(spec.n_processes, n_parts)
        patch_bytes = max((3 * job.slot_px**2 for job in jobs), default=1)
        self._shape = shape_ring(n_workers=max(1, self._n_workers), patch_bytes=patch_bytes)
        self._workers: list[_PartWorker] = []
        self._finalizer = weakref.finalize(self, _end_all, self._workers)
        self._schedule, first = (Schedule(sizes, self._part_size) for _ in range(2))
        self._idle: list[_PartWorker] = []
        """The one that is employed next is the last."""
        try:
            for part in islice(iter(first.next, None), self._n_workers):
                self._idle.insert(0, self._start(part.job))
        except BaseException:
            self.end()
            raise

    def _part_size(self, job: int, n_left: int) -> int:
        if self._n_workers == 1:
            return max(1, len(self._jobs[job]))
        if not self._spec.is_ordered:  # half of what is left is fairly dealt, then half again
            return max(PART_PATCHES, -(-n_left // self._n_workers))
        set_bytes = 3 * self._jobs[job].slot_px ** 2 * len(self._jobs[job].levels_or_mpps)
        return max(1, max(ORDERED_PART_BYTES, WAITING_BYTES // (self._n_workers - 1)) // set_bytes)

    def _start(self, job: int) -> _PartWorker:
        """Start a worker that opens the slide of its first job while it has none yet."""
        ring, fd = make_ring(self._shape)
        serve = partial(serve_parts, fd=fd, shape=self._shape, first=self._jobs[job].source)
        try:
            started = start_worker(serve, fds=(fd,))
        finally:
            os.close(fd)
        self._workers.append(_PartWorker(started.process, started.pipe, ring))
        return self._workers[-1]

    def run(self) -> Generator[Delivered, None, None]:
        """Yield all patches, as they come or in order; close it to stop. For one caller, once.

        Raises:
            PathAssetsError: with on_error "raise", what is wrong with a slide.
            WorkerLost: the stream was ended by someone else before all had come.
        """
        try:
            self._employ()
            while self._busy:
                self._give_back()
                for worker in self._heard():
                    self._hear(worker)
                    self._employ()  # first, so that nobody idles while the caller is busy
                    for event in self._reorder.ready():
                        if isinstance(event, End):
                            self._finish(event)
                        elif event.job not in self._bad:
                            self._n_given[event.job] += len(event.sets.places)
                            yield event
                            self._require_open()
                        del event  # or its slot would be held until the next one comes
        finally:
            self.end()
            self._selector.close()

    def end(self) -> None:
        """End all workers at once."""
        self._finalizer()

    def _require_open(self) -> None:
        if not self._finalizer.alive:
            raise WorkerLost(
                "patches: the pool was closed before all of them had come",
                remedy="Close it, or leave its `with` block, once they have been used",
            )

    def _employ(self) -> None:
        """Give every free worker a part."""
        self._require_open()
        while self._idle or len(self._workers) < self._n_workers:
            part = self._schedule.next()
            if part is None:
                return
            self._hand_over(part)

    def _hand_over(self, part: Part) -> None:
        job, squares = self._jobs[part.job], part.squares
        mine = replace(
            job, x_px0=job.x_px0[squares], y_px0=job.y_px0[squares],
            width_px=job.width_px[squares], height_px=job.height_px[squares],
            label_codes=job.label_codes[squares], index=job.index[squares],
        )  # fmt: skip
        n_batch = n_batch_of(mine, self._shape.slot_bytes)
        task = pickle.dumps(PartTask(mine, n_batch, self._spec.n_threads))
        while self._idle:
            worker = self._idle.pop()
            if worker.take_on(part, task):
                self._selector.register(worker.pipe, EVENT_READ, worker)
                return
            self._discard(worker)  # it died while it had nothing to do: no part is lost
        worker = self._start(part.job)
        worker.take_on(part, task)  # where it dies at once, the wait will tell
        self._selector.register(worker.pipe, EVENT_READ, worker)

    def _discard(self, worker: _PartWorker) -> None:
        self._workers.remove(worker)
        worker.end()

    def _heard(self) -> list[_PartWorker]:
        """Wait until any worker has something to say."""
        if self._reorder.is_full:
            turn = self._reorder.turn
            (worker,) = (w for w in self._busy if w.part is not None and w.part.number == turn)
            wait([worker.pipe])
            return [worker]
        return [key.data for key, _ in self._selector.select()]

    @property
    def _busy(self) -> list[_PartWorker]:
        return [worker for worker in self._workers if worker.part is not None]

    def _hear(self, worker: _PartWorker) -> None:
        """Take what a worker says to the line."""
        part = worker.part
        if part is None:
            return
        try:
            said = heard_from(worker.pipe.recv_bytes())
        except (EOFError, OSError):
            self._selector.unregister(worker.pipe)
            self._discard(worker)
            error = lost(worker.process.returncode) if worker.n_left else None
            self._end_part(worker, part, error)
            return
        if isinstance(said, SlotDescription):
            self._gather(worker, part, said)
            return
        self._selector.unregister(worker.pipe)
        self._idle.append(worker)
        self._end_part(worker, part, said)

    def _end_part(self, worker: _PartWorker, part: Part, error: Exception | None) -> None:
        worker.part = None
        said = None if error is None else _named(self._jobs[part.job].wsi_file, error)
        if said is not None:
            self._schedule.drop(part.job)
        self._reorder.put(part.number, End(part, worker.process.pid, said))

    def _give_back(self) -> None:
        """Tell workers which of their slots nobody looks at any more."""
        for worker in self._workers:
            for slot in worker.held.returned():
                worker.give_back(slot)

    def _gather(self, worker: _PartWorker, part: Part, said: SlotDescription) -> None:
        """Lend a slot to the receiver, or copy it out; with the last resolution a set is whole."""
        n_bytes = math.prod(said.shape)
        if worker.held.has_room:
            pixels = worker.held.lend(said.slot, n_bytes)
        else:
            pixels = self._buffers.take(self._shape.slot_bytes)[:n_bytes]
            pixels[:] = worker.ring[said.slot, :n_bytes]
            worker.give_back(said.slot)
        worker.gathered.append((said.corners_px0, pixels.reshape(said.shape)))
        if said.resolution + 1 < len(self._jobs[part.job].levels_or_mpps):
            return
        corners_px0, batches = zip(*worker.gathered, strict=True)
        worker.gathered = []
        worker.n_left -= len(said.places)
        places = said.places + part.squares.start
        self._reorder.put(part.number, Delivered(part.job, ReadSet(places, corners_px0, batches)))

    def _finish(self, end: End) -> None:
        """Note that a part is over."""
        job, n = end.part.job, end.part.squares.stop - end.part.squares.start
        self._n_left[job] -= n
        if end.error is None:
            if not self._n_left[job] and job not in self._bad:
                self.progress.pids.append(end.pid)
            return
        if self._spec.on_error == "raise":
            raise end.error
        if job in self._bad:
            return
        self._bad.add(job)
        self.progress.n_missing += len(self._jobs[job]) - self._n_given[job]
        if self._spec.on_error == "collect":
            self.progress.errors[job] = end.error
        else:
            logger.warning("left out: %s", end.error)


def n_batch_of(job: ExtractionJob, batch_bytes: int) -> int:
    """How many patches of a job make a batch."""
    return max(1, min(BATCH_PATCHES, batch_bytes // (3 * job.slot_px**2)))


def _end_all(workers: list[_PartWorker]) -> None:
    for worker in workers:
        worker.process.kill()
    for worker in workers:
        worker.end()
    workers.clear()


def _named(wsi_file: str, error: Exception) -> PathAssetsError:
    """The error, with the slide's name in it."""
    error = shortage_of(error) or error
    if not isinstance(error, PathAssetsError):
        named = PathAssetsError(
            f"{wsi_file}: {type(error).__name__}: {error}",
            remedy="This is a fault of pathassets: report it with the traceback",
        )
        named.reason = "unexpected"
        named.__cause__ = error
        return named
    return error.named(wsi_file)
