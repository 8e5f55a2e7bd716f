"""Selections of slides that people saved: of each name the newest row is in force, all are kept."""

from __future__ import annotations

from sqlalchemy import Column, Index, Integer, Table

from pathassets.catalog.tables.base import Moment, metadata, words

saved_selection = Table(
    "saved_selection",
    metadata,
    Column("id", Integer, primary_key=True),
    words("name"),
    # As it was typed; the canonical text follows from it.
    words("text"),
    words("who"),
    Column("made_at", Moment, nullable=False),
    Index(None, "name", "id"),
)
