"""From where what was drawn on a slide with bounds was counted."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; of what is there nobody was asked."""
    op.add_column(
        "drawing", sa.Column("frame", sa.Text(), nullable=False, server_default=sa.text("''"))
    )
