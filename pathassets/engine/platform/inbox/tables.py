"""Cohort tables in the inbox -> taken: by the preview of `cohort import`, whole or not at all.

Lines about slides and patients that nobody knows are left open, and tried again when slides arrive;
the other lines are not said again then, so that what a person corrected since stands. An open line
speaks as of its table's taking: what was stated later stands. A table is taken once for each
content, and none ever moves a slide to another patient.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Literal

from pathassets.adapters.files import FileStamp, stamp_of
from pathassets.adapters.objects.remote_file import FilePlace
from pathassets.catalog.catalog import Catalog
from pathassets.catalog.inbox import TakenTable
from pathassets.catalog.records import RejectedFile
from pathassets.core.text import counted
from pathassets.engine.platform.cohorts.imports import take_table
from pathassets.engine.platform.cohorts.preview import CohortPreview, Leniency, preview_table
from pathassets.engine.platform.cohorts.sheet import Sheet, read_sheet
from pathassets.engine.platform.inbox.later import WHO, stated_later
from pathassets.engine.platform.selections.names import match_slides
from pathassets.errors import PathAssetsError, SlideChanged, SlideUnreadable, SpecError

OPEN_FOR = timedelta(days=30)
MAX_OPEN = 20
"""Tables whose open lines are tried again in one run: a look at all slides for each."""
MAX_TOLD = 3
"""Of what lines did not change, told in an outcome's words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableOutcome:
    """What became of one table."""

    path: str
    state: Literal["taken", "known", "refused"]
    n_lines: int = 0
    n_changes: int = 0
    n_open: int = 0
    """Lines about what nobody knows yet."""
    preview: CohortPreview | None = None
    """What it changed, where it was taken."""
    error: PathAssetsError | None = None

    def __str__(self) -> str:
        """Say it in a line."""
        if self.error is not None:
            return str(self.error)
        rest = f", {self.n_open} of {counted(self.n_lines, 'line')} about what nobody knows yet"
        said = f"{self.path}: {self.state}, {counted(self.n_changes, 'change')}"
        overtaken = self.preview.overtaken if self.preview else ()
        told = [f"; {one}" for one in overtaken[:MAX_TOLD]]
        more = f"; and {len(overtaken) - MAX_TOLD} more" if len(overtaken) > MAX_TOLD else ""
        return f"{said}{rest if self.n_open else ''}{''.join(told)}{more}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """A table that could be read."""

    sheet: Sheet
    stamp: FileStamp
    before: TakenTable | None = None
    """As it was taken earlier, where this is about the lines that were open then."""


def take_tables(catalog: Catalog, paths: Iterable[str]) -> Iterator[TableOutcome]:
    """Take tables; those of slides before those of patients, whom the former may bring."""
    read: list[_Read] = []
    for path in sorted(paths):
        try:
            found = _read(catalog, path)
        except (SlideUnreadable, SlideChanged):
            continue  # gone, or not whole: the next look tells
        except SpecError as error:
            yield _refused(catalog, path, error)
            continue
        read += [found] if found else []
        if found is None:
            yield TableOutcome(path=path, state="known")
    for one in sorted(read, key=lambda one: one.sheet.is_clinical):
        yield _take(catalog, one)


def take_open_lines(
    catalog: Catalog, folders: Iterable[FilePlace], *, besides: Iterable[str]
) -> Iterator[TableOutcome]:
    """Try again the lines that were open when their tables were taken; `besides` were just now.

    In the order of the taking, as if their slides had been there; patients after who brings them.
    """
    begins, just_taken = tuple(f"{folder}/" for folder in folders), {*besides}
    tables = [one for one in catalog.taken_tables().values() if one.path.startswith(begins)]
    newest = newest_open([one for one in tables if one.path not in just_taken])
    found = [one for before in reversed(newest) if (one := _read_open(catalog, before))]
    for one in sorted(found, key=lambda one: one.sheet.is_clinical):
        outcome = _take(catalog, one)
        if outcome.n_changes or outcome.error or (outcome.preview and outcome.preview.overtaken):
            yield outcome


def newest_open(tables: Iterable[TakenTable]) -> list[TakenTable]:
    """Tables of which open lines are tried again, the newest first; one that is gone is not."""
    waiting = [one for one in tables if one.open_lines and not _why_untried(one)]
    return sorted(waiting, key=lambda one: one.taken_at, reverse=True)[:MAX_OPEN]


def untried(tables: Collection[TakenTable]) -> dict[str, str]:
    """Tables of which open lines are not tried, by path, and why."""
    tried = {one.path for one in newest_open(tables)}
    crowded = f"what waits is not tried: {MAX_OPEN} newer tables wait, too"
    left = [one for one in tables if one.open_lines and one.path not in tried]
    return {one.path: _why_untried(one) or crowded for one in left}


def _why_untried(table: TakenTable) -> str:
    if not os.path.isfile(table.path):  # noqa: PTH113 - never raises
        return "the file is gone: what waits is tried only once it is back"
    if table.taken_at < datetime.now(UTC) - OPEN_FOR:
        return f"what waits is not tried any more, {OPEN_FOR.days} days after its taking"
    return ""


def _read_open(catalog: Catalog, before: TakenTable) -> _Read | None:
    """Read the open lines of a table; None where it is gone, or another, and looked at as such."""
    file = Path(before.path)
    try:
        sheet = _beside(catalog, read_sheet(file))
        stamp = stamp_of([file])
    except (SpecError, SlideUnreadable):
        return None
    if sheet.sha256 != before.sha256:
        return None
    numbers = {*before.open_lines}
    lines = tuple(one for one in sheet.lines if one.number in numbers)
    return _Read(sheet=replace(sheet, lines=lines), stamp=stamp, before=before)


def _read(catalog: Catalog, path: str) -> _Read | None:
    """Read a table; None where its content was taken.

    Raises:
        SpecError: it is none.
        SlideUnreadable: it is gone.
        SlideChanged: it changed while it was read.
    """
    file = Path(path)
    stamp = stamp_of([file])
    sheet = _beside(catalog, read_sheet(file))
    if stamp_of([file]) != stamp:
        raise SlideChanged(path, "changed while it was read", remedy="Take it once it is still")
    known = catalog.find_taken(sheet.sha256, path)
    if known is None:
        return _Read(sheet=sheet, stamp=stamp)
    same = replace(known, path=path, size_bytes=stamp.size_bytes, mtime_ns=stamp.mtime_ns)
    if path != known.path:
        same = replace(same, n_changes=0, overtaken_lines=())
    catalog.enter_taken(same)
    return None


def _beside(catalog: Catalog, sheet: Sheet) -> Sheet:
    """Let a name that a slide of the table's own folder has stand for that one, and no other."""
    folder = Path(sheet.source).parent
    paths = [Path(one).relative_to(folder) for one in catalog.paths_below([str(folder)])]
    here = {str(name) for one in paths for name in (one, one.with_suffix(""))}

    def of_here(name: str) -> str:
        return str(folder / name) if name in here else name

    lines = (replace(one, slide=of_here(one.slide), file=of_here(one.file)) for one in sheet.lines)
    return replace(sheet, lines=tuple(lines))


