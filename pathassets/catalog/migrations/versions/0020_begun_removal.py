"""Slides whose removal was begun, by id: only by the hash of each content could they be found."""

from __future__ import annotations

import hashlib

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table, and enter the slides that are in the catalog and were to be taken out."""
    begun = op.create_table(
        "begun_removal",
        sa.Column("slide_id", sa.Text(), nullable=False),
        sa.Column("salt", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["slide_id"], ["slide.slide_id"], name=op.f("fk_begun_removal_slide")
        ),
        sa.PrimaryKeyConstraint("slide_id", name=op.f("pk_begun_removal")),
        sqlite_with_rowid=False,
    )
    connection = op.get_bind()
    gone = connection.execute(sa.text("SELECT salt, content_hash FROM forgotten_slide")).all()
    slides = sa.text("SELECT slide_id, fingerprint FROM slide")
    for slide_id, content in connection.execute(slides).all() if gone else ():
        salts = [salt for salt, known in gone if _hash(salt, content) == known]
        if salts:
            connection.execute(sa.insert(begun), {"slide_id": slide_id, "salt": salts[0]})
            of_it = sa.text("DELETE FROM wanted WHERE slide_id = :slide_id")
            connection.execute(of_it, {"slide_id": slide_id})
            connection.execute(sa.text("UPDATE plan SET n_changes = n_changes + 1"))


def _hash(salt: str, content: str) -> str:
    """As `catalog/forgotten.py` has it."""
    return hashlib.sha256(f"{salt}:{content}".encode()).hexdigest()
