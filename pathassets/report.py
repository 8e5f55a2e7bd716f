"""Status, outcomes and lineage -> what a terminal shows: tables, bars, or plain lines in a log."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table
from rich.tree import Tree

from pathassets.catalog.records import MppOverride, SlideRecord
from pathassets.core.encoder import EncoderCard
from pathassets.engine.check import Check
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
_MORE = "pathassets status --json has all"

NO_SLIDES = "no slides yet: pathassets ingest PATH…"

LOG_WIDTH = 200
"""Columns of a table in a log, where no terminal tells its width."""
MAX_ROWS = 200
"""Rows of a table unless all are asked for: a row takes rich a millisecond, and a person more."""
MAX_FAULTS = 20
"""Bad tiles of a slide told one by one."""
MAX_FAILURES = 20
"""Failures told one by one; of the others, how many there are of each reason."""


def _console() -> Console:
    # soft_wrap leaves long lines to the terminal, so that a command in them can be copied.
    console = Console(soft_wrap=True, highlight=False, emoji=False)
    if not console.is_terminal:
        console.width = LOG_WIDTH
    return console


def check(done: Check) -> None:
    """Print what every tile of a slide is like."""
    console = _console()
    if done.info is None:
        console.print(f"{done.path}: cannot be read", markup=False, style="bold red")
        console.print(f"  {done.error}", markup=False)
        return
    n_bad = len(done.faults)
    verdict = f"{counted(n_bad, 'bad tile')}" if n_bad else "every tile can be read"
    console.print(f"{done.path}: {verdict}", markup=False, style="bold red" if n_bad else "green")
    info = done.info
    mpp = f"{info.mpp:g} um per pixel" if info.mpp else info.audit.fact
    console.print(f"  {info.vendor}, {mpp}, read by {info.reader}", markup=False)
    if info.fallback:
        console.print(f"  not by the tile reader: {info.fallback}", markup=False)
    for level, found in enumerate(done.levels):
        grid = found.grid
        console.print(
            f"  level {level}: {grid.width_px:,} x {grid.height_px:,} px, "
            f"{grid.n_tiles:,} tiles, {len(found.faults)} bad",
            markup=False,
        )
    for fault in done.faults[:MAX_FAULTS]:
        console.print(f"  {fault.reason:12} {fault}", markup=False, style="red")
    if n_bad > MAX_FAULTS:
        console.print(f"  … and {n_bad - MAX_FAULTS} more; pathassets check --json has all")


def checks_json(checks: Iterable[Check]) -> str:
    """All of it, for machines."""
    return json.dumps([_check_facts(done) for done in checks], indent=2)


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
        facts["bad_tiles"] = [asdict(fault) for fault in done.faults]
    return facts


def error(text: str) -> None:
    """Print why a request is impossible, to standard error."""
    console = Console(stderr=True, soft_wrap=True, highlight=False, emoji=False)
    console.print(f"[bold red]error:[/] {escape(text)}")


@contextmanager
def progress(title: str, n_items: int) -> Iterator[Callable[[str], None]]:
    """A bar in a terminal, plain lines in a log; call the result with one line (or '') an item."""
    console = _console()
    if not console.is_terminal:
        yield lambda line: console.print(line, markup=False) if line else None
        return
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task(title, total=n_items)

        def advance(line: str) -> None:
            if line:
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


def status_table(stand: CohortStatus, *, is_whole: bool = False) -> None:
    """Print one row a slide, one column an asset, and the reasons below.

    Of a large cohort it prints the slides that are not wholly current first, then as many of the
    others as there is room for, unless the whole is asked for.
    """
    console = _console()
    if not stand.slides and not stand.refusals:
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
    for cell in stand.datasets:
        console.print(f"{'/'.join(cell.key)}: {_cell_text(cell)}")
    refused = [escape(f"{r.message}. {r.remedy}") for r in stand.refusals]
    for line in refused[:MAX_FAILURES]:
        console.print(f"[red]refused[/] {line}")
    if len(refused) > MAX_FAILURES:
        console.print(f"[red]refused[/] {len(refused) - MAX_FAILURES} more: {_MORE}")


def _is_all_current(slide: SlideStatus) -> bool:
    return all(cell.state == "current" for cell in slide.cells)


def _table(stand: CohortStatus, rows: tuple[SlideStatus, ...]) -> Table:
    """A row a slide; where some are left out, a footer counts what all of them are."""
    table = Table(show_footer=len(rows) < len(stand.slides))
    table.add_column("slide", footer=str(len(stand.slides)), overflow="fold", min_width=24)
    table.add_column("patient", overflow="fold")
    table.add_column("mpp")
    for key in (cell.key for cell in rows[0].cells):
        counts = "\n".join(f"{n} {state}" for state, n in stand.counts(key).items())
        table.add_column("\n".join(key), footer=counts, overflow="fold")
    for slide in rows:
        mpp = slide.planned.slide_mpp
        table.add_row(
            escape(slide.planned.slide_id),
            escape(slide.planned.record.patient or ""),
            "[red]none[/]" if mpp is None else f"{mpp:.4g}",
            *(_cell_text(cell) for cell in slide.cells),
        )
    return table


def failures(slides: Iterable[SlideStatus]) -> None:
    """Print what failed and the remedy, slide by slide; many are summed up by their reasons."""
    console = _console()
    failed = [slide.failure for slide in slides if slide.failure is not None]
    for cell in failed[:MAX_FAILURES]:
        said = escape(f"{cell.message}. {cell.remedy}")
        console.print(f"[red]failed[/] {'/'.join(cell.key)}: {said}")
    rest = Counter(cell.reason for cell in failed[MAX_FAILURES:])
    if rest:
        counts = ", ".join(f"{n} {reason}" for reason, n in rest.most_common())
        console.print(f"[red]failed[/] {rest.total()} more, {counts}: {_MORE}")


def _cell_text(cell: Cell) -> str:
    style = _STYLES[cell.state]
    said = cell.reason if cell.state == "failed" else cell.state
    if cell.tissue_mm2 is not None:
        return f"[{style}]{said}[/] {cell.tissue_mm2:.2f} mm²"
    count = f" {cell.n_patches} patches" if cell.n_patches is not None else ""
    return f"[{style}]{said}[/]{count}"


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
    _console().print(said)


def counted(n: int, noun: str) -> str:
    """Count in words.

    >>> counted(1, "slide"), counted(2, "slide")
    ('1 slide', '2 slides')
    """
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


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
    table = Table("encoder", "version", "dim", "weights", "SHA-256", "what")
    for card in cards:
        table.add_row(
            card.name, card.version, str(card.dim), card.weights,
            card.weights_sha256[:12], card.description,
        )  # fmt: skip
    _console().print(table)


def demo_end(platform: Platform) -> None:
    """Print where the demo's cohort stands, how to load features, and what to do next."""
    console = _console()
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
