"""Columns and rows -> CSV or Parquet, row by row; the file is there whole, or not at all."""

from __future__ import annotations

import base64
import csv
import datetime as dt
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

from pathassets.errors import SpecError

Row = Sequence[Any]
Rows = Callable[[], Iterable[Row]]
"""Gives all rows, each time it is called."""

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes a cell of text for a formula by. Source: OWASP, CSV Injection."""
ROWS_AT_ONCE = 10_000


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a place to write to; what was written there becomes the file once the block ended well.

    Raises:
        SpecError: the folder is not there, or cannot be written.
    """
    try:
        handle, made = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise SpecError(
            f"{path}: cannot be written: {error.strerror}", remedy="Name another place"
        ) from error
    os.close(handle)
    place = Path(made)
    try:
        yield place
        with place.open("rb") as file:
            os.fsync(file.fileno())
        place.replace(path)
    except OSError as error:
        raise SpecError(
            f"{path}: cannot be written: {error.strerror}", remedy="Look at its disk"
        ) from error
    finally:
        place.unlink(missing_ok=True)


def write_csv(
    path: Path, columns: Sequence[str], rows: Iterable[Row], *, escape_formulas: bool = False
) -> tuple[int, int]:
    """Write UTF-8 with commas; returns how many rows, and how many cells begin like a formula.

    Text is written as it is, so that what reads it gets what the catalog has. A spreadsheet would
    run such cells: `escape_formulas` puts an apostrophe before them, which is part of the text
    then.
    """
    n_rows = n_formulas = 0
    with whole_file(path) as place, place.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        for row in rows:
            cells = [csv_cell(value) for value in row]
            hits = [n for n, cell in enumerate(cells) if _is_formula(cell)]
            if escape_formulas:
                for hit in hits:
                    cells[hit] = f"'{cells[hit]}"
            writer.writerow(cells)
            n_rows += 1
            n_formulas += len(hits)
    return n_rows, n_formulas


def _is_formula(cell: object) -> bool:
    return isinstance(cell, str) and cell.startswith(FORMULA_STARTS)


def csv_cell(value: Any) -> Any:
    """A value as a cell has it: nothing for NULL, bytes in base64."""
    if isinstance(value, bytes | memoryview):
        return base64.b64encode(value).decode()
    return value


def write_parquet(path: Path, columns: Sequence[str], rows: Rows) -> int:
    """Write Parquet; returns how many rows. They are gone through twice: for the types, and again.

    Whole numbers and numbers with a fraction in one column become the latter; other mixtures text.
    """
    import pyarrow as pa  # type: ignore[import-untyped]  # noqa: PLC0415 - takes 0.2 s
    import pyarrow.parquet as pq  # type: ignore[import-untyped]  # noqa: PLC0415

    kinds = _kinds(len(columns), rows())
    types = {"int": pa.int64(), "float": pa.float64(), "bool": pa.bool_(), "bytes": pa.binary()}
    schema = pa.schema(
        [(n, types.get(kind, pa.string())) for n, kind in zip(columns, kinds, strict=True)]
    )
    n_rows = 0
    with whole_file(path) as place, pq.ParquetWriter(place, schema) as writer:
        left = iter(rows())
        while page := list(islice(left, ROWS_AT_ONCE)):
            arrays = [
                pa.array([_AS[kind](row[n]) for row in page], schema.field(n).type)
                for n, kind in enumerate(kinds)
            ]
            writer.write_batch(pa.record_batch(arrays, schema=schema))
            n_rows += len(page)
    return n_rows


def _kinds(n_columns: int, rows: Iterable[Row]) -> list[str]:
    """What each column holds."""
    seen: list[set[str]] = [set() for _ in range(n_columns)]
    for row in rows:
        for kinds, value in zip(seen, row, strict=True):
            if value is not None:
                kinds.add(_kind(value))
    return [_widest(kinds) for kinds in seen]


def _widest(kinds: set[str]) -> str:
    if len(kinds) == 1:
        return next(iter(kinds))
    return "float" if kinds == {"int", "float"} else "text"


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int" if abs(value) < 2**63 else "text"
    if isinstance(value, float | Decimal):
        return "float"
    return "bytes" if isinstance(value, bytes | memoryview) else "text"


def _none_or(make: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else make(value)


def _as_text(value: Any) -> str:
    if isinstance(value, bytes | memoryview):
        return base64.b64encode(value).decode()
    if isinstance(value, dt.datetime | dt.date):
        return value.isoformat()
    return str(value)


_AS = {
    "int": _none_or(int),
    "float": _none_or(float),
    "bool": _none_or(bool),
    "bytes": _none_or(bytes),
    "text": _none_or(_as_text),
}
