"""A worker process, from its first line: `engine.workers.process` runs this file by its path.

    parent ──▶ sys.path, what to serve ──▶ serve(pipe) ──▶ until the pipe ends, or the parent

Nothing is imported here but the standard library, and nothing of the program that started it: a
script without `if __name__ == "__main__"` can use workers, and a worker imports what its work needs
and no more.
"""

from __future__ import annotations

import logging
import os
import pickle
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from typing import Any

logger = logging.getLogger(__name__)

NO_THREAD = os.EX_TEMPFAIL
"""Exit code of a worker that could not start its thread."""
Serve = Callable[[Connection], None]
"""What a worker does with its end of the pipe, until `EOFError` or `OSError` tell the pipe's."""


def serve_jobs(pipe: Connection) -> None:
    """Work off one job, a pickled function and its item, after the other."""
    while True:
        pipe.send_bytes(attempt(pipe.recv_bytes()))


def attempt(job: bytes) -> bytes:
    """Do a job; what cannot be sent back becomes an error that can."""
    try:
        fn, item = pickle.loads(job)  # noqa: S301 - our own parent wrote it
        return sealed(fn(item))
    except BaseException as error:  # noqa: BLE001 - the slide boundary: even an exit is an answer
        return sealed_error(error)


def sealed(result: Any) -> bytes:
    """Pickle, and make sure that it can be unpickled: many exceptions with an `__init__` cannot."""
    data = pickle.dumps(result)
    pickle.loads(data)  # noqa: S301
    return data


def sealed_error(error: BaseException) -> bytes:
    """Pickle an error, or a stand-in for one that cannot be sent.

    Its traceback goes with it as a note, but for an error of ours, which says itself what is wrong.
    One that tells a want of memory or threads becomes a `ResourcesShort`.
    """
    # Found by the parent's sys.path, which is not ours before it is heard.
    from pathassets.errors import PathAssetsError, shortage_of  # noqa: PLC0415

    trace = "".join(traceback.format_exception(error))
    error = shortage_of(error) or error
    if isinstance(error, Exception):
        if not isinstance(error, PathAssetsError):
            error.add_note(trace)
        try:
            return sealed(error)
        except Exception:  # noqa: BLE001 - whatever its pickling raises
            logger.debug("%r cannot be sent", error)
    stand_in = RuntimeError(f"{type(error).__name__}: {error}")
    stand_in.add_note(trace)
    return sealed(stand_in)


def main() -> None:
    """Hear what to serve, and serve it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends us
    pipe_fd, parent = map(int, sys.argv[1:])
    try:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    except RuntimeError:  # there is no memory, or no thread, for it
        os._exit(NO_THREAD)
    pipe = Connection(pipe_fd)
    try:
        sys.path[:] = pipe.recv()
        _log_as_told()
        serve: Serve = pickle.loads(pipe.recv_bytes())  # noqa: S301 - our own parent wrote it
        serve(pipe)
    except (EOFError, OSError):  # the parent closed the pipe
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)  # to take down what was imported would take 0.2 s with torch


def _log_as_told() -> None:
    """Log as the settings say, which the parent's handlers do not reach here."""
    from pathassets.engine.logs import log_as_told  # noqa: PLC0415 - by the parent's sys.path

    log_as_told()


def _end_with(parent: int) -> None:
    """End with the parent: nobody would read what goes on being written to a store or a ring."""
    try:
        watched = os.pidfd_open(parent)
    except (AttributeError, OSError):  # no Linux, or one before 5.3
        while os.getppid() == parent:
            time.sleep(1.0)
    else:
        while os.getppid() == parent:  # it may have been gone before it could be watched
            wait([watched])
    os._exit(1)


if __name__ == "__main__":
    main()
