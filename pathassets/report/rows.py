"""The answer to a query, for a terminal or a machine."""

from __future__ import annotations

import base64
import sys
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from pathassets.catalog.database.query import Result
from pathassets.core.text import counted, visible
from pathassets.engine.platform.query import Written
from pathassets.report.console import open_console
from pathassets.report.json_text import json_text


def rows_table(answer: Result, limit: int) -> None:
    """Print the first rows, and say whether there are more."""
    rows = list(islice(answer.rows(), limit + 1))
    table = Table(*(escape(visible(name)) for name in answer.columns))
    for column in table.columns:
        column.overflow = "fold"
    for row in rows[:limit]:
        table.add_row(*(escape(visible(_shown(value))) for value in row))
    console = open_console()
    console.print(table)
    n_shown = min(len(rows), limit)
    more = "" if len(rows) <= limit else "; there are more: --limit N, or --to FILE.csv for all"
    console.print(f"{counted(n_shown, 'row')}{more}", markup=False)


def _shown(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bytes | memoryview):
        return f"({len(value):,} bytes)"
    return str(value)


def rows_json(answer: Result) -> None:
    """Print all rows as a list of objects, as they come; controls are escaped, as JSON has them.

    What is no number (NaN, infinity) is null: JSON has no word for it.
    """
    write = sys.stdout.write
    before = "["
    for row in answer.rows():
        one = dict(zip(answer.columns, row, strict=True))
        write(before + "\n" + json_text(one, default=_plain))
        before = ","
    write("[]\n" if before == "[" else "\n]\n")


def _plain(value: Any) -> Any:
    if isinstance(value, bytes | memoryview):
        return base64.b64encode(value).decode()
    return float(value) if isinstance(value, Decimal) else str(value)


def written(target: Path, done: Written) -> None:
    """Say what was written, and what of it a spreadsheet would run."""
    console = open_console()
    console.print(visible(f"{target}: {counted(done.n_rows, 'row')}"), markup=False)
    if done.n_formulas:
        cells = counted(done.n_formulas, "cell")
        said = (
            f"{cells} had an apostrophe put before them: a spreadsheet would run them"
            if done.is_escaped
            else f"mind: {cells} would be run by a spreadsheet; --escape-formulas prevents it"
        )
        console.print(said, markup=False, style="yellow")
