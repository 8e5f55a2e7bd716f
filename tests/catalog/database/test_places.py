from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Engine,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    create_engine,
    select,
)

from pathassets.catalog.database.places import put_in_order

METADATA = MetaData()
KEPT = Table(
    "kept",
    METADATA,
    Column("id", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True),
    Column("kind", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("said", Text),
)
Index("idx_kept", KEPT.c.kind, KEPT.c.name, unique=True)


@pytest.fixture
def connection(url: str) -> Iterator[Connection]:
    """One on which each statement stands by itself, as Dagster has it on PostgreSQL."""
    engine: Engine = create_engine(url, isolation_level="AUTOCOMMIT")
    METADATA.create_all(engine)
    with engine.connect() as opened:
        yield opened
    engine.dispose()


def add(connection: Connection, kind: str, *names: str) -> None:
    rows = [{"kind": kind, "name": name, "said": name.upper()} for name in names]
    connection.execute(KEPT.insert(), rows)


def put(connection: Connection, kind: str) -> None:
    put_in_order(connection, KEPT, KEPT.c.name, KEPT.c.kind == kind)


def names(connection: Connection, kind: str) -> list[str]:
    query = select(KEPT.c.name).where(KEPT.c.kind == kind).order_by(KEPT.c.id)
    return [*connection.execute(query).scalars()]


def ids(connection: Connection) -> dict[str, int]:
    return {row.name: row.id for row in connection.execute(select(KEPT.c.name, KEPT.c.id))}


def test_rows_are_put_into_the_order_of_code_points(connection: Connection) -> None:
    drawn = ["b", "B", "a b", "a-b", "a_b", "ab", "é", "z", "Z", "10", "9", "日本"]
    others = ["y", "x"]
    for seed in range(5):
        connection.execute(KEPT.delete())
        add(connection, "others", *others)
        added = random.Random(seed).sample(drawn, len(drawn))  # noqa: S311 - not for secrets
        for name in added:
            add(connection, "slides", name)
            put(connection, "slides")
        assert names(connection, "slides") == sorted(drawn)
    assert names(connection, "others") == others
    said = connection.execute(select(KEPT.c.name, KEPT.c.said)).all()
    assert [(name, name.upper()) for name, _ in said] == [tuple(row) for row in said]


def test_rows_before_the_first_out_of_place_keep_their_ids(connection: Connection) -> None:
    add(connection, "slides", "a", "b", "c", "d")
    before = ids(connection)
    add(connection, "slides", "bb")
    put(connection, "slides")
    after = ids(connection)
    assert names(connection, "slides") == ["a", "b", "bb", "c", "d"]
    assert {one for one in after if after[one] == before.get(one)} == {"a", "b"}


def test_what_is_added_afterwards_stands_behind(connection: Connection) -> None:
    add(connection, "slides", "c", "b", "a")
    put(connection, "slides")
    add(connection, "slides", "e", "d")
    assert names(connection, "slides") == ["a", "b", "c", "e", "d"]


def test_what_is_in_order_is_only_looked_at(
    connection: Connection, count_queries: Callable[[], AbstractContextManager[list[str]]]
) -> None:
    put(connection, "slides")
    add(connection, "slides", "a", "b", "c")
    with count_queries() as seen:
        put(connection, "slides")
    assert len(seen) == 1
