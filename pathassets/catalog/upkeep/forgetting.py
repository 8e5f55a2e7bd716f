"""A slide whose patient withdraws consent -> no row of it, but for one that keeps it out.

That row names nobody; `catalog/forgotten.py` says how it is asked.

Rows go by what a table's columns are called, so that a table which is added later is cleared, too.
What names the slide otherwise is in `naming`.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Connection, Table, and_, delete, insert, select

from pathassets.catalog.database.connect import reading, translated_of, writing
from pathassets.catalog.database.dialects import (
    empty_log,
    lock_for_cohort,
    lock_for_registration,
    lock_for_release,
    lock_for_standing,
    overwrite_deleted,
)
from pathassets.catalog.forgotten import Forgotten, hash_salted, read_begun, read_forgotten
from pathassets.catalog.part import now
from pathassets.catalog.states import count_change, forget_plans
from pathassets.catalog.tables import (
    artifact,
    artifact_hash,
    artifact_parent,
    begun_removal,
    forgotten_slide,
    inbox_file,
    merged_slide,
    metadata,
    rejected_file,
    slide,
    slide_path,
)
from pathassets.catalog.upkeep.naming import erase_named
from pathassets.catalog.upkeep.part import UpkeepPart
from pathassets.core.address import Address
from pathassets.core.recipe import DATASET

_SLIDE_COLUMNS = ("slide_id", "into_slide_id", "partition_key")
"""What tables call the slide that a row is of."""
_OF_RELEASES = "release"
"""Tables of what was released begin so: a release stays as it was."""
OF_ARTIFACTS = (artifact_parent, artifact_hash, artifact)
"""Tables of what was made of a slide, those first that point at others."""
_OF_PATIENTS = ("patient_label", "patient")
_CHANGES = "cohort_change"
_LOCKS = (lock_for_registration, lock_for_standing, lock_for_cohort, lock_for_release)
"""Of all that a slide's rows follow from, or that follows from them; always in this order."""


class Forgetting(UpkeepPart):
    """Slides that were taken out for good."""

    def forgotten(self) -> list[Forgotten]:
        """All that were taken out, in order."""
        with reading(self._engine) as connection:
            return read_forgotten(connection)

    def begin_forgetting(self, slide_id: str, *, who: str, why: str) -> None:
        """Enter that a slide is taken out, once, before anything of it goes; each of its ids.

        From then on nothing is wanted of it, and no list of slides to work on has it.
        """
        content = select(slide.c.fingerprint).where(slide.c.slide_id == slide_id)
        said = {"who": who, "why": why, "forgotten_at": now()}
        with writing(self._engine) as connection:
            lock_for_standing(connection)
            fingerprint = connection.execute(content).scalar_one()
            if slide_id in read_begun(connection):
                return
            ids = all_ids(connection, slide_id)
            new = [said | _unreadable(connection, fingerprint, one) for one in ids]
            connection.execute(insert(forgotten_slide), new)
            connection.execute(delete(begun_removal).where(begun_removal.c.slide_id == slide_id))
            begun = {"slide_id": slide_id, "salt": new[0]["salt"]}
            connection.execute(insert(begun_removal), begun)
            forget_plans(connection, ids)

    def begun_removals(self) -> dict[str, Forgotten]:
        """Slides that are here still and whose removal was begun, by id: all of them are few."""
        with reading(self._engine) as connection:
            return read_begun(connection)

    def ids_of(self, slide_id: str) -> list[str]:
        """The id of a slide, and those that it had before it was merged."""
        with reading(self._engine) as connection:
            return all_ids(connection, slide_id)

    def addresses_of(self, slide_ids: Collection[str]) -> list[Address]:
        """What was made of slides, and recorded for them."""
        with reading(self._engine) as connection:
            return _addresses(connection, slide_ids)

    def releases_with(self, slide_ids: Collection[str]) -> list[str]:
        """Versions of datasets, by digest or number, that name a slide: `cohort@3`."""
        edge = artifact_parent.c
        versions = (
            select(edge.name, edge.digest)
            .distinct()
            .where(edge.stage == DATASET, edge.parent_partition_key.in_(slide_ids))
            .order_by(edge.name, edge.digest)
        )
        member = metadata.tables.get("release_member")
        with reading(self._engine) as connection:
            found = ["@".join(row) for row in connection.execute(versions)]
            if member is not None:
                of_slides = member.c.slide_id.in_(slide_ids)
                named = select(member.c.dataset, member.c.version).distinct().where(of_slides)
                rows = connection.execute(named.order_by(member.c.dataset, member.c.version))
                found += [f"{dataset}@{version}" for dataset, version in rows]
        return found

    def erase_slide(self, slide_ids: Sequence[str], *, keep_artifacts: bool) -> None:
        """Delete every row of a slide, all or none; releases keep what they say of it."""
        with writing(self._engine) as connection:
            erase(connection, slide_ids, keep_artifacts=keep_artifacts)
        with translated_of(self._engine):
            empty_log(self._engine)


