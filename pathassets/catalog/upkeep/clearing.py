"""What was made of slides and what it was made from, slide by slide, and the rows that go."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select

from pathassets.catalog.database.connect import reading, writing
from pathassets.catalog.database.dialects import lock_for_standing
from pathassets.catalog.rows import address_of
from pathassets.catalog.states import derive_states, forget_plans
from pathassets.catalog.tables import ADDRESS, PARENT, artifact, artifact_hash, artifact_parent
from pathassets.catalog.upkeep.part import UpkeepPart, delete_at, external_slides
from pathassets.core.address import Address
from pathassets.core.recipe import DATASET

_COLUMNS = tuple(artifact.c[name] for name in ADDRESS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What the catalog has of some slides."""

    made_at: dict[Address, datetime]
    n_bytes: dict[Address, int]
    parents: dict[Address, set[Address]]
    """Of each, what of these it was made from."""
    in_datasets: set[Address]
    """What a version of a dataset was made from."""


class Clearing(UpkeepPart):
    """What could go, and what it hangs on."""

    def made_partitions(self) -> Iterator[list[str]]:
        """Partition keys of which anything was made, in order, some hundreds at a time."""
        yield from self._pages(artifact.c.partition_key)

    def kept_of(
        self, partition_keys: Collection[str], *, without: Collection[Address] = ()
    ) -> Kept:
        """What was made of some hundreds of slides, and what of it datasets were made from.

        Versions of datasets in `without` count as made from nothing.
        """
        kept = Kept(made_at={}, n_bytes={}, parents={}, in_datasets=set())
        with reading(self._engine) as connection:
            entries = select(artifact.c.stage, artifact.c.name).distinct()
            for stage, name in connection.execute(entries).all():
                _read_entry(connection, (stage, name), partition_keys, kept, without)
        return kept

    def drop_artifacts(self, addresses: Collection[Address]) -> None:
        """Drop the rows of artifacts, all or none; the history of attempts stays."""
        with writing(self._engine) as connection:
            lock_for_standing(connection)
            of_others = external_slides(connection, addresses)
            for table in (artifact_parent, artifact_hash, artifact):
                delete_at(connection, table, addresses)
            forget_plans(connection, sorted(of_others))
            derive_states(connection, sorted({one.partition_key for one in addresses}))


def _read_entry(
    connection: Connection,
    entry: tuple[str, str],
    partition_keys: Collection[str],
    kept: Kept,
    without: Collection[Address],
) -> None:
    """Read what one entry made of slides, from what, and which datasets have it."""
    stage, name = entry
    chosen = (artifact.c.stage == stage, artifact.c.name == name)
    of_slides = artifact.c.partition_key.in_(partition_keys)
    found = select(*_COLUMNS, artifact.c.made_at, artifact.c.files).where(*chosen, of_slides)
    for row in connection.execute(found).mappings():
        kept.made_at[address_of(row)] = row["made_at"]
        kept.n_bytes[address_of(row)] = sum(file["size_bytes"] for file in row["files"])
    edge = artifact_parent.c
    edges = select(artifact_parent).where(
        edge.stage == stage, edge.name == name, edge.partition_key.in_(partition_keys)
    )
    for row in connection.execute(edges).mappings():
        parent = Address(*(row[column] for column in PARENT))
        kept.parents.setdefault(address_of(row), set()).add(parent)
    columns = (*PARENT, *ADDRESS)
    of_dataset = select(*(edge[column] for column in columns)).where(
        edge.stage == DATASET,
        edge.parent_stage == stage,
        edge.parent_name == name,
        edge.parent_partition_key.in_(partition_keys),
    )
    for named in connection.execute(of_dataset):
        if Address(*named[len(PARENT) :]) not in without:
            kept.in_datasets.add(Address(*named[: len(PARENT)]))
