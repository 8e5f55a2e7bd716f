"""Folders -> the files in them that may be slides or cohort tables, one by one.

By scandir and one stat a file, without a list of them all: an inbox of 100,000 files is walked
every few seconds. Links to folders are not followed, they may lead in circles; a link to nothing,
or in a circle itself, is no file until it leads to one. What copying programs write under (hidden
names, `~`, and endings of their own such as `.part`) is not seen.
"""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pathassets.adapters.openslide.members import (
    OF_SEVERAL,
    SUFFIXES,
    first_of_series,
    slide_stamp,
)
from pathassets.errors import SlideUnreadable

logger = logging.getLogger(__name__)

TABLE_SUFFIXES = frozenset({".csv", ".tsv", ".xlsx", ".parquet"})
"""Names of files that are taken for cohort tables."""
_PASSED = (".", "~")
"""Names that begin so are being written, or of no concern."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One slide or table of an inbox, as it looks now."""

    path: str
    """Absolute, or a URL; of a slide of several files the one that is opened."""
    size_bytes: int
    mtime_ns: int
    ctime_ns: int
    is_file: bool = True
    """Whether it is a regular file; a pipe or device is never opened, nor what is forbidden, nor a
    link to nothing."""
    etag: str = ""
    """Of an object, what its storage calls this version; empty of a file."""
    lacks: str = ""
    """Of an object, why it cannot be whole, or be taken."""
    leads_nowhere: bool = False
    """Whether it is a link to nothing, or in a circle."""
    find_lacking: Callable[[], str] | None = None
    """Of an object that nobody knows: says why it cannot be whole, and may ask its storage."""


def outermost(folders: Iterable[Path]) -> list[Path]:
    """Folders of which none is in another, whatever links they are named by; in order."""
    real = {folder: folder.resolve() for folder in folders}
    kept: list[Path] = []
    for folder, place in real.items():
        others = (real[one] for one in real if one != folder)
        is_within = any(other in place.parents for other in others)
        if not is_within and place not in (real[one] for one in kept):
            kept.append(folder)
    return kept


def walk(folders: Iterable[Path]) -> Iterator[Seen]:
    """Give every slide and table in folders, and what only has such a name, in no order."""
    waiting = [str(folder) for folder in reversed(outermost(folders))]
    while waiting:
        folder = waiting.pop()
        groups: list[str] = []
        for entry in _entries(folder):
            try:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                elif suffix_of(entry.name) in _WANTED:
                    yield from _look_at(entry, groups)
            except OSError:
                continue  # gone since it was listed
        yield from _slides_of_several(groups)


_WANTED = SUFFIXES | TABLE_SUFFIXES


def suffix_of(name: str) -> str:
    """Ending of a name, in lower case, as `Path.suffix` has it: for 100,000 names at a time."""
    return os.path.splitext(name)[1].lower()  # noqa: PTH122


def _entries(folder: str) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            yield from (one for one in entries if not one.name.startswith(_PASSED))
    except FileNotFoundError:
        return  # an inbox that is not there is an empty one
    except OSError as error:
        logger.warning("%s: cannot be searched for slides: %s", folder, error.strerror)


def _look_at(entry: os.DirEntry[str], groups: list[str]) -> Iterator[Seen]:
    """Give a file, unless it is one of several of a slide, which come after all of its folder."""
    try:
        found = entry.stat()
    except OSError as error:
        is_forbidden = isinstance(error, PermissionError)
        if is_forbidden or entry.is_symlink():
            yield Seen(entry.path, 0, 0, 0, is_file=False, leads_nowhere=not is_forbidden)
        return
    if stat.S_ISDIR(found.st_mode):
        return
    is_file = stat.S_ISREG(found.st_mode)
    if is_file and suffix_of(entry.name) in OF_SEVERAL:
        groups.append(entry.path)
        return
    yield Seen(entry.path, found.st_size, found.st_mtime_ns, found.st_ctime_ns, is_file)


def _slides_of_several(paths: list[str]) -> Iterator[Seen]:
    """Slides of several files in one folder: how all files of each look together."""
    for path in first_of_series(sorted(map(Path, paths))):
        try:
            stamp = slide_stamp(path)
        except SlideUnreadable:
            continue  # moved away meanwhile
        yield Seen(str(path), stamp.size_bytes, stamp.mtime_ns, stamp.ctime_ns)
