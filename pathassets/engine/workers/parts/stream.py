"""Jobs -> their patches, read in parts by processes while the first are being used.

    jobs ─▶ parts ─▶ process: ReadPart ══ ring ══▶ parent ─▶ (wait for its turn) ─▶ caller

A part is a job, or consecutive patches of one. A process that is killed costs the job whose part it
had, and nothing else. What a patch looks like depends on none of this.
"""

from __future__ import annotations

import logging
import math
import pickle
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from multiprocessing.connection import wait
from selectors import EVENT_READ, DefaultSelector
from typing import Any, Literal

from pathassets.engine.workers.parts.job import Job, Note, ReadSet
from pathassets.engine.workers.parts.processes import PartWorker, ReaderProcesses
from pathassets.engine.workers.parts.reader import PartTask, SlotDescription, heard_from
from pathassets.engine.workers.parts.schedule import (
    WAITING_BYTES,
    Delivered,
    End,
    Part,
    ReorderBuffer,
    Schedule,
    Told,
)
from pathassets.engine.workers.process import LONGEST_WAIT_S, lost
from pathassets.errors import PathAssetsError, WorkerLost, shortage_of

logger = logging.getLogger(__name__)

PART_PATCHES = 250
"""Least in a part of a job, in no order: some 50 ms. Tiles on its edge are decoded again."""
ORDERED_PART_BYTES = 64 * 2**20
"""Least pixels in a part of a job, if ordered: 325 patches of 256 px."""
BATCH_PATCHES = 256
"""Most in a batch, however small they are."""
TIMEOUT_S = 600.0
"""For how long a process may say nothing, unless its user says otherwise: a batch takes seconds at
the most, and to open a slide, on a disk far away, a minute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamSpec:
    """How patches are streamed; of no account for what they hold."""

    n_processes: int
    n_threads: int
    """Of each process."""
    is_ordered: bool
    on_error: Literal["raise", "skip", "collect"]
    timeout_s: float = TIMEOUT_S
    """For how long a process that is listened to may say nothing; then it is ended."""
    n_rows: int = 1
    """Patches that their receiver wants together: batches are whole multiples, where slots are
    large enough."""


@dataclass(slots=True, kw_only=True)
class Progress:
    """How far a stream is."""

    pids: list[int] = field(default_factory=list)
    """The process that finished each job."""
    errors: dict[int, PathAssetsError] = field(default_factory=dict)
    """What became of bad jobs, by their number."""
    n_missing: int = 0
    """Patches of bad jobs that did not come."""


OnTold = Callable[[Part, Any], None]
"""Hears what a part says of itself, before the rows that come after it. What it raises ends the
stream."""


def n_parts_of(jobs: Sequence[Job]) -> int:
    """Most parts that some jobs are worth being cut into: more processes would be idle."""
    return sum(max(1, len(job) // PART_PATCHES) for job in jobs)


class PartStream:
    """The patches of some jobs, read once by processes that are used by no other stream meanwhile.

    Who gives the processes ends them; those that have a part when the stream ends are ended here.
    """

    def __init__(
        self, jobs: Sequence[Job], spec: StreamSpec, readers: ReaderProcesses,
        on_told: OnTold | None = None,
    ) -> None:  # fmt: skip
        self._jobs = jobs
        self._spec = spec
        self._readers = readers
        self._on_told = on_told
        self.progress = Progress()
        self._sizes = [len(job) for job in jobs]
        self._reorder = ReorderBuffer(is_ordered=spec.is_ordered)
        self._n_left = list(self._sizes)
        """Patches of each job in parts that are not over."""
        self._n_given = [0] * len(jobs)
        """Patches of each job that have been yielded."""
        self._bad: set[int] = set()
        self._buffers = readers.buffers
        self._selector = DefaultSelector()
        """Waits for the pipes of busy workers: to set one up for each wait costs 0.1 ms."""
        self._n_workers = min(readers.n_processes, n_parts_of(jobs))
        self._shape = readers.shape
        self._workers = readers.workers
        self._schedule = Schedule(self._sizes, self._part_size)

    def start(self) -> None:
        """Start the processes of the first parts, which get ready while nobody waits for them."""
        parts = Schedule(self._sizes, self._part_size)
        for part in islice(iter(parts.next, None), self._n_workers):
            self._readers.add(self._jobs[part.job].source)

    def _part_size(self, job: int, n_left: int) -> int:
        if self._n_workers == 1:
            return max(1, len(self._jobs[job]))
        if not self._spec.is_ordered:  # half of what is left is fairly dealt, then half again
            return max(PART_PATCHES, -(-n_left // self._n_workers))
        set_bytes = self._jobs[job].patch_bytes * self._jobs[job].n_resolutions
        n = max(1, max(ORDERED_PART_BYTES, WAITING_BYTES // (self._n_workers - 1)) // set_bytes)
        return -(-n // self._spec.n_rows) * self._spec.n_rows

    def run(self) -> Generator[Delivered, None, None]:
        """Yield all patches, as they come or in order; close it to stop. For one caller, once.

        Raises:
            PathAssetsError: with on_error "raise", what is wrong with a job.
            WorkerLost: the stream was ended by someone else before all had come.
        """
        try:
            self._employ()
            while self._busy:
                self._readers.give_back()
                for worker in self._heard():
                    self._hear(worker)
                    self._employ()  # first, so that nobody idles while the caller is busy
                    for event in self._reorder.ready():
                        if isinstance(event, End):
                            self._finish(event)
                        elif isinstance(event, Told):
                            self._tell(event)
                        elif event.job not in self._bad:
                            self._n_given[event.job] += len(event.sets.places)
                            yield event
                            self._require_open()
                        del event  # or its slot would be held until the next one comes
        finally:
            self.end()
            self._selector.close()

    def end(self) -> None:
        """End at once what reads for it."""
        self._readers.end_busy()

    def _require_open(self) -> None:
        if not self._readers.is_open:
            raise WorkerLost(
                "patches: the pool was closed before all of them had come",
                remedy="Close it, or leave its `with` block, once they have been used",
            )

    def _employ(self) -> None:
        """Give every free worker a part."""
        self._require_open()
        while self._readers.idle or self._start_one():
            part = self._schedule.next()
            if part is None:
                return
            self._hand_over(part)

    def _start_one(self) -> bool:
        """Start a worker, if there may be more; where none can be had, do with those there are."""
        job = self._schedule.job
        if job is None or len(self._workers) >= self._n_workers:
            return False
        try:
            self._readers.add(self._jobs[job].source)
        except PathAssetsError as short:
            if not self._workers:
                raise
            logger.warning("read by %d processes, and no more: %s", len(self._workers), short)
            self._n_workers = len(self._workers)
            return False
        return True

    def _hand_over(self, part: Part) -> None:
        job = self._jobs[part.job].cut(part.squares)
        n_batch = n_batch_of(job, self._shape.slot_bytes, self._spec.n_rows)
        task = pickle.dumps(PartTask(job, n_batch, self._spec.n_threads))
        worker = self._readers.hand_over(part, task, job.source)
        self._selector.register(worker.pipe, EVENT_READ, worker)

    def _heard(self) -> list[PartWorker]:
        """Wait until any worker has something to say, or has said nothing for too long.

        What counts is the time in which it is listened to: one whose slots are full waits for us.
        """
        listened = self._busy
        if self._reorder.is_full:
            turn = self._reorder.turn
            listened = [w for w in listened if w.part is not None and w.part.number == turn]
        silent_s = max(worker.silent_s for worker in listened)
        patience_s = min(LONGEST_WAIT_S, self._spec.timeout_s - silent_s)
        began_s = time.monotonic()
        if self._reorder.is_full:
            heard = listened if wait([listened[0].pipe], patience_s) else []
        else:
            heard = [key.data for key, _ in self._selector.select(patience_s)]
        waited_s = time.monotonic() - began_s
        for worker in listened:
            worker.silent_s = 0.0 if worker in heard else worker.silent_s + waited_s
        return heard + [worker for worker in listened if self._is_late(worker)]

    def _is_late(self, worker: PartWorker) -> bool:
        return worker.silent_s >= self._spec.timeout_s

    @property
    def _busy(self) -> list[PartWorker]:
        return [worker for worker in self._workers if worker.part is not None]

    def _hear(self, worker: PartWorker) -> None:
        """Take what a worker says to the line."""
        part = worker.part
        if part is None:
            return
        if self._is_late(worker):
            worker.process.kill()
            self._bury(worker, part, _silent(self._spec.timeout_s))
            return
        try:
            said = heard_from(worker.pipe.recv_bytes())
        except (EOFError, OSError):
            self._bury(worker, part, None)
            return
        if isinstance(said, SlotDescription):
            self._gather(worker, part, said)
        elif isinstance(said, Note):
            self._reorder.put(part.number, Told(part, said.said))
        else:
            self._selector.unregister(worker.pipe)
            self._readers.idle.append(worker)
            self._end_part(worker, part, said)

    def _bury(self, worker: PartWorker, part: Part, why: Exception | None) -> None:
        """End the part of a worker that is dead, or as good as that."""
        self._selector.unregister(worker.pipe)
        self._readers.discard(worker)
        if worker.n_left:
            why = why or lost(worker.process.returncode)
        self._end_part(worker, part, why)

    def _end_part(self, worker: PartWorker, part: Part, error: Exception | None) -> None:
        worker.part = None
        said = None if error is None else _named(self._jobs[part.job].name, error)
        if said is not None:
            self._schedule.drop(part.job)
        self._reorder.put(part.number, End(part, worker.process.pid, said))

    def _gather(self, worker: PartWorker, part: Part, said: SlotDescription) -> None:
        """Lend a slot to the receiver, or copy it out; with the last resolution a set is whole."""
        n_bytes = math.prod(said.shape)
        if worker.held.has_room:
            pixels = worker.held.lend(said.slot, n_bytes)
        else:
            pixels = self._buffers.take(self._shape.slot_bytes)[:n_bytes]
            pixels[:] = worker.ring[said.slot, :n_bytes]
            worker.give_back(said.slot)
        worker.gathered.append((said.corners_px0, pixels.reshape(said.shape)))
        if said.resolution + 1 < self._jobs[part.job].n_resolutions:
            return
        corners_px0, batches = zip(*worker.gathered, strict=True)
        worker.gathered = []
        worker.n_left -= len(said.places)
        places = said.places + part.squares.start
        self._reorder.put(part.number, Delivered(part.job, ReadSet(places, corners_px0, batches)))

    def _tell(self, told: Told) -> None:
        if self._on_told is not None and told.part.job not in self._bad:
            self._on_told(told.part, told.said)

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


def n_batch_of(job: Job, batch_bytes: int, n_rows: int = 1) -> int:
    """How many patches of a job make a batch: whole multiples of `n_rows`, if it holds so many."""
    n = max(1, min(BATCH_PATCHES, batch_bytes // job.patch_bytes))
    return n - n % n_rows if n >= n_rows else n


def _silent(timeout_s: float) -> WorkerLost:
    error = WorkerLost(
        f"its reading process said nothing for {timeout_s:g} s, and was ended",
        remedy="Look whether the slide's disk answers",
    )
    error.is_late = True
    return error


def _named(name: str, error: Exception) -> PathAssetsError:
    """The error, with the slide's name in it."""
    error = shortage_of(error) or error
    if not isinstance(error, PathAssetsError):
        named = PathAssetsError(
            f"{name}: {type(error).__name__}: {error}",
            remedy="This is a fault of pathassets: report it with the traceback",
        )
        named.reason = "unexpected"
        named.__cause__ = error
        return named
    return error.named(name)
