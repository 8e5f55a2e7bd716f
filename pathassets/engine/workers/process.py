"""A worker process, and this end of the pipe to it: started, ended, and what its end tells.

Workers are plain processes that run `engine/workers/worker.py`. (Tried: multiprocessing's
forkserver, whose workers start sooner, but import the caller's `__main__` again, and so run an
unguarded script.)
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait

from pathassets.engine.settings import worker_environment
from pathassets.engine.workers import worker as worker_program
from pathassets.errors import ResourcesShort, WorkerLost, shortage_of

LONGEST_WAIT_S = 1e6
"""Eleven days: longest wait for a pipe, as a number that the system takes."""
SHORT_PAUSE_S = 1.0
"""Before the next item is tried, where no process could be started for one."""
END_S = 5.0
"""Time an idle worker may take to end by itself, and a killed one to be gone."""


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
    serve: worker_program.Serve, *, cpus: int = 1, n_threads: int | None = 1,
    fds: tuple[int, ...] = (),
) -> WorkerProcess:  # fmt: skip
    """Start a process that calls `serve`, which can be imported, with its end of a pipe.

    It has no standard input, ends with this process, inherits `fds`, runs OpenCV on so many
    `cpus`, and knows that `n_threads` may read a slide, or what is set here. It takes 0.05 s to its
    first line; what it imports then is up to `serve`.

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
                env=worker_environment(cpus, n_threads),
            )  # fmt: skip
        except (OSError, MemoryError) as error:
            ours.close()
            raise shortage_of(error) or error from error
    with suppress(OSError):  # where it dies at once, the wait will tell
        ours.send(sys.path)
        ours.send_bytes(pickle.dumps(serve))
    return WorkerProcess(process, ours)


def too_late(timeout_s: float) -> WorkerLost:
    """What became of an item that had no result in time."""
    error = WorkerLost(
        f"no result within {timeout_s:g} s",
        remedy="Look whether its disk answers; raise PATHASSETS_SLIDE_TIMEOUT_S",
    )
    error.is_late = True
    return error


def lost(exitcode: int | None) -> WorkerLost | ResourcesShort:
    """What became of an item whose worker has ended."""
    if exitcode == worker_program.NO_THREAD:
        return ResourcesShort("its worker could not start a thread")
    return WorkerLost(
        f"worker process ended with code {exitcode}",
        remedy="Look for 'out of memory' in the system log; run the slide again",
    )
