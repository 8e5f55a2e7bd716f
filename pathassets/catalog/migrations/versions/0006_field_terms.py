"""The field's terms: annotations, rejected files, and addresses as Dagster has them.

    drawing   ─▶ annotation              section ─▶ stage
    refusal   ─▶ rejected_file           subject ─▶ partition_key
    refused_at ─▶ rejected_at

PostgreSQL renames. SQLite would keep the old names within the text of its tables, so that there
they are made anew and filled.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from pathassets.catalog.migrations.artifact_tables import (
    make_artifact,
    make_artifact_parent,
    make_attempt,
    words,
)

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

OLD_ADDRESS = ("section", "name", "subject", "digest")
ADDRESS = ("stage", "name", "partition_key", "digest")
OLD_PARENT = tuple(f"parent_{name}" for name in OLD_ADDRESS)
PARENT = tuple(f"parent_{name}" for name in ADDRESS)


def upgrade() -> None:
    """Rename, and keep every row."""
    if op.get_bind().dialect.name == "sqlite":
        _make_anew()
    else:
        _rename()


def _rename() -> None:
    op.rename_table("drawing", "annotation")
    op.rename_table("refusal", "rejected_file")
    op.alter_column("rejected_file", "refused_at", new_column_name="rejected_at")
    for table in ("artifact", "artifact_parent", "attempt"):
        _rename_columns(table, OLD_ADDRESS, ADDRESS)
    _rename_columns("artifact_parent", OLD_PARENT, PARENT)
    for old, new in (
        ("ix_drawing_slide_id", "ix_annotation_slide_id"),
        ("ix_attempt_subject_section_name_id", "ix_attempt_partition_key_stage_name_id"),
    ):
        op.execute(f"ALTER INDEX {old} RENAME TO {new}")
    for table, old, new in (
        ("annotation", "pk_drawing", "pk_annotation"),
        ("annotation", "fk_drawing_slide", "fk_annotation_slide"),
        ("rejected_file", "pk_refusal", "pk_rejected_file"),
    ):
        op.execute(f"ALTER TABLE {table} RENAME CONSTRAINT {old} TO {new}")
    op.execute("ALTER SEQUENCE drawing_id_seq RENAME TO annotation_id_seq")


def _rename_columns(table: str, old: Sequence[str], new: Sequence[str]) -> None:
    for before, after in zip(old, new, strict=True):
        if before != after:
            op.alter_column(table, before, new_column_name=after)


def _make_anew() -> None:
    for name in ("ix_attempt_run_id", "ix_attempt_subject_section_name_id"):
        op.drop_index(name, "attempt")
    op.drop_index("ix_artifact_uri", "artifact")
    op.drop_index("ix_artifact_parent_parent", "artifact_parent")
    for name in ("artifact", "artifact_parent", "attempt"):
        op.rename_table(name, f"old_{name}")
    _make_annotation()
    _make_rejected_file()
    _make_artifacts()
    for name in ("drawing", "refusal", "old_artifact_parent", "old_artifact", "old_attempt"):
        op.drop_table(name)


def _fill(table: str, source: str, old: Sequence[str], new: Sequence[str]) -> None:
    """Copy rows; the columns are this module's own, not anybody's text."""
    op.execute(f"INSERT INTO {table} ({', '.join(new)}) SELECT {', '.join(old)} FROM {source}")  # noqa: S608


def _make_annotation() -> None:
    op.create_table(
        "annotation",
        sa.Column("id", sa.Integer(), nullable=False),
        *words("slide_id", "name", "digest", "file", "sha256"),
        sa.Column("n_polygons", sa.Integer(), nullable=False),
        sa.Column("labels", sa.JSON(), nullable=False),
        *words("who", "why", "made_at"),
        sa.Column("frame", sa.Text(), nullable=False, server_default=sa.text("''")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_annotation")),
        sa.ForeignKeyConstraint(["slide_id"], ["slide.slide_id"], name=op.f("fk_annotation_slide")),
    )
    op.create_index(op.f("ix_annotation_slide_id"), "annotation", ["slide_id"])
    columns = ("id", "slide_id", "name", "digest", "file", "sha256", "n_polygons", "labels",
               "who", "why", "made_at", "frame")  # fmt: skip
    _fill("annotation", "drawing", columns, columns)


def _make_rejected_file() -> None:
    op.create_table(
        "rejected_file",
        *words("path", "reason", "message", "remedy"),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("mtime_ns", sa.BigInteger(), nullable=False),
        *words("rejected_at"),
        sa.PrimaryKeyConstraint("path", name=op.f("pk_rejected_file")),
    )
    columns = ("path", "reason", "message", "remedy", "size_bytes", "mtime_ns")
    _fill("rejected_file", "refusal", (*columns, "refused_at"), (*columns, "rejected_at"))


def _make_artifacts() -> None:
    make_artifact(ADDRESS)
    rest = ("uri", "spec", "code_version", "facts", "files", "made_by", "made_at")
    _fill("artifact", "old_artifact", (*OLD_ADDRESS, *rest), (*ADDRESS, *rest))
    make_artifact_parent(ADDRESS, PARENT)
    _fill(
        "artifact_parent", "old_artifact_parent", (*OLD_ADDRESS, *OLD_PARENT), (*ADDRESS, *PARENT)
    )
    make_attempt(ADDRESS)
    rest = ("state", "reason", "message", "remedy", "is_final", "seconds", "at")
    _fill(
        "attempt", "old_attempt", ("id", "run_id", *OLD_ADDRESS, *rest),
        ("id", "run_id", *ADDRESS, *rest),
    )  # fmt: skip
