"""When bytes were last read, and which slides were taken out for good."""

from __future__ import annotations

from sqlalchemy import Column, Integer, Table

from pathassets.catalog.tables.base import ADDRESS, Moment, metadata, words

artifact_hash = Table(
    "artifact_hash",
    metadata,
    # No row: its bytes were last hashed when it was published.
    *(words(name, primary_key=True) for name in ADDRESS),
    Column("hashed_at", Moment, nullable=False),
    sqlite_with_rowid=False,
)

forgotten_slide = Table(
    "forgotten_slide",
    metadata,
    Column("id", Integer, primary_key=True),
    # Of its content and of its id, each hashed with this salt: neither can be read off, nor
    # looked up in another catalog.
    words("salt"),
    words("content_hash"),
    words("id_hash"),
    words("who"),
    words("why"),
    Column("n_artifacts", Integer, nullable=False),
    Column("forgotten_at", Moment, nullable=False),
)
