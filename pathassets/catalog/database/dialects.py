"""What SQLite and PostgreSQL do differently; nothing else here knows which it talks to.

SQLite runs with a write-ahead log, `synchronous=NORMAL` and `BEGIN IMMEDIATE` for whoever writes: a
deferred transaction that reads and then writes fails with 'database is locked', however long the
timeout. On PostgreSQL, transactions are as the server gives them.
"""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Collection, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from sqlalchemy import (
    URL,
    ColumnElement,
    Connection,
    Dialect,
    Engine,
    Table,
    event,
    func,
    select,
    text,
)
from sqlalchemy.exc import OperationalError, SQLAlchemyError, StatementError

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql, sqlite

BEGIN = "pathassets_begin"
"""Execution option of a connection: the statement that opens its transactions on SQLite."""
BEGIN_WRITING = "BEGIN IMMEDIATE"

BUSY_TIMEOUT_S = "30"
WAL_RETRY_S = 0.05
AWAY_S, AWAY_RETRY_S = 30.0, 0.5
"""How long a server that has gone is waited for, and between two looks."""
MIGRATION_LOCK = 7_240_914_835
"""Key of PostgreSQL's advisory lock: any number nobody else uses."""
REGISTRATION_LOCK = 7_240_914_836
STANDING_LOCK = 7_240_914_837

IN_VALUES = 900
"""Values in one IN: SQLite takes 32,766 of them, an old one 999."""
COHORT_LOCK = 7_240_914_838
RELEASE_LOCK = 7_240_914_839

BACKENDS = ("sqlite", "postgresql")

_ROOM = "once some MB are free, `pathassets gc --yes` makes more"
_SQLITE_CAUSES = {
    sqlite3.SQLITE_AUTH: (
        "is a copy of one that cannot be written, and what is stated there would go with it",
        "Make the store and its disk writable.",
    ),
    sqlite3.SQLITE_BUSY: (
        "is locked by another process for longer than the busy timeout",
        "Let that process finish, or end it, then try again.",
    ),
    sqlite3.SQLITE_CANTOPEN: (
        "cannot be opened",
        "Make its folder writable, or point PATHASSETS_CATALOG elsewhere.",
    ),
    sqlite3.SQLITE_CORRUPT: ("is damaged", "Restore it from a backup."),
    sqlite3.SQLITE_FULL: ("has no room to grow", f"Free some disk space: {_ROOM}."),
    sqlite3.SQLITE_IOERR: ("cannot be read or written", f"Look whether its disk is full: {_ROOM}."),
    sqlite3.SQLITE_NOTADB: (
        "is not an SQLite database",
        "Point PATHASSETS_CATALOG at another file, or move this one away.",
    ),
    sqlite3.SQLITE_READONLY: (
        "is read-only",
        "Make the file and its folder writable, or point PATHASSETS_CATALOG elsewhere.",
    ),
}
_AWAY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR})
_PRIMARY_CODE = 0xFF
"""SQLite's extended codes carry the primary one in their low byte."""


def engine_options(url: URL) -> dict[str, Any]:
    """What the driver is told: psycopg2 sends one UPDATE of many rows as a few hundred at once.

    100,000 of them would go there and back one by one.
    """
    return {"executemany_mode": "values_plus_batch"} if url.drivername.endswith("psycopg2") else {}


def with_timeout(url: URL) -> URL:
    """Let SQLite wait 30 s for other writers, where the URL does not say how long."""
    if url.get_backend_name() != "sqlite" or "timeout" in url.query:
        return url
    return url.update_query_dict({"timeout": BUSY_TIMEOUT_S})


def read_only(text: str, *, is_alone: bool = True) -> str:
    """Have SQLite write nothing: no log of its own, where no other process left one.

    With `immutable` it looks at the file alone, in which what is committed is missing while there
    is a log beside it, or somebody writes; without, it needs to write where there is none. It is
    not `is_alone` where somebody may.
    """
    driver, _, place = text.partition(":///")
    path, _, options = place.partition("?")
    if driver.partition("+")[0] != "sqlite" or not path or path.startswith("file:"):
        return text
    log = Path(f"{unquote(path)}-wal")
    has_log = log.is_file() and log.stat().st_size > 0
    mode = "mode=ro" if has_log or not is_alone else "mode=ro&immutable=1"
    return f"{driver}:///file:{quote(path)}?{mode}&uri=true{'&' if options else ''}{options}"


def tune(engine: Engine) -> None:
    """Make every connection of an SQLite engine behave as this module's docstring says."""
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _set_pragmas)
        event.listen(engine, "begin", _begin)


def _set_pragmas(connection: Any, _record: object) -> None:
    # None: the driver opens no transactions of its own, so that `_begin` decides how.
    connection.isolation_level = None
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA foreign_keys = ON")


def _begin(connection: Connection) -> None:
    statement = connection.get_execution_options().get(BEGIN, "BEGIN")
    if statement:
        connection.exec_driver_sql(statement)


