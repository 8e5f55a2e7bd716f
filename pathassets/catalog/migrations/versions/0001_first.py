"""The first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

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
    _make_artifact()
    _make_artifact_parent()
    _make_attempt()


def _words(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text(), nullable=False) for name in names]


def _make_slide() -> None:
    op.create_table(
        "slide",
        *_words("slide_id", "fingerprint"),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        *_words("vendor", "reader"),
        sa.Column("width_px0", sa.Integer(), nullable=False),
        sa.Column("height_px0", sa.Integer(), nullable=False),
        sa.Column("n_levels", sa.Integer(), nullable=False),
        sa.Column("level_downsamples", sa.JSON(), nullable=False),
        sa.Column("mpp", sa.Double()),
        sa.Column("mpp_sources", sa.JSON(), nullable=False),
        *_words("resolution_reason", "resolution_message"),
        sa.Column("objective_power", sa.Double()),
        sa.Column("patient", sa.Text()),
        sa.Column("label", sa.Text()),
        *_words("registered_at"),
        sa.Column("thumbnail", sa.LargeBinary()),
        sa.PrimaryKeyConstraint("slide_id", name=op.f("pk_slide")),
    )
    op.create_index(op.f("ix_slide_fingerprint"), "slide", ["fingerprint"])


def _make_slide_path() -> None:
    op.create_table(
        "slide_path",
        *_words("path", "slide_id"),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("mtime_ns", sa.BigInteger(), nullable=False),
        *_words("seen_at"),
        sa.PrimaryKeyConstraint("path", name=op.f("pk_slide_path")),
        sa.ForeignKeyConstraint(["slide_id"], ["slide.slide_id"], name=op.f("fk_slide_path_slide")),
    )
    op.create_index(op.f("ix_slide_path_slide_id"), "slide_path", ["slide_id"])


def _make_refusal() -> None:
    op.create_table(
        "refusal",
        *_words("path", "reason", "message", "remedy"),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("mtime_ns", sa.BigInteger(), nullable=False),
        *_words("refused_at"),
        sa.PrimaryKeyConstraint("path", name=op.f("pk_refusal")),
    )


def _make_mpp_override() -> None:
    op.create_table(
        "mpp_override",
        sa.Column("id", sa.Integer(), nullable=False),
        *_words("slide_id"),
        sa.Column("mpp", sa.Double(), nullable=False),
        *_words("who", "why", "made_at"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mpp_override")),
        sa.ForeignKeyConstraint(
            ["slide_id"], ["slide.slide_id"], name=op.f("fk_mpp_override_slide")
        ),
    )
    op.create_index(op.f("ix_mpp_override_slide_id"), "mpp_override", ["slide_id"])


def _make_artifact() -> None:
    op.create_table(
        "artifact",
        *_words(*ADDRESS, "uri"),
        sa.Column("spec", sa.JSON(), nullable=False),
        *_words("code_version"),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.Column("files", sa.JSON(), nullable=False),
        *_words("made_by", "made_at"),
        sa.PrimaryKeyConstraint(*ADDRESS, name=op.f("pk_artifact")),
    )
    op.create_index(op.f("ix_artifact_uri"), "artifact", ["uri"])


def _make_artifact_parent() -> None:
    op.create_table(
        "artifact_parent",
        *_words(*ADDRESS, *PARENT),
        sa.PrimaryKeyConstraint(*ADDRESS, *PARENT, name=op.f("pk_artifact_parent")),
        sa.ForeignKeyConstraint(
            ADDRESS,
            [f"artifact.{name}" for name in ADDRESS],
            name=op.f("fk_artifact_parent_artifact"),
        ),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_artifact_parent_parent"), "artifact_parent", list(PARENT))


def _make_attempt() -> None:
    op.create_table(
        "attempt",
        sa.Column("id", sa.Integer(), nullable=False),
        *_words("run_id", *ADDRESS, "state", "reason", "message", "remedy"),
        sa.Column("is_final", sa.Boolean(), nullable=False),
        sa.Column("seconds", sa.Double()),
        *_words("at"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attempt")),
    )
    op.create_index(op.f("ix_attempt_run_id"), "attempt", ["run_id"])
    op.create_index(
        op.f("ix_attempt_subject_section_name_id"), "attempt", ["subject", "section", "name", "id"]
    )
