"""What people drew on slides, for a terminal: a table, lines about files, or JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, get_args

from rich.markup import escape
from rich.table import Table

from pathassets.catalog.records import AnnotationRecord
from pathassets.core.text import counted, visible
from pathassets.report.console import open_console
from pathassets.report.json_text import json_text

if TYPE_CHECKING:  # both open slides
    from pathassets.engine.platform.annotation_matching import Match
    from pathassets.engine.platform.annotations import Recorded

_NONE = (
    "no annotations are recorded: pathassets annotations set SLIDE FILE --name ENTRY --who NAME "
    "--why …"
)


def annotation_table(annotations: Iterable[AnnotationRecord]) -> None:
    """Print one row a statement."""
    table = Table("slide", "name", "what", "labels", "file", "frame", "who", "when", "why")
    for one in annotations:
        labels = ", ".join(f"{label or 'none'} {n}" for label, n in one.labels.items())
        what = "withdrawn" if one.is_withdrawn else counted(one.n_polygons, "polygon")
        when = f"{one.made_at:%Y-%m-%d %H:%M}"
        cells = (one.slide_id, one.name, what, labels, one.file, one.frame, one.who, when, one.why)
        table.add_row(*(escape(visible(cell)) for cell in cells))
    open_console().print(table if table.rows else _NONE)


def annotations_json(annotations: Iterable[AnnotationRecord]) -> str:
    """The same for machines."""
    rows = [{"slide_id": d.slide_id, "name": d.name, **annotation_plain(d)} for d in annotations]
    return json_text(rows, indent=1)


def annotation_plain(drawn: AnnotationRecord) -> dict[str, Any]:
    """One statement for machines; what was withdrawn has no digest."""
    return {
        "digest": drawn.digest,
        "file": drawn.file,
        "sha256": drawn.sha256,
        "n_polygons": drawn.n_polygons,
        "labels": dict(drawn.labels),
        "frame": drawn.frame,
        "who": drawn.who,
        "why": drawn.why,
        "made_at": drawn.made_at.isoformat(timespec="seconds"),
    }


def annotation_line(recorded: Recorded) -> str:
    """One line about a file that was recorded."""
    drawn = recorded.annotation
    said = f"{'new' if recorded.is_new else 'known'} {drawn.slide_id}: {drawn.name}, "
    said += f"{counted(drawn.n_polygons, 'polygon')} from {drawn.file}"
    said += f", frame {drawn.frame}" if drawn.frame else ""
    return visible("; ".join([said, *recorded.notes]))


def match_line(match: Match) -> str:
    """One line about a file of a folder."""
    if match.recorded is not None:
        return annotation_line(match.recorded)
    return visible(f"{match.state} {match.path}: {match.said or match.slide_id}")


def matches_end(matches: Sequence[Match]) -> str:
    """Count what became of the files of a folder."""
    from pathassets.engine.platform.annotation_matching import MatchState  # noqa: PLC0415 - as above

    counts = Counter(match.state for match in matches)
    shown = [f"{counts[state]} {state}" for state in get_args(MatchState) if counts[state]]
    return f"{counted(len(matches), 'file')}: {', '.join(shown)}"
