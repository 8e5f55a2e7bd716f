"""What recipes want of each slide and where that stands; the newest attempt at each place.

Derived from the other tables, in the transaction of whatever changes them: a row that is missing is
planned anew, and none is ever wrong.
"""

from __future__ import annotations

from sqlalchemy import Boolean, Column, ForeignKey, Index, Integer, Table, Text, text

from pathassets.catalog.tables.base import Moment, metadata, words

plan = Table(
    "plan",
    metadata,
    Column("plan_id", Integer, primary_key=True),
    # Of all that a recipe says of slides: one recipe, one plan.
    Column("recipe_digest", Text, nullable=False, index=True, unique=True),
    Column("made_at", Moment, nullable=False),
    Column("used_at", Moment, nullable=False),
    # No artifact in force was seen whole before it, since all were looked at; NULL: ask them all.
    Column("looked_at", Moment),
    # Grows whenever states may have become others: with the same number, all is as it was.
    Column("n_changes", Integer, nullable=False, server_default=text("0")),
)

wanted = Table(
    "wanted",
    metadata,
    Column("plan_id", Integer, ForeignKey("plan.plan_id"), primary_key=True, autoincrement=False),
    Column("slide_id", Text, ForeignKey("slide.slide_id"), primary_key=True),
    # Of an entry of the recipe, or of what is drawn on the slide.
    words("stage", primary_key=True),
    words("name", primary_key=True),
    words("digest"),
    # Annotations without which it cannot be made, and that are not recorded; mostly empty.
    words("lacks"),
    words("state"),
    # Code of a failure or of damage; empty where it is neither.
    words("reason"),
    # Whether the same work on the same content would fail the same way.
    Column("is_final", Boolean, nullable=False),
    # Counting, and taking slides by their state, read the index alone.
    Index(None, "plan_id", "stage", "name", "state", "slide_id"),
    sqlite_with_rowid=False,
)

latest_attempt = Table(
    "latest_attempt",
    metadata,
    *(words(name, primary_key=True) for name in ("partition_key", "stage", "name")),
    Column("attempt_id", Integer, nullable=False),
    sqlite_with_rowid=False,
)

dataset_plan = Table(
    "dataset_plan",
    metadata,
    words("name", primary_key=True),
    # Of all that the version was worked out from.
    words("inputs", primary_key=True),
    words("digest"),
)

dataset_rows = Table(
    "dataset_rows",
    metadata,
    words("name", primary_key=True),
    Column("plan_id", Integer, ForeignKey("plan.plan_id"), primary_key=True, autoincrement=False),
    # What was said when they were hashed, the plan's number of changes with it.
    words("said"),
    # SHA-256 of all that a version follows from but who was placed.
    words("sha256"),
)
