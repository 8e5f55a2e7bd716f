"""Selections of slides that people save under a name."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "saved_selection",
        sa.Column("id", sa.Integer(), nullable=False),
        *(
            sa.Column(name, sa.Text(), nullable=False)
            for name in ("name", "text", "who", "made_at")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_saved_selection")),
    )
    op.create_index(op.f("ix_saved_selection_name_id"), "saved_selection", ["name", "id"])
