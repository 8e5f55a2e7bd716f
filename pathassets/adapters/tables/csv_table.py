"""A table as a spreadsheet or a script wrote it -> its columns and lines, as text.

What the file is like follows from the file alone. Character set: its byte order mark, else UTF-8
where it is valid UTF-8, else Windows-1252. Separator: the one that parts the header into most
columns with the one that must be there among them. Nothing is guessed from the lines below, where a
wrong guess would move cells; each of them has as many cells as the header, or is refused.
"""

from __future__ import annotations

import codecs
import csv
import hashlib
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pathassets.adapters.tables.table import (
    TableLine,
    check_header,
    plain,
    trimmed,
    unread,
    unreadable,
)
from pathassets.errors import SpecError

MAX_BYTES = 100 * 2**20
"""100,000 slides with long paths and a ward's remarks have 30 MB."""

_MARKS = {
    codecs.BOM_UTF8: ("utf-8-sig", "UTF-8"),
    codecs.BOM_UTF32_LE: ("utf-32", "UTF-32"),  # before UTF-16, whose mark it begins with
    codecs.BOM_UTF32_BE: ("utf-32", "UTF-32"),
    codecs.BOM_UTF16_LE: ("utf-16", "UTF-16"),
    codecs.BOM_UTF16_BE: ("utf-16", "UTF-16"),
}
_WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
"""First bytes of .xlsx and .ods, which are zip archives, and of .xls."""
SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
BESIDE_DECIMAL_COMMAS = ";\t"
"""What spreadsheets separate cells by where a comma is a decimal one."""
_STATED = re.compile(r"\s*sep=([,;\t|])\s*", re.IGNORECASE)
"""First line by which Excel states the separator."""
_AS_CSV = "Save it as CSV (UTF-8), and give that"


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvTable:
    """A table, and what its file was taken for."""

    charset: str
    separator: str
    sha256: str
    """Of the file."""
    header: tuple[str, ...]
    """Names of its columns as they are written, without blanks around them."""
    columns: tuple[str, ...]
    """The same in lower case, with '_' for blanks within."""
    lines: tuple[TableLine, ...]
    """All that have a cell with anything in it."""


def read_csv_table(path: Path, *, any_of: Sequence[str]) -> CsvTable:
    """Read a table that has a column of one of those names.

    Raises:
        SpecError: it cannot be read, has no such column, or a line has not one cell a column.
    """
    data = _read(path)
    text, charset = _decode(data, path)
    separator, stated = _separator(text, any_of)
    records = _records(text, separator, path)
    if stated:
        next(records)
    filled = ((number, cells) for number, cells in records if any(map(str.strip, cells)))
    _, header = next(filled, (1, []))
    columns = tuple(map(plain, header))
    check_header(columns, header, any_of, path)
    lines = tuple(_line(cells, f"{path}:{number}", header, number) for number, cells in filled)
    return CsvTable(
        charset=charset, separator=separator, sha256=hashlib.sha256(data).hexdigest(),
        header=tuple(map(trimmed, header)), columns=columns, lines=lines,
    )  # fmt: skip


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise unread(path, error) from error
    if data.startswith(_WORKBOOKS):
        raise unreadable(path, "it is a workbook (.xlsx, .xls, .ods), no CSV file", _AS_CSV)
    if len(data) > MAX_BYTES:
        raise unreadable(path, f"it is larger than {MAX_BYTES >> 20} MB", "Give a CSV of slides")
    return data


def _decode(data: bytes, path: Path) -> tuple[str, str]:
    """Text of a file, and the character set it was taken for."""
    found = next((said for mark, said in _MARKS.items() if data.startswith(mark)), None)
    tried = [found] if found else [("utf-8", "UTF-8"), ("cp1252", "Windows-1252")]
    for codec, name in tried:
        try:
            text = data.decode(codec)
        except UnicodeDecodeError:
            continue
        if "\0" in text:
            break
        return text, name
    raise unreadable(path, "it is no text that can be told", _AS_CSV)


def _separator(text: str, any_of: Sequence[str]) -> tuple[str, bool]:
    """What parts the cells, and whether a line of its own states it."""
    first = text.partition("\n")[0]
    stated = _STATED.fullmatch(first)
    if stated:
        return stated[1], True
    headers = {one: _header(text, one) for one in SEPARATORS}
    fit = [one for one, names in headers.items() if set(any_of) & set(map(plain, names))]
    return max(fit or SEPARATORS, key=lambda one: len(headers[one])), False


def _header(text: str, separator: str) -> list[str]:
    """The first line that is not blank; empty where it cannot be parted like this."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        return next((cells for cells in reader if any(map(str.strip, cells))), [])
    except csv.Error:
        return []


def _records(text: str, separator: str, path: Path) -> Iterator[tuple[int, list[str]]]:
    """Line numbers and cells, blank lines too."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    while True:
        number = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise SpecError(
                f"{path}:{number}: cannot read the table: {error}",
                remedy="Look for a quotation mark that is not closed, or stands within a cell: "
                "there it is written twice",
            ) from error
        yield number, cells


def _line(cells: list[str], where: str, header: list[str], number: int) -> TableLine:
    if len(cells) != len(header):
        more = (
            "Put a cell that holds the separator into quotation marks, and end no line with one "
            "that the header lacks; in R, write with row.names = FALSE"
        )
        raise SpecError(
            f"{where}: {len(cells)} cells, where the header has {len(header)}",
            remedy=more if len(cells) > len(header) else "Give every column a cell, be it empty",
        )
    return TableLine(number=number, cells=tuple(cells))
