"""What all tables share: one `metadata`, UTC times as text, columns that many have."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import (
    Column,
    Dialect,
    ForeignKey,
    MetaData,
    Text,
    TypeDecorator,
)

THUMBNAIL_LIMIT_BYTES = 16_384
"""A thumbnail is smaller: 10,000 of them stay under 160 MB."""

ADDRESS = ("stage", "name", "partition_key", "digest")
"""Columns of an address."""


class Moment(TypeDecorator[datetime]):
    """A UTC time as ISO-8601 text of one width: text order is time order in every database."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> str | None:
        """Write 2025-01-31T12:00:00.000000+00:00."""
        del dialect
        return None if value is None else value.astimezone(UTC).isoformat(timespec="microseconds")

    def process_result_value(self, value: str | None, dialect: Dialect) -> datetime | None:
        """Read it back, timezone-aware."""
        del dialect
        return None if value is None else datetime.fromisoformat(value)


metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(referred_table_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)


def words(name: str, *, primary_key: bool = False) -> Column[str]:
    """Make a column of text that is never NULL."""
    return Column(name, Text, primary_key=primary_key, nullable=False)


def of_slide() -> Column[str]:
    """Make the column that says of which slide a row is."""
    return Column("slide_id", Text, ForeignKey("slide.slide_id"), nullable=False, index=True)
