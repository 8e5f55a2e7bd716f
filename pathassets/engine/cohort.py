"""Cohort table (CSV) -> what a lab knows about its slides and no file tells.

Columns: `file` (a name, or a path or the end of one), and any of `patient`, `label`, `mpp`,
`slide_id`. Other columns are left alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

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


@dataclass(frozen=True, slots=True)
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
        parts = path.parts
        fits = [
            (len(Path(row.file).parts), row)
            for row in self.rows
            if parts[-len(Path(row.file).parts) :] == Path(row.file).parts
        ]
        return max(fits, key=lambda fit: fit[0])[1] if fits else None


def read_cohort(path: Path) -> Cohort:
    """Read a cohort table.

    Raises:
        SpecError: it cannot be read, lacks `file`, names a file twice, or an mpp is no number.
    """
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise SpecError(f"{path}: cannot read the cohort table: {error}", remedy="Give a CSV") from error
    if "file" not in table.columns:
        raise SpecError(
            f"{path}: no column 'file', found {', '.join(map(str, table.columns))}",
            remedy="Name the slide's file in a column 'file'",
        )
    twice = table["file"][table["file"].duplicated()]
    if len(twice):
        raise SpecError(
            f"{path}: {twice.iloc[0]} is in it twice",
            remedy="Keep one line for each file; give more of the path where names repeat",
        )
    records = table.to_dict(orient="records")
    rows = [_row({str(k): str(v) for k, v in r.items()}, path, i) for i, r in enumerate(records, 2)]
    return Cohort(tuple(rows), str(path))


def _row(cells: dict[str, str], path: Path, line: int) -> CohortRow:
    def cell(name: str) -> str | None:
        return cells.get(name, "").strip() or None

    mpp = cell("mpp")
    try:
        stated = None if mpp is None else float(mpp)
    except ValueError as error:
        raise SpecError(
            f"{path}:{line}: mpp {mpp!r} is not a number", remedy="Give micrometres per pixel"
        ) from error
    return CohortRow(
        file=cells["file"].strip(),
        patient=cell("patient"),
        label=cell("label"),
        mpp=stated,
        slide_id=cell("slide_id"),
    )
