"""Where the cohort stands, for a terminal: a table, what failed and why, or JSON."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from pathassets.core.address import Address
from pathassets.core.recipe import Key
from pathassets.core.text import counted, counted_part, visible
from pathassets.engine.platform.platform import Platform
from pathassets.engine.platform.standing.rows import Cell, SlideStatus, slide_rows
from pathassets.engine.platform.standing.troubles import MAX_TOLD, Lacking, Told, Troubles
from pathassets.engine.platform.status import CohortStatus, Foreseen, cohort_status
from pathassets.errors import AnnotationsMissing, PathAssetsError, SelectionError, SlideForgotten
from pathassets.report.annotations import annotation_plain
from pathassets.report.console import explained, open_console
from pathassets.report.daily.looks import look_line
from pathassets.report.daily.planning import skipped_lines
from pathassets.report.json_text import json_text

_STYLES = {
    "current": "green",
    "stale": "yellow",
    "missing": "dim",
    "damaged": "bold yellow",
    "failed": "bold red",
    "blocked": "red",
}
_MORE = "pathassets status --json has all"

NO_SLIDES = "no slides yet: pathassets ingest PATH…"
MAX_ROWS = 200
"""Slides up to which a table has them all, unless all are asked for."""
PART_ROWS = 50
"""Rows of a table that cannot have all: one takes rich 2 ms, a catalog 1, and a person more."""
MAX_FAILURES = MAX_TOLD
"""Failures told one by one; of the others, how many there are of each reason."""


def status_table(stand: CohortStatus, rows: Iterable[SlideStatus]) -> None:
    """Print one row a slide, one column an asset, and the reasons below.

    Of a large cohort `rows` are those that are shown: slides with open work, then as many of the
    others as there is room for.
    """
    console = open_console()
    if not stand.n_slides and not stand.rejected_files:
        console.print(NO_SLIDES)
        going(stand.going)
        return
    if stand.n_slides:
        _table(stand, list(rows))
    troubles(stand.troubles, (*stand.left_out, *stand.datasets))
    for cell in stand.datasets:
        console.print(f"{'/'.join(cell.key)}: {_cell_text(cell)}")
    for one in stand.rejected_files[:MAX_FAILURES]:
        console.print(f"[red]refused[/] {escape(explained(one.message, one.remedy, one.reason))}")
    if (n_more := len(stand.rejected_files) - MAX_FAILURES) > 0:
        console.print(f"[red]refused[/] {n_more} more: {_MORE}")
    incomplete(stand.datasets)
    doubts(stand.doubts)
    going(stand.going)
    if stand.look is not None:
        console.print(look_line(stand.look, datetime.now(UTC)))


def _table(stand: CohortStatus, rows: list[SlideStatus]) -> None:
    """Print a row a slide; where some are left out, a footer counts what all of them are."""
    is_part = len(rows) < stand.n_slides
    table = Table(show_footer=is_part)
    table.add_column("slide", footer=str(stand.n_slides), overflow="fold", min_width=24)
    table.add_column("patient", overflow="fold")
    table.add_column("mpp")
    for name, n_drawn in stand.annotations.items():
        table.add_column(f"annotations\n{name}", footer=f"{n_drawn} recorded", overflow="fold")
    for key, states in stand.counts.items():
        counts = "\n".join(f"{n} {state}" for state, n in states.items())
        table.add_column("\n".join(key), footer=counts, overflow="fold")
    for slide in rows:
        mpp = slide.planned.slide_mpp
        table.add_row(
            escape(slide.planned.slide_id),
            escape(visible(slide.planned.record.patient or "")),
            "[red]none[/]" if mpp is None else f"{mpp:.4g}",
            *(_drawn_text(slide, name) for name in stand.annotations),
            *(_cell_text(cell) for cell in slide.cells),
        )
    console = open_console()
    console.print(table)
    if is_part:
        console.print(
            f"{len(rows)} of {stand.n_slides} slides are shown, those with open work first: "
            "pathassets status --all shows every one"
        )


def troubles(found: Troubles, datasets: Iterable[Cell] = ()) -> None:
    """Print what failed, and what was made or recorded and is not whole any more; the remedies.

    Of many the first, and how many there are of each reason.
    """
    _reasons("[red]failed[/]", found.failures)
    of_cohort = tuple(datasets)
    kept_back = tuple(cell for cell in of_cohort if cell.state == "failed")
    _reasons("[red]not built[/]", Told(cells=kept_back))
    cells = [*found.damages.cells, *(cell for cell in of_cohort if cell.state == "damaged")]
    rest = Counter(found.damages.rest) + Counter(cell.reason for cell in cells[MAX_TOLD:])
    _reasons("[yellow]damaged[/]", Told(cells=tuple(cells[:MAX_TOLD]), rest=rest))


def incomplete(datasets: Iterable[Cell]) -> None:
    """Print which datasets lack slides of which features are still to be computed."""
    for cell in datasets:
        if cell.n_to_compute:
            console = open_console()
            n_chosen = (cell.n_slides or 0) + cell.n_to_compute
            console.print(
                f"[yellow]mind[/] {'/'.join(cell.key)}: {cell.n_slides} of "
                f"{counted(n_chosen, 'slide')}; {cell.n_to_compute} left out, whose features are "
                "not computed, or not whole: pathassets run computes them, or says what helps"
            )


def doubts(found: Iterable[SelectionError]) -> None:
    """Print what datasets select by, and no slide has."""
    for doubt in found:
        open_console().print(f"[yellow]mind[/] {_explained(doubt)}")


def going(found: Iterable[SlideForgotten]) -> None:
    """Print which slides are outside of all work, as their removal was begun, and what ends it."""
    for one in found:
        open_console().print(f"[yellow]mind[/] {_explained(one)}")


def _explained(error: PathAssetsError) -> str:
    return escape(explained(error.message, error.remedy, error.reason))


def _reasons(title: str, told: Told) -> None:
    console = open_console()
    for one in told.lacking:
        console.print(f"{title} {'/'.join(one.key)}: {escape(_lacking_text(one))}")
    for cell in told.cells:
        said = escape(explained(cell.message, cell.remedy, cell.reason))
        console.print(f"{title} {'/'.join(cell.key)}: {said}")
    if told.rest:
        counts = ", ".join(f"{n} {reason}" for reason, n in Counter(told.rest).most_common())
        console.print(f"{title} {sum(told.rest.values())} more, {counts}: {_MORE}")


def _lacking_text(one: Lacking) -> str:
    n_more = one.n_slides - len(one.first)
    named = ", ".join(map(visible, one.first)) + (f" and {n_more} more" if n_more else "")
    reason = f"reason.{'/'.join(one.key)}:{AnnotationsMissing.reason}"
    record = f"pathassets annotations add FOLDER --name {one.annotation} --who NAME --why …"
    return (
        f"{counted(one.n_slides, 'slide')} lack annotations/{one.annotation}: {named}. "
        f"Record them: {record}; pathassets status --slides {reason} lists all"
    )


def _drawn_text(slide: SlideStatus, name: str) -> str:
    if (lost := slide.annotations.get(name)) is not None:
        return _cell_text(lost)
    drawn = slide.planned.annotation(name)
    return "[dim]none[/]" if drawn is None else counted(drawn.n_polygons, "polygon")


def _cell_text(cell: Cell) -> str:
    style = _STYLES[cell.state]
    said = f"{cell.state} {cell.reason}".strip()
    if cell.tissue_mm2 is not None:
        return f"[{style}]{said}[/] {cell.tissue_mm2:.2f} mm²"
    if cell.n_patches is None:
        return f"[{style}]{said}[/]"
    return f"[{style}]{said}[/] {counted_part(cell.n_used, cell.n_patches, 'patch')}"


def status_json(stand: CohortStatus, rows: Iterable[SlideStatus]) -> Iterator[str]:
    """The same for machines, piece by piece: a cohort of any size fits any memory.

    All pieces are what `json.dumps` with an indent of 1 would make of the whole.
    """
    yield '{\n "slides": ['
    separator, end = "\n  ", "]"
    for row in rows:
        text = json_text(_slide_plain(row, stand.annotations), indent=1)
        yield separator + text.replace("\n", "\n  ")
        separator, end = ",\n  ", "\n ]"
    rest = {
        "datasets": {"/".join(c.key): _cell_plain(c) for c in stand.datasets},
        "refused": [
            {k: v for k, v in asdict(r).items() if k != "rejected_at"} for r in stand.rejected_files
        ],
        "doubts": [str(doubt) for doubt in stand.doubts],
        "removals_begun": [str(one) for one in stand.going],
        "left_out": {"/".join(c.key): _cell_plain(c) for c in stand.left_out},
    }
    yield f"{end},{json_text(rest, indent=1)[1:]}\n"


def _slide_plain(slide: SlideStatus, names: Iterable[str]) -> dict[str, Any]:
    planned = slide.planned
    drawn = {name: planned.annotation(name) for name in names}
    return {
        "slide_id": planned.slide_id,
        "sha256": planned.record.fingerprint,
        "paths": [p.path for p in planned.paths],
        "mpp": planned.slide_mpp,
        "patient": planned.record.patient,
        "label": planned.record.label,
        "annotations": {
            n: annotation_plain(d) | _lost_plain(slide, n)
            for n, d in drawn.items()
            if d is not None
        },
        "assets": {"/".join(cell.key): _cell_plain(cell) for cell in slide.cells},
    }


def _lost_plain(slide: SlideStatus, name: str) -> dict[str, Any]:
    lost = slide.annotations.get(name)
    return {} if lost is None else _cell_plain(lost)


def _cell_plain(cell: Cell) -> dict[str, Any]:
    hidden = {"key", "is_final", "is_passing"}
    return {k: v for k, v in asdict(cell).items() if k not in hidden and v not in ("", None)}


_AGAIN = "failed before and would fail again"


def run_end(  # noqa: PLR0913 - what a run did, in numbers
    n_rows: int, n_failed: int, n_slides: int, n_datasets: int, n_kept_back: int = 0,
    *, n_failed_before: int = 0,
) -> None:  # fmt: skip
    """Say what a run over so many slides did, and how many of them stand as failed.

    Of those `n_failed_before` were not touched. `n_kept_back` are datasets of which no version was
    made.
    """
    if n_slides or n_datasets or n_kept_back:
        said = f"ran {counted(n_slides, 'slide')}, built {counted(n_datasets, 'dataset')}; "
        said += f"{counted(n_failed - n_failed_before, 'slide')} failed"
        said += f", {n_failed_before} {_AGAIN}" if n_failed_before else ""
        said += f", {counted(n_kept_back, 'dataset')} not built" if n_kept_back else ""
    else:
        said = f"nothing to do: {counted(n_rows - n_failed, 'current slide')}"
        said += f", {n_failed} {_AGAIN}" if n_failed else ""
    open_console().print(said)


def foreseen(found: Foreseen, datasets: Mapping[Cell, Key | None]) -> None:
    """Print what a run would do, a line an entry; `datasets` with the features of each."""
    console = open_console()
    made: set[Key] = set()
    for one in found.entries:
        said = [_n_by_state("to compute", one.to_compute), f"{one.n_current} current"]
        if one.refused:
            said.append(_n_by_state("not tried", one.refused))
        if one.to_compute:
            made.add(one.key)
        console.print(f"{'/'.join(one.key)}: {', '.join(said)}")
    for cell, features in datasets.items():
        is_due = cell.state != "current" or features in made
        said_of = "to build" if is_due else "current"
        if cell.state == "failed" and not cell.digest:
            why = explained(cell.message, cell.remedy, cell.reason)
            said_of = f"not built: {escape(why)}"
        console.print(f"{'/'.join(cell.key)}: {said_of}")
    for line in skipped_lines(found.skipped):
        console.print(f"[yellow]skipped[/] {escape(line)}")
    console.print("nothing was made: pathassets run without --dry-run does it")


def _n_by_state(what: str, counts: Mapping[str, int]) -> str:
    states = ", ".join(f"{n} {state}" for state, n in counts.items())
    return f"{sum(counts.values())} {what}" + (f" ({states})" if counts else "")


def demo_end(platform: Platform) -> None:
    """Print where the demo's cohort stands, how to load features, and what to do next."""
    console = open_console()
    stand = cohort_status(platform)
    rows = list(slide_rows(platform))
    status_table(stand, rows)
    loadable = [
        (*cell.key, slide.planned.slide_id, cell.digest)
        for slide in rows
        for cell in slide.cells
        if cell.key[0] == "features" and cell.state == "current" and cell.n_patches
    ]
    for place in loadable[:1]:
        folder = platform.store.fetch(Address(*place))
        console.print(
            f"\nfeatures are in {visible(platform.store.where)}/features; load one:\n",
            markup=False,
        )
        console.print("    import zarr")
        opening = f'    bag = zarr.open("{folder}/features.zarr", mode="r")'
        console.print(visible(opening), markup=False)
        console.print('    bag["features"][:], bag["coordinates"][:]', markup=False)
    console.print("\nsee it in the browser: pathassets ui   (then http://127.0.0.1:3000)")


def next_steps(home: Path) -> None:
    """Print how to go on in a new home: commands to be copied."""
    console = open_console()
    steps = (
        f"cd {shlex.quote(str(home))}",
        "pathassets ingest /path/to/scans    # files or folders; --cohort TABLE: whose they are",
        "pathassets run                      # what recipe.yaml asks for, of every slide",
        "pathassets ui                       # the same in the browser: http://127.0.0.1:3000",
    )
    console.print("\nnext:\n")
    for step in steps:
        console.print(f"    {step}", markup=False, highlight=False, soft_wrap=True)
