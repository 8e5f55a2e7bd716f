"""Slides that a selection means, and selections that people saved."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import insert, select

from pathassets.catalog.database.connect import reading, writing
from pathassets.catalog.forgotten import is_staying
from pathassets.catalog.human_inputs import is_newest
from pathassets.catalog.part import now
from pathassets.catalog.records import SavedSelection
from pathassets.catalog.rows import flat
from pathassets.catalog.selections.conditions import Conditions
from pathassets.catalog.selections.words import Words
from pathassets.catalog.tables import saved_selection, slide
from pathassets.core.selection.nodes import Selection

_SAVED = [column for column in saved_selection.c if column.name != "id"]


class Selections(Words):
    """The part of the catalog that is asked by selections."""

    def select_slides(self, selection: Selection, plan_id: int | None = None) -> list[str]:
        """Ids of the slides that are meant, in order of registration.

        States, reasons and patches are those of a plan.

        Raises:
            ValueError: it names a saved selection, or asks of assets and no plan is given.
        """
        meant = Conditions(self._engine.dialect.name, plan_id).of(selection)
        order = select(slide.c.slide_id).where(meant, is_staying())
        order = order.order_by(slide.c.registered_at, slide.c.slide_id)
        with reading(self._engine) as connection:
            return list(connection.execute(order).scalars())

    def known_slides(self, slide_ids: Collection[str]) -> set[str]:
        """Those of some ids that are slides, and of which no removal was begun."""
        query = select(slide.c.slide_id).where(is_staying())
        found = self._rows_of(query, slide.c.slide_id, slide_ids)
        return {row["slide_id"] for row in found}

    def save_selection(self, name: str, text: str, *, who: str) -> SavedSelection:
        """Save a selection under a name; the newest of a name is in force, all are kept."""
        new = SavedSelection(name=name, text=text, who=who, made_at=now())
        with writing(self._engine) as connection:
            connection.execute(insert(saved_selection), flat(new))
        return new

    def saved_selections(self) -> dict[str, SavedSelection]:
        """What is in force of every name, by name."""
        in_force = select(*_SAVED).where(is_newest(saved_selection, "name"))
        rows = self._rows(in_force.order_by(saved_selection.c.name))
        return {row["name"]: SavedSelection(**row) for row in rows}
