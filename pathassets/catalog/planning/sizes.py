"""Slides -> how large they are, as plans need it; what is wanted of them and not current."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from sqlalchemy import select

from pathassets.catalog.database.connect import reading
from pathassets.catalog.part import CatalogPart
from pathassets.catalog.planning.records import Key, OpenStep, SlideSize
from pathassets.catalog.rows import Row
from pathassets.catalog.states import is_made_as_wanted
from pathassets.catalog.tables import artifact, mpp_override, slide, wanted

MANY = 5_000
"""Slides from which on all are read, and the others left out: faster than by their ids."""

_STATED = (
    select(mpp_override.c.mpp)
    .where(mpp_override.c.slide_id == slide.c.slide_id)
    .order_by(mpp_override.c.id.desc())
    .limit(1)
    .scalar_subquery()
)
SIZE = (
    slide.c.slide_id, slide.c.codec, slide.c.vendor, slide.c.width_px0, slide.c.height_px0,
    slide.c.mpp, slide.c.size_bytes.label("slide_bytes"), _STATED.label("stated_mpp"),
)  # fmt: skip
"""Columns of a slide's size."""


def size_of(row: Row) -> SlideSize:
    """Size of the slide of a row that has `SIZE`."""
    return _size(*(row[column.name] for column in SIZE))


def _size(  # noqa: PLR0913, PLR0917 - the columns of SIZE
    slide_id: str, codec: str | None, vendor: str, width_px0: int, height_px0: int,
    mpp: float | None, size_bytes: int, stated_mpp: float | None,
) -> SlideSize:  # fmt: skip
    in_force = mpp if stated_mpp is None else stated_mpp
    return SlideSize(slide_id, codec or vendor, width_px0 * height_px0, in_force, size_bytes)


class Sizes(CatalogPart):
    """What a run would have to do, in a few queries for any cohort."""

    def open_steps(self, plan_id: int, keys: Collection[Key]) -> Iterator[OpenStep]:
        """What is wanted of slides at these entries and not current, entry by entry."""
        columns = ("slide_id", "state", "reason", "is_final", "lacks")
        with reading(self._engine) as connection:
            for stage, name in keys:
                at_it = (wanted.c.stage == stage) & (wanted.c.name == name)
                query = select(*(wanted.c[one] for one in columns)).where(
                    wanted.c.plan_id == plan_id, at_it, wanted.c.state != "current"
                )
                key = stage, name
                for slide_id, state, reason, is_final, lacks in connection.execute(query).all():
                    yield OpenStep(slide_id, key, state, reason, is_final, lacks)

    def slide_sizes(self, slide_ids: Collection[str]) -> dict[str, SlideSize]:
        """Sizes of slides that are there."""
        query = select(*SIZE)
        if len(slide_ids) <= MANY:
            rows = self._rows_of(query, slide.c.slide_id, slide_ids)
            return {row["slide_id"]: size_of(row) for row in rows}
        chosen = frozenset(slide_ids)
        with reading(self._engine) as connection:
            found = connection.execute(query).all()
            return {row[0]: _size(*row) for row in found if row[0] in chosen}

    def current_facts(self, plan_id: int, key: Key, fact: str) -> dict[str, float]:
        """A number of each slide's current artifact of an entry; where it has it."""
        number = artifact.c.facts[fact].as_float()
        query = (
            select(wanted.c.slide_id, number)
            .join(artifact, is_made_as_wanted())
            .where(
                wanted.c.plan_id == plan_id, wanted.c.stage == key[0], wanted.c.name == key[1],
                wanted.c.state == "current", number.is_not(None),
            )
        )  # fmt: skip
        with reading(self._engine) as connection:
            return {row[0]: row[1] for row in connection.execute(query)}
