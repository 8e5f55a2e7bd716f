"""What is found out about single slides, for a terminal: their tiles, registration, resolution."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from pathassets.adapters.objects.remote_file import FilePlace
from pathassets.catalog.records import MppOverride, SlideRecord
from pathassets.core.text import counted, visible
from pathassets.engine.platform.inbox.overview import InboxOverview, ListedTable
from pathassets.engine.platform.inbox.tables import TableOutcome
from pathassets.engine.platform.ingestion.ingest import Registration
from pathassets.engine.slides.tile_check import Check
from pathassets.report.console import open_console
from pathassets.report.json_text import json_text

MAX_LISTED = 50
"""Files of the inbox told one by one, of each kind."""
MAX_FAULTS = 20
"""Bad tiles of a slide told one by one."""


def check(done: Check) -> None:
    """Print what every tile of a slide is like."""
    console = open_console()
    if done.info is None:
        console.print(visible(f"{done.path}: cannot be read"), markup=False, style="bold red")
        console.print(f"  {visible(str(done.error))}", markup=False)
        return
    n_bad = len(done.faults)
    verdict = f"{counted(n_bad, 'bad tile')}" if n_bad else "every tile can be read"
    console.print(
        visible(f"{done.path}: {verdict}"), markup=False, style="bold red" if n_bad else "green"
    )
    info = done.info
    mpp = f"{info.mpp:g} um per pixel" if info.mpp else info.audit.fact
    console.print(visible(f"  {info.vendor}, {mpp}, read by {info.reader}"), markup=False)
    if info.fallback:
        console.print(visible(f"  not by the tile reader: {info.fallback}"), markup=False)
    for note in info.notes:
        console.print(visible(f"  mind: {note}"), markup=False, style="yellow")
    for level, found in enumerate(done.levels):
        grid = found.grid
        drawn = f", {len(found.drawn):,} not stored, drawn from level {level - 1}"
        console.print(
            f"  level {level}: {grid.width_px:,} x {grid.height_px:,} px, "
            f"{grid.n_tiles:,} tiles, {len(found.faults)} bad{drawn if found.drawn else ''}",
            markup=False,
        )
    for fault in done.faults[:MAX_FAULTS]:
        console.print(visible(f"  {fault.reason:12} {fault}"), markup=False, style="red")
    if n_bad > MAX_FAULTS:
        again = f"pathassets check {shlex.quote(str(done.path))} --json has all"
        console.print(visible(f"  … and {n_bad - MAX_FAULTS} more; {again}"), markup=False)


def checks_json(checks: Iterable[Check]) -> str:
    """All of it, for machines."""
    return json_text([_check_facts(done) for done in checks], indent=2)


def _check_facts(done: Check) -> dict[str, Any]:
    error = done.error
    facts: dict[str, Any] = {"path": str(done.path), "is_sound": done.is_sound}
    if error is not None:
        facts["error"] = {
            "reason": error.reason, "message": error.message, "remedy": error.remedy
        }  # fmt: skip
    if done.info is not None:
        facts["slide"] = asdict(done.info)
        facts["n_tiles"] = [level.grid.n_tiles for level in done.levels]
        facts["drawn_tiles"] = [list(level.drawn) for level in done.levels]
        facts["bad_tiles"] = [asdict(fault) for fault in done.faults]
    return facts


def registration_line(found: Registration) -> str:
    """One line about one path."""
    name = found.slide_id or found.path.name
    said = f": {found.error or found.note}" if found.error or found.note else ""
    return visible(f"{found.state} {name}{said}")


def table_line(found: TableOutcome) -> str:
    """One line about one cohort table."""
    return visible(str(found))


def watching_line(folders: Iterable[FilePlace]) -> str:
    """What is watched."""
    return visible(f"watching {', '.join(map(str, folders))}; Ctrl-C ends it")


def retried_line(path: str) -> str:
    """What a retry of a file leads to."""
    return visible(f"{path}: is looked at again")


def inbox_lists(found: InboxOverview) -> None:
    """Print what waits in the inbox, what was refused, and what was taken last."""
    console = open_console()

    def tell(title: str, lines: Iterable[str], style: str = "") -> None:
        console.print(title, markup=False, style="bold")
        shown = list(lines)
        for line in shown[:MAX_LISTED]:
            console.print(f"  {visible(line)}", markup=False, style=style)
        if len(shown) > MAX_LISTED:
            console.print(f"  … and {len(shown) - MAX_LISTED} more; --json has all")

    tell(f"{len(found.waiting)} waiting", (f"{one.path}: {one.why}" for one in found.waiting))
    if not found.is_watched:
        console.print(f"  {UNWATCHED}", markup=False, style="yellow")
    refused = (f"{one.reason:18} {one.message}. {one.remedy}" for one in found.refused)
    tell(f"{len(found.refused)} refused", refused, "red")
    tables = (
        f"{one.taken_at:%Y-%m-%d %H:%M} {one.path}: {counted(one.n_changes, 'change')}"
        + (_open_lines(one) if one.open_lines else "")
        + (f" ({one.note})" if one.note else "")
        for one in found.tables
    )
    tell(f"{counted(len(found.tables), 'table')} taken", tables)
    slides = (
        f"{one.registered_at:%Y-%m-%d %H:%M} {one.slide_id} {one.path}" for one in found.slides
    )
    tell("slides taken last", slides)


def _open_lines(table: ListedTable) -> str:
    return f", {len(table.open_lines)} of {counted(table.n_lines, 'line')} open"


UNWATCHED = (
    "nobody looks into the inbox: switch on the sensor 'inbox' on the page of `pathassets ui`, or "
    "pathassets ingest --watch"
)


def inbox_json(found: InboxOverview) -> str:
    """All of it, for machines."""
    facts = asdict(found) | {"folders": [str(one) for one in found.folders]}
    return json_text(facts, indent=2, default=str)


def resolution(record: SlideRecord, stated: list[MppOverride]) -> None:
    """Print what a slide's file says about its resolution, and what people said."""
    console = open_console()
    for source in record.mpp_sources:
        console.print(visible(f"{source.source} = {source.value}"), markup=False)
    audited = record.resolution_message if record.mpp is None else f"{record.mpp:g} um per pixel"
    console.print(visible(f"the file: {audited}"), markup=False)
    for said in stated:
        when = f"{said.made_at:%Y-%m-%d %H:%M}"
        line = f"{said.who}: {said.mpp:g} um per pixel at {when}: {said.why}"
        console.print(visible(line), markup=False)
