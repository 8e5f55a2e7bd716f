"""When bytes were last read, which slides were taken out or are to be, which catalog this is."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Integer, Table, Text

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

begun_removal = Table(
    "begun_removal",
    metadata,
    # A slide that is here still: the row goes with the slide's own, which are erased last.
    Column("slide_id", Text, ForeignKey("slide.slide_id"), primary_key=True),
    # Of its row in forgotten_slide: once that is deleted, nothing is begun any more.
    words("salt"),
    sqlite_with_rowid=False,
)

catalog_identity = Table(
    "catalog_identity",
    metadata,
    # 1: there is one row, or none before anybody asked.
    Column("id", Integer, primary_key=True, autoincrement=False),
    words("name"),
    # The store that has this catalog's mark, and where the catalog is by that; empty: none has.
    words("marked"),
)
