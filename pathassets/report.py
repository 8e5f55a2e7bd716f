"""Status, outcomes and lineage -> what a terminal shows: tables and bars, or plain lines in a log."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.table import Column, Table
from rich.tree import Tree

from pathassets.catalog.records import MppOverride, SlideRecord
from pathassets.core.encoder import EncoderCard
from pathassets.engine.ingest import Registration
from pathassets.engine.lineage import Ancestor
from pathassets.engine.platform import Platform
from pathassets.engine.status import Cell, CohortStatus, SlideStatus, cohort_status

_STYLES = {
    "current": "green",
    "stale": "yellow",
    "missing": "dim",
    "failed": "bold red",
    "blocked": "red",
}
_BATCH_LOG = "pathassets.engine.batch"


LOG_WIDTH = 200
"""Columns of a table in a log, where no terminal tells its width."""


def _console() -> Console:
    is_log = not Console().is_terminal
    return Console(soft_wrap=True, highlight=False, width=LOG_WIDTH if is_log else None)


def error(text: str) -> None:
    """Print why a request is impossible, to standard error."""
    Console(stderr=True, soft_wrap=True, highlight=False).print(f"[bold red]error:[/] {escape(text)}")


@contextmanager
def progress(title: str, n_items: int) -> Iterator[Callable[[str], None]]:
    """A bar in a terminal, plain lines in a log; call the result with one line an item."""
    console = _console()
    if not console.is_terminal:
        yield lambda line: console.print(line, markup=False)
        return
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task(title, total=n_items)

        def advance(line: str) -> None:
            bar.console.print(line, markup=False)
            bar.advance(task)

        yield advance


class _SlideLines(logging.Handler):
    """Shows the engine's line of each slide, and moves a bar where there is a terminal."""

    def __init__(self, console: Console, bar: Progress | None) -> None:
        super().__init__(logging.INFO)
        self._console = console
        self._bar = bar
        self._task = bar.add_task("slides", total=None) if bar else None

    def emit(self, record: logging.LogRecord) -> None:
        """Show one slide's line."""
        style = "red" if getattr(record, "is_failed", False) else None
        self._console.print(record.getMessage(), markup=False, style=style)
        if self._bar is not None and self._task is not None:
            fields = vars(record)
            self._bar.update(self._task, completed=fields["n_done"], total=fields["n_slides"])


@contextmanager
def slide_progress() -> Iterator[None]:
    """Show slides as they finish, while the block runs."""
    console = _console()
    bar = Progress(console=console, transient=True) if console.is_terminal else None
    handler = _SlideLines(console, bar)
    log = logging.getLogger(_BATCH_LOG)
    level, propagate = log.level, log.propagate
    log.setLevel(logging.INFO)
    log.propagate = False
    log.addHandler(handler)
    try:
        if bar is None:
            yield
        else:
            with bar:
                yield
    finally:
        log.removeHandler(handler)
        log.setLevel(level)
        log.propagate = propagate


def registration_line(found: Registration) -> str:
    """One line about one path."""
    name = found.slide_id or found.path.name
    said = f": {found.error}" if found.error is not None else ""
    return f"{found.state} {name}{said}"


def status_table(stand: CohortStatus) -> None:
    """Print one row a slide, one column an asset, and the reasons below."""
    console = _console()
    if not stand.slides and not stand.refusals:
        console.print("no slides yet: pathassets ingest PATH…")
        return
    keys = [cell.key for cell in stand.slides[0].cells] if stand.slides else []
    table = Table(Column("slide", overflow="fold", min_width=24), "patient", "mpp")
    for section, name in keys:
        table.add_column(f"{section}\n{name}")
    for slide in stand.slides:
        mpp = slide.planned.slide_mpp
        table.add_row(
            escape(slide.planned.slide_id),
            escape(slide.planned.record.patient or ""),
            "[red]none[/]" if mpp is None else f"{mpp:.4g}",
            *(_cell_text(cell) for cell in slide.cells),
        )
    console.print(table)
    for slide in stand.slides:
        if slide.failure is not None:
            console.print(_failure_text(slide.failure))
    for cell in stand.datasets:
        console.print(f"{'/'.join(cell.key)}: {_cell_text(cell)}")
    for refusal in stand.refusals:
        console.print(f"[red]refused[/] {escape(f'{refusal.message}. {refusal.remedy}')}")


def _cell_text(cell: Cell) -> str:
    style = _STYLES[cell.state]
    said = cell.reason if cell.state == "failed" else cell.state
    if cell.tissue_mm2 is not None:
        return f"[{style}]{said}[/] {cell.tissue_mm2:.2f} mm²"
    count = f" {cell.n_patches} patches" if cell.n_patches is not None else ""
    return f"[{style}]{said}[/]{count}"


def _failure_text(cell: Cell) -> str:
    return f"[red]failed[/] {'/'.join(cell.key)}: {escape(f'{cell.message}. {cell.remedy}')}"


