"""A watched folder -> files that are whole, told by their stillness.

A scanner or a copy writes for minutes. A file counts as whole when size and time of change are the
same in two looks at least `stable_s` apart; it is asked about once for every content it has. What
else the file system notes (a backup's hard link, a chmod) is no writing and starts no new wait.
"""

from __future__ import annotations

import json
from collections.abc import Container, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from pathassets.adapters.files import FileStamp, stamp_of
from pathassets.adapters.openslide.members import find_slides, is_alone, members_of
from pathassets.core.spec import digest_of
from pathassets.errors import SlideUnreadable


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """How a file looked, and since when it has."""

    size_bytes: int
    mtime_ns: int
    since_s: float
    """Clock time of the first look at which it looked like this."""
    asked: str = ""
    """By which name its registration was asked for, with that of others; empty where it was not."""


Sightings = Mapping[str, Sighting]
"""By absolute path."""
KnownLooks = Container[tuple[str, int, int]]
"""Absolute path, size and time of change of files that the catalog knows."""


def look_into(
    inbox: Path, before: Sightings, known: KnownLooks, *, now_s: float
) -> dict[str, Sighting]:
    """Look at every slide file in the inbox, remembering since when each has been as it is.

    Of a file that looks as the catalog knows it, be it a slide or refused, nothing is remembered.
    """
    seen = {}
    for path in find_slides(inbox) if inbox.is_dir() else []:
        try:
            if _is_known(path, known):
                continue
            stamp = _stamp(path)
        except SlideUnreadable:
            continue  # moved away between the listing and the look, or a link to nowhere
        if (str(path), stamp.size_bytes, stamp.mtime_ns) in known:
            continue
        now = Sighting(size_bytes=stamp.size_bytes, mtime_ns=stamp.mtime_ns, since_s=now_s)
        old = before.get(str(path), now)
        is_same = replace(now, since_s=old.since_s, asked=old.asked) == old
        seen[str(path)] = old if is_same else now
    return seen


def _is_known(path: Path, known: KnownLooks) -> bool:
    """Whether one file by itself looks as known; of a slide of several more is to be looked at."""
    try:
        found = path.stat()
    except OSError:
        return False
    return is_alone(path) and (str(path), found.st_size, found.st_mtime_ns) in known


def _stamp(path: Path) -> FileStamp:
    """How a slide looks: all of its files, for a folder of pictures comes after its index."""
    try:
        members = members_of(path)
    except SlideUnreadable:
        members = [path]  # not whole yet, or no slide, as registering it will say
    return stamp_of(members)


def stable_files(seen: Sightings, *, now_s: float, stable_s: float) -> list[str]:
    """Files that have been still for long enough, empty ones left out; sorted."""
    return sorted(
        path for path, s in seen.items() if s.size_bytes and now_s - s.since_s >= stable_s
    )


def ask_together(seen: Sightings, paths: list[str], n_files: int) -> dict[str, Sighting]:
    """Give files that are to be registered a name to ask by, so many of them the same one.

    Those that have one keep it: what was asked for once is not asked for with others.
    """
    new = [path for path in paths if not seen[path].asked]
    asked = dict(seen)
    for start in range(0, len(new), n_files):
        some = new[start : start + n_files]
        looks = [[path, seen[path].size_bytes, seen[path].mtime_ns] for path in some]
        name = f"{some[0]}:{len(some)}:{digest_of(looks)}"
        asked |= {path: replace(seen[path], asked=name) for path in some}
    return asked


def dump_sightings(seen: Sightings) -> str:
    """Write sightings as a sensor's cursor."""
    return json.dumps({p: [s.size_bytes, s.mtime_ns, s.since_s, s.asked] for p, s in seen.items()})


def parse_sightings(cursor: str | None) -> dict[str, Sighting]:
    """Read a sensor's cursor; none is an inbox never looked into."""
    return {
        path: Sighting(size_bytes=size, mtime_ns=mtime, since_s=since, asked="".join(asked))
        for path, (size, mtime, since, *asked) in json.loads(cursor or "{}").items()
    }
