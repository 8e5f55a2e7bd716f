"""Verdicts on slides, and slides that wait for one, for a terminal or JSON."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.markup import escape
from rich.table import Table

from pathassets.catalog.records import Verdict
from pathassets.core.text import counted, visible
from pathassets.engine.platform.quality.queue import Waiting
from pathassets.engine.platform.quality.verdict_table import VerdictPreview
from pathassets.report.console import open_console
from pathassets.report.json_text import json_text

MAX_LINES = 200
"""Slides that are told one by one; --json has all."""


_UNMEASURED = (
    "none is in review, and no entry of patch_quality in the recipe measures focus, ink or folds"
)
_NO_VERDICTS = "no verdicts: pathassets qc set SLIDE accept --who NAME --why …"


def verdicts(found: Sequence[Verdict], *, as_json: bool) -> None:
    """Print verdicts."""
    console = open_console()
    if as_json:
        console.print(json_text([*map(_verdict_plain, found)], indent=1), markup=False)
        return
    table = Table("slide", "verdict", "who", "when", "why")
    for one in found:
        cells = (one.slide_id, one.verdict, one.who, f"{one.made_at:%Y-%m-%d %H:%M}", one.why)
        table.add_row(*(escape(visible(cell)) for cell in cells))
    console.print(table if found else _NO_VERDICTS)


def _verdict_plain(one: Verdict) -> dict[str, Any]:
    return {**asdict(one), "made_at": one.made_at.isoformat(timespec="seconds")}


def verdict_preview(preview: VerdictPreview, *, as_json: bool) -> None:
    """Print what a table would state: what speaks against it first, then slide by slide."""
    console = open_console()
    if as_json:
        stated = [
            {n: v for n, v in asdict(one).items() if n != "made_at"} for one in preview.verdicts
        ]
        console.print(json_text(asdict(preview) | {"verdicts": stated}, indent=1), markup=False)
        return
    console.print(visible(f"{preview.source}: {preview.reading}"), markup=False)
    for conflict in preview.conflicts[:MAX_LINES]:
        line = visible(f"{conflict.message}. {conflict.remedy}")
        console.print(line, markup=False, style="bold red")
    for note in preview.notes:
        console.print(visible(f"mind: {note}"), markup=False, style="yellow")
    for one in preview.verdicts[:MAX_LINES]:
        said = visible(f"slide {one.slide_id}: {one.verdict}, by {one.who}: {one.why}")
        console.print(said, markup=False)
    end = f"{counted(len(preview.verdicts), 'verdict')} to state"
    if preview.n_same:
        end += f", {preview.n_same} in force already"
    if preview.conflicts:
        end += f"; nothing is stated: {counted(len(preview.conflicts), 'conflict')}"
    console.print(end, markup=False)


def review_queue(found: Sequence[Waiting], *, is_measured: bool, as_json: bool) -> None:
    """Print slides that wait for a person, with what speaks against each.

    `is_measured` says whether the recipe has an entry that measures quality.
    """
    console = open_console()
    if as_json:
        console.print(json_text([*map(_waiting_plain, found)], indent=1), markup=False)
        return
    if not found:
        said = "none breaks a rule without a verdict since, or is in review"
        console.print(f"no slide waits: {said if is_measured else _UNMEASURED}", markup=False)
        return
    table = Table("slide", "why", "focus", "blurred", "ink", "folds", "colour", "mm²", "verdict")
    for one in found[:MAX_LINES]:
        verdict = "" if one.verdict is None else f"{one.verdict.verdict} ({one.verdict.who})"
        cells = (one.slide_id, _why(one), *_numbers(one), verdict)
        table.add_row(*(escape(visible(cell)) for cell in cells))
    console.print(table)
    if len(found) > MAX_LINES:
        console.print(f"{MAX_LINES} of {len(found)} slides are shown; --json has all")
    console.print(
        f"pathassets qc set {shlex.quote(found[0].slide_id)} accept --who NAME --why … takes "
        "the first one out of it; so does reject",
        markup=False,
    )


def _why(one: Waiting) -> str:
    said = [str(rule) for rule in one.broken]
    if one.verdict is not None and one.verdict.verdict == "review":
        said.insert(0, one.verdict.why)
    return "; ".join(said)


def _numbers(one: Waiting) -> list[str]:
    """Numbers as people write them; empty where one is not known."""
    facts = one.facts
    shares = ("blurred_share", "ink_share", "fold_share")
    return [
        _three(facts.get("focus_median")),
        *("" if facts.get(name) is None else f"{facts[name]:.1%}" for name in shares),
        _three(facts.get("colour_deviation")),
        _three(facts.get("tissue_mm2")),
    ]


def _three(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.3g}" if value < 1000 else f"{value:,.0f}"  # noqa: PLR2004 - no 1e+03


def _waiting_plain(one: Waiting) -> dict[str, Any]:
    return {
        "slide_id": one.slide_id,
        "entry": one.entry,
        "severity": one.severity if math.isfinite(one.severity) else None,
        "broken": [{**asdict(rule), "message": str(rule)} for rule in one.broken],
        "facts": dict(one.facts),
        "verdict": None if one.verdict is None else _verdict_plain(one.verdict),
    }
