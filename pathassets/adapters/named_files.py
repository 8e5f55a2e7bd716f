"""Files that a person names: whether one may be written over."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

from pathassets.errors import OutputExists

HEAD_BYTES = 1_000
"""Of a file, in which it says what wrote it."""


def refuse_taken(
    target: Path, *, remedy: str, is_own: Callable[[bytes], bool] = lambda _: False
) -> None:
    """Let a place through where nothing would be lost: there is nothing, an empty file, or our own.

    Args:
        target: what is to be written.
        remedy: what else to do.
        is_own: whether a file that begins so was written by the same command.

    Raises:
        OutputExists: something else is there.
    """
    if not os.path.lexists(target):
        return
    head = head_of(target)
    if head is None or (head and not is_own(head)):
        raise OutputExists(target, "is there already", remedy=remedy)


def head_of(path: Path) -> bytes | None:
    """The first bytes of a file; None of what is no file, or cannot be read. No pipe holds it."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return os.read(handle, HEAD_BYTES) if stat.S_ISREG(os.fstat(handle).st_mode) else None
    except OSError:
        return None
    finally:
        os.close(handle)
