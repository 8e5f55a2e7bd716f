"""The inbox, for a person: what waits and why, what was refused, what was taken and when."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

from pathassets.adapters.objects.remote_file import FilePlace, RemoteFile
from pathassets.catalog.inbox import Sighting, TakenTable
from pathassets.catalog.records import RejectedFile
from pathassets.engine.platform.inbox.look import Look, is_table, look_into
from pathassets.engine.platform.inbox.tables import untried
from pathassets.engine.platform.ingestion.ingest import printable
from pathassets.engine.platform.platform import Platform
from pathassets.errors import CatalogError

N_NEWEST = 20
MAX_LINES = 10
"""Numbers of lines that a note has."""
UNWATCHED_AFTER = timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A file that is not taken yet."""

    path: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenFile:
    """A file that holds a slide."""

    path: str
    slide_id: str
    registered_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedTable(TakenTable):
    """A table that was taken, and what is to be said of it and its open lines."""

    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxOverview:
    """All that is to be said of the inbox."""

    folders: tuple[FilePlace, ...]
    waiting: tuple[Waiting, ...]
    refused: tuple[RejectedFile, ...]
    slides: tuple[TakenFile, ...]
    """Those registered last, the newest first."""
    tables: tuple[ListedTable, ...]
    """Those of which nothing was taken, but refused later, are among the refused alone."""
    is_watched: bool
    """Whether something looked into it in the last minutes; True where nothing waits."""


def overview(platform: Platform, *, n_newest: int = N_NEWEST) -> InboxOverview:
    """Look into the inbox, and change nothing."""
    catalog, settings = platform.catalog, platform.settings
    folders = [str(one) for one in settings.inboxes]
    clock = catalog.inbox_clock()
    look = look_into(catalog, settings.inboxes, clock)
    looked_at = datetime.fromtimestamp(clock.wall_s, UTC)
    paths = tuple(f"{one}/" for one in folders)
    refused = tuple(catalog.refused_below(folders))
    taken = [one for one in catalog.taken_tables().values() if one.path.startswith(paths)]
    return InboxOverview(
        folders=settings.inboxes,
        waiting=tuple(
            Waiting(path=one.path, why=_why(look, one, settings.inbox_stable_s))
            for one in sorted(look.seen.values(), key=lambda one: one.path)
        ),
        refused=refused,
        slides=tuple(
            TakenFile(path=path, slide_id=slide_id, registered_at=at)
            for path, slide_id, at in catalog.newest_below(folders, n_newest)
        ),
        tables=tuple(_listed(taken, {one.path: one for one in refused})),
        is_watched=not look.seen or datetime.now(UTC) - looked_at < UNWATCHED_AFTER,
    )


def _listed(
    tables: Collection[TakenTable], refused: Mapping[str, RejectedFile]
) -> Iterator[ListedTable]:
    """Say of tables what became of them since."""
    first: dict[str, str] = {}
    for one in sorted(tables, key=lambda one: -one.n_changes):
        first.setdefault(one.sha256, one.path)
    waits = untried(tables)
    for one in tables:
        refusal, notes = refused.get(one.path), list[str]()
        if first[one.sha256] != one.path:
            notes.append(f"the same content as {first[one.sha256]}")
        if refusal is not None:
            is_other = (refusal.size_bytes, refusal.mtime_ns) != (one.size_bytes, one.mtime_ns)
            other = "another content by now, which is refused"
            notes.append(other if is_other else "what waits is refused")
            if not is_other and not one.n_changes:
                continue
        elif one.path in waits:
            notes.append(waits[one.path])
        if one.overtaken_lines:
            notes.append(_gave_way(one.overtaken_lines))
        yield ListedTable(**asdict(one), note="; ".join(notes))


def _gave_way(lines: Sequence[int]) -> str:
    more = f" and {len(lines) - MAX_LINES} more" if len(lines) > MAX_LINES else ""
    numbers = ", ".join(map(str, lines[:MAX_LINES]))
    return f"what was stated since stands against line {numbers}{more}, which waited"


def _why(look: Look, one: Sighting, stable_s: float) -> str:
    if one.lacks:
        return one.lacks
    if one.asked:
        return "its registration is asked for"
    still_s = look.now_s - one.since_s
    if still_s < stable_s:
        return f"unchanged for {still_s:.0f} of {stable_s:g} s"
    if is_table(one.path) and one.path not in look.whole(stable_s):
        return "a slide beside it is being written"
    return "whole, and taken at the next look"


def _not_in_the_inbox(path: FilePlace, name: str) -> CatalogError:
    if isinstance(path, RemoteFile) or os.path.lexists(path):
        return CatalogError(f"{name}: is not in the inbox", remedy="pathassets ingest takes it")
    return CatalogError(
        f"{name}: there is no such file, and it is not in the inbox",
        remedy="pathassets inbox lists what is",
    )


def retry(platform: Platform, path: FilePlace) -> str:
    """Take a file for such that was never looked at; returns its name as the catalog has it.

    Raises:
        CatalogError: nothing of it is refused, taken as a table, or waiting in the inbox.
    """
    catalog = platform.catalog
    name = str(path) if isinstance(path, RemoteFile) else printable(path.absolute())
    if not name.startswith(tuple(f"{folder}/" for folder in platform.settings.inboxes)):
        raise _not_in_the_inbox(path, name)
    clock = catalog.inbox_clock()
    waits = look_into(catalog, platform.settings.inboxes, clock).seen.get(name)
    is_known = catalog.find_refusal(name) is not None or name in catalog.taken_tables([name])
    if waits is None and not is_known:
        is_here = isinstance(path, RemoteFile) or os.path.lexists(path)
        fact = "is neither refused nor waiting" if is_here else "there is no such file"
        raise CatalogError(f"{name}: {fact}", remedy="pathassets inbox lists what is")
    n_retries = int(datetime.now(UTC).timestamp())  # no number that was had before
    again = Sighting(
        path=name,
        size_bytes=waits.size_bytes if waits else 0,
        mtime_ns=waits.mtime_ns if waits else 0,
        since_s=clock.now_s,
        n_retries=n_retries,
        etag=waits.etag if waits else "",
    )
    catalog.forget_refusals([name])
    catalog.forget_taken(name)
    catalog.note_sightings(clock, [again], [])
    return name
