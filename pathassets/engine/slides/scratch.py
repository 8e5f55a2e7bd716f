"""Slides on slow disks -> copies on a fast one, for as long as they are read.

    <scratch>/.lock                        held, briefly, by whoever begins, ends or removes a copy
    <scratch>/<batch>.run                  held by a batch as long as it lives
    <scratch>/<fingerprint>-<bytes>.part/  a copy that is being made, or was when its maker died
    <scratch>/<fingerprint>-<bytes>/       a whole one, locked by its readers (scratch_copy.py)
    <scratch>/<fingerprint>-<bytes>.holes/ one of which only what is read is fetched (remote/)

Locks end with their holder, so what a killed worker or batch leaves is seen to be nobody's.

On a node of a cluster each process that works there holds the folder of its node as a batch does,
until it ends.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import re
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from filelock import FileLock, Timeout

from pathassets.adapters.files import content_changed, unreadable
from pathassets.adapters.objects.urls import is_url
from pathassets.core.units import volume
from pathassets.engine.settings import Settings, folder_of_node
from pathassets.engine.slides import scratch_copy
from pathassets.engine.slides.scratch_copy import Borrowed, Original
from pathassets.errors import PathAssetsError, StoreError

logger = logging.getLogger(__name__)

LOCK = ".lock"
RUN = ".run"
OWN = "scratch"
"""Folder of a home for copies of slides in buckets, where nobody named another."""

HOLES = ".holes"
"""So end names of files with holes, of which only what is read is fetched (remote/)."""
_COPY_NAME = re.compile(r"[0-9a-f]{64}-(\d+)(\.holes)?(\.part)?")
_LOOK_S = 0.2
"""Between two looks for room."""
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@dataclass(frozen=True, slots=True, kw_only=True)
class NoRoom:
    """A slide that is to be read where it is, and why."""

    why: str
    is_for_now: bool = False
    """Whether there will be room once others are done with theirs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingCopy:
    """A copy that is being made."""

    part: Path
    """Where."""
    whole: Path
    """What it will be called."""
    handle: int


def tell_no_scratch(slide_id: str, why: str) -> None:
    """Say once for a batch that slides are read where they are: slower, and right all the same."""
    logger.warning("%s is read where it is, maybe others too: %s", slide_id, why)


def is_elsewhere(path: Path, folder: Path) -> bool:
    """Whether a file lies on another file system than a folder.

    Raises:
        SlideUnreadable: there is no such file.
        StoreError: there is no such folder.
    """
    try:
        file_system = path.stat().st_dev
    except OSError as error:
        raise unreadable(path, error) from error
    try:
        return file_system != folder.stat().st_dev
    except OSError as error:
        raise _unusable(folder, error) from error


@contextmanager
def scratch_for(settings: Settings, paths: Iterable[str]) -> Iterator[Scratch | None]:
    """Hold a scratch folder for slides that lie there, if any of them is to be read from a copy.

    A slide in a bucket always is: where nobody named a folder for copies, they are made in the
    home, and slides on disks are read where they are. A folder that is named is a disk of this
    machine, of which a cluster's nodes know nothing: each has its own.

    Raises:
        StoreError: it is not writable.
    """
    root = None if settings.cluster else settings.scratch
    for_files = root is not None
    if root is None and any(is_url(path) for path in paths):
        root = settings.home / OWN
    with open_scratch(root, settings.scratch_bytes, for_files=for_files) as opened:
        scratch = opened and replace(opened, patience_s=settings.slide_timeout_s / 2)
        if scratch is None or settings.cluster is None:
            yield scratch
            return
        _OPEN.add(scratch.batch)
        try:
            yield replace(scratch, is_of_cluster=True)
        finally:
            _OPEN.remove(scratch.batch)


_OPEN: set[str] = set()
"""Batches of a cluster that were begun in this process."""


@cache
def _of_node(usual: Path, limit_bytes: int) -> tuple[Scratch, FileLock]:
    """The folder of the node that this process is on, held until the process ends.

    That is by a kill, on a cluster: the next process that begins there removes the copies.

    Raises:
        StoreError: it is not writable.
    """
    return _begin(folder_of_node() or usual, limit_bytes, for_files=False)


