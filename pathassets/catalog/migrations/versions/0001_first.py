"""The first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from pathassets.catalog.migrations.artifact_tables import (
    make_artifact,
    make_artifact_parent,
    make_attempt,
    words,
)

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

ADDRESS = ("section", "name", "subject", "digest")
PARENT = ("parent_section", "parent_name", "parent_subject", "parent_digest")


def upgrade() -> None:
    """Make all tables."""
    _make_slide()
    _make_slide_path()
    _make_refusal()
    _make_mpp_override()
    make_artifact(ADDRESS)
    make_artifact_parent(ADDRESS, PARENT)
    make_attempt(ADDRESS)


def _make_slide() -> None:
    op.create_table(
        "slide",
        *words("slide_id", "fingerprint"),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        *words("vendor", "reader"),
        sa.Column("width_px0", sa.Integer(), nullable=False),
        sa.Column("height_px0", sa.Integer(), nullable=False),
        sa.Column("n_levels", sa.Integer(), nullable=False),
        sa.Column("level_downsamples", sa.JSON(), nullable=False),
        sa.Column("mpp", sa.Double()),
        sa.Column("mpp_sources", sa.JSON(), nullable=False),
        *words("resolution_reason", "resolution_message"),
        sa.Column("objective_power", sa.Double()),
        sa.Column("patient", sa.Text()),
        sa.Column("label", sa.Text()),
        *words("registered_at"),
        sa.Column("thumbnail", sa.LargeBinary()),
        sa.PrimaryKeyConstraint("slide_id", name=op.f("pk_slide")),
    )
    op.create_index(op.f("ix_slide_fingerprint"), "slide", ["fingerprint"])


def _make_slide_path() -> None:
    op.create_table(
        "slide_path",
        *words("path", "slide_id"),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("mtime_ns", sa.BigInteger(), nullable=False),
        *words("seen_at"),
        sa.PrimaryKeyConstraint("path", name=op.f("pk_slide_path")),
        sa.ForeignKeyConstraint(["slide_id"], ["slide.slide_id"], name=op.f("fk_slide_path_slide")),
    )
    op.create_index(op.f("ix_slide_path_slide_id"), "slide_path", ["slide_id"])


def _make_refusal() -> None:
    op.create_table(
        "refusal",
        *words("path", "reason", "message", "remedy"),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("mtime_ns", sa.BigInteger(), nullable=False),
        *words("refused_at"),
        sa.PrimaryKeyConstraint("path", name=op.f("pk_refusal")),
    )


def _make_mpp_override() -> None:
    op.create_table(
        "mpp_override",
        sa.Column("id", sa.Integer(), nullable=False),
        *words("slide_id"),
        sa.Column("mpp", sa.Double(), nullable=False),
        *words("who", "why", "made_at"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mpp_override")),
        sa.ForeignKeyConstraint(
            ["slide_id"], ["slide.slide_id"], name=op.f("fk_mpp_override_slide")
        ),
    )
    op.create_index(op.f("ix_mpp_override_slide_id"), "mpp_override", ["slide_id"])
