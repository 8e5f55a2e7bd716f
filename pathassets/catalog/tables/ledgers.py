"""What was found out on the way: tiles that cannot be read, and encoders that a recipe named."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Double, ForeignKey, Integer, Table, Text

from pathassets.catalog.tables.base import Moment, metadata, words

bad_tile = Table(
    "bad_tile",
    metadata,
    Column("slide_id", Text, ForeignKey("slide.slide_id"), primary_key=True, nullable=False),
    # Where it is: pixels of its level.
    *(
        Column(name, Integer, primary_key=True, autoincrement=False, nullable=False)
        for name in ("level", "x_px", "y_px")
    ),
    Column("width_px", Integer, nullable=False),
    Column("height_px", Integer, nullable=False),
    # Number of the tile in its level; NULL where the reader does not know tiles.
    Column("tile", Integer),
    words("reason"),
    words("message"),
    # The stage that met it, or `check`, which reads every tile.
    words("found_by"),
    Column("found_at", Moment, nullable=False),
)

tile_check = Table(
    "tile_check",
    metadata,
    # Slides of which `check` read every tile: what is no bad tile of theirs is a good one.
    Column("slide_id", Text, ForeignKey("slide.slide_id"), primary_key=True, nullable=False),
    Column("checked_at", Moment, nullable=False),
)

encoder = Table(
    "encoder",
    metadata,
    words("name", primary_key=True),
    words("version", primary_key=True),
    # Empty where it has none, or where only the open model can tell.
    words("weights_sha256", primary_key=True),
    # What the card declares; NULL where any will do, or nobody said.
    Column("dim", Integer),
    Column("input_px", Integer),
    Column("mpp", Double),
    words("pooling"),
    words("precision"),
    # none, trained or untrained.
    words("weights"),
    words("licence"),
    Column("is_gated", Boolean, nullable=False),
    words("source"),
    words("description"),
    Column("seen_at", Moment, nullable=False),
)
