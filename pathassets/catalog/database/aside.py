"""A catalog that cannot be written -> a copy, into which what is worked out of it may go.

What somebody states, or a run makes, may not: it would be gone with the copy, and nobody be told.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event

from pathassets.catalog.database import dialects
from pathassets.catalog.database.connect import open_engine
from pathassets.catalog.tables.artifacts import artifact
from pathassets.catalog.tables.ledgers import bad_tile, encoder, tile_check
from pathassets.catalog.tables.releases import slide_hash
from pathassets.catalog.tables.standing import (
    dataset_plan,
    dataset_rows,
    latest_attempt,
    plan,
    wanted,
)
from pathassets.catalog.tables.upkeep import artifact_hash

WORKED_OUT = frozenset(
    table.name
    for table in (
        *(plan, wanted, latest_attempt, dataset_plan, dataset_rows),
        *(bad_tile, tile_check, encoder, slide_hash, artifact_hash),
    )
)
"""Tables of what can be found again: at the price of a query, or of reading files."""
LOOKED_AT = frozenset({artifact.c.seen_whole_at.name, artifact.c.damage.name})
"""Of artifacts, what a look at their files finds."""
_CHANGES = frozenset({sqlite3.SQLITE_INSERT, sqlite3.SQLITE_UPDATE, sqlite3.SQLITE_DELETE})


def open_aside(url: str, folder: Path) -> Engine:
    """Open a copy in a folder; a server's catalog is opened itself.

    Raises:
        CatalogError: it cannot be opened.
        sqlite3.Error: it cannot be copied.
    """
    copy = _copied(url, folder)
    engine = open_engine(copy)
    if copy != url:
        event.listen(engine, "connect", _let_nothing_be_stated)
        engine.dispose()  # its connections were made before
    return engine


def _let_nothing_be_stated(connection: Any, _record: object) -> None:
    connection.set_authorizer(_verdict)


def _verdict(
    action: int, table: str | None, column: str | None, database: str | None, _: str | None
) -> int:
    """What SQLite may do, asked as it prepares a statement."""
    if action not in _CHANGES or database != "main" or table in WORKED_OUT:
        return sqlite3.SQLITE_OK
    is_look = table == artifact.name and column in LOOKED_AT
    return sqlite3.SQLITE_OK if is_look else sqlite3.SQLITE_DENY


def _copied(text: str, folder: Path) -> str:
    """Copy an SQLite file, and what is in its log, into a folder; give the URL of the copy.

    A server's URL is given back.
    """
    driver, _, place = dialects.read_only(text).partition(":///")
    if driver.partition("+")[0] != "sqlite":
        return text
    copy = folder / "catalog.sqlite"
    with (
        closing(sqlite3.connect(place.partition("&uri=true")[0], uri=True)) as theirs,
        closing(sqlite3.connect(copy)) as ours,
    ):
        theirs.backup(ours)
    return f"{driver}:///{copy}"
