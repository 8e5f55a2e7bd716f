"""What all parts of the catalog share: the engine, a read, the time a record is stamped with."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

from sqlalchemy import Engine, RowMapping, Select

from pathassets.catalog.database.connect import reading
from pathassets.catalog.database.dialects import IN_VALUES

Value = TypeVar("Value")


class CatalogPart:
    """Questions and entries about some of the tables."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def _rows(self, query: Select[Any]) -> Sequence[RowMapping]:
        with reading(self._engine) as connection:
            return connection.execute(query).mappings().all()

    def _rows_of(
        self, query: Select[Any], column: Any, values: Collection[str] | None
    ) -> Iterator[RowMapping]:
        """Rows whose column has one of the values, all where none are given."""
        if values is None:
            yield from self._rows(query)
            return
        for some in portions(values):
            yield from self._rows(query.where(column.in_(some)))


def portions(values: Collection[Value]) -> Iterator[list[Value]]:
    """Cut values into as many as one statement takes."""
    listed = list(values)
    for start in range(0, len(listed), IN_VALUES):
        yield listed[start : start + IN_VALUES]


def now() -> datetime:
    """The time that a record is stamped with."""
    return datetime.now(UTC)
