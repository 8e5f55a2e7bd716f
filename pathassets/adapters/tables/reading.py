"""File -> table: CSV, workbook or Parquet, told by its first bytes and not by its name."""

from __future__ import annotations

from pathlib import Path

from pathassets.adapters.named_files import open_named
from pathassets.adapters.tables.csv_table import (
    BESIDE_DECIMAL_COMMAS,
    SEPARATORS,
    read_csv_table,
)
from pathassets.adapters.tables.table import Table, unread, unreadable
from pathassets.errors import SpecError

_ZIP, _PARQUET, _OLE = b"PK\x03\x04", b"PAR1", b"\xd0\xcf\x11\xe0"


def read_table(path: Path, *, any_of: tuple[str, ...], sheet: str | None = None) -> Table:
    """Read a table that has a column of one of those names; `sheet` names one of a workbook.

    Raises:
        SpecError: it cannot be read, has no such column, or a line is not what it should be.
    """
    try:
        with open_named(path) as file:
            first = file.read(4)
    except OSError as error:
        raise unread(path, error) from error
    if first == _ZIP:
        from pathassets.adapters.tables.excel import read_workbook  # noqa: PLC0415 - takes 0.2 s

        return read_workbook(path, any_of=any_of, sheet=sheet)
    if sheet is not None:
        raise SpecError(f"{path}: is no workbook, and has no sheets", remedy="Leave out --sheet")
    if first == _PARQUET:
        from pathassets.adapters.tables.parquet_table import (  # noqa: PLC0415 - takes 0.2 s
            read_parquet_table,
        )

        return read_parquet_table(path, any_of=any_of)
    if first == _OLE:
        raise unreadable(
            path,
            "it is an .xls file, or a workbook with a password",
            "Save it as .xlsx without one",
        )
    table = read_csv_table(path, any_of=any_of)
    return Table(
        source=str(path), sha256=table.sha256, header=table.header, columns=table.columns,
        lines=table.lines, may_have_decimal_commas=table.separator in BESIDE_DECIMAL_COMMAS,
        taken_for=f"{table.charset}, separated by {SEPARATORS[table.separator]}",
    )  # fmt: skip
