"""Of an object also what its storage calls the version of it that was seen."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column wherever a stamp is kept; what is there are files, which have none."""
    for table in ("slide_path", "rejected_file", "inbox_file"):
        op.add_column(
            table, sa.Column("etag", sa.Text(), nullable=False, server_default=sa.text("''"))
        )
