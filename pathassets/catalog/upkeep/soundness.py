"""URL -> what is wrong with a catalog as a database, asked without writing or migrating it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import Connection, inspect

from pathassets.catalog import dialects
from pathassets.catalog.connect import make_engine, reading, revision_of
from pathassets.catalog.migrations import HEAD
from pathassets.catalog.tables import metadata
from pathassets.catalog.urls import parse_url
from pathassets.errors import CatalogError

_HALF_MADE = "_alembic_tmp_"
"""Tables of a migration that did not come to its end begin so."""
MOST_TOLD = 20
"""Faults of one kind that are told one by one."""


def find_faults(url: str) -> Iterator[str]:
    """Say what is wrong with a database; nothing of one that is not there yet.

    Damaged pages and broken references (SQLite), and tables that are not those of their revision.
    """
    place = parse_url(url)
    if place.get_backend_name() == "sqlite" and not Path(place.database or "").is_file():
        return
    engine = make_engine(dialects.read_only(url))
    try:
        with reading(engine) as connection:
            yield from list(_faults(connection))
    except CatalogError as error:
        yield error.message
    finally:
        engine.dispose()


def find_revision(url: str) -> str:
    """The revision of a catalog whose tables are of another than this version's; else empty.

    Raises:
        CatalogError: it cannot be read.
    """
    place = parse_url(url)
    if place.get_backend_name() == "sqlite" and not Path(place.database or "").is_file():
        return ""
    engine = make_engine(dialects.read_only(url))
    try:
        with reading(engine) as connection:
            revision = revision_of(connection)
            return "" if revision == HEAD else revision
    finally:
        engine.dispose()


def _faults(connection: Connection) -> Iterator[str]:
    if connection.dialect.name == "sqlite":
        checked = connection.exec_driver_sql(f"PRAGMA integrity_check({MOST_TOLD})").scalars()
        yield from (f"a page is damaged: {said}" for said in checked if said != "ok")
        broken = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
        for table, row, parent, _ in broken[:MOST_TOLD]:
            yield f"row {row} of {table} points at no row of {parent}"
        if len(broken) > MOST_TOLD:
            yield f"{len(broken) - MOST_TOLD} further rows point at no row"
    yield from _schema_faults(connection)


def _schema_faults(connection: Connection) -> Iterator[str]:
    found = inspect(connection)
    there = set(found.get_table_names())
    yield from (
        f"{name} is left of a migration that did not end"
        for name in sorted(there)
        if name.startswith(_HALF_MADE)
    )
    if revision_of(connection) != HEAD:
        return  # opening it brings it up to date, or refuses it
    for table in metadata.sorted_tables:
        if table.name not in there:
            yield f"its table {table.name} is gone"
            continue
        columns = {column["name"] for column in found.get_columns(table.name)}
        for column in table.columns:
            if column.name not in columns:
                yield f"its column {table.name}.{column.name} is gone"
