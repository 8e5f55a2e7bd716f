"""Runs over slides that are over, and what each of their steps took.

    batch ─▶ runs that made an entry, newest first ─▶ their steps: seconds, slide, facts, bytes

What was tried of a slide is entered once the slide is done, so that attempts are in the order of
the run, each with the time of its end.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import and_, func, select, update

from pathassets.catalog.database.connect import writing
from pathassets.catalog.database.dialects import upsert
from pathassets.catalog.part import CatalogPart, now
from pathassets.catalog.planning.records import BatchRecord, Key, MeasuredStep
from pathassets.catalog.planning.sizes import SIZE, size_of
from pathassets.catalog.rows import flat
from pathassets.catalog.tables import ADDRESS, artifact, attempt, batch, slide


class Batches(CatalogPart):
    """Runs over slides."""

    def begin_batch(self, run_id: str, *, machine: str, device: str, n_workers: int) -> None:
        """Note where a run works, from now on; one that is begun again begins anew."""
        record = BatchRecord(
            run_id=run_id, began_at=now(), ended_at=None,
            machine=machine, device=device, n_workers=n_workers,
        )  # fmt: skip
        with writing(self._engine) as connection:
            upsert(connection, batch, [flat(record)])

    def note_encoding(self, run_id: str, at: datetime) -> None:
        """Note when a run's first patch came to a device line."""
        with writing(self._engine) as connection:
            connection.execute(update(batch).where(batch.c.run_id == run_id).values(encoding_at=at))

    def end_batch(self, run_id: str) -> None:
        """Note that a run has come to its end."""
        with writing(self._engine) as connection:
            connection.execute(update(batch).where(batch.c.run_id == run_id).values(ended_at=now()))

    def batches(self) -> list[BatchRecord]:
        """All runs that ended, the newest first."""
        ended = select(batch).where(batch.c.ended_at.is_not(None))
        rows = self._rows(ended.order_by(batch.c.began_at.desc(), batch.c.run_id))
        return [BatchRecord(**row) for row in rows]

    def n_made_by_batch(self, keys: Collection[Key]) -> dict[Key, dict[str, int]]:
        """How many artifacts of each of these entries each run made that is known as a batch."""
        columns = (attempt.c.stage, attempt.c.name, attempt.c.run_id)
        made = (
            select(*columns, func.count().label("n"))
            .join(batch, batch.c.run_id == attempt.c.run_id)
            .where(attempt.c.state == "made")
            .group_by(*columns)
        )
        found: dict[Key, dict[str, int]] = {key: {} for key in keys}
        for row in self._rows(made):
            if (row["stage"], row["name"]) in found:
                found[row["stage"], row["name"]][row["run_id"]] = row["n"]
        return found

    def measured_steps(self, run_ids: Collection[str]) -> list[MeasuredStep]:
        """What these runs made, in the order in which slides were done."""
        of_it = and_(*(artifact.c[name] == attempt.c[name] for name in ADDRESS))
        query = (
            select(
                attempt.c.id, attempt.c.run_id, attempt.c.stage, attempt.c.name,
                attempt.c.seconds, attempt.c.at, artifact.c.spec, artifact.c.facts,
                artifact.c.files, *SIZE,
            )
            .join(artifact, of_it)
            .join(slide, slide.c.slide_id == attempt.c.partition_key)
            .where(attempt.c.state == "made", attempt.c.seconds.is_not(None))
        )  # fmt: skip
        rows = self._rows_of(query, attempt.c.run_id, sorted(run_ids))
        return [
            MeasuredStep(
                run_id=row["run_id"], slide=size_of(row), key=(row["stage"], row["name"]),
                seconds=row["seconds"], at=row["at"], spec=row["spec"], facts=row["facts"],
                size_bytes=sum(file["size_bytes"] for file in row["files"]),
            )
            for row in sorted(rows, key=lambda row: row["id"])
        ]  # fmt: skip
