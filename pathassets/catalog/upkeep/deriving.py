"""What the catalog notes though it follows from other rows -> where it does not, and noted anew.

Whoever changes what states follow from notes them in the same transaction; an interrupted or a
foreign write, one by hand, does not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from pathassets.catalog.database.connect import reading, writing
from pathassets.catalog.database.dialects import lock_for_standing, one_moment
from pathassets.catalog.states import derive_states, find_wrong
from pathassets.catalog.tables import attempt, latest_attempt, slide
from pathassets.catalog.upkeep.part import UpkeepPart, note_again

_PLACE = ("partition_key", "stage", "name")


@dataclass(frozen=True, slots=True, kw_only=True)
class WrongState:
    """A state that is noted of an asset of a slide, and does not follow."""

    slide_id: str
    stage: str
    name: str
    noted: str
    derived: str
    """The same as what is noted where only its reason, or whether it is final, differs."""


class Deriving(UpkeepPart):
    """What is noted, held against what it follows from."""

    def wrong_states(self) -> Iterator[WrongState]:
        """States of what is wanted that do not follow from artifacts and attempts, by slide."""
        for page in self._pages(slide.c.slide_id):
            with reading(self._engine) as connection:
                rows = find_wrong(connection, page)
            for row in sorted(rows, key=lambda row: [row[f"of_{name}"] for name in _OF]):
                yield WrongState(
                    slide_id=row["of_slide_id"],
                    stage=row["of_stage"],
                    name=row["of_name"],
                    noted=row["state"],
                    derived=row["new_state"],
                )

    def unnoted_attempts(self) -> Iterator[str]:
        """Partition keys of which the newest attempts are not noted as they are, each once."""
        found: set[str] = set()
        options = one_moment(self._engine)
        for column in (attempt.c.partition_key, latest_attempt.c.partition_key):
            for page in self._pages(column):
                with reading(self._engine.execution_options(**options)) as connection:
                    wrong = _unnoted(connection, page)
                yield from sorted(wrong - found)
                found |= wrong

    def derive_again(self, partition_key: str) -> None:
        """Note the newest attempts at what is of a slide, and the states that follow."""
        with writing(self._engine) as connection:
            lock_for_standing(connection)
            note_again(connection, [partition_key])
            derive_states(connection, [partition_key])


_OF = ("slide_id", "stage", "name", "plan_id")


def _unnoted(connection: Connection, keys: list[str]) -> set[str]:
    place = [attempt.c[name] for name in _PLACE]
    newest = select(*place, func.max(attempt.c.id)).where(attempt.c.partition_key.in_(keys))
    columns = (*(latest_attempt.c[name] for name in _PLACE), latest_attempt.c.attempt_id)
    noted = select(*columns).where(latest_attempt.c.partition_key.in_(keys))
    found = {tuple(row) for row in connection.execute(newest.group_by(*place))}
    return {row[0] for row in found ^ {tuple(row) for row in connection.execute(noted)}}
