"""Releases of datasets: their members, what they left out, which artifacts they hold.

A release is never changed, and none is ever removed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import exists, func, insert, select

from pathassets.catalog.database.connect import reading, writing
from pathassets.catalog.database.dialects import lock_for_release
from pathassets.catalog.part import CatalogPart, now
from pathassets.catalog.releases.records import ReleaseRecord
from pathassets.catalog.rows import flat
from pathassets.catalog.tables import (
    artifact,
    release,
    release_left_out,
    release_member,
)
from pathassets.core.address import ALL_SLIDES, Address
from pathassets.core.datasets.names import versions_there
from pathassets.core.near_names import did_you_mean
from pathassets.errors import CatalogError

DATASET = "dataset"
HELD_STAGES = ("features", "patch_locations", "tissue_mask")
"""Stages of which a release names each member's artifact."""


class Releases(CatalogPart):
    """The part of the catalog that has the releases of datasets."""

    # Releases

    def freeze(
        self,
        draft: ReleaseRecord,
        members: Sequence[Mapping[str, Any]],
        left_out: Sequence[Mapping[str, Any]],
    ) -> ReleaseRecord:
        """Give a version of a dataset the next number, and keep who is in it.

        One that has a number keeps it: then nothing is entered, and its release is returned.
        """
        of_name = release.c.dataset == draft.dataset
        with writing(self._engine) as connection:
            lock_for_release(connection)
            known = select(release).where(of_name, release.c.digest == draft.digest)
            row = connection.execute(known).mappings().one_or_none()
            if row is not None:
                return ReleaseRecord(**row)
            last = connection.execute(select(func.max(release.c.version)).where(of_name)).scalar()
            made = replace(draft, version=(last or 0) + 1, made_at=now())
            connection.execute(insert(release), flat(made))
            for table, rows in ((release_member, members), (release_left_out, left_out)):
                if rows:
                    connection.execute(insert(table), [_of_release(made, table, r) for r in rows])
        return made

    def releases(self, dataset: str | None = None) -> list[ReleaseRecord]:
        """All releases, or those of one dataset, by name and number."""
        chosen = [] if dataset is None else [release.c.dataset == dataset]
        order = select(release).where(*chosen).order_by(release.c.dataset, release.c.version)
        return [ReleaseRecord(**row) for row in self._rows(order)]

    def release(self, dataset: str, version: int | None = None) -> ReleaseRecord:
        """One release, or a dataset's newest.

        Raises:
            CatalogError: there is none.
        """
        known = self.releases(dataset)
        for one in reversed(known):
            if version in (None, one.version):
                return one
        asked = dataset if version is None else f"{dataset}@{version}"
        raise CatalogError(
            f"release {asked}: there is none",
            remedy=versions_there([one.name for one in known])
            if known
            else self._unreleased(dataset),
        )

    def _unreleased(self, dataset: str) -> str:
        """What to do where a dataset has no release: it has another name, or versions alone."""
        built = self._rows(select(artifact.c.name).where(artifact.c.stage == DATASET).distinct())
        released = self._rows(select(release.c.dataset.label("name")).distinct())
        names = sorted({row["name"] for row in (*built, *released)})
        if dataset in names:
            return f"pathassets dataset freeze {dataset} --who … --why … makes the first"
        return did_you_mean(dataset, names, "There are") if names else "pathassets run builds one"

    def release_members(self, dataset: str, version: int) -> list[Mapping[str, Any]]:
        """Members of a release, by slide."""
        return self._of(release_member, dataset, version)

    def release_left_out(self, dataset: str, version: int) -> list[Mapping[str, Any]]:
        """Slides that a release left out, and why, by slide."""
        return self._of(release_left_out, dataset, version)

    def is_held(self, address: Address) -> bool:
        """Whether a release names an artifact, which must not be removed then."""
        if address.stage == DATASET:
            named = (release.c.dataset == address.name) & (release.c.digest == address.digest)
            query = select(exists().where(named))
        elif address.stage in HELD_STAGES:
            query = select(
                exists().where(
                    _SAME_RELEASE,
                    release.c[address.stage] == address.name,
                    release_member.c.slide_id == address.partition_key,
                    release_member.c[f"{address.stage}_digest"] == address.digest,
                )
            )
        else:
            return False
        with reading(self._engine) as connection:
            return bool(connection.execute(query).scalar())

    def held(self, partition_keys: Collection[str] | None = None) -> set[Address]:
        """All artifacts that releases name, or those of some hundreds of slides."""
        whole = self._rows(select(release.c.dataset, release.c.digest))
        found = {Address(DATASET, row["dataset"], ALL_SLIDES, row["digest"]) for row in whole}
        for stage in HELD_STAGES:
            digest = release_member.c[f"{stage}_digest"]
            query = select(release.c[stage], release_member.c.slide_id, digest)
            if partition_keys is not None:
                query = query.where(release_member.c.slide_id.in_(partition_keys))
            for row in self._rows(query.where(_SAME_RELEASE).distinct()):
                found.add(Address(stage, *row.values()))
        return found

    def _of(self, table: Any, dataset: str, version: int) -> list[Mapping[str, Any]]:
        chosen = select(*(c for c in table.c if c.name not in {"dataset", "version"})).where(
            table.c.dataset == dataset, table.c.version == version
        )
        return [dict(row) for row in self._rows(chosen.order_by(table.c.slide_id))]


_SAME_RELEASE = (release_member.c.dataset == release.c.dataset) & (
    release_member.c.version == release.c.version
)


def _of_release(made: ReleaseRecord, table: Any, row: Mapping[str, Any]) -> dict[str, Any]:
    own = {"dataset": made.dataset, "version": made.version}
    return {c.name: own.get(c.name, row.get(c.name)) for c in table.c}
