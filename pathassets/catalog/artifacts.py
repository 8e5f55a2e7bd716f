"""What was made, from what, and what was tried: the part of the catalog that runs fill."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, delete, func, insert, select, update

from pathassets.catalog.database.connect import reading, writing
from pathassets.catalog.database.dialects import IN_VALUES, lock_for_standing, upsert
from pathassets.catalog.part import CatalogPart, now
from pathassets.catalog.records import ArtifactRecord, AttemptRecord, AttemptTotal
from pathassets.catalog.rows import (
    address_of,
    address_row,
    artifact_record,
    artifact_row,
    attempt_record,
    attempt_row,
    parent_row,
)
from pathassets.catalog.states import derive_states, forget_plans, note_latest
from pathassets.catalog.tables import (
    artifact,
    artifact_parent,
    attempt,
    latest_attempt,
)
from pathassets.core.address import Address
from pathassets.core.external import CODE_VERSION as EXTERNAL_CODE
from pathassets.core.spec import canonical_json

Key = tuple[str, str, str]
"""(stage, name, partition key): one stage of one slide, whatever the digest."""

_NO_CONTENT = frozenset({"made_at", "made_by", "seen_whole_at", "damage"})
"""What of an artifact's row says nothing of what it is."""


class Artifacts(CatalogPart):
    """Artifacts, and attempts at them."""

    def record_artifact(self, record: ArtifactRecord, parents: Iterable[Address]) -> None:
        """Enter a published artifact and what it was made from.

        Entering it again changes nothing, not even when and by which run it was made, unless its
        content differs: then it was made anew, and the new facts and parents replace the old.
        Whoever enters it has seen it whole.
        """
        at = now()
        seen = {"seen_whole_at": at, "damage": ""}
        new = artifact_row(record) | {"made_at": at} | seen
        with writing(self._engine) as connection:
            lock_for_standing(connection)
            old = connection.execute(_at(record.address)).mappings().one_or_none()
            if old is not None and _content(old) == _content(new):
                connection.execute(update(artifact).where(*_is(record.address)).values(seen))
            else:
                _enter(connection, new, record.address, parents)
            if record.code_version == EXTERNAL_CODE:  # it may stand in for what was wanted
                forget_plans(connection, [record.address.partition_key])
            derive_states(connection, [record.address.partition_key])

    def has_artifacts(self) -> bool:
        """Whether it knows any."""
        with reading(self._engine) as connection:
            return connection.execute(select(artifact.c.digest).limit(1)).first() is not None

    def artifacts(
        self, stage: str | None = None, name: str | None = None
    ) -> Iterator[ArtifactRecord]:
        """Artifacts by address, all or those of one stage or entry.

        They are read as they are asked for, from one consistent view that is held until the last.
        """
        given = {"stage": stage, "name": name}
        chosen = [artifact.c[n] == v for n, v in given.items() if v is not None]
        query = select(artifact).where(*chosen).order_by(*artifact.primary_key)
        with reading(self._engine) as connection:
            pages = connection.execution_options(yield_per=IN_VALUES)
            for row in pages.execute(query).mappings():
                yield artifact_record(row)

    def artifact_digests(self) -> set[Address]:
        """Addresses of all artifacts."""
        return {address_of(row) for row in self._rows(select(*artifact.primary_key))}

    def find_artifact(self, address: Address) -> ArtifactRecord | None:
        """The artifact at an address, None where it was never made."""
        rows = self._rows(_at(address))
        return artifact_record(rows[0]) if rows else None

    # Attempts

    def record_attempts(self, records: Iterable[AttemptRecord]) -> None:
        """Enter what was tried: all of it, or nothing."""
        at = now()
        rows = [attempt_row(record) | {"at": at} for record in records]
        if rows:
            slide_ids = sorted({row["partition_key"] for row in rows})
            with writing(self._engine) as connection:
                lock_for_standing(connection)
                connection.execute(insert(attempt), rows)
                note_latest(connection, slide_ids)
                derive_states(connection, slide_ids)

    def latest_attempts(
        self, partition_keys: Collection[str] | None = None
    ) -> dict[Key, AttemptRecord]:
        """The newest attempt at each stage of each slide, or of some."""
        found = select(attempt).join(latest_attempt, latest_attempt.c.attempt_id == attempt.c.id)
        rows = self._rows_of(found, latest_attempt.c.partition_key, partition_keys)
        return {
            (row["stage"], row["name"], row["partition_key"]): attempt_record(row) for row in rows
        }

    def last_tried(self, partition_keys: Collection[str]) -> dict[str, int]:
        """Number of the newest attempt at anything of each of some slides; they only grow."""
        place = latest_attempt.c.partition_key
        newest = select(place, func.max(latest_attempt.c.attempt_id).label("n")).group_by(place)
        rows = self._rows_of(newest, place, partition_keys)
        return {row["partition_key"]: row["n"] for row in rows}

    def newest_attempt_id(self, *, besides: str) -> int:
        """Number of the last attempt at any stage but one; 0 where there is none. It only grows.

        The cheapest way to ask whether anything was tried since: one row is read.
        """
        others = select(attempt.c.id).where(attempt.c.stage != besides)
        rows = self._rows(others.order_by(attempt.c.id.desc()).limit(1))
        return rows[0]["id"] if rows else 0

    def attempts(
        self, *, run_id: str | None = None, partition_key: str | None = None
    ) -> list[AttemptRecord]:
        """All attempts of a run, of a slide or of both, oldest first."""
        given = {"run_id": run_id, "partition_key": partition_key}
        chosen = [attempt.c[n] == v for n, v in given.items() if v is not None]
        found = self._rows(select(attempt).where(*chosen).order_by(attempt.c.id))
        return [attempt_record(row) for row in found]

    def attempt_totals(self) -> list[AttemptTotal]:
        """What was tried at each stage in all, by what became of it."""
        columns = (attempt.c.stage, attempt.c.name, attempt.c.state)
        seconds = func.coalesce(func.sum(attempt.c.seconds), 0.0).label("seconds")
        counted = (func.count().label("n"), seconds, func.max(attempt.c.at).label("last_at"))
        query = select(*columns, *counted).group_by(*columns).order_by(*columns)
        return [
            AttemptTotal(
                key=(row["stage"], row["name"]), state=row["state"], n=row["n"],
                seconds=row["seconds"], last_at=row["last_at"],
            )
            for row in self._rows(query)
        ]  # fmt: skip


def _enter(
    connection: Connection, new: dict[str, Any], address: Address, parents: Iterable[Address]
) -> None:
    """Write an artifact's row and its edges in place of those that are there."""
    upsert(connection, artifact, [new])
    child = [artifact_parent.c[n] == v for n, v in address_row(address).items()]
    connection.execute(delete(artifact_parent).where(*child))
    if edges := [parent_row(address, parent) for parent in dict.fromkeys(parents)]:
        connection.execute(insert(artifact_parent), edges)


def _is(address: Address) -> list[ColumnElement[bool]]:
    return [artifact.c[n] == v for n, v in address_row(address).items()]


def _at(address: Address) -> Select[Any]:
    return select(artifact).where(*_is(address))


def _content(row: Any) -> str:
    """What of an artifact's row tells whether it was made anew."""
    return canonical_json({n: v for n, v in row.items() if n not in _NO_CONTENT})
