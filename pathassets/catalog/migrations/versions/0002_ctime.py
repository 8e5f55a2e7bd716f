"""Of each file also when anything of it changed last, which no program can set back."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; of what is there it is not known, so each file is verified once."""
    op.add_column(
        "slide_path", sa.Column("ctime_ns", sa.BigInteger(), nullable=False, server_default="0")
    )
