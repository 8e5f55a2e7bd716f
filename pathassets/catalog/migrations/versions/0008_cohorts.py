"""Patients, labels, cohorts, tags, verdicts and their history; bad tiles and encoders; scanners.

What is known already is entered: patients that slides name, and the bad tiles that artifacts list.
Who said so, and when, nobody kept: the history begins here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from alembic import op

from pathassets.catalog.migrations.artifact_tables import words

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

KEYS_OF_TILES = ("level", "x_px", "y_px")
N_AT_ONCE = 1000


def upgrade() -> None:
    """Make the tables, and fill what follows from those that are there."""
    _add_scanner()
    _make_labels()
    _make_cohorts()
    _make_history()
    _make_verdict()
    _make_bad_tile()
    _make_encoder()
    op.execute(
        "INSERT INTO patient (patient) SELECT DISTINCT patient FROM slide WHERE patient IS NOT NULL"
    )
    _enter_bad_tiles()


def _add_scanner() -> None:
    """Add two columns before the thumbnail, behind which SQLite would walk over its pages."""
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    for name in ("scanner", "stain"):
        op.add_column("slide", sa.Column(name, sa.Text()))
    if is_sqlite:
        op.add_column("slide", sa.Column("picture", sa.LargeBinary()))
        op.execute("UPDATE slide SET picture = thumbnail")
        op.execute("ALTER TABLE slide DROP COLUMN thumbnail")
        op.execute("ALTER TABLE slide RENAME COLUMN picture TO thumbnail")


def _of_slide(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["slide_id"], ["slide.slide_id"], name=op.f(f"fk_{table}_slide"))


def _make_labels() -> None:
    op.create_table(
        "patient",
        *words("patient"),
        sa.Column("site", sa.Text()),
        sa.PrimaryKeyConstraint("patient", name=op.f("pk_patient")),
    )
    for table, owner in (("slide_label", "slide_id"), ("patient_label", "patient")):
        op.create_table(
            table,
            *words(owner, "name", "value", "kind", "source"),
            sa.PrimaryKeyConstraint(owner, "name", name=op.f(f"pk_{table}")),
            *([_of_slide(table)] if owner == "slide_id" else []),
        )


def _make_cohorts() -> None:
    op.create_table(
        "cohort", *words("name", "made_at"), sa.PrimaryKeyConstraint("name", name=op.f("pk_cohort"))
    )
    op.create_table(
        "cohort_slide",
        *words("cohort", "slide_id"),
        sa.PrimaryKeyConstraint("cohort", "slide_id", name=op.f("pk_cohort_slide")),
        sa.ForeignKeyConstraint(["cohort"], ["cohort.name"], name=op.f("fk_cohort_slide_cohort")),
        _of_slide("cohort_slide"),
    )
    op.create_index(op.f("ix_cohort_slide_slide_id"), "cohort_slide", ["slide_id"])
    op.create_table(
        "slide_tag",
        *words("slide_id", "tag"),
        sa.PrimaryKeyConstraint("slide_id", "tag", name=op.f("pk_slide_tag")),
        _of_slide("slide_tag"),
    )
    op.create_index(op.f("ix_slide_tag_tag"), "slide_tag", ["tag"])


def _make_history() -> None:
    op.create_table(
        "cohort_change",
        sa.Column("id", sa.Integer(), nullable=False),
        *words("subject", "key", "field"),
        sa.Column("old", sa.Text()),
        sa.Column("new", sa.Text()),
        *words("who", "file", "sha256", "at"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cohort_change")),
    )
    op.create_index(op.f("ix_cohort_change_key_field_id"), "cohort_change", ["key", "field", "id"])


def _make_verdict() -> None:
    op.create_table(
        "verdict",
        sa.Column("id", sa.Integer(), nullable=False),
        *words("slide_id", "verdict", "who", "why", "made_at"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_verdict")),
        _of_slide("verdict"),
    )
    op.create_index(op.f("ix_verdict_slide_id"), "verdict", ["slide_id"])


def _make_bad_tile() -> None:
    numbers = (*KEYS_OF_TILES, "width_px", "height_px")
    op.create_table(
        "bad_tile",
        *words("slide_id"),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in numbers),
        sa.Column("tile", sa.Integer()),
        *words("reason", "message", "found_by", "found_at"),
        sa.PrimaryKeyConstraint("slide_id", *KEYS_OF_TILES, name=op.f("pk_bad_tile")),
        _of_slide("bad_tile"),
    )


def _make_encoder() -> None:
    op.create_table(
        "encoder",
        *words("name", "version", "weights_sha256"),
        sa.Column("dim", sa.Integer()),
        sa.Column("input_px", sa.Integer()),
        sa.Column("mpp", sa.Double()),
        *words("pooling", "precision", "weights", "licence"),
        sa.Column("is_gated", sa.Boolean(), nullable=False),
        *words("source", "description", "seen_at"),
        sa.PrimaryKeyConstraint("name", "version", "weights_sha256", name=op.f("pk_encoder")),
    )


def _table(name: str, *columns: str) -> sa.TableClause:
    return sa.table(name, *(sa.column(one) for one in columns))


def _enter_bad_tiles() -> None:
    """Enter what artifacts list, each tile once."""
    columns = ("width_px", "height_px", "tile", "reason", "message", "found_by", "found_at")
    bad_tile = _table("bad_tile", "slide_id", *KEYS_OF_TILES, *columns)
    at = datetime.now(UTC).isoformat(timespec="microseconds")
    found = {
        (slide_id, *(tile[name] for name in KEYS_OF_TILES)): {
            "slide_id": slide_id, **tile, "found_by": stage, "found_at": at
        }
        for slide_id, stage, facts in _with_bad_tiles()
        for tile in facts.get("bad_tiles", ())
    }  # fmt: skip
    rows = list(found.values())
    for start in range(0, len(rows), N_AT_ONCE):
        op.get_bind().execute(bad_tile.insert(), rows[start : start + N_AT_ONCE])


def _with_bad_tiles() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Artifacts of registered slides that list bad tiles: slide, stage, facts."""
    artifact = _table("artifact", "stage", "partition_key", "facts", "made_at")
    facts = sa.cast(artifact.c.facts, sa.Text)
    slide = _table("slide", "slide_id")
    query = (
        sa.select(artifact.c.partition_key, artifact.c.stage, facts)
        .join_from(artifact, slide, slide.c.slide_id == artifact.c.partition_key)
        .where(facts.contains('"bad_tiles":[{'))
        .order_by(artifact.c.made_at.desc(), artifact.c.stage)
    )
    for slide_id, stage, text in op.get_bind().execute(query):
        yield slide_id, stage, json.loads(text)
