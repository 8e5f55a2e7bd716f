"""Which catalog this is, and which store has its mark."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from sqlalchemy import select, update

from pathassets.catalog.database.connect import writing
from pathassets.catalog.database.dialects import upsert
from pathassets.catalog.tables import catalog_identity
from pathassets.catalog.upkeep.part import UpkeepPart


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What a catalog is told apart by from others, wherever it is moved or restored."""

    name: str
    """32 hexadecimal digits."""
    marked: str
    """Which store has its mark, and where the catalog is by that; empty where none has."""


class Identities(UpkeepPart):
    """The catalog's own name."""

    def identity(self) -> Identity | None:
        """Which catalog this is; None where it has no name yet."""
        named = select(catalog_identity.c.name, catalog_identity.c.marked)
        return next((Identity(**row) for row in self._rows(named)), None)

    def begin_identity(self) -> Identity:
        """Which catalog this is; the first of those who ask at once makes its name up."""
        new = {"id": 1, "name": uuid.uuid4().hex, "marked": ""}
        while (found := self.identity()) is None:
            with writing(self._engine) as connection:
                upsert(connection, catalog_identity, [new], keep_first=["name", "marked"])
        return found

    def note_marked(self, marked: str) -> None:
        """Note which store has this catalog's mark, and what that says."""
        with writing(self._engine) as connection:
            connection.execute(update(catalog_identity).values(marked=marked))
