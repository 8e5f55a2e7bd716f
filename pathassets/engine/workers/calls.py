"""A function over items: each goes to a free worker process, which may die without harm to others.

    put ─▶ waiting ─▶ a free worker, or a new one ─▶ its pipe ─▶ (item, result or what became of it)

Every worker has a pipe of its own, so none can leave a lock held or a queue half read when it is
killed. (Tried: pebble 5.2, whose workers share both. There an exit with code 0 is noticed only at
the timeout, and one exception that does not unpickle breaks the pool.)
"""

from __future__ import annotations

import math
import pickle
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

from pathassets.engine.workers import worker as worker_program
from pathassets.engine.workers.process import (
    SHORT_PAUSE_S,
    WorkerProcess,
    lost,
    start_worker,
    too_late,
)
from pathassets.errors import ResourcesShort


@dataclass(eq=False, slots=True)
class _Worker(WorkerProcess):
    """One that works off jobs."""

    deadline_s: float = math.inf
    """On the monotonic clock."""
    job: bytes = b""
    n_done: int = 0

    def take_on(self, job: bytes, timeout_s: float) -> bool:
        """Hand it a job; False where it has died."""
        self.job = job
        self.deadline_s = time.monotonic() + timeout_s
        try:
            self.pipe.send_bytes(job)
        except OSError:
            return False
        return True


class _JobUnread(Exception):
    """A worker died before it had read its job, which can go to another."""


class Calls:
    """A function over items that are put in as they come; workers are started as they are needed.

    `cpus` is what one item needs, `n_threads` how many may read its slide, `timeout_s` the time it
    may take.
    """

    def __init__(
        self, fn: Callable[[Any], Any], *, n_workers: int, cpus: int, n_threads: int,
        timeout_s: float,
    ) -> None:  # fmt: skip
        self._fn = fn
        self._n_workers = n_workers
        self._start = partial(
            start_worker, worker_program.serve_jobs, cpus=cpus, n_threads=n_threads
        )
        self._timeout_s = timeout_s
        self._idle: list[_Worker] = []
        self._busy: dict[_Worker, Any] = {}
        """Each with its item."""
        self._waiting: deque[Any] = deque()
        self._given_up: deque[tuple[Any, Exception]] = deque()

    def put(self, item: Any, *, first: bool = False) -> None:
        """Let an item wait for a worker: behind the others, or before them."""
        (self._waiting.appendleft if first else self._waiting.append)(item)

    @property
    def has_room(self) -> bool:
        """Whether an item that is put in now would be worked on at once."""
        return len(self._busy) + len(self._waiting) < self._n_workers and not self._given_up

    @property
    def is_at_work(self) -> bool:
        """Whether something is still to become of an item."""
        return bool(self._busy or self._waiting or self._given_up)

    def begin(self) -> None:
        """Give every free worker the next item; what is given up is told before more is tried."""
        while self._waiting and len(self._busy) < self._n_workers and not self._given_up:
            item = self._waiting.popleft()
            try:
                job = pickle.dumps((self._fn, item))
            except Exception as error:  # noqa: BLE001 - whatever its pickling raises
                self._given_up.append((item, error))
            else:
                self._give(item, job)

    def _give(self, item: Any, job: bytes) -> None:
        """Let a worker do it; where none can be started, one that there is, or none."""
        try:
            self._busy[self._hand_over(job)] = item
        except ResourcesShort as short:
            self._n_workers = max(1, len(self._busy))
            if self._busy:
                self._waiting.appendleft(item)
            else:
                time.sleep(SHORT_PAUSE_S)  # what is short now is not for ever; the next may do
                self._given_up.append((item, short))

    def _hand_over(self, job: bytes) -> _Worker:
        while self._idle:
            worker = self._idle.pop()
            if worker.take_on(job, self._timeout_s):
                return worker
            worker.end()  # it died while it had nothing to do: no item is lost
        started = self._start()
        worker = _Worker(started.process, started.pipe)
        worker.take_on(job, self._timeout_s)  # where it dies at once, the wait will tell
        return worker

    @property
    def sources(self) -> list[Connection]:
        """What may tell something."""
        return [worker.pipe for worker in self._busy]

    @property
    def until_s(self) -> float:
        """When to look again though nothing was told, on the monotonic clock."""
        if self._given_up:
            return 0.0
        return min((worker.deadline_s for worker in self._busy), default=math.inf)

    def hear(self, heard: set[Any]) -> Iterator[tuple[Any, Any]]:
        """Yield what became of items whose workers have finished, died or run out of time.

        `heard` has each pipe with something in it; a dead worker's has an end.
        """
        while self._given_up:
            yield self._given_up.popleft()
        now_s = time.monotonic()
        for worker in list(self._busy):
            if worker.pipe in heard:
                item = self._busy.pop(worker)
                try:
                    result = self._hear(worker)
                except _JobUnread:
                    self._give(item, worker.job)
                else:
                    yield item, result
            elif worker.deadline_s <= now_s:
                worker.process.kill()
                worker.end()
                yield self._busy.pop(worker), too_late(self._timeout_s)

    def _hear(self, worker: _Worker) -> Any:
        try:
            result = pickle.loads(worker.pipe.recv_bytes())  # noqa: S301 - our own worker wrote it
        except (EOFError, OSError) as error:
            worker.end()
            # A pipe is reset where its other end was closed with something in it not yet read. Of
            # one that has worked before, that is the job: it died idle, as the job was under way.
            if isinstance(error, ConnectionResetError) and worker.n_done:
                raise _JobUnread from error
            return lost(worker.process.returncode)
        worker.n_done += 1
        self._idle.append(worker)
        return result

    def end(self) -> None:
        """End all workers: those that are busy at once."""
        for worker in self._busy:
            worker.process.kill()
        workers = [*self._busy, *self._idle]
        for worker in workers:
            worker.pipe.close()  # all read the end of their work, then all are waited for
        for worker in workers:
            worker.end()
