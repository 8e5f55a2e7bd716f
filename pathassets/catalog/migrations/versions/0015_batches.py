"""Where and when batches ran, and the codec of slides: what rates are measured by."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Of what ran before nothing is known, nor of slides until they are registered again."""
    _add_codec()
    op.create_table(
        "batch",
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("began_at", sa.Text(), nullable=False),
        sa.Column("ended_at", sa.Text()),
        sa.Column("machine", sa.Text(), nullable=False),
        sa.Column("device", sa.Text(), nullable=False),
        sa.Column("n_workers", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_batch")),
    )


def _add_codec() -> None:
    """Add it before the thumbnail, behind which SQLite would walk over its pages."""
    op.add_column("slide", sa.Column("codec", sa.Text()))
    if op.get_bind().dialect.name == "sqlite":
        op.add_column("slide", sa.Column("picture", sa.LargeBinary()))
        op.execute("UPDATE slide SET picture = thumbnail")
        op.execute("ALTER TABLE slide DROP COLUMN thumbnail")
        op.execute("ALTER TABLE slide RENAME COLUMN picture TO thumbnail")
