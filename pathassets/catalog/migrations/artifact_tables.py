"""Tables of artifacts by any names of an address: revision 0006 made them anew under other ones.

A migration is history: nothing here ever changes. Other tables are to be had by a new revision.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op


def words(*names: str) -> list[sa.Column[str]]:
    """Columns of text."""
    return [sa.Column(name, sa.Text(), nullable=False) for name in names]


def make_artifact(address: Sequence[str]) -> None:
    """Make the table of artifacts; `address` are the columns that name one."""
    op.create_table(
        "artifact",
        *words(*address, "uri"),
        sa.Column("spec", sa.JSON(), nullable=False),
        *words("code_version"),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.Column("files", sa.JSON(), nullable=False),
        *words("made_by", "made_at"),
        sa.PrimaryKeyConstraint(*address, name=op.f("pk_artifact")),
    )
    op.create_index(op.f("ix_artifact_uri"), "artifact", ["uri"])


def make_artifact_parent(address: Sequence[str], parent: Sequence[str]) -> None:
    """Make the table of what artifacts were made from."""
    op.create_table(
        "artifact_parent",
        *words(*address, *parent),
        sa.PrimaryKeyConstraint(*address, *parent, name=op.f("pk_artifact_parent")),
        sa.ForeignKeyConstraint(
            address,
            [f"artifact.{name}" for name in address],
            name=op.f("fk_artifact_parent_artifact"),
        ),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_artifact_parent_parent"), "artifact_parent", list(parent))


def make_attempt(address: Sequence[str]) -> None:
    """Make the table of what became of what was tried."""
    stage, name, partition_key, _ = address
    op.create_table(
        "attempt",
        sa.Column("id", sa.Integer(), nullable=False),
        *words("run_id", *address, "state", "reason", "message", "remedy"),
        sa.Column("is_final", sa.Boolean(), nullable=False),
        sa.Column("seconds", sa.Double()),
        *words("at"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attempt")),
    )
    op.create_index(op.f("ix_attempt_run_id"), "attempt", ["run_id"])
    op.create_index(
        op.f(f"ix_attempt_{partition_key}_{stage}_{name}_id"),
        "attempt",
        [partition_key, stage, name, "id"],
    )
