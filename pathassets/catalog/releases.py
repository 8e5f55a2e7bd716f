"""Releases of datasets: what they hold, who was placed where, what leaks, and what was accepted.

A release is never changed, and none is ever removed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import (
    Connection,
    Engine,
    RowMapping,
    Select,
    delete,
    exists,
    func,
    insert,
    select,
)

from pathassets.catalog.connect import reading, writing
from pathassets.catalog.dialects import lock_for_release, upsert
from pathassets.catalog.human_inputs import PAGE_ROWS, now
from pathassets.catalog.release_records import AcceptedFinding, FindingRecord, ReleaseRecord
from pathassets.catalog.rows import flat
from pathassets.catalog.tables import (
    accepted_finding,
    dataset_finding,
    dataset_placement,
    release,
    release_left_out,
    release_member,
    slide,
    slide_hash,
)
from pathassets.core.address import ALL_SLIDES, Address
from pathassets.errors import CatalogError, did_you_mean

DATASET = "dataset"
HELD_STAGES = ("features", "patch_locations", "tissue_mask")
"""Stages of which a release names each member's artifact."""
Unit = tuple[str, str]
"""What is placed in a part: (kind, name)."""

_FINDING = [c for c in dataset_finding.c if c.name not in {"dataset", "digest", "found_at"}]
_ACCEPTED = [c for c in accepted_finding.c if c.name != "id"]


