"""Files that a person names: opened without waiting for ever, and what may be written over."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from io import BufferedReader
from pathlib import Path

from pathassets.errors import OutputExists

HEAD_BYTES = 1_000
"""Of a file, in which it says what wrote it."""
KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a disk",
}
INTO_A_FILE = "Write what it gives into a file, and name that"
"""What to do instead of naming a pipe, such as a shell's `<(…)`."""


class NotAFile(OSError):
    """What is there is no regular file: a pipe is waited for without end, and is read but once."""

    def __str__(self) -> str:
        """Say what it is, without a number."""
        return str(self.strerror)

    @property
    def fact(self) -> str:
        """The same, as said of the file."""
        return str(self).removeprefix("it ")


def odd_kind(mode: int) -> str:
    """What is other than a regular file or a folder, by its mode, as said of it; empty of those."""
    kind = stat.S_IFMT(mode)
    if kind in {stat.S_IFREG, stat.S_IFDIR}:
        return ""
    return f"is not a regular file but {KINDS.get(kind, 'something else')}"


def open_named(path: str | Path) -> BufferedReader:
    """Open a file that a person named.

    Raises:
        NotAFile: it is a pipe, a socket or a device.
        OSError: it cannot be opened.
    """
    if odd := odd_kind(Path(path).stat().st_mode):
        raise NotAFile(errno.EINVAL, f"it {odd}", str(path))
    return open(path, "rb", opener=_open_at_once)


def read_named(path: str | Path) -> bytes:
    """Read a file that a person named, whole.

    Raises:
        NotAFile: it is a pipe, a socket or a device.
        OSError: it cannot be read.
    """
    with open_named(path) as file:
        return file.read()


def remedy_of(error: OSError, remedy: str) -> str:
    """What helps where a named file cannot be read; `remedy` where it is one."""
    return INTO_A_FILE if isinstance(error, NotAFile) else remedy


def _open_at_once(path: str, flags: int) -> int:
    """Wait for nobody, be it that a pipe took the place of a file meanwhile."""
    try:
        return os.open(path, flags | os.O_NONBLOCK)
    except BlockingIOError:  # lent to a client of this file server, which is asked to give it back
        return os.open(path, flags)


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