def logs_ahead(connection: Connection) -> bool:
    """Whether the write-ahead log is on, as it always is on PostgreSQL."""
    if connection.dialect.name != "sqlite":
        return True
    return bool(connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal")


def log_ahead(engine: Engine) -> bool:
    """Turn on SQLite's write-ahead log, which the file remembers; tell whether it is on.

    SQLite answers 'locked' at once where another process writes or tries the same, whatever the
    timeout (measured: 4 of 60 that opened a new file in fours), so wait here.
    """
    give_up_at = time.monotonic() + float(str(engine.url.query["timeout"]))
    while True:
        try:
            with engine.connect().execution_options(**{BEGIN: ""}) as connection:
                connection.exec_driver_sql("PRAGMA journal_mode = WAL")
                return logs_ahead(connection)
        except OperationalError as error:
            if _sqlite_code(error) != sqlite3.SQLITE_BUSY or time.monotonic() > give_up_at:
                raise
            time.sleep(WAL_RETRY_S)


def connected(engine: Engine) -> Connection:
    """Connect; where a server that has answered this process before is away, wait until it is back.

    One that is started again, or looks its files through after a crash, answers in seconds. One
    that has never answered may be none.
    """
    give_up_at = time.monotonic() + AWAY_S
    while True:
        try:
            return engine.connect()
        except OperationalError:
            if not _has_answered(engine) or time.monotonic() > give_up_at:
                raise
            time.sleep(AWAY_RETRY_S)


def _has_answered(engine: Engine) -> bool:
    """Whether a server was connected to: its version is asked for at the first time."""
    known = getattr(engine.dialect, "server_version_info", None)
    return engine.dialect.name == "postgresql" and known is not None


def lock_for_migration(connection: Connection) -> None:
    """Keep other migrations out until this transaction ends; on SQLite it already does."""
    _lock(connection, MIGRATION_LOCK)


def lock_for_registration(connection: Connection) -> None:
    """Keep other registrations out until this transaction ends; on SQLite it already does.

    One that looks for a content and enters it is to find what the one before it entered.
    """
    _lock(connection, REGISTRATION_LOCK)


def lock_for_standing(connection: Connection) -> None:
    """Keep others from what states follow from until this transaction ends; SQLite already does.

    Taken before anything is read: two that see half of what both write would each derive a state
    that holds for neither. After `lock_for_registration`, where both are taken.
    """
    _lock(connection, STANDING_LOCK)


def lock_for_cohort(connection: Connection) -> None:
    """Keep other changes of what is said of slides out until this transaction ends.

    One that replaces what was said is to find that, and not what another put there meanwhile.
    """
    _lock(connection, COHORT_LOCK)


def lock_for_release(connection: Connection) -> None:
    """Keep others from numbering releases and placing patients until this transaction ends."""
    _lock(connection, RELEASE_LOCK)


def _lock(connection: Connection, key: int) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": key})


def one_moment(engine: Engine) -> dict[str, str]:
    """Execution options by which a transaction sees all tables as they are at its first look.

    On SQLite each does.
    """
    return {} if engine.dialect.name == "sqlite" else {"isolation_level": "REPEATABLE READ"}


def overwrite_deleted(connection: Connection) -> None:
    """Let SQLite overwrite what this connection deletes, not only give its pages free."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("PRAGMA secure_delete = ON")


def empty_log(engine: Engine) -> None:
    """Move SQLite's write-ahead log into the file and cut it, unless somebody reads on in it."""
    if engine.dialect.name == "sqlite":
        with engine.connect().execution_options(**{BEGIN: ""}) as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")


def restart_numbers(connection: Connection, tables: Collection[Table]) -> None:
    """Let the database go on counting behind rows that came with their numbers.

    SQLite does by itself.
    """
    if connection.dialect.name != "postgresql":
        return
    for table in tables:
        column = table.autoincrement_column
        if column is not None:
            serial = select(func.pg_get_serial_sequence(table.name, column.name))
            sequence = connection.execute(serial).scalar()
            last = connection.execute(select(func.max(column))).scalar()
            if sequence is not None and last is not None:
                connection.execute(select(func.setval(sequence, last)))


def number_behind(dialect: Dialect, table: Table, by: ColumnElement[str]) -> ColumnElement[int]:
    """A number for each row of a query in this order: greater than any of the table's, rising.

    PostgreSQL's own next number is greater still.
    """
    if dialect.name == "postgresql":  # as the rows come
        return func.nextval(func.pg_get_serial_sequence(table.name, "id"))
    return select(func.max(table.c.id)).scalar_subquery() + func.row_number().over(order_by=by)


def by_code_points(dialect: Dialect, column: ColumnElement[str]) -> ColumnElement[str]:
    """A text to be held against others as Python does, whatever language the database is in."""
    return column.collate("BINARY" if dialect.name == "sqlite" else "C")


def _insert(connection: Connection, table: Table) -> sqlite.Insert | postgresql.Insert:
    """The dialect's own INSERT; PostgreSQL's takes a twentieth of a second of each command."""
    module = import_module(f"sqlalchemy.dialects.{connection.dialect.name}")
    insert: sqlite.Insert | postgresql.Insert = module.insert(table)
    return insert


def upsert(  # noqa: PLR0913 - three ways to keep what is there
    connection: Connection,
    table: Table,
    rows: Sequence[Mapping[str, Any]],
    *,
    keep_first: Collection[str] = (),
    keep_known: Collection[str] = (),
    keep_stated: Collection[str] = (),
) -> None:
    """Insert rows; where the key is taken, its row takes their values.

    Columns in `keep_first` stay as they are; those in `keep_known` do where the new value is NULL,
    and those in `keep_stated` where the old one is not.
    """
    insert = _insert(connection, table)
    key = [column.name for column in table.primary_key]
    new: dict[str, ColumnElement[Any]] = {
        name: insert.excluded[name]
        for name in rows[0]
        if name not in key and name not in keep_first
    }
    new |= {name: func.coalesce(new[name], table.c[name]) for name in keep_known}
    new |= {name: func.coalesce(table.c[name], new[name]) for name in keep_stated}
    if new:
        insert = insert.on_conflict_do_update(index_elements=key, set_=new)
    else:
        insert = insert.on_conflict_do_nothing(index_elements=key)
    connection.execute(insert, list(rows))


_FUNCTIONS: Mapping[str, Mapping[str, str]] = {
    "sqlite": {
        "fact_integer": r"CAST(json_extract(\1, '$.\2') AS INTEGER)",
        "fact_number": r"CAST(json_extract(\1, '$.\2') AS REAL)",
        "fact_text": r"json_extract(\1, '$.\2')",
        "n_items": r"json_array_length(\1)",
        "sum_of_items": r"(SELECT sum(json_extract(value, '$.\2')) FROM json_each(\1))",
        "as_number": r"CAST(\1 AS REAL)",
        "joined": r"group_concat(\1, ',')",
    },
    "postgresql": {
        "fact_integer": r"CAST(\1 ->> '\2' AS BIGINT)",
        "fact_number": r"CAST(\1 ->> '\2' AS DOUBLE PRECISION)",
        "fact_text": r"(\1 ->> '\2')",
        "n_items": r"json_array_length(\1)",
        "sum_of_items": r"(SELECT CAST(sum(CAST(value ->> '\2' AS BIGINT)) AS BIGINT) "
        r"FROM json_array_elements(\1))",
        "as_number": r"CAST(\1 AS DOUBLE PRECISION)",
        "joined": r"string_agg(\1, ',')",
    },
}
_CALL = re.compile(r"\b(\w+)!\(([\w.]+)(?:, (\w+))?\)")


def in_dialect(sql: str, dialect: str) -> str:
    """Write functions that both databases have under other names: `name!(column)` in a statement.

    `fact_integer!(facts, n_patches)` is a whole number of a column of JSON, `fact_number!` one with
    a fraction, `fact_text!` text; `n_items!(files)` the length of a list, `sum_of_items!(files,
    size_bytes)` a sum over its objects; `as_number!(value)` a number that is kept as text;
    `joined!(name)` all values of a group, with commas.

    >>> in_dialect("SELECT fact_integer!(a.facts, n) FROM a", "sqlite")
    "SELECT CAST(json_extract(a.facts, '$.n') AS INTEGER) FROM a"
    >>> in_dialect("SELECT fact_integer!(a.facts, n) FROM a", "postgresql")
    "SELECT CAST(a.facts ->> 'n' AS BIGINT) FROM a"
    """
    functions = _FUNCTIONS[dialect]
    return _CALL.sub(
        lambda call: functions[call[1]].replace("\\1", call[2]).replace("\\2", call[3] or ""), sql
    )


def explain(error: SQLAlchemyError) -> tuple[str, str]:
    """Say what happened and what helps, in words for the person who runs this."""
    cause = error.orig if isinstance(error, StatementError) and error.orig else error
    said = str(cause).strip().partition("\n")[0]
    known = _SQLITE_CAUSES.get(_sqlite_code(error))
    if known:
        return f"{known[0]} ({said})", known[1]
    if isinstance(error, OperationalError) and not isinstance(cause, sqlite3.Error):
        return (
            f"the server does not answer as it should ({said})",
            "Check that it runs and has room, and that PATHASSETS_CATALOG names it.",
        )
    return f"{type(cause).__name__}: {said}", ""


def is_away(error: SQLAlchemyError) -> bool:
    """Whether a database may answer in a while: a server is gone, a file locked, a disk full."""
    if isinstance(error, StatementError) and isinstance(error.orig, sqlite3.Error):
        return _sqlite_code(error) in _AWAY
    return isinstance(error, OperationalError) or getattr(error, "connection_invalidated", False)


def _sqlite_code(error: SQLAlchemyError) -> int:
    cause = error.orig if isinstance(error, StatementError) else None
    code: int = getattr(cause, "sqlite_errorcode", -1)
    return code & _PRIMARY_CODE if code >= 0 else code
