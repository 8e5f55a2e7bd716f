"""Items -> results, over worker processes that may die or hang without harm to the others.

`Workers` is all that the rest of the house knows of where work runs: processes on this machine
here, a cluster's scheduler another day. A function and its items are picklable, its result is a
value; an item whose worker dies or takes too long comes back as `WorkerLost`.

Every worker has a pipe of its own, so none can leave a lock held or a queue half read when it is
killed. (Tried: pebble 5.2, whose workers share both. There an exit with code 0 is noticed only at
the timeout, and one exception that does not unpickle breaks the pool.)

Workers are plain processes that run `engine/workers/worker.py`. (Tried: multiprocessing's
forkserver, whose workers start sooner, but import the caller's `__main__` again, and so run an
unguarded script.)
"""

from __future__ import annotations

import math
import os
import pickle
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from typing import Any, Protocol, TypeVar

from pathassets.engine.settings import worker_environment
from pathassets.engine.workers import worker as worker_program
from pathassets.errors import ResourcesShort, WorkerLost, shortage_of

T = TypeVar("T")
R = TypeVar("R")

_NO_ITEM = object()
SHORT_PAUSE_S = 1.0
"""Before the next item is tried, where no process could be started for one."""
END_S = 5.0
"""Time an idle worker may take to end by itself, and a killed one to be gone."""