class Releases:
    """The part of the catalog that datasets are released from."""

    _engine: Engine

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
        remedy = f"There is {known[-1].name}" if known else "pathassets dataset freeze makes one"
        raise CatalogError(f"release {asked}: there is none", remedy=remedy)

    def release_members(self, dataset: str, version: int) -> list[Mapping[str, Any]]:
        """Members of a release, by slide."""
        return self._of(release_member, dataset, version)

    def release_left_out(self, dataset: str, version: int) -> list[Mapping[str, Any]]:
        """Slides that a release left out, and why, by slide."""
        return self._of(release_left_out, dataset, version)

    def releases_of_slide(self, slide_id: str) -> list[tuple[str, int, str]]:
        """Releases that have a slide, as (dataset, version, part)."""
        columns = release_member.c
        found = select(columns.dataset, columns.version, columns.split).where(
            columns.slide_id == slide_id
        )
        rows = self._rows(found.order_by(columns.dataset, columns.version))
        return [(row["dataset"], row["version"], row["split"]) for row in rows]

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

    def held(self) -> set[Address]:
        """All artifacts that releases name."""
        whole = self._rows(select(release.c.dataset, release.c.digest))
        found = {Address(DATASET, row["dataset"], ALL_SLIDES, row["digest"]) for row in whole}
        for stage in HELD_STAGES:
            digest = release_member.c[f"{stage}_digest"]
            query = select(release.c[stage], release_member.c.slide_id, digest)
            for row in self._rows(query.where(_SAME_RELEASE).distinct()):
                found.add(Address(stage, *row.values()))
        return found

    # Placements

    def placed(self, dataset: str, scheme: str) -> dict[Unit, str]:
        """Where versions of a dataset placed patients and sites, by (kind, name)."""
        columns = dataset_placement.c
        chosen = select(columns.kind, columns.name, columns.part).where(
            columns.dataset == dataset, columns.scheme == scheme
        )
        return {(row["kind"], row["name"]): row["part"] for row in self._rows(chosen)}

    def place(self, dataset: str, scheme: str, digest: str, units: Mapping[Unit, str]) -> None:
        """Keep where a version placed patients and sites; those that are placed stay.

        Raises:
            CatalogError: one was placed elsewhere meanwhile; then none is kept.
        """
        with writing(self._engine) as connection:
            lock_for_release(connection)
            known = _placed(connection, dataset, scheme)
            for (kind, name), part in units.items():
                if known.get((kind, name), part) != part:
                    raise CatalogError(
                        f"dataset {dataset}: {kind} {name!r} was placed in "
                        f"{known[kind, name]} meanwhile, not in {part}",
                        remedy="Another build went on at the same time: build again",
                    )
            new = {"dataset": dataset, "scheme": scheme, "digest": digest, "placed_at": now()}
            rows = [
                new | {"kind": kind, "name": name, "part": part}
                for (kind, name), part in units.items()
                if (kind, name) not in known
            ]
            if rows:
                connection.execute(insert(dataset_placement), rows)

    def placing_versions(self, dataset: str, scheme: str) -> dict[str, int]:
        """How many patients and sites each version placed first, oldest version first."""
        columns = dataset_placement.c
        counted = (
            select(columns.digest, func.count().label("n"))
            .where(columns.dataset == dataset, columns.scheme == scheme)
            .group_by(columns.digest)
            .order_by(func.min(columns.placed_at), columns.digest)
        )
        return {row["digest"]: row["n"] for row in self._rows(counted)}

    # Findings

    def set_findings(self, dataset: str, digest: str, findings: Iterable[FindingRecord]) -> None:
        """Keep what blocks a version of a dataset, in place of what blocked the one before."""
        at = now()
        rows = [
            flat(one) | {"dataset": dataset, "digest": digest, "found_at": at} for one in findings
        ]
        if not rows and not self.findings(dataset):
            return
        with writing(self._engine) as connection:
            of_dataset = dataset_finding.c.dataset == dataset
            connection.execute(delete(dataset_finding).where(of_dataset))
            if rows:
                connection.execute(insert(dataset_finding), rows)

    def findings(self, dataset: str) -> list[FindingRecord]:
        """What blocked a dataset when it was last built, by kind and pair."""
        columns = dataset_finding.c
        chosen = select(*_FINDING).where(columns.dataset == dataset)
        rows = self._rows(chosen.order_by(columns.kind, columns.one, columns.other))
        return [FindingRecord(**row) for row in rows]

    def accept_finding(self, dataset: str, finding: str, *, who: str, why: str) -> AcceptedFinding:
        """State that a dataset may be released with a finding.

        Raises:
            CatalogError: it is none of those that block the dataset.
        """
        known = {one.finding: one for one in self.findings(dataset)}
        if finding not in known:
            raise CatalogError(
                f"dataset {dataset}: finding {finding!r} does not block it",
                remedy=did_you_mean(finding, known, "Its findings are") if known else
                "Nothing does: build it, and look at what is found then",
            )  # fmt: skip
        one = known[finding]
        accepted = AcceptedFinding(
            dataset=dataset, finding=finding, kind=one.kind, one=one.one, other=one.other,
            message=one.message, who=who, why=why, made_at=now(),
        )  # fmt: skip
        with writing(self._engine) as connection:
            connection.execute(insert(accepted_finding), flat(accepted))
        return accepted

    def accepted_findings(self, dataset: str) -> list[AcceptedFinding]:
        """All that was accepted for a dataset, oldest first."""
        columns = accepted_finding.c
        chosen = select(*_ACCEPTED).where(columns.dataset == dataset).order_by(columns.id)
        return [AcceptedFinding(**row) for row in self._rows(chosen)]

    # Hashes of thumbnails

    def slide_hashes(self, method: str) -> dict[str, bytes]:
        """Hash of each slide's thumbnail that was hashed in this way."""
        chosen = select(slide_hash).where(slide_hash.c.method == method)
        return {row["slide_id"]: row["bits"] for row in self._rows(chosen)}

    def keep_slide_hashes(self, method: str, bits: Mapping[str, bytes]) -> None:
        """Keep hashes of thumbnails, in place of those of other methods."""
        rows = [{"slide_id": s, "method": method, "bits": b} for s, b in bits.items()]
        if rows:
            with writing(self._engine) as connection:
                upsert(connection, slide_hash, rows)

    def thumbnails(self, slide_ids: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        """JPEG of each of these slides that has one, some hundreds a query."""
        for start in range(0, len(slide_ids), PAGE_ROWS):
            some = slide.c.slide_id.in_(slide_ids[start : start + PAGE_ROWS])
            query = select(slide.c.slide_id, slide.c.thumbnail).where(some)
            for row in self._rows(query.where(slide.c.thumbnail.is_not(None))):
                yield row["slide_id"], row["thumbnail"]

    def _of(self, table: Any, dataset: str, version: int) -> list[Mapping[str, Any]]:
        chosen = select(*(c for c in table.c if c.name not in {"dataset", "version"})).where(
            table.c.dataset == dataset, table.c.version == version
        )
        return [dict(row) for row in self._rows(chosen.order_by(table.c.slide_id))]

    def _rows(self, query: Select[Any]) -> Sequence[RowMapping]:
        with reading(self._engine) as connection:
            return connection.execute(query).mappings().all()


_SAME_RELEASE = (release_member.c.dataset == release.c.dataset) & (
    release_member.c.version == release.c.version
)


def _of_release(made: ReleaseRecord, table: Any, row: Mapping[str, Any]) -> dict[str, Any]:
    own = {"dataset": made.dataset, "version": made.version}
    return {c.name: own.get(c.name, row.get(c.name)) for c in table.c}


def _placed(connection: Connection, dataset: str, scheme: str) -> dict[Unit, str]:
    columns = dataset_placement.c
    chosen = select(columns.kind, columns.name, columns.part).where(
        columns.dataset == dataset, columns.scheme == scheme
    )
    return {(kind, name): part for kind, name, part in connection.execute(chosen)}
