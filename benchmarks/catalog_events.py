"""One slide's events in Dagster, copied for many others: what that many runs would have left.

    rows of the first slide ─▶ without pictures ─▶ with the others' ids and digests ─▶ Dagster

Pictures are left out: `dagster_bytes.py` says what they take. SQLite and PostgreSQL alike; of the
runs' own files on SQLite nothing is copied.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import count, islice
from typing import Any

import sqlalchemy as sa

PICTURE = re.compile(r"data:image/\w+;base64,[A-Za-z0-9+/=]+")
N_ROWS = 20_000
"""Rows written in one statement's batch."""
Row = dict[str, Any]


def copy_events(first_id: str, renamings: Iterable[Mapping[str, str]]) -> None:
    """Copy events, their tags and checks, and the partition, for each of the renamings.

    One names what stands in place of the first slide's id, version and digests.
    """
    from pathassets.defs.instance import open_instance  # noqa: PLC0415 - of another checkout
    from pathassets.engine.settings import read_settings  # noqa: PLC0415

    made = [{**one} for one in renamings]
    with (
        open_instance(read_settings()) as instance,
        instance.event_log_storage.index_connection() as connection,
    ):
        tables = sa.MetaData()
        tables.reflect(connection)
        known = tables.tables
        events = known["event_logs"]
        rows = _rows(connection, events, events.c.partition == first_id)
        of_them = [row["id"] for row in rows]
        tags, checks = known["asset_event_tags"], known["asset_check_executions"]
        tag_rows = _rows(connection, tags, tags.c.event_id.in_(of_them))
        check_rows = _rows(connection, checks, checks.c.partition == first_id)
        next_id = (connection.execute(sa.select(sa.func.max(events.c.id))).scalar() or 0) + 1
        ids = [dict(zip(of_them, count(next_id + len(rows) * n), strict=False))
               for n in range(len(made))]  # fmt: skip
        pairs = [*zip(made, ids, strict=True)]
        _insert(connection, events, (_copied(row, *pair) for pair in pairs for row in rows))
        for table, some in ((tags, tag_rows), (checks, check_rows)):
            plain = [{name: v for name, v in row.items() if name != "id"} for row in some]
            _insert(connection, table, (_copied(row, *pair) for pair in pairs for row in plain))
        _go_on_after(connection, events)
        _add_partitions(connection, known["dynamic_partitions"], [one[first_id] for one in made])
        connection.execute(known["asset_keys"].update().values(cached_status_data=None))


def _rows(connection: sa.Connection, table: sa.Table, where: Any) -> list[Row]:
    found = connection.execute(table.select().where(where)).mappings()
    return [
        {name: PICTURE.sub("", v) if isinstance(v, str) else v for name, v in row.items()}
        for row in found
    ]


_IDS = ("id", "event_id", "evaluation_event_storage_id", "materialization_event_storage_id")


def _copied(row: Row, new: Mapping[str, str], ids: Mapping[int, int]) -> Row:
    """A row of another slide, with ids of events of its own."""
    return {
        name: ids.get(value, value) if name in _IDS else _said(value, new)
        for name, value in row.items()
    }


def _said(value: Any, new: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        for old, name in new.items():
            value = value.replace(old, name)
    return value


def _add_partitions(connection: sa.Connection, table: sa.Table, slide_ids: Sequence[str]) -> None:
    rows = ({"partitions_def_name": "slides", "partition": one} for one in sorted(slide_ids))
    _insert(connection, table, rows)


def _insert(connection: sa.Connection, table: sa.Table, rows: Iterator[Row]) -> None:
    while some := list(islice(rows, N_ROWS)):
        connection.execute(table.insert(), some)


def _go_on_after(connection: sa.Connection, events: sa.Table) -> None:
    """Let PostgreSQL number new events after those that were numbered here."""
    if connection.dialect.name == "postgresql":
        last = sa.select(sa.func.max(events.c.id)).scalar_subquery()
        sequence = sa.func.pg_get_serial_sequence("event_logs", "id")
        connection.execute(sa.select(sa.func.setval(sequence, last)))
