"""The table that a verdict is from, and a view of the quality of slides."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """What is there was stated by hand. The view is made with all others."""
    for name in ("file", "sha256"):
        op.add_column(
            "verdict", sa.Column(name, sa.Text(), nullable=False, server_default=sa.text("''"))
        )