def status_json(stand: CohortStatus) -> str:
    """The same for machines."""
    return json.dumps(
        {
            "slides": [_slide_plain(slide) for slide in stand.slides],
            "datasets": {"/".join(c.key): _cell_plain(c) for c in stand.datasets},
            "refused": [
                {k: v for k, v in asdict(r).items() if k != "refused_at"} for r in stand.refusals
            ],
        },
        indent=1,
    )


def _slide_plain(slide: SlideStatus) -> dict[str, Any]:
    planned = slide.planned
    return {
        "slide_id": planned.slide_id,
        "sha256": planned.record.fingerprint,
        "paths": [p.path for p in planned.paths],
        "mpp": planned.slide_mpp,
        "patient": planned.record.patient,
        "label": planned.record.label,
        "assets": {"/".join(cell.key): _cell_plain(cell) for cell in slide.cells},
    }


def _cell_plain(cell: Cell) -> dict[str, Any]:
    return {k: v for k, v in asdict(cell).items() if k not in {"key", "is_final"} and v not in ("", None)}


def run_end(
    stand: CohortStatus, slide_ids: frozenset[str], n_slides: int, n_datasets: int
) -> bool:
    """Say what a run did and what failed; returns whether any slide stands failed."""
    console = _console()
    rows = [s for s in stand.slides if not slide_ids or s.planned.slide_id in slide_ids]
    failed = [s for s in rows if s.failure is not None]
    if n_slides == 0 and n_datasets == 0:
        again = f", {len(failed)} failed before and would fail again" if failed else ""
        console.print(f"nothing to do: {len(rows) - len(failed)} slides are current{again}")
    else:
        console.print(f"ran {n_slides} slides, built {n_datasets} datasets; {len(failed)} slides failed")
    for slide in failed:
        if slide.failure is not None:
            console.print(_failure_text(slide.failure))
    return bool(failed)


def lineage_json(traced: Ancestor) -> str:
    """An artifact's ancestry for machines."""
    return json.dumps(asdict(traced), indent=1)


def lineage_tree(traced: Ancestor) -> None:
    """Print an artifact's ancestry; what was printed once is only named again."""
    console = _console()
    console.print(_branch(traced, Tree(_title(traced)), set()))


def _branch(one: Ancestor, tree: Tree, printed: set[str]) -> Tree:
    printed.add(str(one.address))
    for name, value in one.facts.items():
        if isinstance(value, dict):
            leaf = tree.add(f"[dim]{escape(name)}[/]") if value else tree
            for key, text in value.items():
                leaf.add(f"[dim]{escape(str(key))}[/] {escape(str(text))}")
        elif value not in (None, "", []):
            text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
            tree.add(f"[dim]{escape(name)}[/] {escape(text)}")
    for parent in one.parents:
        if str(parent.address) not in printed:
            _branch(parent, tree.add(_title(parent)), printed)
    return tree


def _title(one: Ancestor) -> str:
    return f"[bold]{escape(str(one.address))}[/]"


def resolution(record: SlideRecord, stated: list[MppOverride]) -> None:
    """Print what a slide's file says about its resolution, and what people said."""
    console = _console()
    for source in record.mpp_sources:
        console.print(f"{source.source} = {source.value}", markup=False)
    audited = record.resolution_message if record.mpp is None else f"{record.mpp:g} um per pixel"
    console.print(f"the file: {audited}", markup=False)
    for said in stated:
        console.print(
            f"{said.who}: {said.mpp:g} um per pixel at {said.made_at:%Y-%m-%d %H:%M}: {said.why}",
            markup=False,
        )


def encoder_table(cards: Iterable[EncoderCard]) -> None:
    """Print one row an encoder."""
    table = Table("encoder", "version", "dim", "trained", "weights SHA-256", "what")
    for card in cards:
        table.add_row(
            card.name, card.version, str(card.dim), "yes" if card.is_trained else "no",
            card.weights_sha256[:12], card.description,
        )  # fmt: skip
    _console().print(table)


def demo_end(platform: Platform) -> None:
    """Print where the demo's cohort stands, how to load features, and what to do next."""
    console = _console()
    stand = cohort_status(platform)
    status_table(stand)
    loadable = [
        (slide, cell)
        for slide in stand.slides
        for cell in slide.cells
        if cell.key[0] == "features" and cell.state == "current" and cell.n_patches
    ]
    if loadable:
        slide, cell = loadable[0]
        section, name = cell.key
        path = platform.settings.store / section / name / slide.planned.slide_id / cell.digest
        console.print(f"\nfeatures are in {platform.settings.store / 'features'}; load one:\n")
        console.print("    import zarr")
        console.print(f'    bag = zarr.open("{path}/features.zarr", mode="r")', markup=False)
        console.print('    bag["features"][:], bag["coordinates"][:]', markup=False)
    console.print("\nsee it in the browser: make ui   (then http://127.0.0.1:3000)")
