"""Cohort table (CSV) -> what a lab knows about its slides and no file tells.

Columns: `file` (a name, or a path or the end of one), and any of `patient`, `label`, `mpp`,
`slide_id`. Other columns are left alone.
"""

from __future__ import annotations

import logging
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from pathassets.adapters.objects.remote_file import FilePlace
from pathassets.adapters.tables.csv_table import SEPARATORS, CsvTable, read_csv_table
from pathassets.adapters.tables.table import check_names, left_alone
from pathassets.core.slides.slide import check_mpp
from pathassets.core.text import counted, quoted
from pathassets.engine.platform.ingestion.spelling import alike, told
from pathassets.engine.platform.selections.file_names import FileNames, parts_of
from pathassets.errors import SpecError

logger = logging.getLogger(__name__)

UNKNOWN_WORDS = ("NA", "N/A", "#N/A", "<NA>", "NULL", "NaN", "None")
"""What R, pandas, databases and spreadsheets write where they know nothing; case counts not."""
MAX_CHARS = {"file": 4_096, "patient": 200, "label": 200, "mpp": 40, "slide_id": 200}
"""The columns that are read, and how long a cell of each may be."""
MAX_ALIKE = 10
"""Spellings of one thing that are told one by one."""

_NUMBER = re.compile(r"[+-]?(\d+[.,]?\d*|[.,]\d+)(e[+-]?\d{1,3})?", re.IGNORECASE)
_UNSEEMLY = {"Cc", "Cs", "Zl", "Zp"}
"""Control characters, halves of characters, and separators of lines and paragraphs."""
_TURNS = re.compile("[\u202a-\u202e\u2066-\u2069]")
"""What makes the text behind it run the other way: a name that is not what it looks like."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CohortRow:
    """One line of the table; None where nothing is known."""

    file: str
    patient: str | None = None
    label: str | None = None
    mpp: float | None = None
    """Stated micrometres per level-0 pixel."""
    slide_id: str | None = None
    """For the id scheme `manifest`."""
    line: int = field(default=0, compare=False)
    """Of the file, from 1; 0 where it is from none."""


@dataclass(frozen=True)
class Cohort:
    """A cohort table; empty where none was given."""

    rows: tuple[CohortRow, ...] = ()
    source: str = ""
    """Where it was read from."""
    reading: str = ""
    """How it was read, for a person who wonders: character set, separator, unknown cells."""
    sha256: str = ""
    """Of the file."""

    def row_of(self, path: FilePlace) -> CohortRow | None:
        """The line about a file: the one whose `file` is the longest end of its path.

        Where there is none, one that leaves out the suffix. Accents count as what they look like,
        however a system writes them.

        >>> cohort = Cohort((CohortRow(file="x.svs", label="c"), CohortRow(file="b/x.svs")))
        >>> cohort.row_of(Path("/a/x.svs")).label
        'c'
        >>> cohort.row_of(Path("/a/y.svs"))
        >>> Cohort((CohortRow(file="a/x", label="c"),)).row_of(Path("/a/x.ome.tif")).label
        'c'
        """
        return next(iter(self.rows_of(path)), None)

    def rows_of(self, path: FilePlace) -> list[CohortRow]:
        """All lines that fit a file; the one about it first."""
        return [row for name in self._names.of(path) for row in self._by_name[name]]

    def place(self, row: CohortRow) -> str:
        """Where a line stands, for messages."""
        return f"{self.source}:{row.line}" if row.line else self.source

    @cached_property
    def _names(self) -> FileNames:
        """Looking through all lines for every file is n times n."""
        return FileNames(row.file for row in self.rows)

    @cached_property
    def _by_name(self) -> dict[str, list[CohortRow]]:
        lines: dict[str, list[CohortRow]] = defaultdict(list)
        for row in self.rows:
            lines[row.file].append(row)
        return dict(lines)


NO_COHORT = Cohort()


def read_cohort(path: Path, *, unknown: Collection[str] = UNKNOWN_WORDS) -> Cohort:
    """Read a cohort table. Cells that hold a word of `unknown`, or nothing, say nothing.

    Raises:
        SpecError: it cannot be read, lacks `file`, names one twice, has no line, or a line is not
            what it should be.
    """
    table = read_csv_table(path, any_of=["file"])
    columns = _columns(table, path)
    words = {word.strip().casefold() for word in (*unknown, "")}
    cells = [
        (line.number, {name: line.cells[i] for name, i in columns.items()}) for line in table.lines
    ]
    rows = tuple(_row(found, number, f"{path}:{number}", words) for number, found in cells)
    if not rows:
        raise SpecError(f"{path}: no line below the header", remedy="Give one for each slide")
    _require_once(rows, path)
    for name in ("patient", "label"):
        _tell_alike(name, [(found.get(name, ""), number) for number, found in cells], words, path)
    taken = Counter(
        said
        for _, found in cells
        for cell in found.values()
        if (said := cell.strip()) and said.casefold() in words
    )
    said = _reading(table, columns.values(), len(rows), taken)
    return Cohort(rows, str(path), said, table.sha256)


def _columns(table: CsvTable, path: Path) -> dict[str, int]:
    """Places of the columns that are read."""
    check_names(table.columns, list(MAX_CHARS), path)
    return {name: table.columns.index(name) for name in MAX_CHARS if name in table.columns}


def _row(cells: dict[str, str], line: int, where: str, unknown: set[str]) -> CohortRow:
    said = {name: _checked(name, cell.strip(), where) for name, cell in cells.items()}
    known = {name: cell for name, cell in said.items() if cell.casefold() not in unknown}
    if "file" not in known:
        raise SpecError(f"{where}: no file is named", remedy="Name the slide's file in it")
    return CohortRow(
        file=known["file"],
        patient=known.get("patient"),
        label=known.get("label"),
        mpp=parse_mpp(known["mpp"], where) if "mpp" in known else None,
        slide_id=known.get("slide_id"),
        line=line,
    )


def _checked(name: str, cell: str, where: str) -> str:
    """Let a cell through that can be a name, a word or a number."""
    if len(cell) > MAX_CHARS[name]:
        raise SpecError(
            f"{where}: {name} {quoted(cell)} has {len(cell)} characters",
            remedy=f"Use up to {MAX_CHARS[name]}",
        )
    if _TURNS.search(cell) or any(unicodedata.category(c) in _UNSEEMLY for c in cell):
        raise SpecError(
            f"{where}: {name} {quoted(cell)} holds a control character",
            remedy="Remove it; a line break counts as one",
        )
    return cell


def parse_mpp(text: str, where: str) -> float:
    """Read a resolution as a table has it, be it with a decimal comma.

    Raises:
        SpecError: it is no number, or an impossible one.
    """
    if not _NUMBER.fullmatch(text):
        raise SpecError(
            f"{where}: mpp {quoted(text)} is not a number", remedy="Give micrometres per pixel"
        )
    return check_mpp(float(text.replace(",", ".")), subject=where)


def _require_once(rows: Iterable[CohortRow], path: Path) -> None:
    seen: dict[tuple[str, ...], CohortRow] = {}
    for row in rows:
        first = seen.setdefault(parts_of(row.file), row)
        if first is not row:
            raise SpecError(
                f"{path}: {quoted(row.file)[1:-1]} is in it twice, in lines {first.line} "
                f"and {row.line}",
                remedy="Keep one line for each file; give more of the path where names repeat",
            )


def _tell_alike(name: str, cells: Iterable[tuple[str, int]], unknown: set[str], path: Path) -> None:
    """Point at patients, or labels, that a person takes for one: their slides would be parted."""
    lines: dict[str, int] = {}
    for cell, number in cells:
        if cell.strip().casefold() not in unknown:
            lines.setdefault(cell, number)
    groups = alike(lines)
    for group in groups[:MAX_ALIKE]:
        said = " and ".join(f"{told(cell)} (line {lines[cell]})" for cell in group)
        n_kept = len({cell.strip() for cell in group})
        logger.warning(
            "%s: %s %s are taken as %s",
            path, name, said, "one" if n_kept == 1 else f"{n_kept} different ones",
        )  # fmt: skip
    if len(groups) > MAX_ALIKE:
        logger.warning("%s: %s: %d more are like these", path, name, len(groups) - MAX_ALIKE)


def _reading(table: CsvTable, taken: Collection[int], n_lines: int, unknown: Counter[str]) -> str:
    lines = counted(n_lines, "line")
    said = f"{lines}, {table.charset}, separated by {SEPARATORS[table.separator]}"
    times = {1: "once", 2: "twice"}
    words = (f"{quoted(word)} {times.get(n, f'{n} times')}" for word, n in sorted(unknown.items()))
    if unknown:
        said += f"; taken as unknown: {', '.join(words)}"
    if left := left_alone(table.header, taken):
        said += f"; left alone, pathassets cohort import takes more: {left}"
    return said
