"""The store's folders as they lie there -> addresses of what could be artifacts, and what is none.

    <store>/<stage>/<name>/<partition key>/<digest>/    an artifact, by its place
    <store>/.…                                          our own areas, which others look after
    anything else, be it a link                         a stray

One folder is listed at a time, so that memory does not grow with the store. No link is followed.
"""

from __future__ import annotations

import fcntl
import math
import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pathassets.adapters.store.damage import LINKED, MANIFEST
from pathassets.adapters.store.partial import find_left_over
from pathassets.adapters.store.staging import LOCKS, STAGING
from pathassets.adapters.store.store import Artifact, Store
from pathassets.core.address import Address

CATALOG = ("catalog.sqlite", "catalog.sqlite-wal", "catalog.sqlite-shm", "catalog.sqlite-journal")
"""Files of a catalog that lies in the store."""
_N_PARTS = 4
"""Folders of an address."""


@dataclass(frozen=True, slots=True)
class Stray:
    """Something in the store that nobody published."""

    path: Path
    what: str
    """What is wrong with it, after its name."""


def survey(store: Store, stages: Sequence[str]) -> Iterator[Address | Stray]:
    """Give what lies in the store, stages in the order given, the rest of a folder by name."""
    rank = {stage: n for n, stage in enumerate(stages)}
    for entry in sorted(_list(store.root), key=lambda e: (rank.get(e.name, len(rank)), e.name)):
        if entry.name.startswith(".") or entry.name in CATALOG:
            continue
        if entry.name not in rank and entry.is_dir(follow_symlinks=False):
            yield Stray(Path(entry.path), "is no stage's folder")
        else:
            yield from _below(entry, ())


def _below(entry: os.DirEntry[str], above: tuple[str, ...]) -> Iterator[Address | Stray]:
    parts = (*above, entry.name)
    if entry.is_symlink():
        yield Stray(Path(entry.path), LINKED)
    elif not entry.is_dir():
        yield Stray(Path(entry.path), "is a file, where only folders of artifacts are")
    elif len(parts) == _N_PARTS:
        yield Address(*parts)
    else:
        for one in sorted(_list(Path(entry.path)), key=lambda e: e.name):
            yield from _below(one, parts)


def find_unlisted(store: Store, artifact: Artifact) -> Iterator[Stray]:
    """Give what lies in an artifact's folder and is none of its files."""
    folder = store.path_of(artifact.address)
    listed = {MANIFEST, *(file.path for file in artifact.files)}
    for place, folders, files in os.walk(folder):
        for name in sorted((*files, *(f for f in folders if Path(place, f).is_symlink()))):
            path = Path(place, name)
            if path.is_symlink() or path.relative_to(folder).as_posix() not in listed:
                yield Stray(path, "is no file of the artifact that it lies in")


def find_leftovers(store: Store) -> Iterator[Stray]:
    """Give what runs that have ended left unfinished; what a process holds is none of it."""
    area = store.root / STAGING
    names = {e.name.removesuffix(".lock") for e in _list(area) if e.name not in LOCKS}
    for name in sorted(names):
        if not is_held(area / f"{name}.lock"):
            yield Stray(area / name, "was left by a run that ended before its time")
    for folder in find_left_over(store):
        if not is_held(Path(f"{folder}.lock")):
            yield Stray(folder, "was begun, and is done or given up")


def find_held(store: Store, *, besides: Collection[str] = ()) -> list[str]:
    """Names of the runs that processes work on now."""
    area = store.root / STAGING
    locks = [e.name for e in _list(area) if e.name.endswith(".lock") and e.name not in LOCKS]
    runs = (name.removesuffix(".lock") for name in sorted(locks))
    return [run for run in runs if run not in besides and is_held(area / f"{run}.lock")]


def working_since_s(store: Store) -> float:
    """When the first of the runs began that processes work on now, on the files' clock.

    Infinity where none does.
    """
    locks = (store.root / STAGING / f"{run}.lock" for run in find_held(store))
    return min((lock.stat().st_mtime for lock in locks if lock.exists()), default=math.inf)


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


def _list(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except (FileNotFoundError, NotADirectoryError):
        return []
