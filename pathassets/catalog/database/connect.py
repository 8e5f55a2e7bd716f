"""URL -> engine on an up-to-date catalog, and the doors through which it is read and written."""

from __future__ import annotations

import os
import stat
import threading
import traceback
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

from sqlalchemy import (
    URL,
    Column,
    Connection,
    Engine,
    MetaData,
    Table,
    Text,
    create_engine,
    inspect,
    select,
)
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from pathassets.catalog import migrations
from pathassets.catalog.database import dialects
from pathassets.catalog.database.urls import URL_REMEDY, name_of, parse_url, without_secrets
from pathassets.catalog.database.views import drop_views, make_views
from pathassets.catalog.migrations import HEAD, VERSION_TABLE
from pathassets.core.spec import canonical_json
from pathassets.core.text import quoted
from pathassets.errors import CatalogError, DagsterUnavailable

MIGRATIONS = Path(__file__).parent.parent / "migrations"

_revision = Table(VERSION_TABLE, MetaData(), Column("version_num", Text))
_OF_DRIVER = ("sqlalchemy.", "alembic.")
_alembic = threading.Lock()  # alembic's `op` and `context` are one per process


def open_engine(url: str) -> Engine:
    """Open a database as an up-to-date catalog, making it where there is none.

    Raises:
        CatalogError: the URL, the place, the file or the server is at fault, or the catalog is
            of a newer version.
    """
    engine = make_engine(url)
    try:
        _bring_up_to_date(engine)
    except CatalogError:
        engine.dispose()
        raise
    return engine


def open_reader(url: str, *, is_alone: bool = True) -> Engine:
    """Open a database that is a catalog already, without writing a byte beside it.

    Where others may write meanwhile it is not `is_alone`: then SQLite keeps its notes beside it.

    Raises:
        CatalogError: there is none, or it is not of this version.
    """
    engine = make_engine(dialects.read_only(url, is_alone=is_alone))
    try:
        with reading(engine) as connection:
            revision = revision_of(connection)
    except CatalogError:
        engine.dispose()
        raise
    if revision != HEAD:
        engine.dispose()
        raise CatalogError(
            f"{name_of(engine.url)}: is of another version of pathassets, and cannot be written",
            remedy="Make it writable, so that it can be brought up to date.",
        )
    return engine


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """Give one consistent view of the catalog, which waits for no writer."""
    with _translated(engine.url), dialects.connected(engine) as connection:
        yield connection


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """Give one transaction: all of what is written in it stays, or nothing."""
    options = {dialects.BEGIN: dialects.BEGIN_WRITING}
    with (
        _translated(engine.url),
        dialects.connected(engine).execution_options(**options) as connection,
        connection.begin(),
    ):
        yield connection


@contextmanager
def _translated(url: URL) -> Iterator[None]:
    try:
        yield
    except SQLAlchemyError as error:
        fact, remedy = dialects.explain(error)
        said = f"{name_of(url)}: {without_secrets(fact, url)}"
        # A log prints the cause as well.
        cause = error if without_secrets(str(error), url) == str(error) else None
        told = CatalogError(said, remedy=remedy)
        told.is_away = dialects.is_away(error)
        raise told from cause
    except ValueError as error:
        if not _is_of_driver(error):
            raise
        raise unheld(error, url) from error


def _is_of_driver(error: Exception) -> bool:
    """Whether an error came from what SQLAlchemy called, not from what was done beside it."""
    frames = (frame for frame, _ in traceback.walk_tb(error.__traceback__))
    return any(str(one.f_globals.get("__name__")).startswith(_OF_DRIVER) for one in frames)


def unheld(error: ValueError, url: URL) -> CatalogError:
    """What a driver says of a value, or a text, that it cannot take: NUL, NaN in JSON, bytes."""
    if isinstance(error, UnicodeEncodeError):  # of an argument, or the name of a file
        return CatalogError(
            f"{quoted(error.object)} has bytes that are no text",
            remedy="Name a slide by its id, and write all else in UTF-8",
        )
    return CatalogError(f"{name_of(url)}: cannot hold a value: {error}")


def translated_of(engine: Engine) -> AbstractContextManager[None]:
    """Say in our words what the catalog has against what is neither reading nor writing."""
    return _translated(engine.url)


