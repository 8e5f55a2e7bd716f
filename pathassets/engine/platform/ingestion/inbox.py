"""A watched folder -> files that are whole, told by their stillness.

A scanner or a copy writes for minutes. A file counts as whole when size and time of change are the
same in two looks at least `stable_s` apart; it is asked about once for every content it has. What
else the file system notes (a backup's hard link, a chmod) is no writing and starts no new wait.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from pathassets.adapters.files import FileStamp, stamp_of
from pathassets.adapters.openslide.members import find_slides, members_of
from pathassets.errors import SlideUnreadable


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """How a file looked, and since when it has."""

    size_bytes: int
    mtime_ns: int
    since_s: float
    """Clock time of the first look at which it looked like this."""


Sightings = Mapping[str, Sighting]
"""By absolute path."""


def look_into(inbox: Path, before: Sightings, *, now_s: float) -> dict[str, Sighting]:
    """Look at every slide file in the inbox, remembering since when each has been as it is."""
    seen = {}
    for path in find_slides(inbox) if inbox.is_dir() else []:
        try:
            stamp = _stamp(path)
        except SlideUnreadable:
            continue  # moved away between the listing and the look, or a link to nowhere
        now = Sighting(size_bytes=stamp.size_bytes, mtime_ns=stamp.mtime_ns, since_s=now_s)
        old = before.get(str(path), now)
        seen[str(path)] = old if replace(now, since_s=old.since_s) == old else now
    return seen


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


def dump_sightings(seen: Sightings) -> str:
    """Write sightings as a sensor's cursor."""
    return json.dumps({p: [s.size_bytes, s.mtime_ns, s.since_s] for p, s in seen.items()})


def parse_sightings(cursor: str | None) -> dict[str, Sighting]:
    """Read a sensor's cursor; none is an inbox never looked into."""
    return {
        path: Sighting(size_bytes=size, mtime_ns=mtime, since_s=since)
        for path, (size, mtime, since) in json.loads(cursor or "{}").items()
    }
