"""Releases of a catalog that an older one is to replace -> rows there: a number means one thing.

    not in the other                     ─▶ entered, under its number
    another has its number in the other  ─▶ entered, under the next number that neither has
    it has another number in the other   ─▶ that one stays

A number is a promise. Without these rows the next release would get one that is cited already.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Table, insert, inspect, select

from pathassets.catalog.tables import release, release_left_out, release_member

Numbered = tuple[str, int, str]
"""A release by (dataset, version, digest)."""
_NUMBER = ("dataset", "version")


@dataclass(frozen=True, slots=True, kw_only=True)
class Released:
    """A release as its catalog has it."""

    said: Mapping[str, Any]
    """Its row."""
    slides: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    """Rows of its members and of those that it left out, by table."""

    @property
    def numbered(self) -> Numbered:
        """Which it is."""
        return self.said["dataset"], self.said["version"], self.said["digest"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CarriedOver:
    """A release that an older catalog did not have so."""

    dataset: str
    digest: str
    was: int
    """Its number in the catalog that was replaced."""
    version: int
    """Its number now."""
    is_entered: bool
    """Whether its rows are of the catalog that was replaced; else the other had it already."""


def read_released(connection: Connection, known: Collection[Numbered]) -> list[Released]:
    """Read all releases but those that are `known` to the other catalog, by name and number."""
    if not inspect(connection).has_table(release.name):
        return []  # of before there were any
    rows = rows_in_order(connection, release, select(*columns_there(connection, release)))
    found = [Released(said=row) for row in rows]
    return [_whole(connection, one) for one in found if one.numbered not in known]


def enter_released(connection: Connection, released: Iterable[Released]) -> list[CarriedOver]:
    """Enter releases that outlive, each under a number that no other has or had."""
    keys = select(release.c.dataset, release.c.version, release.c.digest)
    there: set[Numbered] = {(d, v, digest) for d, v, digest in connection.execute(keys)}
    lacking = [one for one in released if one.numbered not in there]
    taken = {one[:2] for one in there}
    last = _last_numbers([*there, *(one.numbered for one in lacking)])
    versions = {(dataset, digest): version for dataset, version, digest in there}
    found = []
    for one in lacking:
        dataset, was, digest = one.numbered
        known = versions.get((dataset, digest))
        version = last[dataset] + 1 if (dataset, was) in taken else was
        if known is None:
            last[dataset] = max(last[dataset], version)
            versions[dataset, digest] = version
            _enter(connection, one, version)
        found.append(
            CarriedOver(
                dataset=dataset, digest=digest, was=was, version=known or version,
                is_entered=known is None,
            )
        )  # fmt: skip
    return found


def _last_numbers(numbered: Iterable[Numbered]) -> dict[str, int]:
    last: dict[str, int] = {}
    for dataset, version, _ in numbered:
        last[dataset] = max(last.get(dataset, 0), version)
    return last


def _enter(connection: Connection, one: Released, version: int) -> None:
    connection.execute(insert(release), {**one.said, "version": version})
    for table in (release_member, release_left_out):
        if rows := one.slides.get(table.name, ()):
            connection.execute(insert(table), [{**row, "version": version} for row in rows])


def _whole(connection: Connection, one: Released) -> Released:
    slides = {}
    for table in (release_member, release_left_out):
        named = [table.c[name] == one.said[name] for name in _NUMBER]
        query = select(*columns_there(connection, table)).where(*named)
        slides[table.name] = rows_in_order(connection, table, query)
    return Released(said=one.said, slides=slides)


def columns_there(connection: Connection, table: Table) -> list[Any]:
    """Those columns of a table that the catalog has: it may be an older one."""
    there = {column["name"] for column in inspect(connection).get_columns(table.name)}
    return [column for column in table.c if column.name in there]


def rows_in_order(connection: Connection, table: Table, query: Any) -> list[Mapping[str, Any]]:
    """Rows of a query of a table, by its key."""
    ordered = query.order_by(*table.primary_key)
    return [dict(row) for row in connection.execute(ordered).mappings()]
