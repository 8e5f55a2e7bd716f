"""How often states changed, and the hash of a dataset's rows as of then."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Count from nothing: of what is there no hash is known."""
    n_changes = sa.Column("n_changes", sa.Integer(), nullable=False, server_default=sa.text("0"))
    op.add_column("plan", n_changes)
    op.create_table(
        "dataset_rows",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("plan_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("said", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["plan_id"], ["plan.plan_id"], name=op.f("fk_dataset_rows_plan")),
        sa.PrimaryKeyConstraint("name", "plan_id", name=op.f("pk_dataset_rows")),
    )
