"""The store's staging area: a folder for the unfinished work of each run, and who holds it.

    <store>/.staging/<run>/         what a run has not published yet
                     <run>.lock     held while the run lives; the system gives it back at its end
                     .sweep.lock    held to begin a run, or to sweep after dead ones
                     .replace.lock  held to replace what is damaged

Whatever else lies here is swept, be it a link: the link goes, and what it leads to stays.
"""

from __future__ import annotations

import errno
import logging
import shlex
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from filelock import FileLock, Timeout

from pathassets.adapters.files import keep_private
from pathassets.adapters.store.folders import drop_link, make_own_folder, remove
from pathassets.adapters.store.locks import holding
from pathassets.errors import StoreError

logger = logging.getLogger(__name__)

STAGING = ".staging"
SWEEP_LOCK = ".sweep.lock"
REPLACE_LOCK = ".replace.lock"
MEND_DISK = "Free or mend the disk"
_DISK_FAULTS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})
LOCKS = frozenset({SWEEP_LOCK, REPLACE_LOCK})
"""Files of the area that are no run's."""


@dataclass(frozen=True, slots=True)
class Staging:
    """The staging area of the store at `root`."""

    root: Path

    @property
    def folder(self) -> Path:
        """Where it is."""
        return self.root / STAGING

    def open(self) -> None:
        """Make sure that it can be written, making it where there is none.

        Raises:
            StoreError: it cannot, or it is a link.
        """
        try:
            keep_private(self.root)
            make_own_folder(self.folder)
            if is_of_group(self.root):
                _tell_of_group(self.root, self.folder)
            tempfile.TemporaryFile(dir=self.folder).close()
        except OSError as error:
            raise not_writable(self.root, error) from error

    @contextmanager
    def hold(self, run: str) -> Iterator[Path]:
        """Hold a folder for one run; its lock tells others that the run lives.

        Raises:
            StoreError: the store is not writable, or another process works on this run.
        """
        folder = self.folder / run
        lock = self._lock_run(folder)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            Path(lock.lock_file).unlink(missing_ok=True)
            lock.release()

    def _lock_run(self, folder: Path) -> FileLock:
        """Lock and make the folder of a run in one go: no sweep finds either without the other."""
        lock = FileLock(f"{folder}.lock", thread_local=False)
        try:
            with self.lock(SWEEP_LOCK):
                drop_link(Path(lock.lock_file))
                lock.acquire(timeout=0)
                drop_link(folder).mkdir(exist_ok=True)
        except Timeout as error:
            raise StoreError(
                folder, "another process works on this run", remedy="Wait for it to end"
            ) from error
        except OSError as error:
            lock.release()
            raise not_writable(self.root, error) from error
        return lock

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Hold one of the area's own locks: one process at a time does what it is for.

        Raises:
            StoreError: another process holds it, and does not end.
        """
        make_own_folder(self.folder)
        with holding(drop_link(self.folder / name)):
            yield

    @contextmanager
    def lock_out(self) -> Iterator[None]:
        """Keep runs from beginning, and sweeps from sweeping, while the block runs.

        Raises:
            StoreError: the store is not writable.
        """
        with ExitStack() as stack:
            try:
                stack.enter_context(self.lock(SWEEP_LOCK))
            except OSError as error:
                raise not_writable(self.root, error) from error
            yield

    def sweep(self) -> int:
        """Remove what killed runs left unfinished; returns how many runs that were.

        Raises:
            StoreError: the store is not writable, or the area is a link.
        """
        try:
            with self.lock(SWEEP_LOCK):
                found = [p for p in self.folder.iterdir() if p.name not in LOCKS]
                runs = {p.name.removesuffix(".lock") for p in found}
                return sum(_sweep_run(self.folder / run) for run in sorted(runs))
        except OSError as error:
            raise not_writable(self.root, error) from error


def _sweep_run(folder: Path) -> bool:
    """Remove what one run left, unless it lives; what cannot be removed stops nobody."""
    lock = FileLock(f"{folder}.lock")
    try:
        drop_link(Path(lock.lock_file))
        with lock.acquire(timeout=0):
            remove(folder)  # not there where it was killed between lock and folder
            Path(lock.lock_file).unlink()
    except Timeout:
        return False
    except OSError as error:
        logger.warning("%s: is left over, and cannot be removed: %s", folder, error.strerror)
        return False
    return True


def not_writable(root: Path, error: OSError) -> StoreError:
    """What the disk says of a store in which nothing can be begun."""
    remedy = "Grant write permission, or point PATHASSETS_STORE at a folder you own"
    if error.errno in _DISK_FAULTS:
        remedy = MEND_DISK
    elif is_of_group(root):
        remedy = f"Each who made something in it opens it to the group: {open_to_group(root)}"
    return StoreError(root, f"the store is not writable: {error.strerror or error}", remedy=remedy)


def is_of_group(root: Path) -> bool:
    """Whether a folder is one that a group is to write in, and hands its group down."""
    try:
        mode = root.stat().st_mode
    except OSError:
        return False
    return bool(mode & stat.S_ISGID and mode & stat.S_IWGRP)


def open_to_group(root: Path) -> str:
    """The command that opens what is in a folder, and will be, to its group, whatever the umask."""
    return f"setfacl -R -m g::rwX -d -m g::rwX {shlex.quote(str(root))}"


def _tell_of_group(root: Path, folder: Path) -> None:
    """Tell who makes in a group's store what the others of the group cannot go on with."""
    made = folder / f".{uuid4().hex}"  # by umask and default ACL, whoever made the area
    made.mkdir()
    try:
        is_closed = not made.stat().st_mode & stat.S_IWGRP
        made.rmdir()
    except FileNotFoundError:  # a sweep took it away
        return
    if is_closed:
        logger.warning(
            "%s: is a group's, and by your umask the group cannot work on with what you make in "
            "it; this opens it to the group: %s",
            root,
            open_to_group(root),
        )
