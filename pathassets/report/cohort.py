"""Where the cohort stands, for a terminal: a table, what failed and why, or JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import asdict
from typing import Any

from rich.markup import escape
from rich.table import Table

from pathassets.core.text import visible
from pathassets.engine.platform.platform import Platform
from pathassets.engine.platform.status import Cell, CohortStatus, SlideStatus, cohort_status
from pathassets.report.annotations import annotation_plain
from pathassets.report.console import counted, open_console, paragraph

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
"""Rows of a table unless all are asked for: a row takes rich a millisecond, and a person more."""
MAX_FAILURES = 20
"""Failures told one by one; of the others, how many there are of each reason."""


def status_table(stand: CohortStatus, *, is_whole: bool = False) -> None:
    """Print one row a slide, one column an asset, and the reasons below.

    Of a large cohort it prints the slides that are not wholly current first, then as many of the
    others as there is room for, unless the whole is asked for.
    """
    console = open_console()
    if not stand.slides and not stand.rejected_files:
        console.print(NO_SLIDES)
        return
    if stand.slides:
        n_rows = len(stand.slides) if is_whole else MAX_ROWS
        rows = stand.slides
        if len(rows) > n_rows:
            rows = tuple(sorted(rows, key=_is_all_current)[:n_rows])
        console.print(_table(stand, rows))
        if len(rows) < len(stand.slides):
            console.print(
                f"{len(rows)} of {len(stand.slides)} slides are shown, those with open work first: "
                "pathassets status --all shows every one"
            )
    failures(stand.slides)
    damages(stand.slides, stand.datasets)
    for cell in stand.datasets:
        console.print(f"{'/'.join(cell.key)}: {_cell_text(cell)}")
    refused = [escape(paragraph(f"{r.message}. {r.remedy}")) for r in stand.rejected_files]
    for line in refused[:MAX_FAILURES]:
        console.print(f"[red]refused[/] {line}")
    if len(refused) > MAX_FAILURES:
        console.print(f"[red]refused[/] {len(refused) - MAX_FAILURES} more: {_MORE}")


def _is_all_current(slide: SlideStatus) -> bool:
    return not slide.annotations and all(cell.state == "current" for cell in slide.cells)


def _table(stand: CohortStatus, rows: tuple[SlideStatus, ...]) -> Table:
    """A row a slide; where some are left out, a footer counts what all of them are."""
    table = Table(show_footer=len(rows) < len(stand.slides))
    table.add_column("slide", footer=str(len(stand.slides)), overflow="fold", min_width=24)
    table.add_column("patient", overflow="fold")
    table.add_column("mpp")
    for name in stand.annotations:
        n_drawn = sum(slide.planned.annotation(name) is not None for slide in stand.slides)
        table.add_column(f"annotations\n{name}", footer=f"{n_drawn} recorded", overflow="fold")
    for key in (cell.key for cell in rows[0].cells):
        counts = "\n".join(f"{n} {state}" for state, n in stand.counts(key).items())
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
    return table


def failures(slides: Iterable[SlideStatus]) -> None:
    """Print what failed and the remedy, slide by slide; many are summed up by their reasons."""
    failed = [slide.failure for slide in slides if slide.failure is not None]
    _reasons("[red]failed[/]", failed)


def damages(slides: Iterable[SlideStatus], datasets: Iterable[Cell] = ()) -> None:
    """Print what was made, or recorded, and is not whole any more, with the remedy."""
    of_slides = [cell for slide in slides for cell in slide.damages]
    of_all = [cell for cell in datasets if cell.state == "damaged"]
    _reasons("[yellow]damaged[/]", [*of_slides, *of_all])


def _reasons(title: str, cells: list[Cell]) -> None:
    """Print why cells are as they are; of many the first, and how many there are of each reason."""
    console = open_console()
    for cell in cells[:MAX_FAILURES]:
        said = escape(paragraph(f"{cell.message}. {cell.remedy}"))
        console.print(f"{title} {'/'.join(cell.key)}: {said}")
    rest = Counter(cell.reason for cell in cells[MAX_FAILURES:])
    if rest:
        counts = ", ".join(f"{n} {reason}" for reason, n in rest.most_common())
        console.print(f"{title} {rest.total()} more, {counts}: {_MORE}")


def _drawn_text(slide: SlideStatus, name: str) -> str:
    if (lost := slide.annotations.get(name)) is not None:
        return _cell_text(lost)
    drawn = slide.planned.annotation(name)
    return "[dim]none[/]" if drawn is None else counted(drawn.n_polygons, "polygon")


def _cell_text(cell: Cell) -> str:
    style = _STYLES[cell.state]
    said = cell.reason if cell.state in {"failed", "damaged"} else cell.state
    if cell.tissue_mm2 is not None:
        return f"[{style}]{said}[/] {cell.tissue_mm2:.2f} mm²"
    count = f" {cell.n_patches} patches" if cell.n_patches is not None else ""
    return f"[{style}]{said}[/]{count}"


def status_json(stand: CohortStatus) -> str:
    """The same for machines."""
    return json.dumps(
        {
            "slides": [_slide_plain(slide, stand.annotations) for slide in stand.slides],
            "datasets": {"/".join(c.key): _cell_plain(c) for c in stand.datasets},
            "refused": [
                {k: v for k, v in asdict(r).items() if k != "rejected_at"}
                for r in stand.rejected_files
            ],
        },
        indent=1,
    )


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
    hidden = {"key", "is_final"}
    return {k: v for k, v in asdict(cell).items() if k not in hidden and v not in ("", None)}


def run_end(rows: Collection[SlideStatus], n_slides: int, n_datasets: int) -> None:
    """Say what a run over these slides did."""
    n_failed = sum(row.failure is not None for row in rows)
    if n_slides or n_datasets:
        said = f"ran {counted(n_slides, 'slide')}, built {counted(n_datasets, 'dataset')}; "
        said += f"{counted(n_failed, 'slide')} failed"
    else:
        said = f"nothing to do: {counted(len(rows) - n_failed, 'current slide')}"
        said += f", {n_failed} failed before and would fail again" if n_failed else ""
    open_console().print(said)


def demo_end(platform: Platform) -> None:
    """Print where the demo's cohort stands, how to load features, and what to do next."""
    console = open_console()
    stand = cohort_status(platform)
    status_table(stand)
    loadable = [
        (*cell.key, slide.planned.slide_id, cell.digest)
        for slide in stand.slides
        for cell in slide.cells
        if cell.key[0] == "features" and cell.state == "current" and cell.n_patches
    ]
    store = platform.settings.store
    for place in loadable[:1]:
        path = store.joinpath(*place)
        console.print(f"\nfeatures are in {store / 'features'}; load one:\n", markup=False)
        console.print("    import zarr")
        console.print(f'    bag = zarr.open("{path}/features.zarr", mode="r")', markup=False)
        console.print('    bag["features"][:], bag["coordinates"][:]', markup=False)
    console.print("\nsee it in the browser: make ui   (then http://127.0.0.1:3000)")
