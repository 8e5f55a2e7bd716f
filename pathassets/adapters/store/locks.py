"""Locks that are waited for: for so long, and whoever gives up says for whom it was.

Who holds one stands in its file. The system gives a lock back when its holder dies; where a share
keeps those of a machine that is gone, waiting ends nonetheless.
"""

from __future__ import annotations

import logging
import os
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from pathassets.adapters.store.damage import open_plain
from pathassets.core.text import visible
from pathassets.errors import StoreError

logger = logging.getLogger(__name__)

PATIENCE_S = 3600.0
"""For what others do in between: sweep, replace, collect garbage."""
_POLL_S = 0.05
_TELL_S = 10.0
"""After so long it is logged whom is waited for."""
_MOST_BYTES = 200


@contextmanager
def holding(path: Path, patience_s: float | None = None) -> Iterator[None]:
    """Hold a lock; None waits PATIENCE_S.

    Raises:
        StoreError: another process has held it all the time.
        OSError: its file cannot be written.
    """
    lock = FileLock(path)
    wait_for(lock, path, PATIENCE_S if patience_s is None else patience_s)
    try:
        yield
    finally:
        lock.release()


def wait_for(
    lock: FileLock,
    path: Path,
    patience_s: float,
    attempt: Callable[[FileLock], object] = lambda lock: lock.acquire(timeout=0),
) -> None:
    """Take a lock, trying again until patience ends; `attempt` tries once.

    Raises:
        StoreError: another process has held it all the time.
        OSError: its file cannot be written.
    """
    began_s = time.monotonic()
    is_told = False
    while True:
        with suppress(Timeout):
            attempt(lock)
            break
        waited_s = time.monotonic() - began_s
        if waited_s > patience_s:
            raise StoreError(
                path,
                f"is held by {_holder(path)}; waited {waited_s:.0f} s for it",
                remedy="Wait for its end, or end it, and run again; if its machine is gone, "
                f"rm {path}",
            )
        if waited_s > _TELL_S and not is_told:
            logger.info("waiting for %s, which %s holds", path, _holder(path))
            is_told = True
        time.sleep(_POLL_S)
    _say_who(path)


def _say_who(path: Path) -> None:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    said = f"process {os.getpid()} on {platform.node()} since {now}"
    with suppress(OSError):  # it is for people; the lock is held all the same
        handle = os.open(path, os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(said)


def _holder(path: Path) -> str:
    try:
        with open(path, "rb", opener=open_plain) as file:
            said = file.read(_MOST_BYTES).decode(errors="replace")
    except OSError:
        said = ""
    return visible(said) or "another process"
