"""Table -> lines about slides or patients: every cell checked, and named by its line.

Columns: one that says which slide (`slide` or `slide_id`, `file`, `path`), or `patient` alone for a
clinical table; and any of `patient`, `site`, `label`, `label.NAME`, `mpp`, `stain`, `tag`,
`cohort`, `split`, in any case. Other columns are left alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pathassets.adapters.tables.reading import read_table
from pathassets.adapters.tables.table import Table, TableLine, check_names, left_alone, plain
from pathassets.catalog.cohorts.state import NAMED
from pathassets.core.text import counted
from pathassets.engine.platform.cohorts.labels import (
    FIXED,
    LabelColumn,
    label_key,
    label_name,
    read_column,
)
from pathassets.engine.platform.cohorts.words import check_name, check_value
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


@dataclass(frozen=True, slots=True, kw_only=True)
class SheetLine:
    """One line: which slide, or which patient, and what is said of it."""

    number: int
    """Of the file, from 1."""
    slide: str = ""
    """Id, path, end of one, or file name; empty where the line is about a patient."""
    file: str = ""
    """What a second column calls that slide; empty where there is none."""
    patient: str | None = None
    site: str | None = None
    stain: str | None = None
    mpp: float | None = None
    """Micrometres per level-0 pixel."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """By name as it is written; the column `label` is called `label`, `split` is `split`."""
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
    labels: Mapping[str, LabelColumn]
    """What each column of labels holds, by name as it is written."""
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
    values: defaultdict[str, list[str]] = defaultdict(list)
    for line in lines:
        for name, value in line.labels.items():
            values[name].append(value)
    return Sheet(
        source=str(path), sha256=table.sha256, is_clinical=is_clinical, lines=lines,
        reading=f"{counted(len(lines), 'line')}, {table.taken_for}",
        labels={
            name: read_column(said, may_have_commas=table.may_have_decimal_commas)
            for name, said in values.items()
        },
        notes=(*table.notes, *notes_on(table, columns)),
    )  # fmt: skip


def _columns(table: Table) -> dict[str, int]:
    """Places of the columns that are read, by one name each; a label's is as it is written."""
    keys = [_key(title) for title in table.header]
    read = [key for key in dict.fromkeys(keys) if _is_read(key)]
    check_names(keys, read, table.source)
    if {"label", "label.label"} <= set(read) or {"split", "label.split"} <= set(read):
        raise SpecError(f"{table.source}: two columns state one label", remedy="Keep one of them")
    places = {key: keys.index(key) for key in read}
    return {_named(key, table.header[at], f"{table.source}:1"): at for key, at in places.items()}


def _key(title: str) -> str:
    """One name for all spellings of a column."""
    return label_key(title) or _ALIASES.get(plain(title), plain(title))


def _named(key: str, title: str, where: str) -> str:
    return NAMED + label_name(title, where) if key.startswith(NAMED) else key


def _is_read(name: str) -> bool:
    return name in _CHARS or _is_label(name)


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
        file=said.get("file", "") if "slide" in said else "",
        patient=said.get("patient"),
        site=said.get("site"),
        stain=said.get("stain"),
        mpp=parse_mpp(said["mpp"], where) if "mpp" in said else None,
        labels={n.removeprefix(NAMED): cell for n, cell in said.items() if _is_label(n)},
        tags=tuple(_listed(said.get("tag", ""), "tag", where)),
        cohorts=tuple(_listed(said.get("cohort", ""), "cohort", where)),
    )


def _is_label(name: str) -> bool:
    return name in FIXED or name.startswith(NAMED)


def _listed(cell: str, what: str, where: str) -> Iterator[str]:
    """Names in one cell, with commas or semicolons between them."""
    for part in cell.replace(";", ",").split(","):
        if name := part.strip():
            yield check_name(name, what, where)


def notes_on(table: Table, columns: Mapping[str, int]) -> Iterator[str]:
    """What a person should know of how a table was taken, of which columns in these places are."""
    for name in ("slide", "file", "patient"):
        if name in columns and (n := table.n_numbers.get(table.columns[columns[name]], 0)):
            yield (
                f"column {name!r}: numbers, not text, in {n} of its cells: zeros they began with "
                "are lost"
            )
    if left := left_alone(table.header, columns.values()):
        yield f"columns that are left alone: {left}"
