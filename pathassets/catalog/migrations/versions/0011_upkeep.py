"""When bytes were last read, and which slides were taken out for good."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    address = ("stage", "name", "partition_key", "digest")
    op.create_table(
        "artifact_hash",
        *_words(*address, "hashed_at"),
        sa.PrimaryKeyConstraint(*address, name=op.f("pk_artifact_hash")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "forgotten_slide",
        sa.Column("id", sa.Integer(), nullable=False),
        *_words("salt", "content_hash", "id_hash", "who", "why"),
        sa.Column("n_artifacts", sa.Integer(), nullable=False),
        *_words("forgotten_at"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_forgotten_slide")),
    )


def _words(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text(), nullable=False) for name in names]
