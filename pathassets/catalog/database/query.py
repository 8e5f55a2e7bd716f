"""A SELECT of a person -> its columns and rows, with no way to change anything.

    SQLite       a connection of its own: mode=ro, query_only, an authorizer that lets reads pass
    PostgreSQL   a read-only transaction, and a cursor that the server itself opens on the text: it
                 takes one query there, and nothing but a query

Nothing here looks for words in the text: what may run, the databases decide.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any, Protocol

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from pathassets.catalog.database.connect import open_reader, reading, unheld
from pathassets.catalog.database.urls import without_secrets
from pathassets.errors import CatalogError

ROWS_AT_ONCE = 1_000
STEPS = 10_000
"""Instructions of SQLite's machine between two looks at the clock: some tenths of a millisecond."""
MAX_CELL_BYTES = 64 * 2**20
"""Longest value that SQLite may make for a query."""

Row = Sequence[Any]


class Result(Protocol):
    """What a query gives: it is run anew for each pass, on the same state of the catalog."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Names, in order."""

    def rows(self) -> Iterator[Row]:
        """Rows, as they are asked for."""


@contextmanager
def open_query(url: str, statement: str, *, timeout_s: float) -> Iterator[Result]:
    """Run a query on a catalog, for at most so long a pass.

    Raises:
        CatalogError: it is no query, or more than one, or wants to change something; it takes too
            long; or the catalog cannot be opened.
    """
    engine = _open(url)
    try:
        with reading(engine) as connection, _told(connection):
            try:
                result = _RESULTS[connection.dialect.name](connection, statement, timeout_s)
            except ValueError as error:
                raise unheld(error, engine.url) from error
            yield result
    finally:
        engine.dispose()


def _open(url: str) -> Engine:
    """Open a catalog beside its writers; one in a place that cannot be written as it lies there."""
    try:
        return open_reader(url, is_alone=False)
    except CatalogError:
        return open_reader(url)


@contextmanager
def _told(connection: Connection) -> Iterator[None]:
    """Say what a database has against a query."""
    try:
        yield
    except (DBAPIError, sqlite3.Error, sqlite3.Warning) as error:
        cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
        lines = str(cause).strip().splitlines() or [type(cause).__name__]
        said = without_secrets(lines[0], connection.engine.url).rstrip(".")
        raise CatalogError(f"query: {said}", remedy=_remedy(said)) from error


_REMEDIES = {
    "not authorized": "A query reads: SELECT, or WITH … SELECT",
    "prohibited": "A query reads: SELECT, or WITH … SELECT",
    "as cursor": "A query reads: SELECT, or WITH … SELECT",
    "multi-query": "Give one statement at a time",
    "one statement": "Give one statement at a time",
    "read-only": "A query reads: SELECT, or WITH … SELECT",
    "readonly": "A query reads: SELECT, or WITH … SELECT",
    "interrupted": "It took too long: ask for less, or raise --timeout",
    "statement timeout": "It took too long: ask for less, or raise --timeout",
    "no such table": "docs/catalog.md lists the views; v_slides is one",
    "no such column": "docs/catalog.md lists the columns of the views",
    "does not exist": "docs/catalog.md lists the views and their columns",
}


def _remedy(said: str) -> str:
    return next((remedy for words, remedy in _REMEDIES.items() if words in said), "")


class _SqliteResult:
    """A query on a file that is opened to be read."""

    def __init__(self, connection: Connection, statement: str, timeout_s: float) -> None:
        driver: sqlite3.Connection = connection.connection.driver_connection  # type: ignore[assignment]
        driver.execute("PRAGMA query_only = ON")
        driver.execute("BEGIN")  # all passes see one state
        driver.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_CELL_BYTES)
        driver.set_authorizer(_authorize)
        self._driver = driver
        self._statement = statement
        self._timeout_s = timeout_s
        self.columns = tuple(column[0] for column in self._run().description or ())
        if not self.columns:
            raise CatalogError("query: it gives no columns", remedy=_REMEDIES["not authorized"])

    def rows(self) -> Iterator[Row]:
        """Rows, as they are asked for."""
        cursor = self._run()
        while page := cursor.fetchmany(ROWS_AT_ONCE):
            yield from page

    def _run(self) -> sqlite3.Cursor:
        until_s = time.monotonic() + self._timeout_s
        self._driver.set_progress_handler(lambda: int(time.monotonic() > until_s), STEPS)
        return self._driver.execute(self._statement)


_READS = frozenset(
    {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}
)


def _authorize(action: int, one: object, other: object, *_rest: object) -> int:
    """Let reads pass, and the end of reading; no ATTACH, PRAGMA or write, and no library.

    ROLLBACK is how the connection is given back; of a person it gives no columns, and is refused.
    """
    is_read = action in _READS and other != "load_extension"
    is_end = (action, one) == (sqlite3.SQLITE_TRANSACTION, "ROLLBACK")
    return sqlite3.SQLITE_OK if is_read or is_end else sqlite3.SQLITE_DENY


_OPEN = """
DO $open$
DECLARE asked refcursor := 'pathassets_query';
BEGIN
  OPEN asked FOR EXECUTE current_setting('pathassets.query');
END
$open$
"""


class _PostgresResult:
    """A query on a server, in a transaction that can write nothing."""

    def __init__(self, connection: Connection, statement: str, timeout_s: float) -> None:
        connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
        given = {"query": statement, "ms": str(max(1, round(timeout_s * 1000)))}
        connection.execute(
            text(
                "SELECT set_config('pathassets.query', :query, true), "
                "set_config('statement_timeout', :ms, true)"
            ),
            given,
        )
        self._connection = connection
        connection.exec_driver_sql(_OPEN)
        found = connection.exec_driver_sql("FETCH 0 FROM pathassets_query")
        self.columns = tuple(found.keys())

    def rows(self) -> Iterator[Row]:
        """Rows, as they are asked for."""
        self._connection.exec_driver_sql("CLOSE pathassets_query")
        self._connection.exec_driver_sql(_OPEN)
        fetch = f"FETCH {ROWS_AT_ONCE} FROM pathassets_query"
        while page := self._connection.exec_driver_sql(fetch).fetchall():
            yield from (tuple(row) for row in page)


_RESULTS: Mapping[str, Callable[[Connection, str, float], Result]] = MappingProxyType(
    {"sqlite": _SqliteResult, "postgresql": _PostgresResult}
)
