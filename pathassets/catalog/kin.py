"""What was made from what, both ways, and where a file or a patient comes in."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, Literal

from sqlalchemy import Engine, RowMapping, Select, Text, cast, func, select

from pathassets.catalog.connect import reading
from pathassets.catalog.records import ArtifactRecord
from pathassets.catalog.rows import address_of, address_row, artifact_record
from pathassets.catalog.tables import ADDRESS, PARENT, artifact, artifact_parent, slide
from pathassets.core.address import SLIDE_STAGE, Address

Way = Literal["parents", "children"]

_PARENT = [
    artifact_parent.c[name].label(plain) for name, plain in zip(PARENT, ADDRESS, strict=True)
]
_CHILD = [artifact_parent.c[name] for name in ADDRESS]
_PARENT_AS_IS = [artifact_parent.c[name] for name in PARENT]
_WAYS: Mapping[Way, tuple[Sequence[Any], Sequence[str]]] = {
    "parents": (_PARENT, ADDRESS),
    "children": (_CHILD, PARENT),
}
"""Columns to take, and those that name whose parents or children they are."""


class Kin:
    """The part of the catalog that knows the edges between artifacts."""

    _engine: Engine

    def parents_of(self, address: Address) -> list[Address]:
        """What an artifact was made from: artifacts and slides, in order."""
        return self.kin_of(address, "parents")

    def children_of(self, address: Address) -> list[Address]:
        """Which artifacts were made from this artifact or slide, in order."""
        return self.kin_of(address, "children")

    def kin_of(
        self, address: Address, way: Way, *, stage: str | None = None, limit: int | None = None
    ) -> list[Address]:
        """Parents or children, all or of one stage, in order: the first of them."""
        taken, of = _WAYS[way]
        chosen = [] if stage is None else [taken[0] == stage]
        return self._kin(taken, [*_of(address, of), *chosen], limit)

    def children_of_slide(self, slide_id: str) -> list[Address]:
        """Which artifacts were made of a slide, whatever its resolution was, in order."""
        of = [artifact_parent.c.parent_stage == SLIDE_STAGE]
        of.append(artifact_parent.c.parent_partition_key == slide_id)
        return self._kin(_CHILD, of, None)

    def count_kin(self, address: Address, way: Way) -> dict[str, int]:
        """How many parents or children there are of each stage."""
        taken, of = _WAYS[way]
        query = select(taken[0], func.count()).where(*_of(address, of)).group_by(taken[0])
        with reading(self._engine) as connection:
            return {str(stage): int(n) for stage, n in connection.execute(query.order_by(taken[0]))}

    def parents_by_child(self, stage: str, name: str) -> dict[Address, list[Address]]:
        """What each artifact of an entry was made from."""
        edges = select(*_CHILD, *_PARENT_AS_IS).where(
            artifact_parent.c.stage == stage, artifact_parent.c.name == name
        )
        found: dict[Address, list[Address]] = defaultdict(list)
        for row in self._found(edges):
            found[address_of(row)].append(Address(*(row[name] for name in PARENT)))
        return dict(found)

    def find_artifact_at(self, uri: str) -> ArtifactRecord | None:
        """The artifact that a place in the store is, or lies in; None where it is in none."""
        place = PurePosixPath(uri)
        folders = [str(folder) for folder in (place, *place.parents)]
        rows = self._found(select(artifact).where(artifact.c.uri.in_(folders)))
        return artifact_record(rows[0]) if rows else None

    def find_artifacts_with(
        self, sha256: str, of: Mapping[str, str] | None = None
    ) -> list[ArtifactRecord]:
        """Artifacts with a file of that SHA-256, in order.

        Without the columns of an address in `of`, such as stage and partition key, it reads the
        list of files of every artifact.
        """
        chosen = [artifact.c[name] == value for name, value in (of or {}).items()]
        has_file = cast(artifact.c.files, Text).contains(f'"{sha256}"', autoescape=True)
        query = select(artifact).where(*chosen, has_file).order_by(*artifact.primary_key)
        return [artifact_record(row) for row in self._found(query)]

    def slides_of_patient(self, patient: str, *, limit: int | None = None) -> list[str]:
        """Ids of a patient's slides, in order: the first of them."""
        query = select(slide.c.slide_id).where(slide.c.patient == patient)
        return [
            row["slide_id"] for row in self._found(query.order_by(slide.c.slide_id).limit(limit))
        ]

    def count_slides_of(self, patient: str) -> int:
        """How many slides a patient has."""
        query = select(func.count()).select_from(slide).where(slide.c.patient == patient)
        with reading(self._engine) as connection:
            return int(connection.execute(query).scalar_one())

    def _kin(self, taken: Sequence[Any], of: Sequence[Any], limit: int | None) -> list[Address]:
        query = select(*taken).where(*of).order_by(*taken).limit(limit)
        return sorted(address_of(row) for row in self._found(query.distinct()))

    def _found(self, query: Select[Any]) -> Sequence[RowMapping]:
        with reading(self._engine) as connection:
            return connection.execute(query).mappings().all()


def _of(address: Address, columns: Sequence[str]) -> list[Any]:
    values = address_row(address).values()
    return [artifact_parent.c[name] == value for name, value in zip(columns, values, strict=True)]
