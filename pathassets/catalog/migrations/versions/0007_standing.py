"""What recipes want of each slide and where that stands, kept; when an artifact was last looked at.

What is wanted is filled by the first command, which knows the recipe. Of artifacts that are there
nobody knows when they were last seen.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from pathassets.catalog.migrations.artifact_tables import words

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables, add the columns, fill in what is known."""
    op.add_column("artifact", sa.Column("seen_whole_at", sa.Text()))
    op.add_column(
        "artifact", sa.Column("damage", sa.Text(), nullable=False, server_default=sa.text("''"))
    )
    op.create_index(op.f("ix_slide_registered_at_slide_id"), "slide", ["registered_at", "slide_id"])
    _make_plan()
    _make_wanted()
    _make_latest_attempt()
    op.create_table(
        "dataset_plan",
        *words("name", "inputs", "digest"),
        sa.PrimaryKeyConstraint("name", "inputs", name=op.f("pk_dataset_plan")),
    )


def _make_plan() -> None:
    op.create_table(
        "plan",
        sa.Column("plan_id", sa.Integer(), nullable=False),
        *words("recipe_digest", "made_at", "used_at"),
        sa.Column("looked_at", sa.Text()),
        sa.PrimaryKeyConstraint("plan_id", name=op.f("pk_plan")),
    )
    op.create_index(op.f("ix_plan_recipe_digest"), "plan", ["recipe_digest"], unique=True)


def _make_wanted() -> None:
    op.create_table(
        "wanted",
        sa.Column("plan_id", sa.Integer(), autoincrement=False, nullable=False),
        *words("slide_id", "stage", "name", "digest", "lacks", "state", "reason"),
        sa.Column("is_final", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("plan_id", "slide_id", "stage", "name", name=op.f("pk_wanted")),
        sa.ForeignKeyConstraint(["plan_id"], ["plan.plan_id"], name=op.f("fk_wanted_plan")),
        sa.ForeignKeyConstraint(["slide_id"], ["slide.slide_id"], name=op.f("fk_wanted_slide")),
        sqlite_with_rowid=False,
    )
    op.create_index(
        op.f("ix_wanted_plan_id_stage_name_state_slide_id"),
        "wanted",
        ["plan_id", "stage", "name", "state", "slide_id"],
    )


def _make_latest_attempt() -> None:
    place = ("partition_key", "stage", "name")
    op.create_table(
        "latest_attempt",
        *words(*place),
        sa.Column("attempt_id", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint(*place, name=op.f("pk_latest_attempt")),
        sqlite_with_rowid=False,
    )
    op.execute(
        "INSERT INTO latest_attempt (partition_key, stage, name, attempt_id) "
        "SELECT partition_key, stage, name, max(id) FROM attempt "
        "GROUP BY partition_key, stage, name"
    )
