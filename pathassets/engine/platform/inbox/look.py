"""Watched folders -> files that are whole, told by their stillness and by what their index names.

A scanner or a copy writes for minutes. A file counts as whole when size and time of change were the
same for `stable_s` of looks; it is asked about once for every content it has. What else the file
system notes (a backup's hard link) is no writing and starts no new wait.

How long a file was still is told by a clock of the inbox' own, which runs while it is looked into:
neither a step of the system's clock nor a time that a file states moves it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path

from pathassets.adapters.objects.remote_file import FilePlace
from pathassets.adapters.objects.urls import is_url
from pathassets.adapters.openslide.completeness import lacking
from pathassets.adapters.openslide.members import OF_SEVERAL
from pathassets.catalog.catalog import Catalog
from pathassets.catalog.inbox import InboxClock, Sighting
from pathassets.core.spec import digest_of
from pathassets.engine.platform.inbox.buckets import UNREAD, listed
from pathassets.engine.platform.inbox.walk import TABLE_SUFFIXES, Seen, suffix_of, walk
from pathassets.engine.platform.ingestion.ingest import printable

PART = 2_700
"""Files that the catalog is asked about at once: three statements' worth."""
EMPTY = "it is empty so far"


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What of the inbox nobody knows."""

    now_s: float
    """By the inbox' clock."""
    seen: Mapping[str, Sighting]
    """Files that may be slides or tables, by path; what of it is no UTF-8 is written out."""
    folders: tuple[FilePlace, ...] = ()
    """Those that were looked into."""

    def whole(self, stable_s: float) -> list[str]:
        """Files that are to be taken and were not asked for yet, sorted."""
        unsettled = self._unsettled_folders(stable_s)
        return sorted(
            path
            for path, one in self.seen.items()
            if not one.asked
            and not one.lacks
            and self.is_still(one, stable_s)
            and not (is_table(path) and os.path.dirname(path) in unsettled)  # noqa: PTH120 - many
        )

    def is_still(self, one: Sighting, stable_s: float) -> bool:
        """Whether a file was as it is for long enough."""
        return self.now_s - one.since_s >= stable_s

    def _unsettled_folders(self, stable_s: float) -> set[str]:
        """Folders below which a slide is being written: a table in one waits for it."""
        found: set[str] = set()
        for path, one in self.seen.items():
            if not is_table(path) and not one.lacks and not self.is_still(one, stable_s):
                found.update(map(str, Path(path).parents))
        return found


def is_table(path: str) -> bool:
    """Whether a file is taken for a cohort table."""
    return suffix_of(path) in TABLE_SUFFIXES


def advanced(clock: InboxClock, *, wall_s: float, monotonic_s: float) -> InboxClock:
    """Let the inbox' clock run on by what both other clocks say that passed, at least.

    The one is set by people, the other begins anew with the machine: either may have gone back.

    >>> noon = InboxClock(now_s=5.0, wall_s=100.0, monotonic_s=50.0)
    >>> advanced(noon, wall_s=110.0, monotonic_s=60.0).now_s
    15.0
    >>> advanced(noon, wall_s=9999.0, monotonic_s=51.0).now_s, advanced(
    ...     noon, wall_s=110.0, monotonic_s=3.0
    ... ).now_s
    (6.0, 5.0)
    """
    passed_s = min(wall_s - clock.wall_s, monotonic_s - clock.monotonic_s)
    now_s = clock.now_s + max(0.0, passed_s)
    return InboxClock(now_s=now_s, wall_s=wall_s, monotonic_s=monotonic_s)


def look_into(catalog: Catalog, folders: Iterable[FilePlace], clock: InboxClock) -> Look:
    """Look at every slide and table in folders, remembering since when each has been as it is.

    Of one that looks as the catalog knows it, be it a slide, refused, or a table that was taken,
    nothing is remembered. Nor is anything of a bucket that does not answer, or of a slide's link
    whose target is gone: its disk may be unmounted.
    """
    before, folders = catalog.sightings(), tuple(folders)
    local = [folder for folder in folders if isinstance(folder, Path)]
    objects, answered = listed(folders)
    seen: dict[str, Sighting] = {}
    for part in _parts(chain(walk(local), objects)):
        looks = [(printable(o.path), o.size_bytes, o.mtime_ns, o.etag, o.ctime_ns) for o in part]
        links = [printable(one.path) for one in part if one.leads_nowhere]
        known = catalog.known_among(looks) | catalog.registered_among(links)
        for one, (path, *_) in zip(part, looks, strict=True):
            if path not in known:
                seen[path] = _sighted(one, path, before.get(path), clock.now_s)
    looked_into: tuple[FilePlace, ...] = (*local, *answered)
    return Look(now_s=clock.now_s, seen=dict(sorted(seen.items())), folders=looked_into)


def note_look(catalog: Catalog, look: Look, clock: InboxClock) -> None:
    """Keep what a look saw for the next one; writes nothing where nothing waits.

    What others saw in folders that were not looked into stays.
    """
    before, begins = catalog.sightings(), tuple(f"{folder}/" for folder in look.folders)
    changed = [one for path, one in look.seen.items() if before.get(path) != one]
    gone = {path for path in before.keys() - look.seen.keys() if path.startswith(begins)}
    if look.seen or gone:
        catalog.note_sightings(clock, changed, gone)


def ask_together(look: Look, paths: list[str], n_files: int) -> Look:
    """Give files that are to be taken a name to ask by, so many of them the same one."""
    seen = dict(look.seen)
    for start in range(0, len(paths), n_files):
        some = paths[start : start + n_files]
        looks = [
            [one.path, one.size_bytes, one.mtime_ns, one.n_retries, one.etag]
            for one in (seen[path] for path in some)
        ]
        name = f"inbox:{len(some)}:{digest_of(looks)}"
        seen |= {path: replace(seen[path], asked=name) for path in some}
    return replace(look, seen=seen)


def _parts(found: Iterator[Seen]) -> Iterator[list[Seen]]:
    while part := list(islice(found, PART)):
        yield part


def _sighted(one: Seen, path: str, old: Sighting | None, now_s: float) -> Sighting:
    """How a file looks, and since when."""
    new = Sighting(
        path=path, size_bytes=one.size_bytes, mtime_ns=one.mtime_ns, since_s=now_s, etag=one.etag
    )
    is_same = False
    if old is not None:
        was = old.size_bytes, old.mtime_ns, old.etag
        is_same = was == (one.size_bytes, one.mtime_ns, one.etag)
        new = old if is_same else replace(new, n_retries=old.n_retries)
    # Of a slide of a bucket its look has all its objects, so that its index says what it said.
    is_said = is_same and is_url(path) and new.lacks != UNREAD
    return new if new.asked or is_said else replace(new, lacks=_lacks(one))


def _lacks(one: Seen) -> str:
    """Why a file cannot be whole; a pipe or device is not to become anything else."""
    if not one.is_file:
        return ""
    if not one.size_bytes:
        return EMPTY
    if one.find_lacking is not None:
        return one.find_lacking()
    if one.lacks or is_url(one.path):
        return one.lacks
    return lacking(Path(one.path)) if suffix_of(one.path) in OF_SEVERAL else ""
