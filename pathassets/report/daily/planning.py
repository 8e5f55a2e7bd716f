"""What a run will take, for a terminal or as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace
from datetime import UTC, datetime

from rich.markup import escape
from rich.table import Table

from pathassets.catalog.standing.looks import LookAge
from pathassets.core.rates import SHARE, Estimate
from pathassets.core.text import counted, visible
from pathassets.core.units import duration, volume
from pathassets.engine.platform.planning.forecast import Forecast, Unknown
from pathassets.engine.platform.planning.rates import MIN_SLIDES, Kind, Place
from pathassets.engine.platform.planning.work import Skipped
from pathassets.engine.platform.standing.rows import Cell
from pathassets.report.console import open_console
from pathassets.report.daily.looks import look_line
from pathassets.report.json_text import json_text


def plan_page(found: Forecast, asked: Place, age: LookAge | None = None) -> None:
    """Print what would be done, how long it will take, and what nobody knows or would be skipped.

    `asked` is where the run would work, `age` how old the last look at the store is, where it was
    not looked at.
    """
    console = open_console()
    work = found.work
    current = f", {work.n_current:,} current" if work.n_current else ""
    console.print(f"{counted(work.n_slides, 'slide')}: {found.n_to_do:,} to work on{current}")
    if found.n_to_do:
        console.print(_table(found))
        console.print(f"reads at most {volume(found.read_bytes)}, the files of those slides")
        for line in _time_lines(found, asked):
            console.print(escape(line))
    for line in unknown_lines(found.unknown):
        console.print(f"[yellow]not known[/] {escape(line)}")
    for line in skipped_lines(work.skipped):
        console.print(f"[yellow]skipped[/] {escape(line)}")
    if age is not None:
        console.print(look_line(age, datetime.now(UTC)))


def skipped_lines(skipped: Iterable[Skipped]) -> Iterator[str]:
    """Of which slides something is not made, why, and what helps."""
    for one in skipped:
        ids = ", ".join(one.first) + (" …" if one.n_slides > len(one.first) else "")
        yield visible(f"{counted(one.n_slides, 'slide')}, {one.reason}: {ids}. {one.remedy}")


def _table(found: Forecast) -> Table:
    table = Table()
    for name in ("asset", "slides", "patches", "work", "writes"):
        table.add_column(name, justify="left" if name == "asset" else "right")
    for one in found.entries:
        table.add_row(
            "/".join(one.key), f"{one.n_slides:,}", _count(one.patches),
            "not known" if one.work_s is None else duration(one.work_s.value),
            "not known" if one.written_bytes is None else volume(one.written_bytes.value),
        )  # fmt: skip
    return table


def _count(patches: Estimate | None) -> str:
    if patches is None:
        return ""
    if not patches.variance:
        return f"{patches.value:,.0f}"
    return f"{patches.value:,.0f} ({patches.low:,.0f} to {patches.high:,.0f})"


def _time_lines(found: Forecast, asked: Place) -> list[str]:
    """How long it will take, where, and from how much that is known."""
    measured, wall = found.measured, found.wall
    if wall is None:
        cause = "no run" if measured.paces.workers is None else "nothing of it"
        return [f"how long it takes on {place_words(asked)} is not known: {cause} was measured"]
    pace, wall_s = wall.pace, wall.seconds
    beside = ", beside what is not known yet" if found.unknown else ""
    span = f"{duration(wall_s.low)} to {duration(wall_s.high)}, {100 * SHARE:.0f} % sure"
    on = f"in {counted(found.n_runs, 'run')} on {place_words(asked)}"
    who = "encoding" if wall.by_lines else "work on slides"
    measured_in = f"measured in {counted(pace.n_runs, 'run')}: {duration(pace.start_s)} to start"
    lines = [
        f"takes {duration(wall_s.value)} ({span}) {on}{beside}",
        f"{measured_in}, then {1 / pace.a_second:.2g} s of {who} a second",
    ]
    if pace.n_runs == 1:
        lines.append("how runs differ is not known of one run, and is not in the range")
    if measured.place.n_workers != asked.n_workers:
        lines.append(f"those were with {counted(measured.place.n_workers, 'worker')}")
    return lines


def place_words(place: Place) -> str:
    """Where runs work.

    >>> place_words(Place(machine="AMD EPYC, 2 cores", device="cpu", n_workers=1))
    'AMD EPYC, 2 cores, cpu, 1 worker'
    """
    return f"{place.machine}, {place.device}, {counted(place.n_workers, 'worker')}"


def kind_words(kind: Kind) -> str:
    """What kind of slides.

    >>> kind_words(("jpeg", -2))
    'jpeg at about 0.25 um/px'
    """
    codec, power = kind
    return f"{codec} at about {2.0**power:g} um/px"


def unknown_lines(unknown: Iterable[Unknown]) -> list[str]:
    """What was never measured, and the command that measures it; entries alike in one line."""
    alike: dict[Unknown, list[str]] = {}
    for one in unknown:
        alike.setdefault(replace(one, key=("", "")), []).append("/".join(one.key))
    return [_unknown_line(one, names) for one, names in alike.items()]


def _unknown_line(one: Unknown, names: list[str]) -> str:
    slides = f"{counted(one.n_slides, 'slide')}, {kind_words(one.kind)}"
    said = f"{', '.join(names)} of {slides}: not {MIN_SLIDES} such were made here yet"
    if one.elsewhere:
        said += f" (they were on {'; '.join(one.elsewhere)})"
    return f"{said}. First: pathassets run --slides {','.join(one.first)}"


def plan_json(
    found: Forecast, asked: Place, age: LookAge | None = None, left_out: Iterable[Cell] = ()
) -> str:
    """The same for machines; seconds and bytes."""
    work, wall = found.work, found.wall
    return json_text(
        {
            "n_slides": work.n_slides,
            "n_current": work.n_current,
            "has_looked": age is None,
            "n_to_do": found.n_to_do,
            "n_runs": found.n_runs,
            "machine": asked.machine,
            "device": asked.device,
            "n_workers": asked.n_workers,
            "measured_with_n_workers": found.measured.place.n_workers,
            "n_runs_measured": 0 if wall is None else wall.pace.n_runs,
            "is_whole": not found.unknown,
            "wall_s": _range(found.wall_s),
            "read_bytes_at_most": found.read_bytes,
            "entries": [
                {
                    "asset": "/".join(one.key), "n_slides": one.n_slides,
                    "patches": _range(one.patches), "work_s": _range(one.work_s),
                    "written_bytes": _range(one.written_bytes),
                }
                for one in found.entries
            ],
            "unknown": [
                {
                    "asset": "/".join(one.key), "codec": one.kind[0], "mpp": 2.0 ** one.kind[1],
                    "n_slides": one.n_slides, "first": one.first, "elsewhere": one.elsewhere,
                }
                for one in found.unknown
            ],
            "skipped": [asdict(one) for one in work.skipped],
            "left_out": [_left_out_plain(one) for one in left_out],
        },
        indent=2,
    )  # fmt: skip


def _left_out_plain(cell: Cell) -> dict[str, str]:
    return {
        "asset": "/".join(cell.key), "reason": cell.reason, "message": cell.message,
        "remedy": cell.remedy,
    }  # fmt: skip


def _range(estimate: Estimate | None) -> dict[str, float] | None:
    if estimate is None:
        return None
    return {"value": estimate.value, "low": estimate.low, "high": estimate.high}
