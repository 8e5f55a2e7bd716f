"""What people stated in a catalog that an older one is to replace -> what of it goes over.

    placements           entered in the other, but where it placed the same otherwise
    accepted findings    entered in the other
    verdicts, resolutions, annotations, changes of the cohort after its last ones: counted, no more

A patient whom a release has in one part must not come into another: where he was placed is a
promise, as a release's number is. What slides are said to be is as it was when the older one was
written, as whoever goes back to it may want; that something was said since is not kept from him.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Table, func, insert, inspect, select

from pathassets.catalog.tables import (
    accepted_finding,
    annotation,
    cohort_change,
    dataset_placement,
    mpp_override,
    verdict,
)
from pathassets.catalog.upkeep.numbered import columns_there, rows_in_order

_COUNTED: Mapping[str, tuple[Table, str]] = {
    "verdict": (verdict, "made_at"),
    "resolution": (mpp_override, "made_at"),
    "annotation": (annotation, "made_at"),
    "cohort change": (cohort_change, "at"),
}
"""What is not carried over, by what one is called: its table, and the column of its time."""

Moments = Sequence[tuple[str, datetime, int]]
"""Who stated how much at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stated:
    """What people stated, as the catalog has it that is replaced."""

    placed: Sequence[Mapping[str, Any]] = ()
    accepted: Sequence[Mapping[str, Any]] = ()
    moments: Mapping[str, Moments] = field(default_factory=dict)
    """By what is counted; what nobody stated is left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotRestored:
    """What was stated after the older catalog was written, and is not in it."""

    what: str
    """One of them, such as `verdict`."""
    n: int
    who: tuple[str, ...]
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class WentOver:
    """What became of what people stated."""

    n_placed: int = 0
    """Patients and sites whose part the older catalog did not know."""
    n_elsewhere: int = 0
    """Those that it has in another part, where they stay."""
    n_accepted: int = 0
    not_restored: Sequence[NotRestored] = ()


def read_stated(connection: Connection) -> Stated:
    """Read it from a catalog, be it an older version's."""
    return Stated(
        placed=_all_of(connection, dataset_placement),
        accepted=_all_of(connection, accepted_finding),
        moments={
            what: found
            for what, (table, column) in _COUNTED.items()
            if (found := _moments(connection, table, column))
        },
    )


def enter_stated(connection: Connection, stated: Stated) -> WentOver:
    """Enter what goes over into the other catalog, and count what does not."""
    keys = [column.name for column in dataset_placement.primary_key]
    there = {_key(row, keys): row["part"] for row in _all_of(connection, dataset_placement)}
    new = [row for row in stated.placed if _key(row, keys) not in there]
    if new:
        connection.execute(insert(dataset_placement), new)
    elsewhere = (
        row for row in stated.placed if there.get(_key(row, keys), row["part"]) != row["part"]
    )
    return WentOver(
        n_placed=len(new),
        n_elsewhere=sum(1 for _ in elsewhere),
        n_accepted=_enter_accepted(connection, stated.accepted),
        not_restored=tuple(_not_restored(connection, stated.moments)),
    )


def _enter_accepted(connection: Connection, accepted: Sequence[Mapping[str, Any]]) -> int:
    """Enter those that are not there, under numbers of their own; returns how many."""
    columns = [column.name for column in accepted_finding.c if not column.primary_key]
    there = {_key(row, columns) for row in _all_of(connection, accepted_finding)}
    rows = ({name: row[name] for name in columns} for row in accepted)
    new = [row for row in rows if _key(row, columns) not in there]
    if new:
        connection.execute(insert(accepted_finding), new)
    return len(new)


def _not_restored(connection: Connection, moments: Mapping[str, Moments]) -> Iterator[NotRestored]:
    for what, stated in moments.items():
        table, column = _COUNTED[what]
        last = connection.execute(select(func.max(table.c[column]))).scalar_one()
        since = [(who, at, n) for who, at, n in stated if last is None or at > last]
        if since:
            times = [at for _, at, _ in since]
            yield NotRestored(
                what=what, n=sum(n for _, _, n in since),
                who=tuple(sorted({who for who, _, _ in since})),
                first_at=min(times), last_at=max(times),
            )  # fmt: skip


def _moments(connection: Connection, table: Table, column: str) -> Moments:
    if not inspect(connection).has_table(table.name):
        return ()
    who, at = table.c.who, table.c[column]
    counted = select(who, at, func.count()).group_by(who, at).order_by(at, who)
    return [(one, when, n) for one, when, n in connection.execute(counted)]


def _all_of(connection: Connection, table: Table) -> Sequence[Mapping[str, Any]]:
    if not inspect(connection).has_table(table.name):
        return ()
    return rows_in_order(connection, table, select(*columns_there(connection, table)))


def _key(row: Mapping[str, Any], names: Sequence[str]) -> tuple[Any, ...]:
    return tuple(row[name] for name in names)
