"""What versions of datasets begin from, and what blocks them: placements, hashes, findings."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from sqlalchemy import Connection, delete, func, insert, select

from pathassets.catalog.database.connect import writing
from pathassets.catalog.database.dialects import lock_for_release, upsert
from pathassets.catalog.part import CatalogPart, now
from pathassets.catalog.releases.records import AcceptedFinding, FindingRecord
from pathassets.catalog.rows import flat
from pathassets.catalog.tables import (
    accepted_finding,
    dataset_finding,
    dataset_placement,
    slide,
    slide_hash,
)
from pathassets.core.near_names import did_you_mean
from pathassets.errors import CatalogError

Unit = tuple[str, str]
"""What is placed in a part: (kind, name)."""

_FINDING = [c for c in dataset_finding.c if c.name not in {"dataset", "digest", "found_at"}]
_ACCEPTED = [c for c in accepted_finding.c if c.name != "id"]


class Findings(CatalogPart):
    """The part of the catalog that builds of datasets begin from."""

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
        known = select(slide.c.slide_id, slide.c.thumbnail).where(slide.c.thumbnail.is_not(None))
        for row in self._rows_of(known, slide.c.slide_id, slide_ids):
            yield row["slide_id"], row["thumbnail"]

    def with_thumbnail(self, slide_ids: Collection[str]) -> set[str]:
        """Those of these slides that have one."""
        known = select(slide.c.slide_id).where(slide.c.thumbnail.is_not(None))
        return {row["slide_id"] for row in self._rows_of(known, slide.c.slide_id, slide_ids)}


def _placed(connection: Connection, dataset: str, scheme: str) -> dict[Unit, str]:
    columns = dataset_placement.c
    chosen = select(columns.kind, columns.name, columns.part).where(
        columns.dataset == dataset, columns.scheme == scheme
    )
    return {(kind, name): part for kind, name, part in connection.execute(chosen)}
