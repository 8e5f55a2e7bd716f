"""What was exported or imported, for a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import get_args

from pathassets.core.text import counted, visible
from pathassets.core.units import duration, volume
from pathassets.engine.platform.exchange.adopt import Imported, State
from pathassets.engine.platform.exchange.export import ExportedSlide
from pathassets.engine.platform.exchange.savings import Savings


def exported_line(one: ExportedSlide) -> str:
    """One line about a slide, or the tables, of an export."""
    said = f": {one.said}" if one.said else ""
    n_files = f", {counted(len(one.files), 'file')}" if one.files else ""
    return visible(f"{one.state} {one.subject}{n_files}{said}")


def exported_end(done: Sequence[ExportedSlide]) -> str:
    """Count what became of an export."""
    counts = Counter(one.state for one in done)
    shown = [f"{counts[state]} {state}" for state in ("written", "kept", "empty", "refused")
             if counts[state]]  # fmt: skip
    n_files = counted(sum(len(one.files) for one in done), "file")
    return f"{', '.join(shown) or 'nothing to export'}; {n_files}"


def imported_line(one: Imported, *, is_dry: bool) -> str:
    """One line about a file of an import."""
    state = f"would be {one.state}" if is_dry and one.state == "adopted" else one.state
    whose = f" {one.slide_id}" if one.slide_id else ""
    n_patches = f", {counted(one.n_patches, 'patch')}" if one.state == "adopted" else ""
    said = f": {one.said}" if one.said else ""
    return visible(f"{state}{whose} {one.path}{n_patches}{said}")


def imported_end(done: Sequence[Imported], savings: Savings, *, is_dry: bool) -> str:
    """Count what became of an import, and what it saves."""
    counts = Counter(one.state for one in done)
    would = "would be " if is_dry else ""
    shown = [
        f"{counts[state]} {would if state == 'adopted' else ''}{state}"
        for state in get_args(State)
        if counts[state]
    ]
    how = "measured here" if savings.is_measured else "assumed: --rate states another"
    return (
        f"{counted(len(done), 'file')}: {', '.join(shown)}\n"
        f"{'would save' if is_dry else 'saved'} {duration(savings.seconds)} of encoding "
        f"({counted(savings.n_patches, 'patch')} at {savings.rate:.4g} patches/s, {how}) and "
        f"reading {volume(savings.slide_bytes)} of slides"
    )
