"""What was exported or imported, for a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from pathassets.core.text import visible
from pathassets.engine.platform.exchange.export import ExportedSlide
from pathassets.report.console import counted


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
    return f"{counted(sum(len(one.files) for one in done), 'file')}: {', '.join(shown) or 'none'}"
