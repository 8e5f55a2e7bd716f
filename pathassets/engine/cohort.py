"""Cohort table (CSV) -> what a lab knows about its slides and no file tells.

Columns: `file` (a name, or a path or the end of one), and any of `patient`, `label`, `mpp`,
`slide_id`. Other columns are left alone.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from pathassets.core.slide import check_mpp
from pathassets.errors import SpecError


@dataclass(frozen=True, slots=True, kw_only=True)
class CohortRow:
    """One line of the table; empty cells are None."""

    file: str
    patient: str | None = None
    label: str | None = None
    mpp: float | None = None
    """Stated micrometres per level-0 pixel."""
    slide_id: str | None = None
    """For the id scheme `manifest`."""


@dataclass(frozen=True)
class Cohort:
    """A cohort table; empty where none was given."""

    rows: tuple[CohortRow, ...] = ()
    source: str = ""
    """Where it was read from."""

    def row_of(self, path: Path) -> CohortRow | None:
        """The line about a file: the one whose `file` is the longest end of its path.

        >>> cohort = Cohort((CohortRow(file="x.svs", label="c"), CohortRow(file="b/x.svs")))
        >>> cohort.row_of(Path("/a/x.svs")).label
        'c'
        >>> cohort.row_of(Path("/a/y.svs"))
        """
        fits = [
            (len(parts), row)
            for parts, row in self._by_name.get(path.name, ())
            if path.parts[-len(parts) :] == parts
        ]
        return max(fits, key=lambda fit: fit[0])[1] if fits else None

    @cached_property
    def _by_name(self) -> dict[str, list[tuple[tuple[str, ...], CohortRow]]]:
        """Lines by the last part of `file`: looking through all for every file is n times n."""
        lines: dict[str, list[tuple[tuple[str, ...], CohortRow]]] = defaultdict(list)
        for row in self.rows:
            lines[Path(row.file).name].append((Path(row.file).parts, row))
        return dict(lines)


NO_COHORT = Cohort()


def read_cohort(path: Path) -> Cohort:
    """Read a cohort table.

    Raises:
        SpecError: it cannot be read, lacks `file`, names one twice, or a resolution is impossible.
    """
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, skip_blank_lines=False)
    except (OSError, ValueError) as error:
        raise SpecError(
            f"{path}: cannot read the cohort table: {error}", remedy="Give a CSV file in UTF-8"
        ) from error
    table = table.rename(columns=lambda name: str(name).strip())
    if "file" not in table.columns:
        raise SpecError(
            f"{path}: no column 'file', found {', '.join(table.columns)}",
            remedy="Name the slide's file in a column 'file'; separate columns by commas",
        )
    records = enumerate(table.to_dict(orient="records"), start=2)
    lines = {i: {str(name): str(cell).strip() for name, cell in r.items()} for i, r in records}
    rows = tuple(_row(cells, f"{path}:{i}") for i, cells in lines.items() if any(cells.values()))
    twice = [file for file, n in Counter(row.file for row in rows).items() if n > 1]
    if twice:
        raise SpecError(
            f"{path}: {twice[0]} is in it twice",
            remedy="Keep one line for each file; give more of the path where names repeat",
        )
    return Cohort(rows, str(path))


def _row(cells: dict[str, str], where: str) -> CohortRow:
    if not cells["file"]:
        raise SpecError(f"{where}: no file is named", remedy="Name the slide's file in it")
    return CohortRow(
        file=cells["file"],
        patient=cells.get("patient") or None,
        label=cells.get("label") or None,
        mpp=_mpp(cells["mpp"], where) if cells.get("mpp") else None,
        slide_id=cells.get("slide_id") or None,
    )


def _mpp(text: str, where: str) -> float:
    try:
        stated = float(text)
    except ValueError as error:
        raise SpecError(
            f"{where}: mpp {text!r} is not a number", remedy="Give micrometres per pixel"
        ) from error
    return check_mpp(stated, subject=where)
