"""A SELECT over the catalog -> rows, or a file of them that is there whole or not at all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from pathassets.adapters.named_files import refuse_taken
from pathassets.adapters.tables.writing import write_csv, write_parquet
from pathassets.catalog.database.query import Result, open_query
from pathassets.core.text import quoted
from pathassets.errors import SpecError


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A query."""

    url: str = field(repr=False)
    """Of the catalog; it may hold a password."""
    query: str
    timeout_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What was written."""

    n_rows: int
    n_formulas: int
    """Cells of a CSV that a spreadsheet would take for formulas."""
    is_escaped: bool
    """Whether an apostrophe stands before them."""


def ask(asked: Asked) -> AbstractContextManager[Result]:
    """Open a query's answer.

    Raises:
        CatalogError: it is no query, or takes too long.
    """
    return open_query(asked.url, asked.query, timeout_s=asked.timeout_s)


def require_distinct(columns: Sequence[str]) -> None:
    """Let columns through whose names tell them apart.

    Raises:
        SpecError: two have one name: an object of JSON would lose one of them, and readers of CSV
            and Parquet lose it, rename it or refuse the file.
    """
    twice = [name for name, n in Counter(columns).items() if n > 1]
    if twice:
        raise SpecError(
            f"query: two columns are called {quoted(twice[0])}",
            remedy="Give each a name of its own: SELECT a AS x, b AS y",
        )


def write_answer(
    asked: Asked, target: Path, *, escape_formulas: bool = False, overwrite: bool = False
) -> Written:
    """Write a query's answer as CSV or Parquet, by the name's ending.

    Raises:
        SpecError: the ending is another, two columns have one name, or the place cannot be written.
        OutputExists: something is there, and is not to be overwritten.
        CatalogError: it is no query, or takes too long.
    """
    suffix = target.suffix.lower()
    if suffix not in (".csv", ".parquet"):
        raise SpecError(f"{target}: neither .csv nor .parquet", remedy="Name it so")
    if not overwrite:
        refuse_taken(target, remedy="Name another file, or replace it: --overwrite")
    with ask(asked) as answer:
        require_distinct(answer.columns)
        if suffix == ".parquet":
            n_rows = write_parquet(target, answer.columns, answer.rows)
            return Written(n_rows=n_rows, n_formulas=0, is_escaped=False)
        n_rows, n_formulas = write_csv(
            target, answer.columns, answer.rows(), escape_formulas=escape_formulas
        )
    return Written(n_rows=n_rows, n_formulas=n_formulas, is_escaped=escape_formulas)
