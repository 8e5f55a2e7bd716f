"""Workbook (.xlsx) -> table: the sheet that has the column, its cells as text.

A cell with a formula is the value that was last computed; one that never was, an error value and
merged cells are refused where a column is read: nobody can say what they mean. Dates are written as
ISO 8601. A number is written as it is; one in a column of the format 0000 with its leading zeros.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import io
import re
import warnings
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import ParseError

from defusedxml import DefusedXmlException
from openpyxl import load_workbook  # type: ignore[import-untyped]
from openpyxl.utils import get_column_letter  # type: ignore[import-untyped]
from openpyxl.utils.cell import range_boundaries  # type: ignore[import-untyped]
from openpyxl.utils.exceptions import InvalidFileException  # type: ignore[import-untyped]

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
from pathassets.errors import SpecError

MAX_BYTES = 100 * 2**20
MAX_UNPACKED_BYTES = 2**30
"""A sheet of 100,000 lines unpacks to 50 MB; a few bytes can unpack to a disk full."""
_AS_XLSX = "Save it as .xlsx without a password, or as CSV (UTF-8)"

_FORMULA = re.compile(rb"<(?:\w+:)?c\b([^<>]*)>\s*<(?:\w+:)?f\b")
_PLACE = re.compile(rb"\br=\"([A-Z]{1,3})(\d{1,7})\"")
_MERGED = re.compile(rb"<(?:\w+:)?mergeCell\b[^<>]*\bref=\"([A-Z0-9:]{1,30})\"")
_ZEROS = re.compile("0+")
_FAULTS = (
    InvalidFileException, zipfile.BadZipFile, DefusedXmlException, ParseError, zlib.error,
    KeyError, ValueError, TypeError, IndexError, AttributeError, EOFError,
)  # fmt: skip
"""What openpyxl raises of a file that is no workbook, or a damaged one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sheet:
    """One sheet, with what its cells do not tell."""

    name: str
    header: tuple[str, ...]
    rows: tuple[tuple[int, tuple[Any, ...]], ...]
    """Row numbers and cells below the header."""
    formulas: frozenset[tuple[int, int]]
    """Row and column, from 1, of cells with a formula."""
    merged: tuple[str, ...]
    """Such as A3:A5."""


def read_workbook(path: Path, *, any_of: Sequence[str], sheet: str | None = None) -> Table:
    """Read the sheet that has a column of one of those names, or the one that is named.

    Raises:
        SpecError: it is no workbook, no sheet or several have such a column, or a cell of a line
            is what cannot be said as text.
    """
    data = _checked(path)
    try:
        sheets = list(_sheets(data, sheet))
    except _FAULTS as error:
        raise unreadable(path, f"it is no workbook that can be read ({error})", _AS_XLSX) from error
    chosen = _choose(path, sheets, any_of, sheet)
    columns = tuple(map(plain, chosen.header))
    check_header(columns, chosen.header, any_of, path)
    _refuse_merged(chosen, path)
    lines = [_line(chosen, number, cells, path) for number, cells in chosen.rows]
    kept = tuple(line for line in lines if any(map(str.strip, line.cells)))
    return Table(
        source=str(path), sha256=hashlib.sha256(data).hexdigest(),
        taken_for=f"sheet {quoted(chosen.name)} of a workbook",
        header=tuple(map(trimmed, chosen.header)), columns=columns, lines=kept,
        n_numbers=_count_numbers(chosen, columns), notes=tuple(_notes(chosen)),
    )  # fmt: skip


def _checked(path: Path) -> bytes:
    """Bytes of a workbook that unpacks to no more than fits."""
    try:
        data = read_named(path)
    except OSError as error:
        raise unread(path, error) from error
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            n_bytes = sum(member.file_size for member in archive.infolist())
    except zipfile.BadZipFile as error:
        raise unreadable(path, "it is no workbook that can be read", _AS_XLSX) from error
    if len(data) > MAX_BYTES or n_bytes > MAX_UNPACKED_BYTES:
        raise unreadable(path, "it is too large for a table of slides", "Give one of slides alone")
    return data


def _sheets(data: bytes, wanted: str | None) -> Iterator[_Sheet]:
    """Sheets that can be seen, or the one that is wanted."""
    with warnings.catch_warnings(), zipfile.ZipFile(io.BytesIO(data)) as archive:
        warnings.simplefilter("ignore")  # of styles and validations that it does not know
        book = load_workbook(io.BytesIO(data), read_only=True, data_only=True)
        try:
            for one in book.worksheets:
                is_wanted = one.title == wanted if wanted else one.sheet_state == "visible"
                if is_wanted:
                    one.reset_dimensions()  # what programs state of it is wrong at times
                    place = one._worksheet_path  # noqa: SLF001 - it has no other door to its XML
                    yield _sheet(one, archive.read(place))
        finally:
            book.close()


