"""Artifacts that are begun: a folder for each, which survives a kill, and is continued.

    <work>/.partial/<stage>-<name>-<partition key>-<digest>/files/    moved away once it is done
                                                        /facts.json   known before it is moved

Who works on one holds its lock; the system gives that back when its holder dies.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from pathassets.adapters.store.folders import drop_link, make_own_folder, refuse_link, remove
from pathassets.adapters.store.locks import holding, wait_for
from pathassets.adapters.store.staging import not_writable
from pathassets.adapters.store.store import Store
from pathassets.core.address import Address
from pathassets.core.spec import canonical_json
from pathassets.errors import StoreError

logger = logging.getLogger(__name__)

PARTIAL = ".partial"
GUARD = ".guard.lock"
KEPT_S = 14 * 86400.0
"""What nobody has gone on with for so long is removed."""
PATIENCE_S = 2 * 3600.0
"""How long one waits for another process that makes the same artifact."""
_N_HYPHENS = 3
"""Least in a name here; what has fewer is somebody else's."""


@dataclass(frozen=True, slots=True)
class Partial:
    """One artifact that is begun, held by this process."""

    folder: Path

    @property
    def files(self) -> Path:
        """Where its files go."""
        return self.folder / "files"

    def begin(self) -> None:
        """Make its folder; what is there is kept, but a link."""
        drop_link(self.folder)
        drop_link(self.files).mkdir(parents=True, exist_ok=True)

    def note(self, facts: dict[str, Any]) -> None:
        """Keep the facts of what is about to be finished."""
        aside = self.folder / "facts.json.aside"
        with aside.open("wb") as file:
            file.write(canonical_json(facts).encode())
            file.flush()
            os.fsync(file.fileno())
        aside.replace(self.folder / "facts.json")

    @property
    def facts(self) -> dict[str, Any]:
        """What was noted."""
        noted: dict[str, Any] = json.loads((self.folder / "facts.json").read_bytes())
        return noted

    def remove(self) -> None:
        """Give up what was begun."""
        shutil.rmtree(self.folder, ignore_errors=True)


@contextmanager
def hold_partials(store: Store, addresses: list[Address]) -> Iterator[list[Partial]]:
    """Hold the folders of artifacts; waits while another process works on one.

    Raises:
        StoreError: the disk is not writable, a link is in the place of a folder, or another process
            works on one for hours.
    """
    root = store.work / PARTIAL
    partials = [Partial(root / _name_of(address)) for address in addresses]
    with ExitStack() as stack:
        try:
            make_own_folder(root)
            # In one order, and each once: none waits forever, nor for itself.
            for partial in sorted(set(partials), key=lambda p: p.folder):
                stack.enter_context(_lock(root, partial.folder))
                partial.begin()
        except OSError as error:
            raise not_writable(root, error) from error
        yield partials


def sweep_partials(store: Store, kept_s: float = KEPT_S) -> int:
    """Remove what is published, and what nobody went on with; returns how many that were.

    Raises:
        StoreError: a link is in the place of its folder.
    """
    root = store.work / PARTIAL
    n_removed = 0
    for folder in list(find_left_over(store, kept_s)):
        with _guard(root):
            n_removed += _remove(folder)
    return n_removed


def find_left_over(store: Store, kept_s: float = KEPT_S) -> Iterator[Path]:
    """Give what a sweep would remove, unless somebody holds it.

    Raises:
        StoreError: a link is in the place of its folder.
    """
    root = store.work / PARTIAL
    refuse_link(root)
    if not root.is_dir():
        return
    names = {path.name.removesuffix(".lock") for path in root.iterdir()}
    for folder in (root / name for name in sorted(names) if name.count("-") >= _N_HYPHENS):
        if (
            folder.is_symlink()
            or not folder.is_dir()
            or _is_done(store, folder.name)
            or _age_s(folder) > kept_s
        ):
            yield folder


def _name_of(address: Address) -> str:
    return "-".join((*address.key, address.partition_key, address.digest))


def _address_of(name: str) -> Address:
    stage, entry, rest = name.split("-", 2)  # neither has a hyphen; a slide's id may
    partition_key, _, digest = rest.rpartition("-")
    return Address(stage, entry, partition_key, digest)


def partition_of(path: Path) -> str:
    """Slide of what is begun there, or of its lock; empty where it is neither."""
    name = path.name.removesuffix(".lock")
    return _address_of(name).partition_key if name.count("-") >= _N_HYPHENS else ""


def _is_done(store: Store, name: str) -> bool:
    try:
        store.read_whole(_address_of(name))
    except StoreError:
        return False
    return True


def _age_s(folder: Path) -> float:
    """Seconds since anything of it was written."""
    try:
        seen = [path.stat().st_mtime for path in (folder, *folder.rglob("*"))]
    except FileNotFoundError:  # somebody works on it
        return 0.0
    return time.time() - max(seen)


def _remove(folder: Path) -> bool:
    lock = FileLock(drop_link(Path(f"{folder}.lock")), thread_local=False)
    try:
        with lock.acquire(timeout=0):
            remove(folder)  # not there where it was killed between folder and lock
            Path(lock.lock_file).unlink(missing_ok=True)
    except Timeout:
        return False
    except OSError as error:
        logger.warning("%s: cannot be removed: %s", folder, error.strerror)
        return False
    return True


@contextmanager
def _guard(root: Path) -> Iterator[None]:
    """Hold the area: nobody takes a lock whose file somebody else deletes."""
    with holding(drop_link(root / GUARD)):
        yield


@contextmanager
def _lock(root: Path, folder: Path) -> Iterator[None]:
    path = drop_link(Path(f"{folder}.lock"))
    lock = FileLock(path, thread_local=False)

    def attempt(lock: FileLock) -> None:
        with _guard(root):
            lock.acquire(timeout=0)

    wait_for(lock, path, PATIENCE_S, attempt)
    try:
        yield
    finally:
        with _guard(root):
            if _is_empty(folder):
                Path(lock.lock_file).unlink(missing_ok=True)
            lock.release()


def _is_empty(folder: Path) -> bool:
    """Whether nothing is left of it."""
    try:
        (folder / "files").rmdir()
        folder.rmdir()
    except OSError as error:
        if error.errno not in {errno.ENOENT, errno.ENOTEMPTY, errno.EEXIST}:
            raise
    return not folder.exists()
