"""Slides on slow disks -> copies on a fast one, for as long as they are read.

    <scratch>/.lock                        held, briefly, by whoever begins, ends or removes a copy
    <scratch>/<batch>.run                  held by a batch as long as it lives
    <scratch>/<fingerprint>-<bytes>.part/  a copy that is being made, or was when its maker died
    <scratch>/<fingerprint>-<bytes>/       a whole one, locked by its readers (scratch_copy.py)

Locks end with their holder, so what a killed worker or batch leaves is seen to be nobody's.
"""

from __future__ import annotations

import errno
import logging
import os
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from pathassets.adapters.files import content_changed, stamp_of, unreadable
from pathassets.engine.slides import scratch_copy
from pathassets.engine.slides.scratch_copy import Borrowed
from pathassets.errors import StoreError

logger = logging.getLogger(__name__)

LOCK = ".lock"
RUN = ".run"

_COPY_NAME = re.compile(r"[0-9a-f]{64}-(\d+)(\.part)?")
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_GB = 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class NoRoom:
    """A slide that is to be read where it is, and why."""

    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _PendingCopy:
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
def open_scratch(root: Path | None, limit_bytes: int) -> Iterator[Scratch | None]:
    """Hold the scratch folder for one batch; in the end its copies are removed.

    So is what killed batches left, before and after. What another batch reads stays, and is removed
    when that one ends. None where there is no such folder.

    Raises:
        StoreError: it is not writable.
    """
    if root is None:
        yield None
        return
    scratch = Scratch(root=root, limit_bytes=limit_bytes, batch=uuid.uuid4().hex)
    life = FileLock(root / f"{scratch.batch}{RUN}", thread_local=False)
    try:
        root.mkdir(parents=True, exist_ok=True)
        with scratch.alone():
            life.acquire(timeout=0)
            scratch.sweep()
    except OSError as error:
        life.release()
        raise _unusable(root, error) from error
    try:
        yield scratch
    finally:
        life.release()
        try:
            with scratch.alone():
                scratch.sweep()
        except OSError as error:
            logger.warning("%s: copies are left in it: %s", root, error)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scratch:
    """The scratch folder, as a batch and its workers see it."""

    root: Path
    limit_bytes: int
    """What the copies of all batches may take together."""
    batch: str
    """Name of the batch."""

    def borrow(self, path: Path, members: list[Path], fingerprint: str) -> Borrowed | NoRoom:
        """Take the copy of a slide, making it where there is none; or say why there can be none.

        Waits where another process is making it.

        Raises:
            SlideUnreadable: a file is missing, forbidden, or fails while it is read.
            SlideChanged: the slide's content is not that of the fingerprint.
            StoreError: the folder cannot be read or written.
        """
        n_bytes = stamp_of(members).size_bytes
        whole = self.root / f"{fingerprint}-{n_bytes}"
        try:
            while True:
                handle = scratch_copy.share(whole)
                if handle is not None:
                    return scratch_copy.borrowed(whole, handle, is_new=False)
                begun = self._begin(whole, n_bytes)
                if isinstance(begun, NoRoom):
                    return begun
                if begun is not None:
                    self._copy(begun, path, members, fingerprint)
                    return scratch_copy.borrowed(whole, begun.handle, is_new=True)
                scratch_copy.wait_for(scratch_copy.part_of(whole))
        except PermissionError as error:
            return NoRoom(why=f"{whole} belongs to another user: {error.strerror}")
        except OSError as error:
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

    def _begin(self, whole: Path, n_bytes: int) -> _PendingCopy | NoRoom | None:
        """Lock a new, empty copy, room made for it; None where another process has, by now."""
        with self.alone():
            part = scratch_copy.part_of(whole)
            if whole.exists() or (part.exists() and not _remove_if_free(part)):
                return None
            problem = self._make_room(n_bytes)
            if problem is not None:
                return problem
            part.mkdir(mode=0o700)  # slides are patients' data, whatever the folder above allows
            return _PendingCopy(part=part, whole=whole, handle=scratch_copy.lock(part))

    def _make_room(self, n_bytes: int) -> NoRoom | None:
        """Remove as many copies as it takes that nobody holds, longest unused first; or none."""
        if n_bytes > self.limit_bytes:
            return NoRoom(
                why=f"{n_bytes / _GB:.2f} GB are more than PATHASSETS_SCRATCH_GB, "
                f"{self.limit_bytes / _GB:g}, lets {self.root} hold"
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
            return NoRoom(why=f"the slides that are being read fill {self.root}")
        for folder, handle in free:
            scratch_copy.remove(folder, handle)
        return None

    def _copies(self) -> list[tuple[Path, int]]:
        """Folder of every copy, and the bytes that are set aside for it."""
        found = [(path, _COPY_NAME.fullmatch(path.name)) for path in self.root.iterdir()]
        return [(path, int(match[1])) for path, match in found if match is not None]

    def _copy(self, begun: _PendingCopy, path: Path, members: list[Path], fingerprint: str) -> None:
        """Copy a slide into the folder that was begun, and give that its name."""
        try:
            self._fill(begun, path, members, fingerprint)
            with self.alone():  # nobody may grab it between the two locks
                scratch_copy.finish(begun.part, begun.whole, begun.handle)
        except BaseException:
            with self.alone():
                scratch_copy.remove(begun.part, begun.handle)
            raise

    def _fill(self, begun: _PendingCopy, path: Path, members: list[Path], fingerprint: str) -> None:
        found = scratch_copy.fill(begun.part, begun.handle, self.batch, path, members)
        if found != fingerprint:
            raise content_changed(path)


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
