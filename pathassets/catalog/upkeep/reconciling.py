"""Questions of whoever holds the catalog against store, slides and Dagster; memory is bounded."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from sqlalchemy import and_, exists, select

from pathassets.catalog.database.connect import reading, writing
from pathassets.catalog.database.dialects import IN_VALUES, lock_for_standing
from pathassets.catalog.records import AttemptRecord, FileRecord, PathRecord
from pathassets.catalog.rows import address_of, attempt_record
from pathassets.catalog.states import derive_states, forget_plans
from pathassets.catalog.tables import (
    ADDRESS,
    artifact,
    artifact_hash,
    artifact_parent,
    attempt,
    latest_attempt,
    merged_slide,
    slide,
    slide_path,
)
from pathassets.catalog.upkeep.part import UpkeepPart, delete_at, external_slides, note_again
from pathassets.core.address import ALL_SLIDES, Address


@dataclass(frozen=True, slots=True, kw_only=True)
class SlideFiles:
    """A slide, and the files that held it."""

    slide_id: str
    fingerprint: str
    size_bytes: int
    paths: tuple[PathRecord, ...]
    """Last seen first."""


class Reconciling(UpkeepPart):
    """What the catalog says there should be."""

    def known_artifacts(self, addresses: Collection[Address]) -> set[Address]:
        """Which of these it has."""
        places = {str(address): address for address in addresses}
        found: set[Address] = set()
        with reading(self._engine) as connection:
            for some in _portions(sorted(places)):
                there = select(artifact.c.uri).where(artifact.c.uri.in_(some))
                found.update(places[uri] for uri in connection.execute(there).scalars())
        return found

    def listed_files(self) -> Iterator[tuple[Address, tuple[FileRecord, ...]]]:
        """Every artifact with its files, in pages: looking takes hours, and no query stays open."""
        columns = (*(artifact.c[name] for name in ADDRESS), artifact.c.uri, artifact.c.files)
        last = ""
        while True:
            query = select(*columns).where(artifact.c.uri > last).order_by(artifact.c.uri)
            with reading(self._engine) as connection:
                page = connection.execute(query.limit(IN_VALUES)).mappings().all()
            if not page:
                return
            for row in page:
                yield address_of(row), tuple(FileRecord(**file) for file in row["files"])
            last = page[-1]["uri"]

    def failed_though_made(self) -> Iterator[AttemptRecord]:
        """The newest attempt at each artifact that there is, where it failed; by its address."""
        columns = [attempt.c[name] for name in ADDRESS]
        query = (
            select(attempt)
            .join(latest_attempt, latest_attempt.c.attempt_id == attempt.c.id)
            .join(artifact, and_(*(artifact.c[name] == attempt.c[name] for name in ADDRESS)))
            .where(attempt.c.state == "failed")
            .order_by(*columns)
        )
        for row in self._stream(query):
            yield attempt_record(row)

    def slides_ever(self, slide_ids: Collection[str]) -> set[str]:
        """Which of these ids are, or once were, a slide's."""
        found: set[str] = set()
        with reading(self._engine) as connection:
            for some in _portions(sorted(slide_ids)):
                for table in (slide, merged_slide):
                    there = select(table.c.slide_id).where(table.c.slide_id.in_(some))
                    found.update(connection.execute(there).scalars())
        return found

    def slide_files(self) -> Iterator[SlideFiles]:
        """Every slide, by id, with the files that held it."""
        columns = [column for column in slide_path.c if column.name != "slide_id"]
        query = (
            select(
                slide.c.slide_id, slide.c.fingerprint, slide.c.size_bytes.label("whole_bytes"),
                *columns,
            )
            .outerjoin(slide_path, slide_path.c.slide_id == slide.c.slide_id)
            .order_by(slide.c.slide_id, slide_path.c.seen_at.desc(), slide_path.c.path)
        )  # fmt: skip
        names = [column.name for column in columns]
        for slide_id, found in groupby(self._stream(query), key=lambda row: row["slide_id"]):
            rows = list(found)
            paths = (
                PathRecord(slide_id=slide_id, **{name: row[name] for name in names})
                for row in rows
                if row["path"] is not None
            )
            yield SlideFiles(
                slide_id=slide_id,
                fingerprint=rows[0]["fingerprint"],
                size_bytes=rows[0]["whole_bytes"],
                paths=tuple(paths),
            )

    def homeless(self) -> Iterator[tuple[str, Address]]:
        """Rows of artifacts and attempts that point at no slide: (table, address), each once."""
        for table in (artifact, attempt):
            key = table.c.partition_key
            columns = [table.c[name] for name in ADDRESS]
            is_slide = exists(select(slide.c.slide_id).where(slide.c.slide_id == key))
            was_slide = exists(
                select(merged_slide.c.slide_id).where(merged_slide.c.slide_id == key)
            )
            query = select(*columns).where(key != ALL_SLIDES, ~is_slide, ~was_slide)
            for row in self._stream(query.distinct().order_by(*columns)):
                yield table.name, address_of(row)

    def drop_rows(self, address: Address) -> None:
        """Drop the rows of one artifact, and of what was tried at its address."""
        with writing(self._engine) as connection:
            lock_for_standing(connection)
            of_others = external_slides(connection, [address])
            for table in (artifact_parent, artifact_hash, artifact, attempt):
                delete_at(connection, table, [address])
            note_again(connection, [address.partition_key])
            forget_plans(connection, sorted(of_others))
            derive_states(connection, [address.partition_key])

    def drop_attempts(self, address: Address) -> None:
        """Drop what was tried at an address."""
        with writing(self._engine) as connection:
            lock_for_standing(connection)
            delete_at(connection, attempt, [address])
            note_again(connection, [address.partition_key])
            derive_states(connection, [address.partition_key])

    def digests_of(self, stage: str, name: str) -> set[tuple[str, str]]:
        """(partition key, digest) of all artifacts of one entry."""
        query = select(artifact.c.partition_key, artifact.c.digest)
        rows = self._stream(query.where(artifact.c.stage == stage, artifact.c.name == name))
        return {(row["partition_key"], row["digest"]) for row in rows}


def _portions(values: list[Any]) -> Iterator[list[Any]]:
    for start in range(0, len(values), IN_VALUES):
        yield values[start : start + IN_VALUES]