@contextmanager
def translated(name: str, *, remedy: str) -> Iterator[None]:
    """Say in our words what a database has that others keep here, as Dagster does.

    Raises:
        DagsterUnavailable: it cannot do what it was asked.
    """
    try:
        yield
    except SQLAlchemyError as error:
        told = DagsterUnavailable(f"{name}: {dialects.explain(error)[0]}", remedy=remedy)
        told.is_away = dialects.is_away(error)
        raise told from None  # its words may hold a URL that is not ours to know


def make_engine(text: str) -> Engine:
    """Make an engine, and look at nothing yet.

    Raises:
        CatalogError: the URL is at fault.
    """
    url = parse_url(text)
    try:
        url = dialects.with_timeout(url)
        if url.get_backend_name() not in dialects.BACKENDS:
            raise CatalogError(f"{name_of(url)}: neither SQLite nor PostgreSQL", remedy=URL_REMEDY)
        engine = create_engine(
            url, json_serializer=canonical_json, pool_pre_ping=True,
            **dialects.engine_options(url),
        )  # fmt: skip
    except (ArgumentError, ImportError, ValueError) as error:
        said = without_secrets(str(error), url)
        raise CatalogError(f"catalog URL: {said}", remedy=URL_REMEDY) from None
    dialects.tune(engine)
    return engine


def _make_place(url: URL) -> None:
    """Make the folder and the file of an SQLite catalog, the file for its owner alone."""
    place = url.database or ""
    is_memory = place in {"", ":memory:"}
    if url.get_backend_name() != "sqlite" or is_memory or place.startswith("file:"):
        return  # a URI: read-only, say
    try:
        Path(place).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CatalogError(
            f"{name_of(url)}: its folder cannot be made ({error.strerror})",
            remedy="Make the folder, or point PATHASSETS_CATALOG elsewhere.",
        ) from error
    # What SQLite keeps beside the file gets the file's permissions.
    for path in (place, f"{place}-wal", f"{place}-shm"):
        with suppress(OSError):  # what is wrong with it, SQLite will say
            _keep_private(Path(path), is_made=path == place)


def _keep_private(path: Path, *, is_made: bool) -> None:
    """Keep others from patients' names; the group, too, unless the folder hands its group down."""
    is_shared = path.parent.stat().st_mode & stat.S_ISGID
    if is_made and not path.exists():
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        if is_shared:
            path.chmod(0o660)
    found = path.stat()
    mode = stat.S_IMODE(found.st_mode) & ~(0o007 if is_shared else 0o077)
    if mode != stat.S_IMODE(found.st_mode) and found.st_uid == os.geteuid():
        path.chmod(mode)


def _bring_up_to_date(engine: Engine) -> None:
    _make_place(engine.url)
    with reading(engine) as connection:
        is_ahead = dialects.logs_ahead(connection)
        if is_ahead and revision_of(connection) == HEAD:
            return
    with _alembic:
        if not is_ahead:
            _log_ahead(engine)
        with writing(engine) as connection:
            dialects.lock_for_migration(connection)
            migrate(connection)


def _log_ahead(engine: Engine) -> None:
    with _translated(engine.url):
        if not dialects.log_ahead(engine):
            raise CatalogError(
                f"{name_of(engine.url)}: no write-ahead log can be kept here",
                remedy="Put it into a file on a local disk, or use PostgreSQL.",
            )


def revision_of(connection: Connection) -> str:
    """Which revision the tables are of; empty where there are none."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return ""
    return str(connection.execute(select(_revision.c.version_num)).scalar() or "")


def migrate(connection: Connection, to: str = "") -> None:
    """Bring the tables to a revision, else to the newest; another process may have done so.

    Raises:
        CatalogError: they are, or the revision is, of a newer version.
    """
    to = to or HEAD
    revision = revision_of(connection)
    if revision == to:
        return
    # Imported here: an up-to-date catalog, the usual one, opens in 4 ms instead of 150.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    newer = [one for one in (revision, to) if one and one not in known]
    if newer:
        raise CatalogError(
            f"{name_of(connection.engine.url)}: its revision {newer[0]} is of a newer pathassets",
            remedy="Upgrade pathassets, or point PATHASSETS_CATALOG at another catalog.",
        )
    drop_views(connection)  # SQLite changes no table that a view names
    command.upgrade(config, to)
    if to == migrations.HEAD:  # the tables of an older one are not those that views name
        make_views(connection)
