"""When batches began to encode: what rates need to tell their start from their work."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Of what ran before it is not known."""
    op.add_column("batch", sa.Column("encoding_at", sa.Text()))
