"""A file of an export that is not written yet."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from pathassets.errors import SpecError


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputFile:
    """One file or folder of an export, and what writes it where it is told."""

    path: str
    """Relative to the export's folder, with forward slashes."""
    write: Callable[[Path], None]
    """Writes it whole at another place, from which it gets its name."""
    source: str
    """What decides its bytes: equal text, equal bytes."""


def text_file(path: str, text: str) -> OutputFile:
    """A small file that is known whole."""

    def write(where: Path) -> None:
        where.write_text(text, encoding="utf-8", newline="")

    return OutputFile(path=path, write=write, source=text)


def csv_file(path: str, header: Sequence[str], rows: Iterable[Sequence[object]]) -> OutputFile:
    """A table as CSV; cells that a spreadsheet would compute are refused.

    Raises:
        SpecError: a cell begins like a formula.
    """
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    for row in (header, *rows):
        cells = ["" if cell is None else str(cell) for cell in row]
        for cell in cells:
            _refuse_formula(path, cell)
        writer.writerow(cells)
    return text_file(path, buffer.getvalue())


def as_read(file: OutputFile, tool: str, dtype: Any = None) -> OutputFile:
    """Let a table through that pandas, by which a tool reads it, reads as it is written.

    Without a type for all columns it takes "007" for 7; in any, NA and None for nothing.

    Raises:
        SpecError: a cell is read as something else.
    """
    try:
        seen = read_as_pandas(file, dtype)
    except ValueError as error:
        raise _misread(file, tool, f"cannot be read: {error}") from error
    written = list(csv.DictReader(io.StringIO(file.source, newline="")))
    for name in filter(None, written[0] if written else ()):
        for row, value in zip(written, seen[name].tolist(), strict=True):
            if row[name] and (pd.isna(value) or str(value) != row[name]):
                raise _misread(file, tool, f"{row[name][:60]!r} in {name} is read as {value!r}")
    return file


def read_as_pandas(file: OutputFile, dtype: Any = None) -> pd.DataFrame:
    """What pandas makes of a table that is not written yet."""
    return pd.read_csv(io.StringIO(file.source), dtype=dtype)


def _misread(file: OutputFile, tool: str, fact: str) -> SpecError:
    return SpecError(
        f"{file.path}: {tool} reads tables by pandas, and {fact}",
        remedy="Name slides by their id, --names slide_id; of a patient or label state another",
    )


def _refuse_formula(path: str, cell: str) -> None:
    is_signed = len(cell) > 1 and cell[0] in "+-"  # a mere + or - is a label of many cohorts
    if cell.startswith(("=", "@", "\t", "\r")) or (is_signed and not _is_number(cell)):
        raise SpecError(
            f"{path}: the cell {cell[:60]!r} is a formula to a spreadsheet",
            remedy="Other tools match the cell letter by letter, so it cannot be escaped: state "
            "another name or label",
        )


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
