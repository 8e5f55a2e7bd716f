"""What lies in a store and should not, and how it goes: the same of a folder and of a bucket.

    survey           addresses of what could be artifacts, and strays, which nobody published
    find_leftovers   what runs that have ended left unfinished
    put_aside        to `.aside/<when>/…` of the store, where a person can look at it
    remove           an artifact; remove_slides all that is of a slide

Our own areas, whose names begin with a dot, are looked after by others.
"""

from __future__ import annotations

import fcntl
import math
import os
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pathassets.adapters.store.partial import find_left_over, sweep_partials
from pathassets.adapters.store.staging import LOCKS, STAGING, Staging
from pathassets.adapters.store.store import Artifact, Store
from pathassets.core.address import Address

ASIDE = ".aside"
CATALOGS = ".catalogs"
"""What each catalog that uses the store says of itself: NAME.json."""
MARK_BYTES = 4096
"""Most that is read of what a catalog says: anybody may have put something there."""
CATALOG = ("catalog.sqlite", "catalog.sqlite-wal", "catalog.sqlite-shm", "catalog.sqlite-journal")
"""Files of a catalog that lies in the store."""
N_PARTS = 4
"""Folders of an address."""
NO_STAGE = "is no stage's folder"
NO_FOLDER = "is a file, where only folders of artifacts are"
NOT_LISTED = "is no file of the artifact that it lies in"


@dataclass(frozen=True, slots=True)
class Stray:
    """Something in the store that nobody published."""

    place: str
    """Path or URL."""
    what: str
    """What is wrong with it, after its name."""

    @property
    def is_file(self) -> bool:
        """Whether it is one file, and nothing below its name is of it."""
        return self.what in {NO_FOLDER, NOT_LISTED}


class Upkeep(ABC):
    """How a store is looked through and tidied."""

    __slots__ = ()

    @property
    @abstractmethod
    def store(self) -> Store:
        """Which one."""

    @abstractmethod
    def survey(self, stages: Sequence[str]) -> Iterator[Address | Stray]:
        """Give what lies in the store, stages in the order given, the rest by name.

        Memory does not grow with the store.
        """

    @abstractmethod
    def find_unlisted(self, artifact: Artifact) -> Iterator[Stray]:
        """Give what lies in an artifact's folder and is none of its files."""

    @abstractmethod
    def note_catalog(self, name: str, said: bytes) -> bool:
        """Keep what a catalog that uses the store says of itself, in the place of what it said.

        Whether it is kept: who may only read a bucket leaves nothing there.

        Raises:
            StoreError: the folder is not writable.
        """

    @abstractmethod
    def has_catalog(self, name: str) -> bool:
        """Whether a catalog says there that it uses the store."""

    @abstractmethod
    def drop_catalog(self, name: str) -> None:
        """Remove what a catalog said that is no more; one that is gone is no fault.

        Raises:
            StoreError: the store is not writable.
        """

    @abstractmethod
    def find_catalogs(self) -> dict[str, tuple[str, bytes]]:
        """Catalogs that use the store, by name: path or URL of what each says, and that.

        Of one that nobody here can read it is nothing.
        """

    @abstractmethod
    def is_newer(self, address: Address, since_s: float) -> bool:
        """Whether what lies there may have been published since, or is gone."""

    @abstractmethod
    def is_bare(self, address: Address) -> bool:
        """Whether nothing lies there, or a folder with nothing in it."""

    @abstractmethod
    def put_aside(self, place: str, when: str, *, is_file: bool) -> str:
        """Move the file at a path or URL of the store aside, or a folder; returns where it is now.

        Raises:
            StoreError: the store is not writable, or a link is in the place of the folder.
        """

    @abstractmethod
    def remove(self, address: Address, bin_: Path) -> None:
        """Remove an artifact, of which no reader sees half; one that is gone is no fault.

        Raises:
            StoreError: the store is not writable.
        """

    @abstractmethod
    def remove_slides(self, slide_ids: Sequence[str], bin_: Path) -> None:
        """Remove all that is of slides: published, begun, put aside, or copied to this machine.

        Raises:
            StoreError: the store is not writable.
        """

    @abstractmethod
    def keeps_removed(self) -> str:
        """What the storage keeps of what was removed, and what ends that; empty where nothing."""

    @abstractmethod
    def sweep_unnamed(self) -> None:
        """Remove what writers that died left where artifacts are, and not in staging.

        Raises:
            StoreError: the store is not writable.
        """

    def find_leftovers(self) -> Iterator[Stray]:
        """Give what runs that have ended left unfinished; what a process holds is none of it."""
        area = self.store.work / STAGING
        names = {e.name.removesuffix(".lock") for e in entries_of(area) if e.name not in LOCKS}
        for name in sorted(names):
            if not is_held(area / f"{name}.lock"):
                yield Stray(str(area / name), "was left by a run that ended before its time")
        for folder in find_left_over(self.store):
            if not is_held(Path(f"{folder}.lock")):
                yield Stray(str(folder), "was begun, and is done or given up")

    def sweep(self) -> None:
        """Remove what `find_leftovers` finds.

        Raises:
            StoreError: the store is not writable.
        """
        self.store.sweep_staging()
        sweep_partials(self.store)
        self.sweep_unnamed()


def find_held(store: Store, *, besides: Collection[str] = ()) -> list[str]:
    """Names of the runs that processes work on now; of a bucket, those of this machine."""
    area = store.work / STAGING
    locks = [e.name for e in entries_of(area) if e.name.endswith(".lock") and e.name not in LOCKS]
    runs = (name.removesuffix(".lock") for name in sorted(locks))
    return [run for run in runs if run not in besides and is_held(area / f"{run}.lock")]


def working_since_s(store: Store) -> float:
    """When the first of the runs began that processes work on now, on the files' clock.

    Infinity where none does.
    """
    locks = (store.work / STAGING / f"{run}.lock" for run in find_held(store))
    return min((lock.stat().st_mtime for lock in locks if lock.exists()), default=math.inf)


def staging_of(store: Store) -> Staging:
    """The staging area of a store, which is on a disk of this machine."""
    return Staging(store.work)


def is_held(lock: Path) -> bool:
    """Whether a process holds a lock; asked without writing, as on a disk that cannot be."""
    try:
        handle = os.open(lock, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return False  # none, or a link that somebody planted
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)  # gives it back
    return False


def entries_of(folder: Path) -> list[os.DirEntry[str]]:
    """What lies in a folder; nothing where there is none."""
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except (FileNotFoundError, NotADirectoryError):
        return []
