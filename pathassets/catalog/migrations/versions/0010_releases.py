"""Releases of datasets, their members, placements, findings, and hashes of thumbnails."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_OF_RELEASE = ["dataset", "version"]


def upgrade() -> None:
    """Make the tables."""
    _make_release()
    _make_rows_of_release()
    _make_placement()
    _make_findings()
    op.create_table(
        "slide_hash",
        *_words("slide_id", "method"),
        sa.Column("bits", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("slide_id", name=op.f("pk_slide_hash")),
    )


def _make_release() -> None:
    op.create_table(
        "release",
        *_words("dataset"),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        *_words("digest", "content_sha256", "tissue_mask", "patch_locations", "features"),
        *_json("recipe", "report", "licences"),
        *_words("who", "why", "made_at"),
        sa.PrimaryKeyConstraint(*_OF_RELEASE, name=op.f("pk_release")),
    )
    op.create_index(op.f("ix_release_digest"), "release", ["digest"])


def _make_rows_of_release() -> None:
    op.create_table(
        "release_member",
        *_key_of_row(),
        *_maybe("patient", "label"),
        *_words("split"),
        sa.Column("n_patches", sa.Integer(), nullable=False),
        *_words("features_sha256", "slide_sha256"),
        sa.Column("slide_mpp", sa.Double(), nullable=True),
        *_words("slide_version", "tissue_mask_digest", "patch_locations_digest"),
        *_words("features_digest"),
        *_constraints("release_member"),
    )
    op.create_index(op.f("ix_release_member_slide_id"), "release_member", ["slide_id"])
    op.create_table(
        "release_left_out",
        *_key_of_row(),
        *_maybe("patient", "label"),
        *_words("why"),
        *_constraints("release_left_out"),
    )


def _make_placement() -> None:
    key = ("dataset", "scheme", "kind", "name")
    op.create_table(
        "dataset_placement",
        *_words(*key, "part", "digest", "placed_at"),
        sa.PrimaryKeyConstraint(*key, name=op.f("pk_dataset_placement")),
    )


def _make_findings() -> None:
    said = ("dataset", "finding", "kind", "one", "other", "message")
    op.create_table(
        "dataset_finding",
        *_words(*said, "remedy"),
        *_json("evidence"),
        *_words("digest", "found_at"),
        sa.PrimaryKeyConstraint("dataset", "finding", name=op.f("pk_dataset_finding")),
    )
    op.create_table(
        "accepted_finding",
        sa.Column("id", sa.Integer(), nullable=False),
        *_words(*said, "who", "why", "made_at"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_accepted_finding")),
    )
    op.create_index(op.f("ix_accepted_finding_dataset"), "accepted_finding", ["dataset"])


def _key_of_row() -> list[sa.Column[Any]]:
    version = sa.Column("version", sa.Integer(), autoincrement=False, nullable=False)
    return [*_words("dataset"), version, *_words("slide_id")]


def _constraints(table: str) -> list[sa.Constraint]:
    return [
        sa.PrimaryKeyConstraint(*_OF_RELEASE, "slide_id", name=op.f(f"pk_{table}")),
        sa.ForeignKeyConstraint(
            _OF_RELEASE,
            [f"release.{name}" for name in _OF_RELEASE],
            name=op.f(f"fk_{table}_release"),
        ),
    ]


def _words(*names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name, sa.Text(), nullable=False) for name in names]


def _maybe(*names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name, sa.Text(), nullable=True) for name in names]


def _json(*names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name, sa.JSON(), nullable=False) for name in names]
