"""A catalog's tables <-> lines of JSON that SQLite and PostgreSQL both can be made from.

A dump is of one moment. It is loaded into the tables of the revision that it was made of, which are
then brought up to date, so that an old one can be restored by a newer version.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import (
    URL,
    Connection,
    Engine,
    LargeBinary,
    MetaData,
    Table,
    func,
    insert,
    select,
    text,
)
from sqlalchemy import inspect as inspect_tables

from pathassets.catalog.database.connect import (
    make_engine,
    migrate,
    open_engine,
    reading,
    revision_of,
    writing,
)
from pathassets.catalog.database.dialects import IN_VALUES, one_moment, restart_numbers
from pathassets.catalog.database.urls import name_of, parse_url
from pathassets.catalog.migrations import HEAD, VERSION_TABLE
from pathassets.catalog.tables import metadata, release
from pathassets.catalog.upkeep.numbered import Numbered
from pathassets.catalog.upkeep.outliving import Outlived, Outliving, outlive
from pathassets.catalog.upkeep.part import UpkeepPart
from pathassets.core.spec import canonical_json
from pathassets.errors import CatalogError

TakeLines = Callable[[str, Iterator[str]], None]
"""Writes the lines of a table, by its name."""
Lines = Mapping[str, Iterable[str]]
"""Lines of each table."""
Settle = Callable[[Outlived], None]
"""Does what is to be done before a catalog is there, of which some slides stay out."""
_BYTES = "$bytes"
_OF_RECIPE = frozenset({"plan", "encoder", "dataset_plan", "dataset_rows", "catalog_identity"})
"""Tables that a command may have filled which states nothing, where there was no catalog."""


class Dumping(UpkeepPart):
    """All of the catalog, to be kept elsewhere."""

    def dump(self, take: TakeLines) -> str:
        """Give the rows of every table, as they are at one moment; returns their revision."""
        options = one_moment(self._engine)
        with reading(self._engine.execution_options(**options)) as connection:
            for table in metadata.sorted_tables:
                take(table.name, _lines(connection, table))
        return HEAD


def _lines(connection: Connection, table: Table) -> Iterator[str]:
    query = select(table).order_by(*table.primary_key)
    pages = connection.execution_options(yield_per=IN_VALUES).execute(query)
    for row in pages.mappings():
        yield canonical_json({name: _plain(value) for name, value in row.items()})


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return {_BYTES: base64.b64encode(value).decode("ascii")}
    if isinstance(value, datetime):
        return value.isoformat(timespec="microseconds")
    return value


def releases_in(lines: Lines) -> set[Numbered]:
    """Which releases a dump has.

    Raises:
        CatalogError: a line is no row of a release.
    """
    return {_numbered(line) for line in lines.get(release.name, ())}


def _numbered(line: str) -> Numbered:
    """Which release a line is of, be the dump another version's."""
    match json.loads(line):
        case {"dataset": str(dataset), "version": int(version), "digest": str(digest)}:
            return dataset, version, digest
        case _:
            raise CatalogError(f"table {release.name}: a line of the dump is no row of it")


def is_empty(url: str) -> bool:
    """Whether no catalog is there, or one that says nothing but what the recipe says.

    Raises:
        CatalogError: it cannot be opened.
    """
    place = parse_url(url)
    if place.get_backend_name() == "sqlite" and not Path(place.database or "").exists():
        return True
    engine = make_engine(url)
    try:
        with reading(engine) as connection:
            return all(n == 0 for n in _counts(connection))
    finally:
        engine.dispose()


def _counts(connection: Connection) -> Iterator[int]:
    there = set(inspect_tables(connection).get_table_names())
    for table in metadata.sorted_tables:
        if table.name in there and table.name not in _OF_RECIPE:
            yield connection.execute(select(func.count()).select_from(table)).scalar_one()


