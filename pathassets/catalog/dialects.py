"""What SQLite and PostgreSQL do differently; nothing else here knows which it talks to.

SQLite runs with a write-ahead log, `synchronous=NORMAL` and `BEGIN IMMEDIATE` for whoever writes: a
deferred transaction that reads and then writes fails with 'database is locked', however long the
timeout. On PostgreSQL, transactions are as the server gives them.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from sqlalchemy import URL, Connection, Engine, Table, event, func, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import OperationalError, SQLAlchemyError, StatementError

BEGIN = "pathassets_begin"
"""Execution option of a connection: the statement that opens its transactions on SQLite."""
BEGIN_WRITING = "BEGIN IMMEDIATE"

BUSY_TIMEOUT_S = "30"
WAL_RETRY_S = 0.05
MIGRATION_LOCK = 7_240_914_835
"""Key of PostgreSQL's advisory lock: any number nobody else uses."""
REGISTRATION_LOCK = 7_240_914_836
RELEASE_LOCK = 7_240_914_837

_INSERTS: dict[str, Callable[[Table], sqlite.Insert | postgresql.Insert]] = {
    "sqlite": sqlite.insert,
    "postgresql": postgresql.insert,
}
BACKENDS = tuple(_INSERTS)

_SQLITE_CAUSES = {
    sqlite3.SQLITE_BUSY: (
        "is locked by another process for longer than the busy timeout",
        "Let that process finish, or end it, then try again.",
    ),
    sqlite3.SQLITE_CANTOPEN: (
        "cannot be opened",
        "Make its folder writable, or point PATHASSETS_CATALOG elsewhere.",
    ),
    sqlite3.SQLITE_CORRUPT: ("is damaged", "Restore it from a backup."),
    sqlite3.SQLITE_FULL: ("has no room to grow", "Free some disk space, then try again."),
    sqlite3.SQLITE_IOERR: ("cannot be read or written", "Check the disk it is on."),
    sqlite3.SQLITE_NOTADB: (
        "is not an SQLite database",
        "Point PATHASSETS_CATALOG at another file, or move this one away.",
    ),
    sqlite3.SQLITE_READONLY: (
        "is read-only",
        "Make the file and its folder writable, or point PATHASSETS_CATALOG elsewhere.",
    ),
}
_PRIMARY_CODE = 0xFF
"""SQLite's extended codes carry the primary one in their low byte."""


def with_timeout(url: URL) -> URL:
    """Let SQLite wait 30 s for other writers, where the URL does not say how long."""
    if url.get_backend_name() != "sqlite" or "timeout" in url.query:
        return url
    return url.update_query_dict({"timeout": BUSY_TIMEOUT_S})


def read_only(text: str) -> str:
    """Have SQLite write nothing: no log of its own, where no other process left one.

    With `immutable` it looks at the file alone, in which what is committed is missing while there
    is a log beside it; without, it needs to write where there is none.
    """
    driver, _, place = text.partition(":///")
    path, _, options = place.partition("?")
    if driver.partition("+")[0] != "sqlite" or not path or path.startswith("file:"):
        return text
    log = Path(f"{unquote(path)}-wal")
    has_log = log.is_file() and log.stat().st_size > 0
    mode = "mode=ro" if has_log else "mode=ro&immutable=1"
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


def lock_for_migration(connection: Connection) -> None:
    """Keep other migrations out until this transaction ends; on SQLite it already does."""
    _lock(connection, MIGRATION_LOCK)


def lock_for_registration(connection: Connection) -> None:
    """Keep other registrations out until this transaction ends; on SQLite it already does.

    One that looks for a content and enters it is to find what the one before it entered.
    """
    _lock(connection, REGISTRATION_LOCK)


def lock_for_release(connection: Connection) -> None:
    """Keep others from numbering releases and placing patients until this transaction ends."""
    _lock(connection, RELEASE_LOCK)


def _lock(connection: Connection, key: int) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": key})


def upsert(
    connection: Connection,
    table: Table,
    rows: Sequence[Mapping[str, Any]],
    *,
    keep_first: Collection[str] = (),
    keep_known: Collection[str] = (),
) -> None:
    """Insert rows; where the key is taken, its row takes their values.

    Columns in `keep_first` stay as they are; those in `keep_known` do where the new value is NULL.
    """
    insert = _INSERTS[connection.dialect.name](table)
    key = [column.name for column in table.primary_key]
    new = {
        name: func.coalesce(insert.excluded[name], table.c[name])
        if name in keep_known
        else insert.excluded[name]
        for name in rows[0]
        if name not in key and name not in keep_first
    }
    connection.execute(insert.on_conflict_do_update(index_elements=key, set_=new), list(rows))


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


def _sqlite_code(error: SQLAlchemyError) -> int:
    cause = error.orig if isinstance(error, StatementError) else None
    code: int = getattr(cause, "sqlite_errorcode", -1)
    return code & _PRIMARY_CODE if code >= 0 else code
