"""Of which slides all tiles were looked at: without it, no bad tile known is not none there."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_CHECK = "check"
"""Who found the tiles of a slide all of whose tiles were read."""


def upgrade() -> None:
    """Make the table: of what is there, slides in which `check` found a tile were looked at."""
    op.create_table(
        "tile_check",
        sa.Column("slide_id", sa.Text(), nullable=False),
        sa.Column("checked_at", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("slide_id", name=op.f("pk_tile_check")),
        sa.ForeignKeyConstraint(["slide_id"], ["slide.slide_id"], name=op.f("fk_tile_check_slide")),
    )
    found = sa.table("bad_tile", *_columns("slide_id", "found_by", "found_at")).c
    checked = (
        sa.select(found.slide_id, sa.func.max(found.found_at))
        .where(found.found_by == _CHECK)
        .group_by(found.slide_id)
    )
    made = sa.table("tile_check", *_columns("slide_id", "checked_at"))
    op.get_bind().execute(made.insert().from_select(["slide_id", "checked_at"], checked))


def _columns(*names: str) -> list[sa.ColumnClause[str]]:
    return [sa.column(name, sa.Text()) for name in names]