def load_catalog(
    url: str, revision: str, lines: Lines, outliving: Outliving | None = None,
    settle: Settle | None = None,
) -> None:  # fmt: skip
    """Make a catalog of dumped tables in the place of an empty one, whole or not at all.

    `outliving` are slides that were taken out since, which it keeps out, and releases, which it
    takes in. `settle` is called with what of both the dump had not so, before the catalog is there.

    Raises:
        CatalogError: there are rows already, the dump is of a newer version, or it cannot be made.
    """
    if not is_empty(url):
        raise CatalogError(
            f"{name_of(parse_url(url))}: holds rows already",
            remedy="Name an empty database in PATHASSETS_CATALOG, and this one with --instead-of: "
            "what was forgotten in it stays out",
        )
    place = parse_url(url)
    is_file = place.get_backend_name() == "sqlite"
    engine = _made_aside(place) if is_file else make_engine(url)
    try:
        with writing(engine) as connection:
            _load(connection, revision, lines)
            outlived = outlive(connection, outliving or Outliving())
            if settle is not None:
                settle(outlived)
    finally:
        engine.dispose()
    if is_file:
        _rename(_aside_of(place), Path(place.database or ""))


def _aside_of(place: URL) -> Path:
    path = Path(place.database or "")
    return path.with_name(f"{path.name}.restoring")


def _made_aside(place: URL) -> Engine:
    """Make an SQLite file beside its place, which gets its name once it is whole."""
    aside = _aside_of(place)
    url = place.set(database=str(aside)).render_as_string(hide_password=False)
    _remove_database(aside)
    open_engine(url).dispose()  # private, and with a log
    return make_engine(url)


def _rename(aside: Path, path: Path) -> None:
    with aside.open("rb") as file:
        os.fsync(file.fileno())
    for left in (f"{path}-wal", f"{path}-shm"):
        with suppress(FileNotFoundError):
            Path(left).unlink()
    aside.replace(path)


def _remove_database(path: Path) -> None:
    for name in (path, f"{path}-wal", f"{path}-shm", f"{path}-journal"):
        with suppress(FileNotFoundError):
            Path(name).unlink()


def _load(connection: Connection, revision: str, lines: Lines) -> None:
    _drop_empty(connection)
    migrate(connection, revision)
    made = MetaData()
    made.reflect(connection)
    by_name = {t.name: t for t in made.sorted_tables}
    unknown = set(lines) - set(by_name)
    if unknown:
        raise CatalogError(f"table {min(unknown)}: is in no catalog of {revision}")
    for name, table in by_name.items():
        _fill(connection, table, lines.get(name, ()))
    restart_numbers(connection, [t for t in by_name.values() if t.name in lines])
    migrate(connection)


def _drop_empty(connection: Connection) -> None:
    """Drop the tables of a catalog without rows: another revision's are to be made."""
    if not revision_of(connection):
        return
    migrate(connection)  # others may have tables here, too: only names of today are surely ours
    found = inspect_tables(connection)
    for view in found.get_view_names():
        if view.startswith("v_"):
            connection.execute(text(f'DROP VIEW "{view}"'))
    there = MetaData()
    ours = {*metadata.tables, VERSION_TABLE} & set(found.get_table_names())
    there.reflect(connection, only=sorted(ours))
    there.drop_all(connection)


def _fill(connection: Connection, table: Table, lines: Iterable[str]) -> None:
    rows: list[dict[str, Any]] = []
    for line in lines:
        rows.append(_row(table, line))
        if len(rows) == IN_VALUES:
            connection.execute(insert(table), rows)
            rows = []
    if rows:
        connection.execute(insert(table), rows)


def _row(table: Table, line: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except ValueError:
        row = None
    if not isinstance(row, dict) or row.keys() != set(table.c.keys()):
        raise CatalogError(f"table {table.name}: a line of the dump is no row of it")
    return {name: _value(table, name, value) for name, value in row.items()}


def _value(table: Table, name: str, value: Any) -> Any:
    if value is None or not isinstance(table.c[name].type, LargeBinary):
        return value
    if not isinstance(value, dict) or not isinstance(value.get(_BYTES), str):
        raise CatalogError(f"column {table.name}.{name}: the dump has no bytes for it")
    try:
        return base64.b64decode(value[_BYTES])
    except ValueError as error:
        raise CatalogError(f"column {table.name}.{name}: holds no base64: {error}") from error
