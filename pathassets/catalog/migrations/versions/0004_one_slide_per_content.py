"""One slide for each content: slides that hold the same are merged into the one that came first.

What people stated goes along: files, resolutions and drawings become the first one's; of several
statements the newest is in force, as always. A patient or label that only one of them has becomes
the first one's; where they differ, the slide has none until somebody states it. What was computed
under the other ids, and what was tried, stays under them, as the history it is: a dataset that was
made of it can still be traced. `merged_slide` answers for those ids.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import groupby, pairwise
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

logger = logging.getLogger("pathassets.catalog")

STATED = ("patient", "label")


def _table(name: str, *columns: str) -> sa.TableClause:
    return sa.table(name, *(sa.column(one) for one in columns))


SLIDE = _table("slide", "slide_id", "fingerprint", "registered_at", *STATED, "thumbnail")
MERGED = _table(
    "merged_slide", "slide_id", "into_slide_id", *STATED, "into_patient", "into_label", "merged_at"
)
PATH = _table("slide_path", "slide_id")
OVERRIDE = _table("mpp_override", "id", "slide_id", "mpp", "who")
DRAWING = _table("drawing", "id", "slide_id", "name", "digest", "file", "who")


def upgrade() -> None:
    """Merge what there is, and let the database refuse the next."""
    op.create_table(
        "merged_slide",
        sa.Column("slide_id", sa.Text(), nullable=False),
        sa.Column("into_slide_id", sa.Text(), nullable=False),
        *(sa.Column(name, sa.Text()) for name in (*STATED, "into_patient", "into_label")),
        sa.Column("merged_at", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("slide_id", name=op.f("pk_merged_slide")),
        sa.ForeignKeyConstraint(
            ["into_slide_id"], ["slide.slide_id"], name=op.f("fk_merged_slide_slide")
        ),
    )
    op.create_index(op.f("ix_merged_slide_into_slide_id"), "merged_slide", ["into_slide_id"])
    for first, *others in _doubles():
        _merge(first, others)
    op.drop_index(op.f("ix_slide_fingerprint"), "slide")
    op.create_index(op.f("ix_slide_fingerprint"), "slide", ["fingerprint"], unique=True)


def _doubles() -> Iterator[list[sa.RowMapping]]:
    """Slides that hold one content, in order of registration."""
    content = SLIDE.c.fingerprint
    twice = sa.select(content).group_by(content).having(sa.func.count() > 1)
    query = (
        sa.select(SLIDE)
        .where(content.in_(twice))
        .order_by(content, SLIDE.c.registered_at, SLIDE.c.slide_id)
    )
    rows = op.get_bind().execute(query).mappings().all()
    for _, group in groupby(rows, key=lambda row: row["fingerprint"]):
        yield list(group)


def _merge(first: sa.RowMapping, others: list[sa.RowMapping]) -> None:
    connection = op.get_bind()
    into, ids = first["slide_id"], [other["slide_id"] for other in others]
    logger.warning("slide %s: %s held the same content, and became it", into, ", ".join(ids))
    _tell_statements(into, [into, *ids])
    at = datetime.now(UTC).isoformat(timespec="microseconds")
    rows = [
        {
            "slide_id": other["slide_id"],
            "into_slide_id": into,
            "merged_at": at,
            **{name: other[name] for name in STATED},
            **{f"into_{name}": first[name] for name in STATED},
        }
        for other in others
    ]
    connection.execute(MERGED.insert(), rows)
    for table in (PATH, OVERRIDE, DRAWING):
        connection.execute(table.update().where(table.c.slide_id.in_(ids)).values(slide_id=into))
    connection.execute(SLIDE.delete().where(SLIDE.c.slide_id.in_(ids)))
    known: dict[str, Any] = {name: _agreed(name, first, others) for name in STATED}
    pictures = (row["thumbnail"] for row in (first, *others) if row["thumbnail"] is not None)
    connection.execute(
        SLIDE.update()
        .where(SLIDE.c.slide_id == into)
        .values(**known, thumbnail=next(pictures, None))
    )


def _agreed(name: str, first: sa.RowMapping, others: list[sa.RowMapping]) -> str | None:
    """What all say that say anything; None where they differ, which every opening tells."""
    said = {row[name] for row in (first, *others) if row[name] is not None}
    return said.pop() if len(said) == 1 else None


def _tell_statements(into: str, ids: list[str]) -> None:
    """Say which statement is in force where those of the slides differ."""
    connection = op.get_bind()
    for table, name, value in (
        (OVERRIDE, sa.literal("mpp"), OVERRIDE.c.mpp),
        (DRAWING, DRAWING.c.name, DRAWING.c.digest),
    ):
        query = (
            sa.select(
                name.label("name"), value.label("value"), table.c.slide_id, table.c.who, table.c.id
            )
            .where(table.c.slide_id.in_(ids))
            .order_by(table.c.id)
        )
        newest: dict[tuple[str, str], sa.RowMapping] = {}
        for row in connection.execute(query).mappings():
            newest[row["name"], row["slide_id"]] = row
        stated = sorted(newest.values(), key=lambda row: (row["name"], row["id"]))
        for old, new in pairwise(stated):
            if old["name"] == new["name"] and old["value"] != new["value"]:
                logger.warning(
                    "slide %s: %s was stated of %s by %s, and otherwise of %s by %s: "
                    "the latter is newer, and in force",
                    into, old["name"], old["slide_id"], old["who"], new["slide_id"], new["who"],
                )  # fmt: skip
