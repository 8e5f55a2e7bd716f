"""What people drew on slides."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "drawing",
        sa.Column("id", sa.Integer(), nullable=False),
        *_words("slide_id", "name", "digest", "file", "sha256"),
        sa.Column("n_polygons", sa.Integer(), nullable=False),
        sa.Column("labels", sa.JSON(), nullable=False),
        *_words("who", "why", "made_at"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_drawing")),
        sa.ForeignKeyConstraint(["slide_id"], ["slide.slide_id"], name=op.f("fk_drawing_slide")),
    )
    op.create_index(op.f("ix_drawing_slide_id"), "drawing", ["slide_id"])


def _words(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text(), nullable=False) for name in names]
