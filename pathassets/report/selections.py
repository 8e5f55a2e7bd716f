"""Slides that are meant, and what was saved, for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.markup import escape
from rich.table import Table

from pathassets.catalog.records import SavedSelection
from pathassets.core.selection.nodes import Selection
from pathassets.core.text import counted, typed, visible
from pathassets.report.console import open_console
from pathassets.report.json_text import json_text

MAX_VALUES = 200
"""Values of a field that are shown, unless all are asked for."""


def selected(slide_ids: Sequence[str]) -> None:
    """Print ids, one a line, and how many there are."""
    console = open_console()
    for slide_id in slide_ids:
        console.print(visible(slide_id), markup=False)
    console.print(counted(len(slide_ids), "slide"), style="dim")


def selected_json(meant: Selection, slide_ids: Sequence[str]) -> str:
    """The same for machines, with the text that equal selections share."""
    return json_text(
        {"selection": str(meant), "n_slides": len(slide_ids), "slides": list(slide_ids)}, indent=1
    )


def values(field: str, found: Sequence[tuple[str, int]], *, is_whole: bool) -> None:
    """Print what a field has, and of how many slides; of many the first."""
    console = open_console()
    if not found:
        console.print(visible(f"no slide has any {field}"), markup=False)
        return
    shown = found if is_whole else found[:MAX_VALUES]
    for word, n_slides in shown:
        console.print(f"{typed(word)}  {counted(n_slides, 'slide')}", markup=False)
    if len(shown) < len(found):
        console.print(f"the {MAX_VALUES} most common are shown: --all shows every one")


def values_json(found: Sequence[tuple[str, int]]) -> str:
    """The same for machines."""
    return json_text([{"value": word, "n_slides": n} for word, n in found], indent=1)


def saved_selections(saved: Sequence[SavedSelection]) -> None:
    """Print what was saved as a table."""
    console = open_console()
    if not saved:
        console.print("none is saved yet: pathassets select save NAME EXPRESSION --who …")
        return
    table = Table()
    for title in ("name", "selection", "who", "when"):
        table.add_column(title, overflow="fold")
    for one in saved:
        said = (f"@{one.name}", one.text, one.who, f"{one.made_at:%Y-%m-%d %H:%M}")
        table.add_row(*(escape(visible(text)) for text in said))
    console.print(table)


def saved_selections_json(saved: Sequence[SavedSelection]) -> str:
    """The same for machines."""
    return json_text(
        [
            {
                "name": one.name,
                "selection": one.text,
                "who": one.who,
                "made_at": one.made_at.isoformat(timespec="seconds"),
            }
            for one in saved
        ],
        indent=1,
    )
