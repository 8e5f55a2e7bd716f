"""What the parts of the catalog for upkeep share: the engine, and statements over many values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from sqlalchemy import Column, Connection, RowMapping, Select, Table, delete, select

from pathassets.catalog.connect import reading
from pathassets.catalog.dialects import IN_VALUES
from pathassets.catalog.part import CatalogPart
from pathassets.catalog.rows import address_row
from pathassets.core.address import Address


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
