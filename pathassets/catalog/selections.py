"""Slides that a selection means, and selections that people saved."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Engine, func, insert, select

from pathassets.catalog.conditions import N_IN, Conditions
from pathassets.catalog.connect import reading, writing
from pathassets.catalog.human_inputs import now
from pathassets.catalog.records import SavedSelection
from pathassets.catalog.rows import flat
from pathassets.catalog.tables import saved_selection, slide
from pathassets.core.selection.nodes import Selection

_SAVED = [column for column in saved_selection.c if column.name != "id"]


class Selections:
    """The part of the catalog that is asked by selections."""

    _engine: Engine

    def select_slides(self, selection: Selection) -> list[str]:
        """Ids of the slides that are meant, in order of registration.

        Raises:
            ValueError: it names a saved selection; put in what it stands for first.
        """
        meant = Conditions(self._engine.dialect.name).of(selection)
        order = select(slide.c.slide_id).where(meant)
        order = order.order_by(slide.c.registered_at, slide.c.slide_id)
        with reading(self._engine) as connection:
            return list(connection.execute(order).scalars())

    def known_slides(self, slide_ids: Collection[str]) -> set[str]:
        """Those of some ids that are slides."""
        asked, found = list(slide_ids), set[str]()
        with reading(self._engine) as connection:
            for start in range(0, len(asked), N_IN):
                some = slide.c.slide_id.in_(asked[start : start + N_IN])
                found.update(connection.execute(select(slide.c.slide_id).where(some)).scalars())
        return found

    def save_selection(self, name: str, text: str, *, who: str) -> SavedSelection:
        """Save a selection under a name; the newest of a name is in force, all are kept."""
        new = SavedSelection(name=name, text=text, who=who, made_at=now())
        with writing(self._engine) as connection:
            connection.execute(insert(saved_selection), flat(new))
        return new

    def saved_selections(self) -> dict[str, SavedSelection]:
        """What is in force of every name, by name."""
        newest = select(func.max(saved_selection.c.id)).group_by(saved_selection.c.name)
        in_force = select(*_SAVED).where(saved_selection.c.id.in_(newest))
        with reading(self._engine) as connection:
            rows = connection.execute(in_force.order_by(saved_selection.c.name)).mappings().all()
        return {row["name"]: SavedSelection(**row) for row in rows}