class Workers(Protocol):
    """Somewhere to run slide tasks."""

    def imap(
        self, fn: Callable[[T], R], items: Iterable[T], *, cpus: int = 1, gpus: int = 0
    ) -> Generator[tuple[T, R | Exception], None, None]:
        """Yield (item, its result or what became of it) as they finish; close it to stop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalWorkers:
    """Worker processes on this machine."""

    n_workers: int
    timeout_s: float
    """Time an item may take before its worker is ended."""

    def imap(
        self, fn: Callable[[Any], Any], items: Iterable[Any], *, cpus: int = 1, gpus: int = 0
    ) -> Generator[tuple[Any, Any], None, None]:
        """Yield (item, its result or what became of it) as they finish; close it to stop.

        `items` is taken from as workers fall free. `cpus` and `gpus` are what one item needs; a GPU
        is leased by the item itself, here, so only cores bound how many run at once.
        """
        del gpus
        queue = iter(items)
        group = _WorkerGroup(
            n_workers=max(1, self.n_workers // cpus), cpus=cpus, timeout_s=self.timeout_s
        )
        try:
            group.employ(fn, queue)
            while group.is_at_work:
                for item, result in group.next_results():
                    group.employ(fn, queue)  # first, so that nobody idles while the caller is busy
                    yield item, result
        finally:
            group.end()


@dataclass(eq=False, slots=True)
class WorkerProcess:
    """A process, and this end of the pipe to it."""

    process: subprocess.Popen[bytes]
    pipe: Connection

    def end(self) -> None:
        """Close its pipe and wait for its end, for a little while, then kill it."""
        self.pipe.close()
        for _ in range(2):  # it stays where the kernel holds it, such as at a dead disk
            if _has_ended(self.process, END_S):
                return
            self.process.kill()


def _has_ended(process: subprocess.Popen[bytes], patience_s: float) -> bool:
    """Wait for a process; woken by its end, where `Popen.wait` looks up to 50 ms later."""
    if process.poll() is None:
        with suppress(AttributeError, OSError):  # no Linux, or one before 5.3
            watched = os.pidfd_open(process.pid)
            try:
                wait([watched], patience_s)
                patience_s = 0.0
            finally:
                os.close(watched)
    try:
        process.wait(patience_s)
    except subprocess.TimeoutExpired:
        return False
    return True


def start_worker(
    serve: worker_program.Serve, *, cpus: int = 1, fds: tuple[int, ...] = ()
) -> WorkerProcess:
    """Start a process that calls `serve`, which can be imported, with its end of a pipe.

    It has no standard input, ends with this process, inherits `fds`, and runs OpenCV on so many
    `cpus`. It takes 0.05 s to its first line; what it imports then is up to `serve`.

    Raises:
        ResourcesShort: the system starts no more processes.
    """
    ours, theirs = Pipe()
    with theirs:
        command = [
            sys.executable,
            "-P",
            worker_program.__file__,
            str(theirs.fileno()),
            str(os.getpid()),
        ]
        try:
            process = subprocess.Popen(  # noqa: S603 - our own interpreter and file
                command, stdin=subprocess.DEVNULL, pass_fds=(theirs.fileno(), *fds),
                env=worker_environment(cpus),
            )  # fmt: skip
        except (OSError, MemoryError) as error:
            ours.close()
            raise shortage_of(error) or error from error
    with suppress(OSError):  # where it dies at once, the wait will tell
        ours.send(sys.path)
        ours.send_bytes(pickle.dumps(serve))
    return WorkerProcess(process, ours)


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


class _WorkerGroup:
    """The workers of one `imap`, started as items come."""

    def __init__(self, *, n_workers: int, cpus: int, timeout_s: float) -> None:
        self._n_workers = n_workers
        self._cpus = cpus
        self._timeout_s = timeout_s
        self._idle: list[_Worker] = []
        self.busy: dict[_Worker, Any] = {}
        """Each with its item."""
        self._left: deque[Any] = deque()
        """Items that wait for one of these."""
        self._given_up: deque[tuple[Any, ResourcesShort]] = deque()

    @property
    def is_at_work(self) -> bool:
        """Whether something is still to become of an item."""
        return bool(self.busy or self._given_up)

    def employ(self, fn: Callable[[Any], Any], queue: Iterator[Any]) -> None:
        """Give every free worker the next item; what is given up is told before more is tried."""
        while len(self.busy) < self._n_workers and not self._given_up:
            item = self._left.popleft() if self._left else next(queue, _NO_ITEM)
            if item is _NO_ITEM:
                return
            self._give(item, pickle.dumps((fn, item)))

    def _give(self, item: Any, job: bytes) -> None:
        """Let a worker do it; where none can be started, one that there is, or none."""
        try:
            self.busy[self._hand_over(job)] = item
        except ResourcesShort as short:
            self._n_workers = max(1, len(self.busy))
            if self.busy:
                self._left.append(item)
            else:
                time.sleep(SHORT_PAUSE_S)  # what is short now is not for ever; the next may do
                self._given_up.append((item, short))

    def _hand_over(self, job: bytes) -> _Worker:
        while self._idle:
            worker = self._idle.pop()
            if worker.take_on(job, self._timeout_s):
                return worker
            worker.end()  # it died while it had nothing to do: no item is lost
        started = start_worker(worker_program.serve_jobs, cpus=self._cpus)
        worker = _Worker(started.process, started.pipe)
        worker.take_on(job, self._timeout_s)  # where it dies at once, the wait will tell
        return worker

    def next_results(self) -> Iterator[tuple[Any, Any]]:
        """Wait until a worker has finished, died or run out of time; yield what became of each."""
        while self._given_up:
            yield self._given_up.popleft()
        if not self.busy:
            return
        until_s = min(worker.deadline_s for worker in self.busy)
        pipes = {worker.pipe: worker for worker in self.busy}
        patience_s = None if math.isinf(until_s) else max(0.0, until_s - time.monotonic())
        heard = {id(pipe) for pipe in wait(pipes, patience_s)}  # a dead worker's pipe has an end
        now_s = time.monotonic()
        for pipe, worker in pipes.items():
            if id(pipe) in heard:
                item = self.busy.pop(worker)
                try:
                    result = self._hear(worker)
                except _JobUnread:
                    self._give(item, worker.job)
                else:
                    yield item, result
            elif worker.deadline_s <= now_s:
                worker.process.kill()
                worker.end()
                yield self.busy.pop(worker), _too_late(self._timeout_s)

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
        for worker in self.busy:
            worker.process.kill()
        workers = [*self.busy, *self._idle]
        for worker in workers:
            worker.pipe.close()  # all read the end of their work, then all are waited for
        for worker in workers:
            worker.end()


def _too_late(timeout_s: float) -> WorkerLost:
    return WorkerLost(
        f"no result within {timeout_s:g} s",
        remedy="Look whether its disk answers; raise PATHASSETS_SLIDE_TIMEOUT_S",
    )


def lost(exitcode: int | None) -> WorkerLost | ResourcesShort:
    """What became of an item whose worker has ended."""
    if exitcode == worker_program.NO_THREAD:
        return ResourcesShort("its worker could not start a thread")
    return WorkerLost(
        f"worker process ended with code {exitcode}",
        remedy="Look for 'out of memory' in the system log; run the slide again",
    )
