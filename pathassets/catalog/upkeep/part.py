"""What the parts of the catalog for upkeep share: the engine, and statements over many values."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Any

from sqlalchemy import Column, Connection, RowMapping, Select, Table, delete, select

from pathassets.catalog.database.connect import reading
from pathassets.catalog.database.dialects import IN_VALUES
from pathassets.catalog.part import CatalogPart
from pathassets.catalog.rows import address_row
from pathassets.catalog.states import note_latest
from pathassets.catalog.tables import artifact, latest_attempt
from pathassets.core.address import Address
from pathassets.core.external import CODE_VERSION as EXTERNAL_CODE
from pathassets.core.stages import FEATURES


class UpkeepPart(CatalogPart):
    """Questions and entries for upkeep."""

    def _stream(self, query: Select[Any]) -> Iterator[RowMapping]:
        """Rows as they are asked for, from one consistent view that is held until the last."""
        with reading(self._engine) as connection:
            pages = connection.execution_options(yield_per=IN_VALUES)
            yield from pages.execute(query).mappings()

    def _pages(self, column: Column[str]) -> Iterator[list[str]]:
        """Values of a column, each once and in order, some hundreds at a time."""
        last: str | None = None
        while True:
            query = select(column).distinct().order_by(column).limit(IN_VALUES)
            if last is not None:
                query = query.where(column > last)
            with reading(self._engine) as connection:
                page = [*connection.execute(query).scalars()]
            if not page:
                return
            yield page
            last = page[-1]


def delete_at(connection: Connection, table: Table, addresses: Iterable[Address]) -> None:
    """Delete the rows of addresses."""
    for address in addresses:
        at = [table.c[name] == value for name, value in address_row(address).items()]
        connection.execute(delete(table).where(*at))


def note_again(connection: Connection, partition_keys: Collection[str]) -> None:
    """Note the newest attempts of some slides, once some were deleted."""
    of_them = latest_attempt.c.partition_key.in_(partition_keys)
    connection.execute(delete(latest_attempt).where(of_them))
    note_latest(connection, partition_keys)


def external_slides(connection: Connection, addresses: Iterable[Address]) -> set[str]:
    """Slides of those that are another tool's features: what is wanted follows from them, too."""
    found: set[str] = set()
    for address in addresses:
        if address.stage == FEATURES:
            at = [artifact.c[name] == value for name, value in address_row(address).items()]
            query = select(artifact.c.partition_key).where(
                *at, artifact.c.code_version == EXTERNAL_CODE
            )
            found.update(connection.execute(query).scalars())
    return found
