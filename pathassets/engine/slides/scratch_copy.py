"""One copy on the scratch disk: its folder, what lies in it, and its lock.

    <fingerprint>-<bytes>/
        copy.json    who made it, and what lies where; locked: alone by whoever writes or removes
                     the copy, together by those that read it
        files/       the slide's files, as they lie to each other

The lock of a copy lives in it: it moves with the copy when that is finished and takes its name, and
goes with it. The system gives it back when its holder dies.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pathassets.adapters.files import fingerprint_from, stamp_of, unreadable
from pathassets.adapters.objects.remote_file import FilePlace

CARD = "copy.json"
FILES = "files"
PART = ".part"

_CHUNK_BYTES = 1 << 20


class Original(Protocol):
    """A slide's files where they are copied from."""

    @property
    def where(self) -> FilePlace:
        """The one that is opened; what errors name."""

    @property
    def n_bytes(self) -> int:
        """Of all of them."""

    @property
    def places(self) -> Sequence[str]:
        """Where each is copied to, below one folder; that of the one that is opened first."""

    def copy(self, n: int, target: Path) -> str:
        """Copy one of them to a new file; returns the SHA-256 of what was read.

        Raises:
            SlideUnreadable: it is missing, forbidden, or fails while it is read.
            StoreError: the storage that it is in does not give it.
        """


@dataclass(frozen=True, slots=True)
class LocalOriginal:
    """A slide's files on a disk of this machine, or mounted by it."""

    where: Path
    members: list[Path]

    @property
    def n_bytes(self) -> int:
        """Of all of them.

        Raises:
            SlideUnreadable: one is missing or forbidden.
        """
        return stamp_of(self.members).size_bytes

    @property
    def places(self) -> Sequence[str]:
        """As they lie to each other."""
        return [str(place) for place in _places(self._ordered)]

    def copy(self, n: int, target: Path) -> str:
        """Copy one of them to a new file; returns the SHA-256 of what was read.

        Raises:
            SlideUnreadable: it is missing, forbidden, or fails while it is read.
        """
        return _copy_file(self._ordered[n], target)

    @property
    def _ordered(self) -> list[Path]:
        return [self.where, *(one for one in self.members if one != self.where)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Borrowed:
    """A copy that nobody removes as long as it is not given back."""

    folder: Path
    """All that is of the copy."""
    path: Path
    """The file to open."""
    members: list[Path]
    """All files of the slide."""
    is_new: bool
    """Whether the slide was read for it just now, and found to be the registered one."""
    handle: int
    """Of the lock."""

    @property
    def fingerprint(self) -> str:
        """Of its content, by which its folder is called."""
        return self.folder.name.partition("-")[0]

    def close(self) -> None:
        """Give it back."""
        with suppress(OSError):
            os.utime(self.handle)
        os.close(self.handle)


def part_of(whole: Path) -> Path:
    """Where a copy lies while it is not whole."""
    return whole.with_name(whole.name + PART)


def borrowed(whole: Path, handle: int, *, is_new: bool) -> Borrowed:
    """A whole copy whose lock is shared."""
    card = json.loads((whole / CARD).read_bytes())
    files = whole / FILES
    return Borrowed(
        folder=whole,
        path=files / card["path"],
        members=[files / place for place in card["members"]],
        is_new=is_new,
        handle=handle,
    )


def share(whole: Path) -> int | None:
    """Lock a whole copy together with others; None where there is none."""
    with suppress(FileNotFoundError):
        handle = os.open(whole / CARD, os.O_RDWR)
        fcntl.flock(handle, fcntl.LOCK_SH)
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handle), (whole / CARD).stat()):
                os.utime(handle)
                return handle
        os.close(handle)  # it was removed before it was locked
    return None


def wait_for(part: Path) -> None:
    """Wait until a copy is finished, or given up."""
    with suppress(FileNotFoundError):
        handle = os.open(part / CARD, os.O_RDWR)
        try:
            fcntl.flock(handle, fcntl.LOCK_SH)
        finally:
            os.close(handle)


def grab(folder: Path) -> int | None:
    """Lock a copy alone; None where somebody holds it.

    Only while nobody else begins, ends or removes copies: it makes the lock where there is none.
    """
    try:
        return lock(folder)
    except (BlockingIOError, PermissionError):  # the latter: another user's
        return None


def lock(folder: Path) -> int:
    """Lock a copy alone.

    Raises:
        BlockingIOError: somebody holds it.
    """
    handle = os.open(folder / CARD, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        raise
    return handle


def remove(folder: Path, handle: int) -> None:
    """Remove a copy that was grabbed; killed in between, what is left looks unfinished."""
    try:
        part = folder if folder.name.endswith(PART) else folder.rename(part_of(folder))
        shutil.rmtree(part)
    finally:
        os.close(handle)


def maker(folder: Path) -> str:
    """Batch that made a copy; empty where it was killed before it could say so."""
    try:
        return str(json.loads((folder / CARD).read_bytes())["batch"])
    except ValueError:
        return ""


def used_ns(folder: Path) -> int:
    """When a copy was last taken or given back; 0 where that cannot be seen."""
    try:
        return (folder / CARD).stat().st_mtime_ns
    except (FileNotFoundError, PermissionError):
        return 0


def fill(part: Path, handle: int, batch: str, original: Original) -> str:
    """Copy a slide's files; returns the fingerprint of what was read.

    Raises:
        SlideUnreadable: a file is missing, forbidden, or fails while it is read.
        StoreError: the storage that it is in does not give it.
    """
    sign(handle, batch, original.places)
    return fingerprint_from(
        [original.copy(n, part / FILES / place) for n, place in enumerate(original.places)]
    )


def sign(handle: int, batch: str, places: Sequence[str]) -> None:
    """Write into a copy's card who makes it, and what will lie in it, the file to open first."""
    card = {"batch": batch, "path": places[0], "members": list(places)}
    os.write(handle, json.dumps(card).encode())


def finish(part: Path, whole: Path, handle: int) -> None:
    """Give a copy its name, and share its lock, which is held alone."""
    part.rename(whole)
    fcntl.flock(handle, fcntl.LOCK_SH)


def _places(members: list[Path]) -> list[Path]:
    """Paths from the folder that holds all of them.

    >>> [str(p) for p in _places([Path("/a/b.mrxs"), Path("/a/b/Data.dat")])]
    ['b.mrxs', 'b/Data.dat']
    """
    plain = [Path(os.path.normpath(member)) for member in members]
    top = os.path.commonpath([path.parent for path in plain])
    return [path.relative_to(top) for path in plain]


def _copy_file(source: Path, target: Path) -> str:
    """Copy a file; returns its SHA-256."""
    target.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    with target.open("xb") as written:
        for chunk in _chunks(source):
            digest.update(chunk)
            written.write(chunk)
    return digest.hexdigest()


def _chunks(source: Path) -> Iterator[memoryview]:
    """Content of a file, in one buffer that is used again and again."""
    buffer = memoryview(bytearray(_CHUNK_BYTES))
    try:
        with source.open("rb", buffering=0) as file:
            while n_read := file.readinto(buffer):
                yield buffer[:n_read]
    except OSError as error:
        raise unreadable(source, error) from error
