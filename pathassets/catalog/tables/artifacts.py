"""What was made, from what, and what was tried."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Double,
    ForeignKeyConstraint,
    Index,
    Integer,
    Table,
    Text,
    text,
)

from pathassets.catalog.tables.base import ADDRESS, Moment, metadata, words

artifact = Table(
    "artifact",
    metadata,
    *(words(name, primary_key=True) for name in ADDRESS),
    Column("uri", Text, nullable=False, index=True),
    Column("spec", JSON, nullable=False),
    words("code_version"),
    Column("facts", JSON, nullable=False),
    Column("files", JSON, nullable=False),
    words("made_by"),
    Column("made_at", Moment, nullable=False),
    # Last, as they were added. When all its files were there with their sizes; NULL: not known.
    Column("seen_whole_at", Moment),
    # What was wrong at the last look; empty where nothing was.
    Column("damage", Text, nullable=False, server_default=text("''")),
)

PARENT = tuple(f"parent_{name}" for name in ADDRESS)
"""Columns of a parent's address: an artifact, or a slide, so no foreign key."""

artifact_parent = Table(
    "artifact_parent",
    metadata,
    *(words(name, primary_key=True) for name in (*ADDRESS, *PARENT)),
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
    *(words(name) for name in ADDRESS),
    words("state"),
    words("reason"),
    words("message"),
    words("remedy"),
    Column("is_final", Boolean, nullable=False),
    Column("seconds", Double),
    Column("at", Moment, nullable=False),
    # Serves both the attempts of a partition and, alone, the newest id of each key.
    Index(None, "partition_key", "stage", "name", "id"),
)
