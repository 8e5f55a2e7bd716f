"""What people state of slides: the newest row is in force, all are kept."""

from __future__ import annotations

from sqlalchemy import JSON, Column, Double, Integer, Table, Text, text

from pathassets.catalog.tables.base import Moment, metadata, of_slide, words

mpp_override = Table(
    "mpp_override",
    metadata,
    Column("id", Integer, primary_key=True),
    of_slide(),
    Column("mpp", Double, nullable=False),
    words("who"),
    words("why"),
    Column("made_at", Moment, nullable=False),
)

annotation = Table(
    "annotation",
    metadata,
    Column("id", Integer, primary_key=True),
    of_slide(),
    words("name"),
    # Empty: withdrawn.
    words("digest"),
    words("file"),
    words("sha256"),
    Column("n_polygons", Integer, nullable=False),
    Column("labels", JSON, nullable=False),
    words("who"),
    words("why"),
    Column("made_at", Moment, nullable=False),
    # Last, as it was added; empty: the slide has no bounds, or nobody was asked yet.
    Column("frame", Text, nullable=False, server_default=text("''")),
)
