"""Table -> lines about slides or patients: every cell checked, and named by its line.

Columns: one that says which slide (`slide` or `slide_id`, `file`, `path`), or `patient` alone for a
clinical table; and any of `patient`, `site`, `label`, `label.NAME`, `mpp`, `stain`, `tag`,
`cohort`, `split`. Other columns are left alone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pathassets.adapters.tables.reading import read_table
from pathassets.adapters.tables.table import Table, TableLine, check_names
from pathassets.catalog.records import LabelKind
from pathassets.engine.platform.cohorts.words import check_name, check_value, kind_of
from pathassets.engine.platform.ingestion.cohort_table import UNKNOWN_WORDS, parse_mpp
from pathassets.errors import SpecError

_ALIASES = {
    "slide_id": "slide",
    "path": "file",
    "filename": "file",
    "file_name": "file",
    "patient_id": "patient",
    "tags": "tag",
    "cohorts": "cohort",
}
_CHARS = {
    "slide": 4_096, "file": 4_096, "patient": 200, "site": 200, "mpp": 40, "stain": 200,
    "tag": 1_000, "cohort": 1_000,
}  # fmt: skip
LABEL_CHARS = 10_000
"""Longest label: a pathologist's remark."""
_OF_SLIDE = ("mpp", "stain")
"""What cannot be said of a patient."""
KEYS = ("slide", "slide_id", "file", "path", "filename", "file_name", "patient", "patient_id")
"""Columns of which a table has one at least."""
MAX_LISTED = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class SheetLine:
    """One line: which slide, or which patient, and what is said of it."""

    number: int
    """Of the file, from 1."""
    slide: str = ""
    """Id, path, end of one, or file name; empty where the line is about a patient."""
    patient: str | None = None
    site: str | None = None
    stain: str | None = None
    mpp: float | None = None
    """Micrometres per level-0 pixel."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """By name; the column `label` is called `label`, `split` is `split`."""
    tags: tuple[str, ...] = ()
    cohorts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """A table, read."""

    source: str
    sha256: str
    reading: str
    """How it was read, for a person who wonders."""
    is_clinical: bool
    """Whether it is about patients, not slides."""
    lines: tuple[SheetLine, ...]
    kinds: Mapping[str, LabelKind]
    """Of what kind each column of labels is."""
    notes: tuple[str, ...]

    def place(self, number: int) -> str:
        """Where a line stands, for messages."""
        return f"{self.source}:{number}"


def read_sheet(
    path: Path, *, unknown: Collection[str] = UNKNOWN_WORDS, sheet: str | None = None
) -> Sheet:
    """Read a table of slides or patients. Cells that hold a word of `unknown` say nothing.

    Raises:
        SpecError: it cannot be read, says neither which slides nor which patients, has two columns
            of one name, no line, or a cell is not what it should be.
    """
    table = read_table(path, any_of=KEYS, sheet=sheet)
    columns = _columns(table)
    if not table.lines:
        raise SpecError(f"{path}: no line below the header", remedy="Give one for each slide")
    is_clinical = not {"slide", "file"} & set(columns)
    if is_clinical:
        _refuse_of_slide(columns, path)
    words = {word.strip().casefold() for word in (*unknown, "")}
    lines = tuple(_line(line, columns, words, path) for line in table.lines)
    names = dict.fromkeys(name for line in lines for name in line.labels)
    return Sheet(
        source=str(path), sha256=table.sha256, is_clinical=is_clinical, lines=lines,
        reading=f"{len(lines)} lines, {table.taken_for}",
        kinds={n: kind_of(one.labels[n] for one in lines if n in one.labels) for n in names},
        notes=(*table.notes, *_notes(table, columns)),
    )  # fmt: skip


def _columns(table: Table) -> dict[str, int]:
    """Places of the columns that are read, by one name each."""
    names = [_ALIASES.get(name, name) for name in table.columns]
    read = [name for name in dict.fromkeys(names) if _is_read(name)]
    check_names(names, read, table.source)
    for name in read:
        if name.startswith("label."):
            check_name(name.removeprefix("label."), "label", f"{table.source}:1")
    if {"label", "label.label"} <= set(read) or {"split", "label.split"} <= set(read):
        raise SpecError(f"{table.source}: two columns state one label", remedy="Keep one of them")
    return {name: names.index(name) for name in read}


def _is_read(name: str) -> bool:
    return name in _CHARS or name in ("label", "split") or name.startswith("label.")


def _refuse_of_slide(columns: Mapping[str, int], path: Path) -> None:
    for name in _OF_SLIDE:
        if name in columns:
            raise SpecError(
                f"{path}: a table of patients cannot state the {name} of their slides",
                remedy="Add a column 'slide' or 'file', with a line for each slide",
            )


def _line(line: TableLine, columns: Mapping[str, int], words: set[str], path: Path) -> SheetLine:
    where = f"{path}:{line.number}"
    said = {
        name: cell
        for name, place in columns.items()
        if (cell := line.cells[place].strip()).casefold() not in words
    }
    for name, cell in said.items():
        check_value(cell, name, where, max_chars=_CHARS.get(name, LABEL_CHARS))
    slide = said.get("slide") or said.get("file") or ""
    if not slide and (("slide" in columns or "file" in columns) or "patient" not in said):
        what = "slide" if "slide" in columns or "file" in columns else "patient"
        raise SpecError(f"{where}: no {what} is named", remedy=f"Name the {what} in it")
    return SheetLine(
        number=line.number,
        slide=slide,
        patient=said.get("patient"),
        site=said.get("site"),
        stain=said.get("stain"),
        mpp=parse_mpp(said["mpp"], where) if "mpp" in said else None,
        labels={_label_name(n): cell for n, cell in said.items() if _is_label(n)},
        tags=tuple(_listed(said.get("tag", ""), "tag", where)),
        cohorts=tuple(_listed(said.get("cohort", ""), "cohort", where)),
    )


def _is_label(name: str) -> bool:
    return name in ("label", "split") or name.startswith("label.")


def _label_name(column: str) -> str:
    return column.removeprefix("label.")


def _listed(cell: str, what: str, where: str) -> Iterator[str]:
    """Names in one cell, with commas or semicolons between them."""
    for part in cell.replace(";", ",").split(","):
        if name := part.strip():
            yield check_name(name, what, where)


def _notes(table: Table, columns: Mapping[str, int]) -> Iterator[str]:
    """What a person should know of how the table was taken."""
    for name in ("slide", "file", "patient"):
        if name in columns and (n := table.n_numbers.get(table.columns[columns[name]], 0)):
            yield (
                f"column {name!r}: numbers, not text, in {n} of its cells: zeros they began with "
                "are lost"
            )
    left = [n for place, n in enumerate(table.columns) if place not in columns.values() and n]
    if left:
        more = ", …" if len(left) > MAX_LISTED else ""
        yield f"columns that are left alone: {', '.join(left[:MAX_LISTED])}{more}"
