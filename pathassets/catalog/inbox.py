"""What lies in the inbox: what is known of it, since when it is still, which tables were taken."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import (
    ColumnElement,
    Connection,
    Table,
    case,
    delete,
    exists,
    func,
    literal,
    or_,
    select,
)

from pathassets.catalog.database.connect import reading, writing
from pathassets.catalog.database.dialects import upsert
from pathassets.catalog.forgotten import is_staying
from pathassets.catalog.part import CatalogPart, now, portions
from pathassets.catalog.records import UNSTAMPED, RejectedFile
from pathassets.catalog.rows import Row, flat
from pathassets.catalog.tables import (
    inbox_clock,
    inbox_file,
    latest_attempt,
    rejected_file,
    slide,
    slide_path,
    taken_table,
)

FORBIDDEN = "no_permission"
"""Reason of files that a mere chmod mends, which moves no time but that of the last such change."""

BESIDE = "pipe_beside"
"""Reason of slides that were refused for what lies beside them: their own look never tells."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """How a file of the inbox looked, and since when it has."""

    path: str
    """Absolute, or the URL of an object."""
    size_bytes: int
    """Of all files of the slide."""
    mtime_ns: int
    """Newest change of content of any of them."""
    since_s: float
    """Time of the inbox' own clock at the first look at which it looked like this."""
    asked: str = ""
    """By which name its registration was asked for, with that of others; empty where it was not."""
    lacks: str = ""
    """Why it is not asked for though it is still; empty where nothing speaks against it."""
    n_retries: int = 0
    """How often a person asked for it to be tried again."""
    etag: str = ""
    """Of an object, what its storage calls this version; empty of a file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxClock:
    """A clock that runs while the inbox is looked into, and what other clocks said at its time."""

    now_s: float = 0.0
    wall_s: float = 0.0
    monotonic_s: float = 0.0


FileLook = tuple[str, int, int, str, int]
"""How a file looks: absolute path or URL, bytes, newest change of content (ns), ETag, and newest
change of anything (ns)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenTable:
    """A cohort table that was taken from the inbox; of each path the content taken last."""

    path: str
    """Absolute."""
    sha256: str
    size_bytes: int
    mtime_ns: int
    n_lines: int
    n_changes: int
    """Of all times it was taken together."""
    open_lines: tuple[int, ...]
    """Numbers of the lines about what nobody knew yet."""
    taken_at: datetime = field(default=UNSTAMPED, compare=False)
    """When its content was first taken."""
    overtaken_lines: tuple[int, ...] = ()
    """Numbers of lines that waited, and of which something else was stated in the meantime."""


