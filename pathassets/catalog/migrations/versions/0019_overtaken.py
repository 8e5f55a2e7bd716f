"""Of a table of the inbox also which waiting lines gave way to what was stated since."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; of what was tried before nobody knows."""
    op.add_column("taken_table", sa.Column("overtaken_lines", sa.JSON()))