@contextmanager
def open_scratch(
    root: Path | None, limit_bytes: int, *, for_files: bool = True
) -> Iterator[Scratch | None]:
    """Hold the scratch folder for one batch; in the end its copies are removed.

    So is what killed batches left, before and after. What another batch reads stays, and is removed
    when that one ends. None where there is no such folder.

    Raises:
        StoreError: it is not writable.
    """
    if root is None:
        yield None
        return
    scratch, life = _begin(root, limit_bytes, for_files=for_files)
    try:
        yield scratch
    finally:
        life.release()
        try:
            with scratch.alone():
                scratch.sweep()
        except OSError as error:
            logger.warning("%s: copies are left in it: %s", root, error)


def _begin(root: Path, limit_bytes: int, *, for_files: bool) -> tuple[Scratch, FileLock]:
    """Hold the folder for a new batch, what dead ones left removed."""
    batch = uuid.uuid4().hex
    scratch = Scratch(root=root, limit_bytes=limit_bytes, batch=batch, for_files=for_files)
    life = FileLock(root / f"{batch}{RUN}", thread_local=False)
    try:
        root.mkdir(parents=True, exist_ok=True)
        with scratch.alone():
            life.acquire(timeout=0)
            scratch.sweep()
    except OSError as error:
        life.release()
        raise _unusable(root, error) from error
    return scratch, life


