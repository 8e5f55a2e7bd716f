"""Parquet -> table of text; columns of lists, structures or bytes are left alone, and told."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from pathassets.adapters.named_files import read_named
from pathassets.adapters.tables.table import (
    Table,
    TableLine,
    check_header,
    plain,
    trimmed,
    unread,
    unreadable,
)
from pathassets.core.text import quoted

MAX_BYTES = 500 * 2**20
MAX_LINES = 5_000_000
_MIDNIGHT = re.compile(r"[ T]00:00:00(?:\.0+)?Z?$")


def read_parquet_table(path: Path, *, any_of: tuple[str, ...]) -> Table:
    """Read a table that has a column of one of those names.

    Raises:
        SpecError: it cannot be read, is too large, or has no such column.
    """
    try:
        data = read_named(path)
    except OSError as error:
        raise unread(path, error) from error
    try:
        file = pq.ParquetFile(pa.BufferReader(data))
        is_large = len(data) > MAX_BYTES or file.metadata.num_rows > MAX_LINES
        read = None if is_large else file.read()
    except (pa.ArrowException, OSError, ValueError) as error:
        raise unreadable(path, f"it is no Parquet file ({error})", "Write it again") from error
    if read is None:
        raise unreadable(path, "it is too large for a table of slides", "Give one of slides alone")
    titles, texts, n_numbers, left = _columns(read)
    names = tuple(map(plain, titles))
    check_header(names, titles, any_of, path)
    lines = [
        TableLine(number=number, cells=tuple(cells))
        for number, cells in enumerate(zip(*texts, strict=True), 1)
    ]
    return Table(
        source=str(path), sha256=hashlib.sha256(data).hexdigest(), taken_for="Parquet",
        header=tuple(map(trimmed, titles)), columns=names,
        lines=tuple(one for one in lines if any(map(str.strip, one.cells))),
        n_numbers=n_numbers, notes=tuple(left),
    )  # fmt: skip


def _columns(read: Any) -> tuple[list[str], list[list[str]], dict[str, int], list[str]]:
    """Names as written, cells as text, how many of them are numbers, and what is left alone."""
    titles, texts, n_numbers, left = [], [], {}, []
    for title, column in zip(read.column_names, read.columns, strict=True):
        try:
            cells = _texts(column)
        except (pa.ArrowException, UnicodeDecodeError):
            left.append(f"column {quoted(title)} is left alone: it holds {column.type}")
            continue
        titles.append(title)
        texts.append(cells)
        if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
            n_numbers[plain(title)] = len(column) - column.null_count
    return titles, texts, n_numbers, left


def _texts(column: Any) -> list[str]:
    """Values as text; of a time that is midnight the date alone."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.cast(kind.value_type)
    cells = ["" if cell is None else cell for cell in column.cast(pa.string()).to_pylist()]
    if pa.types.is_timestamp(kind):
        return [_MIDNIGHT.sub("", cell) for cell in cells]
    if pa.types.is_floating(kind):  # nan is what pandas writes for nothing
        return ["" if cell == "nan" else cell.removesuffix(".0") for cell in cells]
    return cells
