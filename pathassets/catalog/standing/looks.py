"""Looks at the store -> what was seen whole when, and what is damaged; what is shown of artifacts.

Whether a file is there only a look tells: here is what the last one found. A look that found
damage, or looks again at what was damaged, is repeated in the transaction that records it: between
the two a run may have made it anew.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Connection,
    RowMapping,
    Select,
    bindparam,
    func,
    select,
)
from sqlalchemy import update as update_rows

from pathassets.catalog.database.connect import reading, writing
from pathassets.catalog.database.dialects import IN_VALUES, lock_for_standing
from pathassets.catalog.part import CatalogPart, now, portions
from pathassets.catalog.records import FileRecord
from pathassets.catalog.rows import address_of, address_row
from pathassets.catalog.standing.standing import Key
from pathassets.catalog.states import derive_states, is_made_as_wanted
from pathassets.catalog.tables import ADDRESS, artifact, plan, wanted
from pathassets.core.address import Address

Files = tuple[FileRecord, ...]
LookAt = Callable[[Address, Files], str]
"""Looks at an artifact: what is wrong with it; empty where nothing is."""

_ADDRESS = tuple(artifact.c[name] for name in ADDRESS)


@dataclass(frozen=True, slots=True, kw_only=True)
class InForce:
    """An artifact that is wanted and was made."""

    address: Address
    files: Files
    damage: str
    """What was wrong with it at the last look; empty where nothing was."""
    seen_whole_at: datetime | None = field(default=None, compare=False)
    """When it was last seen whole; None where nobody knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What is shown of an artifact, be it in force or not."""

    address: Address
    facts: Mapping[str, Any]
    damage: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LookAge:
    """How old what is known of the store is."""

    n_artifacts: int
    """In force."""
    oldest_at: datetime | None
    """When the one was seen whole that was not seen for longest; None where none was ever."""
    n_never: int
    """Of which nobody knows when they were seen."""


class Looks(CatalogPart):
    """What looks at the store found."""

    def in_force(self, plan_id: int, slide_ids: Collection[str] | None = None) -> Iterator[InForce]:
        """Artifacts that a plan wants of all slides, or of some, read as they are asked for."""
        query = (
            select(*_ADDRESS, artifact.c.files, artifact.c.damage, artifact.c.seen_whole_at)
            .join(wanted, is_made_as_wanted())
            .where(wanted.c.plan_id == plan_id)
        )
        for row in self._streamed(query, slide_ids):
            files = tuple(FileRecord(**file) for file in row["files"])
            yield InForce(
                address=address_of(row), files=files, damage=row["damage"],
                seen_whole_at=row["seen_whole_at"],
            )  # fmt: skip

    def _streamed(
        self, query: Select[Any], slide_ids: Collection[str] | None
    ) -> Iterator[RowMapping]:
        chosen = (
            [query]
            if slide_ids is None
            else [query.where(wanted.c.slide_id.in_(some)) for some in portions(slide_ids)]
        )
        for one in chosen:
            with reading(self._engine) as connection:
                pages = connection.execution_options(yield_per=IN_VALUES)
                yield from pages.execute(one).mappings()

    def record_looks(
        self, whole: Collection[Address], doubted: Collection[Address], look_at: LookAt
    ) -> None:
        """Enter what was seen whole; look again at what is, or was, damaged, and enter that."""
        at = now()
        with writing(self._engine) as connection:
            lock_for_standing(connection)
            if whole:
                _note_whole(connection, whole, at)
            for address in doubted:
                _look_again(connection, address, look_at, at)
            derive_states(connection, sorted({address.partition_key for address in doubted}))

    def look_age(self, plan_id: int) -> LookAge:
        """How long ago the artifacts that a plan wants were looked at.

        They are all asked only where that is not noted since they are in force, and then it is.
        """
        of_plan = wanted.c.plan_id == plan_id
        made = select(func.count()).where(of_plan, wanted.c.state.in_(("current", "damaged")))
        noted = select(plan.c.looked_at).where(plan.c.plan_id == plan_id)
        with reading(self._engine) as connection:
            n_artifacts = connection.execute(made.select_from(wanted)).scalar_one()
            oldest_at, n_never = connection.execute(noted).scalar(), 0
        if oldest_at is None and n_artifacts:
            oldest_at, n_never = self.note_look(plan_id)
        return LookAge(n_artifacts=n_artifacts, oldest_at=oldest_at, n_never=n_never)

    def note_look(self, plan_id: int) -> tuple[datetime | None, int]:
        """Note when that was seen which was not seen for longest, unless some never were.

        Returns that moment, and how many never were.
        """
        with writing(self._engine) as connection:
            lock_for_standing(connection)
            oldest_at, n_never = _oldest(connection, plan_id)
            new = update_rows(plan).where(plan.c.plan_id == plan_id)
            connection.execute(new.values(looked_at=None if n_never else oldest_at))
        return oldest_at, n_never

    # What is shown of artifacts

    def made_of(self, keys: Iterable[Key], slide_ids: Collection[str]) -> Iterator[Made]:
        """What was made at some entries of some slides, under any digest."""
        columns = (*_ADDRESS, artifact.c.facts, artifact.c.damage)
        for stage, name in keys:
            query = select(*columns).where(artifact.c.stage == stage, artifact.c.name == name)
            for row in self._rows_of(query, artifact.c.partition_key, slide_ids):
                yield Made(address=address_of(row), facts=row["facts"], damage=row["damage"])


def _oldest(connection: Connection, plan_id: int) -> tuple[datetime | None, int]:
    """When what is whole was seen that was not seen for longest, and of how many nobody knows."""
    seen_at = artifact.c.seen_whole_at
    query = (
        select(func.min(seen_at), func.count() - func.count(seen_at))
        .select_from(wanted)
        .join(artifact, is_made_as_wanted())
        .where(wanted.c.plan_id == plan_id, artifact.c.damage == "")
    )
    oldest_at, n_never = connection.execute(query).one()
    return oldest_at, n_never


def _bound(address: Address) -> dict[str, Any]:
    return {f"of_{name}": value for name, value in address_row(address).items()}


_IS_IT = tuple(artifact.c[name] == bindparam(f"of_{name}") for name in ADDRESS)


def _note_whole(connection: Connection, whole: Collection[Address], at: datetime) -> None:
    """Note what was seen whole, hundreds at once: a statement for each costs three times as much.

    What another look found damaged meanwhile stays so: the next one will tell. The slides lead
    SQLite and PostgreSQL into the key; pairs of slide and digest would have them scan the table.
    """
    columns = artifact.c
    of_entry: defaultdict[Key, list[Address]] = defaultdict(list)
    for address in whole:
        of_entry[address.key].append(address)
    for (stage, name), addresses in of_entry.items():
        for some in portions(addresses):
            are_they = (columns.partition_key + "/" + columns.digest).in_(
                [f"{one.partition_key}/{one.digest}" for one in some]
            )
            seen = update_rows(artifact).where(
                columns.stage == stage, columns.name == name,
                columns.partition_key.in_([one.partition_key for one in some]),
                are_they, columns.damage == "",
            )  # fmt: skip
            connection.execute(seen.values(seen_whole_at=at))


def _look_again(connection: Connection, address: Address, look_at: LookAt, at: datetime) -> None:
    """Look at an artifact as it is recorded now, and enter what is found."""
    known = select(artifact.c.files).where(*_IS_IT)
    row = connection.execute(known, _bound(address)).one_or_none()
    if row is None:
        return
    damage = look_at(address, tuple(FileRecord(**file) for file in row[0]))
    new: dict[str, Any] = {"damage": damage} if damage else {"damage": "", "seen_whole_at": at}
    connection.execute(update_rows(artifact).where(*_IS_IT).values(**new), _bound(address))
