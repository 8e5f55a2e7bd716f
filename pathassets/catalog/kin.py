"""What was made from what, both ways, and where a file or a patient comes in."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, Literal

from sqlalchemy import ColumnElement, FromClause, Select, Text, and_, cast, exists, func, select

from pathassets.catalog.database.connect import reading
from pathassets.catalog.database.dialects import by_code_points
from pathassets.catalog.part import CatalogPart, portions
from pathassets.catalog.records import ArtifactRecord, Superseded
from pathassets.catalog.rows import address_of, address_row, artifact_record
from pathassets.catalog.tables import (
    ADDRESS,
    PARENT,
    artifact,
    artifact_parent,
    slide,
    slide_path,
    wanted,
)
from pathassets.core.address import Address
from pathassets.core.slides.slide import name_in

Way = Literal["parents", "children"]

_PARENT = [
    artifact_parent.c[name].label(plain) for name, plain in zip(PARENT, ADDRESS, strict=True)
]
_CHILD = [artifact_parent.c[name] for name in ADDRESS]
_ADDRESS = [artifact.c[name] for name in ADDRESS]
_PARENT_AS_IS = [artifact_parent.c[name] for name in PARENT]
_WAYS: Mapping[Way, tuple[Sequence[Any], Sequence[str]]] = {
    "parents": (_PARENT, ADDRESS),
    "children": (_CHILD, PARENT),
}
"""Columns to take, and those that name whose parents or children they are."""


class Kin(CatalogPart):
    """The part of the catalog that knows the edges between artifacts."""

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

    def children_however_called(self, address: Address) -> list[Address]:
        """Which artifacts were made from this one, whatever the recipe called it, in order."""
        stage, _, slide_id, digest = _of(address, PARENT)
        return self._kin(_CHILD, [stage, slide_id, digest], None)

    def children_of_slide(self, slide_id: str) -> list[Address]:
        """Which artifacts were made of a slide, whatever its resolution was, in order."""
        any_version = _of(Address.of_slide(slide_id, ""), PARENT)[:-1]
        return self._kin(_CHILD, any_version, None)

    def count_kin(self, address: Address, way: Way) -> dict[str, int]:
        """How many parents or children there are of each stage."""
        taken, of = _WAYS[way]
        query = select(taken[0], func.count()).where(*_of(address, of)).group_by(taken[0])
        with reading(self._engine) as connection:
            return {str(stage): int(n) for stage, n in connection.execute(query.order_by(taken[0]))}

    def superseded_slides(self, plan_id: int) -> list[str]:
        """Slides of which something was made, though not what a plan wants there now, in order."""
        query = select(wanted.c.slide_id).where(wanted.c.plan_id == plan_id, _is_superseded())
        return sorted({row["slide_id"] for row in self._rows(query.distinct())})

    def superseded(self, plan_id: int, slide_ids: Collection[str]) -> list[Superseded]:
        """Of each place of these slides whose wanted artifact was never made the one made last."""
        spec = cast(artifact.c.spec, Text)
        columns = (*_ADDRESS, spec, artifact.c.code_version, wanted.c.digest)
        joined = wanted.join(artifact, and_(*_at_place(artifact)))
        query = select(*columns).select_from(joined).order_by(artifact.c.made_at, artifact.c.digest)
        query = query.where(wanted.c.plan_id == plan_id, _is_superseded())
        found: dict[tuple[str, ...], Superseded] = {}
        for row in self._tuples_of(query, wanted.c.slide_id, slide_ids):
            found[row[:3]] = Superseded(
                address=Address(*row[:4]), spec=row[4], code_version=row[5], wanted=row[6]
            )
        return list(found.values())

    def parents_by_child(self, children: Iterable[Address]) -> dict[Address, list[Address]]:
        """What each of these artifacts was made from, in order."""
        found: dict[tuple[str, ...], list[Address]] = {}
        slides: dict[tuple[str, str], set[str]] = defaultdict(set)
        own = {child: found.setdefault(_parts(child), []) for child in children}
        for child in own:
            slides[child.key].add(child.partition_key)
        for (stage, name), partition_keys in slides.items():
            of_entry = (artifact_parent.c.stage == stage) & (artifact_parent.c.name == name)
            edges = select(*_CHILD, *_PARENT_AS_IS).where(of_entry)
            for row in self._tuples_of(edges, artifact_parent.c.partition_key, partition_keys):
                if (parents := found.get(row[:4])) is not None:
                    parents.append(Address(*row[4:]))
        for parents in found.values():
            parents.sort(key=str)
        return own

    def _tuples_of(
        self, query: Select[Any], column: Any, values: Collection[str]
    ) -> Iterator[tuple[Any, ...]]:
        """Rows whose column has one of the values, bare: of a million each microsecond counts."""
        for some in portions(values):
            with reading(self._engine) as connection:
                rows = connection.execute(query.where(column.in_(some))).all()
            yield from map(tuple, rows)

    def wanted_by_slide(
        self, plan_id: int, slide_ids: Collection[str]
    ) -> dict[str, dict[tuple[str, str], str]]:
        """Digest of all that a plan wants of slides, by stage and name."""
        columns = (wanted.c.slide_id, wanted.c.stage, wanted.c.name, wanted.c.digest)
        query = select(*columns).where(wanted.c.plan_id == plan_id)
        found: dict[str, dict[tuple[str, str], str]] = defaultdict(dict)
        for slide_id, *key, digest in self._tuples_of(query, wanted.c.slide_id, slide_ids):
            found[slide_id][key[0], key[1]] = digest
        return found

    def find_artifact_at(self, uri: str) -> ArtifactRecord | None:
        """The artifact that a place in the store is, or lies in; None where it is in none."""
        place = PurePosixPath(uri)
        folders = [str(folder) for folder in (place, *place.parents)]
        rows = self._rows(select(artifact).where(artifact.c.uri.in_(folders)))
        return artifact_record(rows[0]) if rows else None

    def addresses_like(self, address: Address, *, limit: int) -> list[Address]:
        """Artifacts of the entry and slide whose digest begins as this one's, in order."""
        columns = [artifact.c[name] for name in ADDRESS]
        at_place = [artifact.c[name] == value for name, value in address_row(address).items()][:-1]
        begins = artifact.c.digest.startswith(address.digest, autoescape=True)
        query = select(*columns).where(*at_place, begins).order_by(artifact.c.digest).limit(limit)
        return [address_of(row) for row in self._rows(query)]

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
        return [artifact_record(row) for row in self._rows(query)]

    def slides_named(self, name: str) -> list[str]:
        """Ids that are a name, or a name and the hash of a content, in order of registration."""
        text = by_code_points(self._engine.dialect, slide.c.slide_id)
        is_longer = (text > f"{name}-") & (text < f"{name}.")  # the character after '-'
        query = select(slide.c.slide_id).where((slide.c.slide_id == name) | is_longer)
        found = self._rows(query.order_by(slide.c.registered_at, slide.c.slide_id))
        return [row["slide_id"] for row in found if name_in(row["slide_id"]) == name]

    def places(self) -> dict[str, list[str]]:
        """Path of every file of each slide, in no order; without their looks, which cost more."""
        found: defaultdict[str, list[str]] = defaultdict(list)
        query = select(slide_path.c.slide_id, slide_path.c.path)
        with reading(self._engine) as connection:
            for slide_id, path in connection.execute(query):
                found[slide_id].append(path)
        return dict(found)

    def slides_of_patient(self, patient: str, *, limit: int | None = None) -> list[str]:
        """Ids of a patient's slides, in order: the first of them."""
        query = select(slide.c.slide_id).where(slide.c.patient == patient)
        return [
            row["slide_id"] for row in self._rows(query.order_by(slide.c.slide_id).limit(limit))
        ]

    def count_slides_of(self, patient: str) -> int:
        """How many slides a patient has."""
        query = select(func.count()).select_from(slide).where(slide.c.patient == patient)
        with reading(self._engine) as connection:
            return int(connection.execute(query).scalar_one())

    def _kin(self, taken: Sequence[Any], of: Sequence[Any], limit: int | None) -> list[Address]:
        query = select(*taken).where(*of).order_by(*taken).limit(limit)
        return sorted(address_of(row) for row in self._rows(query.distinct()))


def _is_superseded() -> ColumnElement[bool]:
    """Whether something was made where a plan wants something, and never what it wants."""
    one, other = artifact.alias("one"), artifact.alias("other")
    is_wanted = other.c.digest == wanted.c.digest
    return and_(
        exists(select(one.c.digest).where(*_at_place(one))),
        ~exists(select(other.c.digest).where(*_at_place(other), is_wanted)),
    )


def _at_place(table: FromClause) -> list[ColumnElement[bool]]:
    """That an artifact is of the entry and slide of a wanted one."""
    place = [table.c.stage == wanted.c.stage, table.c.name == wanted.c.name]
    return [*place, table.c.partition_key == wanted.c.slide_id]


def _of(address: Address, columns: Sequence[str]) -> list[Any]:
    values = address_row(address).values()
    return [artifact_parent.c[name] == value for name, value in zip(columns, values, strict=True)]


def _parts(address: Address) -> tuple[str, ...]:
    return address.stage, address.name, address.partition_key, address.digest