def _take(catalog: Catalog, one: _Read) -> TableOutcome:
    sheet, path, before = one.sheet, one.sheet.source, one.before
    later = partial(stated_later, catalog, before) if before else None
    preview = preview_table(catalog, sheet, leniency=Leniency(may_skip=True), later=later)
    if preview.conflicts:
        return _refused(catalog, path, _against(preview, n_waiting=len(sheet.lines) * bool(before)))
    open_lines = _open_lines(catalog, sheet) if preview.n_skipped else ()
    take_table(catalog, preview, who=WHO)
    n_changes = len(preview.changes)
    catalog.enter_taken(
        TakenTable(
            path=path, sha256=sheet.sha256, n_lines=len(sheet.lines), n_changes=n_changes,
            size_bytes=one.stamp.size_bytes, mtime_ns=one.stamp.mtime_ns, open_lines=open_lines,
        )
        if before is None
        else replace(
            before, n_changes=before.n_changes + n_changes, open_lines=open_lines,
            overtaken_lines=_gave_way(before.overtaken_lines, preview),
        )
    )  # fmt: skip
    return TableOutcome(
        path=path, state="taken", n_lines=before.n_lines if before else len(sheet.lines),
        n_changes=n_changes, n_open=len(open_lines), preview=preview,
    )  # fmt: skip


def _gave_way(before: Collection[int], preview: CohortPreview) -> tuple[int, ...]:
    """Numbers of lines that gave way earlier, and now."""
    return tuple(sorted({*before, *(one.line for one in preview.overtaken)}))


def _against(preview: CohortPreview, *, n_waiting: int) -> SpecError:
    """What speaks against a table, or against those lines of it that waited."""
    first, path = preview.conflicts[0], shlex.quote(preview.source)
    more = f" ({len(preview.conflicts)} conflicts)" if len(preview.conflicts) > 1 else ""
    left = f"nothing of its {n_waiting} waiting lines" if n_waiting else "nothing"
    again = f"if the table stays as it is: pathassets inbox retry {path}"
    remedy = f"{first.remedy} (pathassets cohort import {path}); {again}"
    return SpecError(f"{first.message}{more}; {left} was changed", remedy=remedy)


def _open_lines(catalog: Catalog, sheet: Sheet) -> tuple[int, ...]:
    """Numbers of the lines about slides, or patients, that nobody knows."""
    state = catalog.cohort_state()
    if sheet.is_clinical:
        return tuple(one.number for one in sheet.lines if one.patient not in state.patients)
    found = match_slides(catalog, (one.slide for one in sheet.lines), is_near=False).slides
    return tuple(one.number for one in sheet.lines if one.slide not in found)


def _refused(catalog: Catalog, path: str, error: PathAssetsError) -> TableOutcome:
    try:
        stamp = stamp_of([Path(path)])
    except SlideUnreadable:
        stamp = FileStamp(size_bytes=0, mtime_ns=0, ctime_ns=0)
    is_forbidden = isinstance(error.__cause__, PermissionError)
    catalog.refuse(
        RejectedFile(
            path=path,
            reason="no_permission" if is_forbidden else "table_refused",
            message=error.message,
            remedy=error.remedy,
            size_bytes=stamp.size_bytes,
            mtime_ns=stamp.mtime_ns,
            ctime_ns=stamp.ctime_ns,
        )
    )
    return TableOutcome(path=path, state="refused", error=error)
