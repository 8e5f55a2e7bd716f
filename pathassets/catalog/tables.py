"""The tables. A change here needs a migration: see migrations/__init__.py."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Dialect,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    text,
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


def _words(name: str, *, primary_key: bool = False) -> Column[str]:
    return Column(name, Text, primary_key=primary_key, nullable=False)


def _of_slide() -> Column[str]:
    return Column("slide_id", Text, ForeignKey("slide.slide_id"), nullable=False, index=True)


slide = Table(
    "slide",
    metadata,
    _words("slide_id", primary_key=True),
    Column("fingerprint", Text, nullable=False, index=True, unique=True),
    Column("size_bytes", BigInteger, nullable=False),
    _words("vendor"),
    _words("reader"),
    Column("width_px0", Integer, nullable=False),
    Column("height_px0", Integer, nullable=False),
    Column("n_levels", Integer, nullable=False),
    Column("level_downsamples", JSON, nullable=False),
    Column("mpp", Double),
    Column("mpp_sources", JSON, nullable=False),
    _words("resolution_reason"),
    _words("resolution_message"),
    Column("objective_power", Double),
    Column("patient", Text),
    Column("label", Text),
    Column("registered_at", Moment, nullable=False),
    # Last, so that SQLite reads all other columns without walking its overflow pages.
    Column("thumbnail", LargeBinary),
)

slide_path = Table(
    "slide_path",
    metadata,
    _words("path", primary_key=True),
    _of_slide(),
    Column("size_bytes", BigInteger, nullable=False),
    Column("mtime_ns", BigInteger, nullable=False),
    Column("seen_at", Moment, nullable=False),
    # Last, as it was added; 0: not known.
    Column("ctime_ns", BigInteger, nullable=False, server_default="0"),
)

merged_slide = Table(
    "merged_slide",
    metadata,
    # An id that a slide had before its content was found to be another slide's, too.
    _words("slide_id", primary_key=True),
    Column("into_slide_id", Text, ForeignKey("slide.slide_id"), nullable=False, index=True),
    # What was known of both at the time: where that differs, the slide has neither.
    Column("patient", Text),
    Column("label", Text),
    Column("into_patient", Text),
    Column("into_label", Text),
    Column("merged_at", Moment, nullable=False),
)

rejected_file = Table(
    "rejected_file",
    metadata,
    _words("path", primary_key=True),
    _words("reason"),
    _words("message"),
    _words("remedy"),
    Column("size_bytes", BigInteger, nullable=False),
    Column("mtime_ns", BigInteger, nullable=False),
    Column("rejected_at", Moment, nullable=False),
)

mpp_override = Table(
    "mpp_override",
    metadata,
    Column("id", Integer, primary_key=True),
    _of_slide(),
    Column("mpp", Double, nullable=False),
    _words("who"),
    _words("why"),
    Column("made_at", Moment, nullable=False),
)

annotation = Table(
    "annotation",
    metadata,
    Column("id", Integer, primary_key=True),
    _of_slide(),
    _words("name"),
    # Empty: withdrawn.
    _words("digest"),
    _words("file"),
    _words("sha256"),
    Column("n_polygons", Integer, nullable=False),
    Column("labels", JSON, nullable=False),
    _words("who"),
    _words("why"),
    Column("made_at", Moment, nullable=False),
    # Last, as it was added; empty: the slide has no bounds, or nobody was asked yet.
    Column("frame", Text, nullable=False, server_default=text("''")),
)

artifact = Table(
    "artifact",
    metadata,
    *(_words(name, primary_key=True) for name in ADDRESS),
    Column("uri", Text, nullable=False, index=True),
    Column("spec", JSON, nullable=False),
    _words("code_version"),
    Column("facts", JSON, nullable=False),
    Column("files", JSON, nullable=False),
    _words("made_by"),
    Column("made_at", Moment, nullable=False),
)

PARENT = tuple(f"parent_{name}" for name in ADDRESS)
"""Columns of a parent's address: an artifact, or a slide, so no foreign key."""

artifact_parent = Table(
    "artifact_parent",
    metadata,
    *(_words(name, primary_key=True) for name in (*ADDRESS, *PARENT)),
    ForeignKeyConstraint(ADDRESS, [f"artifact.{name}" for name in ADDRESS]),
    Index("ix_artifact_parent_parent", *PARENT),
    # All eight columns are the key: a rowid would store each of them twice.
    sqlite_with_rowid=False,
)

attempt = Table(
    "attempt",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("run_id", Text, nullable=False, index=True),
    *(_words(name) for name in ADDRESS),
    _words("state"),
    _words("reason"),
    _words("message"),
    _words("remedy"),
    Column("is_final", Boolean, nullable=False),
    Column("seconds", Double),
    Column("at", Moment, nullable=False),
    # Serves both the attempts of a partition and, alone, the newest id of each key.
    Index(None, "partition_key", "stage", "name", "id"),
)