@dataclass(frozen=True, slots=True, kw_only=True)
class Scratch:
    """The scratch folder, as a batch and its workers see it."""

    root: Path
    limit_bytes: int
    """What the copies of all batches may take together."""
    batch: str
    """Name of the batch."""
    for_files: bool = True
    """Whether files of slow disks are copied, too, and not only objects."""
    is_of_cluster: bool = False
    """Whether those who work for the batch are on other machines."""
    patience_s: float = 0.0
    """How long who asks for it waits for room that others give back."""

    def here(self) -> Scratch:
        """The folder of the machine that this process is on."""
        is_away = self.is_of_cluster and self.batch not in _OPEN
        if not is_away:
            return self
        of_node, _ = _of_node(self.root, self.limit_bytes)
        return replace(of_node, patience_s=self.patience_s)

    def borrow_in_time(self, original: Original, fingerprint: str = "") -> Borrowed | NoRoom:
        """As `borrow`, and where others have the room wait for them, as long as may be.

        Only for who holds no other copy, and where the wait stops nobody else's work.
        """
        until_s = time.monotonic() + self.patience_s
        while True:
            found = self.borrow(original, fingerprint)
            is_held = isinstance(found, NoRoom) and found.is_for_now
            if not is_held or time.monotonic() >= until_s:
                return found
            time.sleep(_LOOK_S)

    def borrow(self, original: Original, fingerprint: str = "") -> Borrowed | NoRoom:
        """Take the copy of a slide, making it where there is none; or say why there can be none.

        Waits where another process is making it. Where no fingerprint is said, nobody knows the
        content yet: it is copied, and the copy is named by what it holds.

        Raises:
            SlideUnreadable: a file is missing, forbidden, or fails while it is read.
            SlideChanged: the slide's content is not that of the fingerprint.
            StoreError: the folder cannot be read or written, or the slide's storage not be asked.
        """
        n_bytes = original.n_bytes
        name = fingerprint or hashlib.sha256(f"unseen {original.where}".encode()).hexdigest()

        def fill(begun: PendingCopy) -> str:
            found = scratch_copy.fill(begun.part, begun.handle, self.batch, original)
            if found != (fingerprint or found):
                raise content_changed(original.where)
            return f"{found}-{n_bytes}"

        return self.take(f"{name}-{n_bytes}", n_bytes, fill)

    def take(
        self, name: str, n_bytes: int, fill: Callable[[PendingCopy], str]
    ) -> Borrowed | NoRoom:
        """Take what has a name, or have it filled, with room set aside; `fill` says its true name.

        Raises:
            StoreError: the folder cannot be read or written; and what `fill` raises.
        """
        whole = self.root / name
        try:
            while True:
                handle = scratch_copy.share(whole)
                if handle is not None:
                    return scratch_copy.borrowed(whole, handle, is_new=False)
                begun = self._begin(whole, n_bytes)
                if isinstance(begun, NoRoom):
                    return begun
                if begun is not None:
                    return self._finish(begun, fill)
                scratch_copy.wait_for(scratch_copy.part_of(whole))
        except OSError as error:
            return self._no_room(whole, error)

    def _no_room(self, copy: Path, error: OSError) -> NoRoom:
        """What it means that a copy cannot be made."""
        if isinstance(error, PathAssetsError):  # such as of an object that is not there
            raise error
        if isinstance(error, PermissionError):
            return NoRoom(why=f"{copy} belongs to another user: {error.strerror}")
        if error.errno in _NO_ROOM:
            return NoRoom(why=f"{self.root} is full: {error.strerror}")
        raise _unusable(self.root, error) from error

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep everybody else from beginning, ending and removing copies."""
        with FileLock(self.root / LOCK, mode=0o666):
            yield

    def sweep(self) -> None:
        """Remove the copies of batches that live no more, but for those that somebody reads."""
        living = {run.name.removesuffix(RUN) for run in self.root.glob(f"*{RUN}") if _lives(run)}
        for folder, _ in self._copies():
            handle = scratch_copy.grab(folder)
            if handle is not None:
                is_left = scratch_copy.maker(folder) not in living
                scratch_copy.remove(folder, handle) if is_left else os.close(handle)

    def _begin(self, whole: Path, n_bytes: int) -> PendingCopy | NoRoom | None:
        """Lock a new, empty copy, room made for it; None where another process has, by now."""
        with self.alone():
            part = scratch_copy.part_of(whole)
            if whole.exists() or (part.exists() and not _remove_if_free(part)):
                return None
            problem = self._make_room(n_bytes)
            if problem is not None:
                return problem
            part.mkdir(mode=0o700)  # slides are patients' data, whatever the folder above allows
            return PendingCopy(part=part, whole=whole, handle=scratch_copy.lock(part))

    def _make_room(self, n_bytes: int) -> NoRoom | None:
        """Remove as many copies as it takes that nobody holds, longest unused first; or none."""
        if n_bytes > self.limit_bytes:
            needed, most = _told_apart(n_bytes, self.limit_bytes)
            return NoRoom(
                why=f"{needed} are more than PATHASSETS_SCRATCH_GB lets {self.root} hold, {most}"
            )
        present = sorted(self._copies(), key=lambda copy: scratch_copy.used_ns(copy[0]))
        n_over = sum(size for _, size in present) + n_bytes - self.limit_bytes
        free: list[tuple[Path, int]] = []
        for folder, size in present:
            handle = scratch_copy.grab(folder) if n_over > 0 else None
            if handle is not None:
                free.append((folder, handle))
                n_over -= size
        if n_over > 0:
            for _, handle in free:
                os.close(handle)
            why = f"the slides that are being read fill {self.root}"
            return NoRoom(why=why, is_for_now=True)
        for folder, handle in free:
            scratch_copy.remove(folder, handle)
        return None

    def _copies(self) -> list[tuple[Path, int]]:
        """Folder of every copy, and the bytes that are set aside for it."""
        found = [(path, _COPY_NAME.fullmatch(path.name)) for path in self.root.iterdir()]
        return [(path, int(match[1])) for path, match in found if match is not None]

    def _finish(self, begun: PendingCopy, fill: Callable[[PendingCopy], str]) -> Borrowed:
        """Fill what was begun, and give it its true name, where nothing has that yet."""
        try:
            whole = begun.whole.with_name(fill(begun))
            with self.alone():  # nobody may grab it between the two locks
                known = None if whole == begun.whole else scratch_copy.share(whole)
                if known is None:
                    scratch_copy.finish(begun.part, whole, begun.handle)
        except BaseException:
            with self.alone():
                scratch_copy.remove(begun.part, begun.handle)
            raise
        if known is None:
            return scratch_copy.borrowed(whole, begun.handle, is_new=True)
        with self.alone():
            scratch_copy.remove(begun.part, begun.handle)
        return scratch_copy.borrowed(whole, known, is_new=True)


def _told_apart(*sizes_bytes: int) -> list[str]:
    """Sizes that differ, as people write them; in bytes where three digits are the same."""
    told = [volume(size) for size in sizes_bytes]
    return told if len({*told}) == len(told) else [f"{size:,} bytes" for size in sizes_bytes]


def _remove_if_free(folder: Path) -> bool:
    handle = scratch_copy.grab(folder)
    if handle is None:
        return False
    scratch_copy.remove(folder, handle)
    return True


def _lives(run: Path) -> bool:
    """Whether a batch holds its lock still; the file of a dead one is removed."""
    try:
        with FileLock(run).acquire(timeout=0):
            run.unlink(missing_ok=True)
    except (Timeout, PermissionError):
        return True
    return False


def _unusable(root: Path, error: OSError) -> StoreError:
    return StoreError(
        root,
        f"the scratch folder cannot be used: {error.strerror or error}",
        remedy="Grant write permission or mend its disk, or unset PATHASSETS_SCRATCH",
    )
