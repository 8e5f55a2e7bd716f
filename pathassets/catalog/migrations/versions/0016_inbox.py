"""What lies in the inbox, tables that were taken from it, and when a refused file was touched."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Begin with nothing: what lies in the inbox is looked at anew."""
    ctime = sa.Column("ctime_ns", sa.BigInteger(), nullable=False, server_default="0")
    op.add_column("rejected_file", ctime)
    op.create_table(
        "inbox_file",
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("mtime_ns", sa.BigInteger(), nullable=False),
        sa.Column("since_s", sa.Double(), nullable=False),
        sa.Column("asked", sa.Text(), nullable=False),
        sa.Column("lacks", sa.Text(), nullable=False),
        sa.Column("n_retries", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("path", name=op.f("pk_inbox_file")),
    )
    op.create_table(
        "inbox_clock",
        sa.Column("only", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("now_s", sa.Double(), nullable=False),
        sa.Column("wall_s", sa.Double(), nullable=False),
        sa.Column("monotonic_s", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("only", name=op.f("pk_inbox_clock")),
    )
    op.create_table(
        "taken_table",
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("mtime_ns", sa.BigInteger(), nullable=False),
        sa.Column("n_lines", sa.Integer(), nullable=False),
        sa.Column("n_changes", sa.Integer(), nullable=False),
        sa.Column("open_lines", sa.JSON(), nullable=False),
        sa.Column("taken_at", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("path", name=op.f("pk_taken_table")),
    )
    op.create_index(op.f("ix_taken_table_sha256"), "taken_table", ["sha256"])