def erase(connection: Connection, slide_ids: Sequence[str], *, keep_artifacts: bool) -> None:
    """Delete every row of a slide, by the id it has and those that it had."""
    for lock in _LOCKS:
        lock(connection)
    overwrite_deleted(connection)
    of_slide = slide.c.slide_id == slide_ids[0]
    patient = connection.execute(select(slide.c.patient).where(of_slide)).scalar()
    files = select(slide_path.c.path).where(slide_path.c.slide_id.in_(slide_ids))
    for path in [*connection.execute(files).scalars()]:
        for table in (rejected_file, inbox_file):
            connection.execute(delete(table).where(table.c.path == path))
    for table in reversed(metadata.sorted_tables):
        if not (keep_artifacts and table in OF_ARTIFACTS):
            _erase(connection, table, slide_ids)
    count_change(connection)
    is_last = patient is not None and _has_no_slide(connection, patient)
    erase_named(connection, slide_ids, patient if is_last else None)
    if patient is not None and is_last:
        _erase_patient(connection, patient)


def _erase(connection: Connection, table: Table, slide_ids: Sequence[str]) -> None:
    if table.name.startswith(_OF_RELEASES) or table is forgotten_slide:
        return
    names = [name for name in _SLIDE_COLUMNS if name in table.c]
    if table is artifact_parent:
        names.append("parent_partition_key")
    for name in names:
        connection.execute(delete(table).where(table.c[name].in_(slide_ids)))
    if table.name == _CHANGES:
        _erase_changes(connection, table, "slide", slide_ids)


def _has_no_slide(connection: Connection, patient: str) -> bool:
    others = select(slide.c.slide_id).where(slide.c.patient == patient).limit(1)
    return connection.execute(others).first() is None


def _erase_patient(connection: Connection, patient: str) -> None:
    """Delete what is known of a patient of whom no slide is left."""
    for name in _OF_PATIENTS:
        if (table := metadata.tables.get(name)) is not None:
            connection.execute(delete(table).where(table.c.patient == patient))
    if (changes := metadata.tables.get(_CHANGES)) is not None:
        _erase_changes(connection, changes, "patient", [patient])


def _erase_changes(connection: Connection, table: Table, subject: str, keys: Sequence[str]) -> None:
    of_it = and_(table.c.subject == subject, table.c.key.in_(keys))
    connection.execute(delete(table).where(of_it))


def _addresses(connection: Connection, slide_ids: Collection[str]) -> list[Address]:
    columns = (artifact.c.stage, artifact.c.name, artifact.c.partition_key, artifact.c.digest)
    query = select(*columns).where(artifact.c.partition_key.in_(slide_ids)).order_by(*columns)
    return [Address(*row) for row in connection.execute(query)]


def all_ids(connection: Connection, slide_id: str) -> list[str]:
    """The id of a slide, and those that it had before it was merged."""
    old = select(merged_slide.c.slide_id).where(merged_slide.c.into_slide_id == slide_id)
    return [slide_id, *connection.execute(old.order_by(merged_slide.c.slide_id)).scalars()]


def _unreadable(connection: Connection, content: str, slide_id: str) -> dict[str, Any]:
    """What is kept of a slide and one of its ids: what nobody can read off."""
    salt = secrets.token_hex(16)
    return {
        "salt": salt,
        "content_hash": hash_salted(salt, content),
        "id_hash": hash_salted(salt, slide_id),
        "n_artifacts": len(_addresses(connection, [slide_id])),
    }
