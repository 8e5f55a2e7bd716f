"""Artifacts of a bucket, copied to a disk of this machine: bounded, the longest unused goes first.

    <cache>/<token>-<bytes>/    a whole copy; its folder's time says when it was last asked for
    <cache>/.in-…/              one that is being made, locked by who makes it
    <cache>/.out-…/             one that is being removed

A token names what was published once and for all, so a copy is never out of date. Who asked for
one holds its lock, so that nobody removes it meanwhile: the last hundred that a process asked for.
So many may be more than the bound. Locks end with their holder.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import threading
import uuid
from collections import OrderedDict
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from pathassets.adapters.files import keep_private
from pathassets.adapters.store.folders import make_own_folder
from pathassets.adapters.store.store import read_copy
from pathassets.errors import StoreError

N_HELD = 100
"""Copies that a process keeps from being removed."""
_N_LOOKS = 32
"""Times that a process looks for room while it fills a cache: it looks at every copy."""
_COPY = re.compile(r"[0-9a-f]{32}-(\d{1,15})")
_IN, _OUT = ".in-", ".out-"

_held: OrderedDict[Path, int] = OrderedDict()
"""Copies that this process holds, by the handle of the lock; the longest unused first."""
_added: dict[Path, int] = {}
"""Bytes that this process has added to a cache since it last made room."""
_guard = threading.Lock()


@dataclass(frozen=True, slots=True)
class CopyCache:
    """Copies in a folder."""

    root: Path
    limit_bytes: int

    def find(self, token: str, size_bytes: int) -> Path | None:
        """The copy of what was published by a token; it stays for as long as it is held."""
        folder = self._place(token, size_bytes)
        if not _hold(folder):
            return None
        with suppress(OSError):  # a disk that is full, or not ours to write
            os.utime(folder)
        return folder

    @contextmanager
    def making(self) -> Iterator[Path]:
        """A new folder for a copy; what is not kept is gone in the end.

        Raises:
            StoreError: a link is in the place of the cache.
            OSError: the disk cannot be written.
        """
        keep_private(self.root)
        make_own_folder(self.root)
        folder, handle = self._begin()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(handle)

    def _begin(self) -> tuple[Path, int]:
        """A new folder, and the handle of its lock, by which it also stays once it is kept."""
        while True:
            folder = self.root / f"{_IN}{uuid.uuid4().hex}"
            folder.mkdir()
            handle = _locked(folder, fcntl.LOCK_SH)
            if handle is not None:  # else it was taken for one of a process that was killed
                return folder, handle

    def keep(self, folder: Path, token: str, size_bytes: int) -> Path:
        """Give a finished copy its name, unless another has it already, and make room.

        Raises:
            OSError: the disk cannot be written.
        """
        keep_private(self.root)
        place = self._place(token, size_bytes)
        try:
            folder.rename(place)
        except OSError:
            if not _hold(place):
                raise  # else one is there: the same token, the same bytes
        _hold(place)
        _added[self.root] = _added.get(self.root, self.limit_bytes) + size_bytes
        if _added[self.root] > self.limit_bytes // _N_LOOKS:
            self.make_room()
        return place

    def drop(self, token: str, size_bytes: int) -> None:
        """Remove a copy, be it held."""
        folder = self._place(token, size_bytes)
        _let_go(folder)
        self._remove(folder)

    def drop_of(self, partition_keys: Collection[str]) -> None:
        """Remove every copy of what was made of these slides, and what cannot say of which."""
        for folder in self._copies():
            try:
                is_meant = read_copy(folder).address.partition_key in partition_keys
            except StoreError:
                is_meant = True
            if is_meant:
                _let_go(folder)
                self._remove(folder)

    def make_room(self) -> None:
        """Remove what was not asked for the longest, until the rest is within the bound."""
        _added[self.root] = 0
        copies = []
        for folder in self._copies():
            with suppress(FileNotFoundError):
                copies.append((folder.stat().st_mtime_ns, _size_of(folder), folder))
        left_bytes = sum(size_bytes for _, size_bytes, _ in copies)
        for _, size_bytes, folder in sorted(copies):
            if left_bytes <= self.limit_bytes:
                break
            if self._remove_unheld(folder):
                left_bytes -= size_bytes
        for folder in self._of_killed():
            self._remove_unheld(folder)

    def _place(self, token: str, size_bytes: int) -> Path:
        return self.root / f"{token}-{size_bytes}"

    def _copies(self) -> Iterator[Path]:
        return (path for path in self._folders() if _COPY.fullmatch(path.name))

    def _of_killed(self) -> Iterator[Path]:
        return (path for path in self._folders() if path.name.startswith((_IN, _OUT)))

    def _folders(self) -> list[Path]:
        try:
            with os.scandir(self.root) as entries:
                return [Path(e.path) for e in entries if e.is_dir(follow_symlinks=False)]
        except FileNotFoundError:
            return []

    def _remove_unheld(self, folder: Path) -> bool:
        """Remove a folder that nobody holds; returns whether it is gone."""
        handle = _locked(folder, fcntl.LOCK_EX)
        if handle is None:
            return False
        try:
            self._remove(folder)
        finally:
            os.close(handle)
        return True

    def _remove(self, folder: Path) -> None:
        gone = self.root / f"{_OUT}{uuid.uuid4().hex}"
        with suppress(FileNotFoundError):
            folder.rename(gone)  # no reader finds half of it
            shutil.rmtree(gone, ignore_errors=True)


def _size_of(folder: Path) -> int:
    found = _COPY.fullmatch(folder.name)
    return int(found[1]) if found else 0


def _hold(folder: Path) -> bool:
    """Hold a copy, of those that are held the longest unused no longer; whether it is there."""
    with _guard:
        if folder in _held:
            if _is_at(folder, _held[folder]):
                _held.move_to_end(folder)
                return True
            os.close(_held.pop(folder))  # of one that was removed
        handle = _locked(folder, fcntl.LOCK_SH)
        if handle is None:
            return False
        _held[folder] = handle
        while len(_held) > N_HELD:
            os.close(_held.popitem(last=False)[1])
        return True


def _let_go(folder: Path) -> None:
    with _guard:
        handle = _held.pop(folder, None)
        if handle is not None:
            os.close(handle)


def _locked(folder: Path, kind: int) -> int | None:
    """Handle of a folder that is locked now; None where it is gone, a link, or another's."""
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        return None
    if _is_at(folder, handle):
        return handle
    os.close(handle)
    return None


def _is_at(folder: Path, handle: int) -> bool:
    """Whether a folder is still the one that was opened: it may have been removed in between."""
    try:
        return os.path.samestat(os.lstat(folder), os.fstat(handle))
    except OSError:
        return False
