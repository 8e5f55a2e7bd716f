"""URL -> engine on an up-to-date catalog, and the doors through which it is read and written."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
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
    make_url,
    select,
)
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from pathassets.catalog import dialects
from pathassets.catalog.migrations import HEAD, VERSION_TABLE
from pathassets.core.spec import canonical_json
from pathassets.errors import CatalogError

URL_REMEDY = (
    "Write it as sqlite:////absolute/path/catalog.db "
    "or postgresql+psycopg2://user@host/database in PATHASSETS_CATALOG."
)
MIGRATIONS = Path(__file__).parent / "migrations"

_revision = Table(VERSION_TABLE, MetaData(), Column("version_num", Text))
_alembic = threading.Lock()  # alembic's `op` and `context` are one per process


def open_engine(url: str) -> Engine:
    """Open a database as an up-to-date catalog, making it where there is none.

    Raises:
        CatalogError: the URL, the place, the file or the server is at fault, or the catalog is
            of a newer version.
    """
    engine = _make_engine(url)
    try:
        _bring_up_to_date(engine)
    except CatalogError:
        engine.dispose()
        raise
    return engine


def open_reader(url: str) -> Engine:
    """Open a database that is a catalog already, without writing a byte beside it.

    Raises:
        CatalogError: there is none, or it is not of this version.
    """
    engine = _make_engine(dialects.read_only(url))
    try:
        with reading(engine) as connection:
            revision = _revision_of(connection)
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
    with _translated(engine.url), engine.connect() as connection:
        yield connection


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """Give one transaction: all of what is written in it stays, or nothing."""
    options = {dialects.BEGIN: dialects.BEGIN_WRITING}
    with (
        _translated(engine.url),
        engine.connect().execution_options(**options) as connection,
        connection.begin(),
    ):
        yield connection


def name_of(url: URL) -> str:
    """Name a catalog for people: the file, or the server without its password."""
    if url.get_backend_name() == "sqlite":
        return f"catalog {url.database}"
    return f"catalog {url.render_as_string(hide_password=True)}"


@contextmanager
def _translated(url: URL) -> Iterator[None]:
    try:
        yield
    except SQLAlchemyError as error:
        fact, remedy = dialects.explain(error)
        raise CatalogError(f"{name_of(url)}: {fact}", remedy=remedy) from error
    except ValueError as error:  # the driver's word on NUL, lone surrogates and NaN in JSON
        raise CatalogError(f"{name_of(url)}: cannot hold a value: {error}") from error


def _make_engine(text: str) -> Engine:
    try:
        url = dialects.with_timeout(make_url(text))
        if url.get_backend_name() not in dialects.BACKENDS:
            raise CatalogError(f"{name_of(url)}: neither SQLite nor PostgreSQL", remedy=URL_REMEDY)
        engine = create_engine(url, json_serializer=canonical_json, pool_pre_ping=True)
    except (ArgumentError, ImportError, ValueError) as error:
        # Without the text: what cannot be parsed may still hold a password.
        raise CatalogError(f"catalog URL: {error}", remedy=URL_REMEDY) from error
    dialects.tune(engine)
    return engine


def _make_folder(url: URL) -> None:
    place = url.database or ""
    if url.get_backend_name() != "sqlite" or place.startswith("file:"):  # a URI: read-only, say
        return
    try:
        Path(place).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CatalogError(
            f"{name_of(url)}: its folder cannot be made ({error.strerror})",
            remedy="Make the folder, or point PATHASSETS_CATALOG elsewhere.",
        ) from error


def _bring_up_to_date(engine: Engine) -> None:
    _make_folder(engine.url)
    with reading(engine) as connection:
        is_ahead = dialects.logs_ahead(connection)
        if is_ahead and _revision_of(connection) == HEAD:
            return
    with _alembic:
        if not is_ahead:
            _log_ahead(engine)
        with writing(engine) as connection:
            dialects.lock_for_migration(connection)
            _migrate(connection)


def _log_ahead(engine: Engine) -> None:
    with _translated(engine.url):
        if not dialects.log_ahead(engine):
            raise CatalogError(
                f"{name_of(engine.url)}: no write-ahead log can be kept here",
                remedy="Put it into a file on a local disk, or use PostgreSQL.",
            )


def _revision_of(connection: Connection) -> str:
    """Which revision the tables are of; empty where there are none."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return ""
    return str(connection.execute(select(_revision.c.version_num)).scalar() or "")


def _migrate(connection: Connection) -> None:
    """Bring the tables to HEAD; another process may have done so meanwhile."""
    revision = _revision_of(connection)
    if revision == HEAD:
        return
    # Imported here: an up-to-date catalog, the usual one, opens in 4 ms instead of 150.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if revision and revision not in known:
        raise CatalogError(
            f"{name_of(connection.engine.url)}: its revision {revision} is of a newer pathassets",
            remedy="Upgrade pathassets, or point PATHASSETS_CATALOG at another catalog.",
        )
    command.upgrade(config, HEAD)