def _sheet(sheet: Any, xml: bytes) -> _Sheet:
    filled = (
        (number, tuple(row))
        for number, row in enumerate(sheet.iter_rows(), 1)
        if any(cell.value not in (None, "") for cell in row)
    )
    _, header = next(filled, (0, ()))
    names = tuple("" if cell.value is None else str(cell.value) for cell in header)
    while names and not names[-1].strip():
        names = names[:-1]
    return _Sheet(
        name=sheet.title,
        header=names,
        rows=tuple(filled),
        formulas=frozenset(_formulas(xml)),
        merged=tuple(ref.decode() for ref in _MERGED.findall(xml)),
    )


def _formulas(xml: bytes) -> Iterator[tuple[int, int]]:
    for attributes in _FORMULA.findall(xml):
        if place := _PLACE.search(attributes):
            yield int(place[2]), range_boundaries(f"{place[1].decode()}1")[0]


def _choose(
    path: Path, sheets: Sequence[_Sheet], any_of: Sequence[str], wanted: str | None
) -> _Sheet:
    names = ", ".join(quoted(one.name) for one in sheets)
    if wanted and not sheets:
        raise SpecError(f"{path}: no sheet {quoted(wanted)}", remedy="Look at its name")
    fit = [one for one in sheets if set(map(plain, one.header)) & set(any_of)]
    if len(fit) > 1:
        raise SpecError(
            f"{path}: several sheets have a column {any_of[0]!r}: {names}",
            remedy="Say which: --sheet NAME",
        )
    if not (fit or sheets):
        raise unreadable(path, "it is empty", "Give a table with a header")
    return fit[0] if fit else sheets[0]


def _refuse_merged(sheet: _Sheet, path: Path) -> None:
    """Refuse merged cells below the header: all but the first of them are empty."""
    first = sheet.rows[0][0] if sheet.rows else 0
    for ref in sheet.merged:
        _, top, _, bottom = range_boundaries(ref)
        if sheet.rows and bottom >= first:
            raise SpecError(
                f"{path}:{top}: cells {ref} are merged, and only the first of them has a value",
                remedy="Unmerge them, and give every line its own value",
            )


def _line(sheet: _Sheet, number: int, cells: tuple[Any, ...], path: Path) -> TableLine:
    """One row as text; what stands beside the header's columns is refused."""
    n_columns = len(sheet.header)
    if any(cell.value not in (None, "") for cell in cells[n_columns:]):
        raise SpecError(
            f"{path}:{number}: a cell beside the last column of the header",
            remedy="Give its column a name, or empty the cell",
        )
    texts = []
    for place in range(n_columns):
        cell = cells[place] if place < len(cells) else None
        where = f"{path}:{number}: cell {get_column_letter(place + 1)}{number}"
        texts.append(_text(cell, where, has_formula=(number, place + 1) in sheet.formulas))
    return TableLine(number=number, cells=tuple(texts))


def _count_numbers(sheet: _Sheet, columns: tuple[str, ...]) -> Counter[str]:
    """Of each column the cells that are numbers without a format that gives them zeros."""
    return Counter(
        name
        for _, cells in sheet.rows
        for name, cell in zip(columns, cells, strict=False)
        if _is_number(cell.value) and not _ZEROS.fullmatch(_format(cell))
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _format(cell: Any) -> str:
    return str(getattr(cell, "number_format", ""))


def _text(cell: Any, where: str, *, has_formula: bool) -> str:
    value = None if cell is None else cell.value
    if has_formula and value is None:
        raise SpecError(
            f"{where} has a formula whose value is not in the file",
            remedy="Open it in a spreadsheet and save it, or put the value in its place",
        )
    if getattr(cell, "data_type", "") == "e" and value != "#N/A":
        raise SpecError(
            f"{where} holds the error {quoted(str(value))}", remedy="Mend its formula, or empty it"
        )
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return _number(value, _format(cell))
    if isinstance(value, dt.datetime):
        return value.date().isoformat() if value.time() == dt.time() else value.isoformat(" ")
    return str(value)


def _number(value: float, number_format: str) -> str:
    if not float(value).is_integer() or abs(value) > 2**53:
        return repr(value)
    text = str(int(value))
    return text.zfill(len(number_format)) if _ZEROS.fullmatch(number_format) else text


def _notes(sheet: _Sheet) -> Iterator[str]:
    if sheet.formulas:
        n = len(sheet.formulas)
        yield f"cells with formulas: {n}; of each the value that was last computed is taken"