class Inbox(CatalogPart):
    """The part of the catalog that watched folders are held against."""

    def known_among(self, looks: Collection[FileLook]) -> set[str]:
        """Paths of files that look as they did when they were registered, refused or taken.

        Asked of 100,000 files every few seconds: of most a slide's row says so.
        """
        known: set[str] = set()
        with reading(self._engine) as connection:
            for table in (slide_path, rejected_file, taken_table):
                rest = [one for one in looks if one[0] not in known]
                for some in portions(rest):
                    known.update(_alike(connection, table, some))
        return known

    def registered_among(self, paths: Collection[str]) -> set[str]:
        """Paths under which slides are registered, however they looked then."""
        found = self._rows_of(select(slide_path.c.path), slide_path.c.path, paths)
        return {row["path"] for row in found}

    def sightings(self) -> dict[str, Sighting]:
        """Files of the inbox that were seen and are not known, by path."""
        found = self._rows(select(inbox_file).order_by(inbox_file.c.path))
        return {row["path"]: Sighting(**row) for row in found}

    def inbox_clock(self) -> InboxClock:
        """The inbox' clock as it was when it was last looked at."""
        columns = (inbox_clock.c.now_s, inbox_clock.c.wall_s, inbox_clock.c.monotonic_s)
        rows = self._rows(select(*columns))
        return InboxClock(**rows[0]) if rows else InboxClock()

    def note_sightings(
        self, clock: InboxClock, changed: Iterable[Sighting], gone: Collection[str]
    ) -> None:
        """Keep what of the inbox is new or another, and at what time; forget what is gone."""
        rows = [flat(one) for one in changed]
        with writing(self._engine) as connection:
            upsert(connection, inbox_clock, [flat(clock) | {"only": 0}])
            for some in portions(gone):
                connection.execute(delete(inbox_file).where(inbox_file.c.path.in_(some)))
            if rows:
                upsert(connection, inbox_file, rows)

    def forget_refusals(self, paths: Collection[str]) -> None:
        """Take files for such that were never looked at: their refusals go."""
        with writing(self._engine) as connection:
            for some in portions(paths):
                connection.execute(delete(rejected_file).where(rejected_file.c.path.in_(some)))

    def find_refusal(self, path: str) -> RejectedFile | None:
        """Why a file was refused; None where it was not."""
        rows = self._rows(select(rejected_file).where(rejected_file.c.path == path))
        return RejectedFile(**rows[0]) if rows else None

    def refused_below(self, folders: Sequence[str]) -> list[RejectedFile]:
        """Refused files below folders, by path."""
        below = _is_below(rejected_file.c.path, folders)
        found = self._rows(select(rejected_file).where(below).order_by(rejected_file.c.path))
        return [RejectedFile(**row) for row in found]

    def untried_below(self, folders: Sequence[str]) -> dict[str, datetime]:
        """Slides with a file below folders of which nothing was ever tried; when each was entered.

        In order of registration.
        """
        tried = exists(select(literal(1)).where(latest_attempt.c.partition_key == slide.c.slide_id))
        is_here = exists(
            select(literal(1)).where(
                slide_path.c.slide_id == slide.c.slide_id, _is_below(slide_path.c.path, folders)
            )
        )
        query = select(slide.c.slide_id, slide.c.registered_at)
        query = query.where(~tried, is_here, is_staying())
        rows = self._rows(query.order_by(slide.c.registered_at, slide.c.slide_id))
        return {row["slide_id"]: row["registered_at"] for row in rows}

    def paths_below(self, folders: Sequence[str]) -> list[str]:
        """All files below folders that hold slides."""
        below = _is_below(slide_path.c.path, folders)
        return [row["path"] for row in self._rows(select(slide_path.c.path).where(below))]

    def newest_below(self, folders: Sequence[str], n_rows: int) -> list[tuple[str, str, datetime]]:
        """Files below folders that hold slides, the newest first: path, slide, when registered."""
        query = (
            select(slide_path.c.path, slide.c.slide_id, slide.c.registered_at)
            .join_from(slide_path, slide, slide.c.slide_id == slide_path.c.slide_id)
            .where(_is_below(slide_path.c.path, folders), is_staying())
            .order_by(slide.c.registered_at.desc(), slide_path.c.path)
        )
        rows = self._rows(query.limit(n_rows))
        return [(row["path"], row["slide_id"], row["registered_at"]) for row in rows]

    def taken_tables(self, paths: Collection[str] | None = None) -> dict[str, TakenTable]:
        """Tables that were taken, or those of some paths, by path."""
        found = self._rows_of(select(taken_table), taken_table.c.path, paths)
        return {one.path: one for one in sorted(map(_taken, found), key=lambda one: one.path)}

    def find_taken(self, sha256: str, path: str) -> TakenTable | None:
        """A table of this content that was taken, that of this path first; None: none was."""
        query = select(taken_table).where(taken_table.c.sha256 == sha256)
        found = self._rows(query.order_by(taken_table.c.path != path, taken_table.c.path))
        return _taken(found[0]) if found else None

    def forget_taken(self, path: str) -> None:
        """Take a table for one that was never taken; what it changed stays."""
        with writing(self._engine) as connection:
            connection.execute(delete(taken_table).where(taken_table.c.path == path))

    def enter_taken(self, table: TakenTable) -> None:
        """Enter a table that was taken; its refusal, if any, is forgotten."""
        row = flat(table) | {name: list(getattr(table, name)) for name in _LINES}
        if table.taken_at == UNSTAMPED:
            row["taken_at"] = now()
        with writing(self._engine) as connection:
            upsert(connection, taken_table, [row])
            connection.execute(delete(rejected_file).where(rejected_file.c.path == table.path))


_LINES = ("open_lines", "overtaken_lines")
_OF_RIGHTS = case((rejected_file.c.reason == FORBIDDEN, rejected_file.c.ctime_ns), else_=0)
"""The last change of rights, where that counts."""


def _alike(connection: Connection, table: Table, looks: Sequence[FileLook]) -> Iterator[str]:
    """Files that look as a table's rows say."""
    path, size, mtime = table.c.path, table.c.size_bytes, table.c.mtime_ns
    ctime = _OF_RIGHTS if table is rejected_file else literal(0)
    etag = literal("") if table is taken_table else table.c.etag
    query = select(path, size, mtime, etag, ctime).where(path.in_([one[0] for one in looks]))
    if table is rejected_file:
        query = query.where(rejected_file.c.reason != BESIDE)
    rows = {tuple(row) for row in connection.execute(query).all()}
    for one in looks if rows else ():
        if (*one[:4], 0) in rows or one in rows:
            yield one[0]


def _taken(row: Row) -> TakenTable:
    return TakenTable(**{**row, **{name: tuple(row[name] or ()) for name in _LINES}})


def _is_below(path: ColumnElement[str], folders: Sequence[str]) -> ColumnElement[bool]:
    """Whether a path begins with a folder's; not by LIKE, to which SQLite's case says nothing."""
    begins = [f"{folder.rstrip('/')}/" for folder in folders]
    return or_(literal(value=False), *(func.substr(path, 1, len(one)) == one for one in begins))
