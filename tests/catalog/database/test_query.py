from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from pathassets.catalog.catalog import Catalog
from pathassets.catalog.database.query import ROWS_AT_ONCE, open_query
from pathassets.catalog.database.urls import parse_url
from pathassets.errors import CatalogError, SpecError
from tests.catalog.filled import fill
from tests.catalog.hostile_words import HOSTILE, path_of, slide_of
from tests.unprivileged import read_only

WRITES = (
    "DELETE FROM slide_tag",
    "UPDATE slide SET label = 'x'",
    "INSERT INTO cohort VALUES ('x', 'y')",
    "DROP TABLE slide_tag",
    "CREATE TABLE x (y INTEGER)",
    "CREATE TEMP TABLE x (y INTEGER)",
    "WITH gone AS (DELETE FROM slide_tag RETURNING *) SELECT * FROM gone",
    "SELECT 1; DELETE FROM slide_tag",
    "SELECT 1; COMMIT; DELETE FROM slide_tag",
    "BEGIN",
    "COMMIT",
    "ROLLBACK",
    "VACUUM",
    "",
)
OF_SQLITE = (
    "ATTACH 'other.db' AS other",
    "PRAGMA query_only = OFF",
    "PRAGMA writable_schema = ON",
    "SELECT load_extension('x')",
    "SAVEPOINT x",
    "VACUUM INTO 'copy.db'",
)
OF_POSTGRES = (
    "COPY slide TO PROGRAM 'touch owned'",
    "COPY (SELECT 1) TO '/dev/null'",
    "SELECT * FROM slide FOR UPDATE",
    "SELECT 1 INTO x",
    "SELECT set_config('transaction_read_only', 'off', false), nextval('attempt_id_seq')",
    "SET TRANSACTION READ WRITE",
    "SELECT nextval('attempt_id_seq')",
    "SELECT lo_create(0)",
    "EXPLAIN ANALYZE DELETE FROM slide_tag",
    "DO $$ BEGIN DELETE FROM slide_tag; END $$",
)


@pytest.fixture(scope="module")
def sqlite_filled(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A catalog for all tests that only read."""
    return fill_at(f"sqlite:///{tmp_path_factory.mktemp('query') / 'catalog.db'}")


@pytest.fixture(scope="module")
def postgres_filled(make_schema: Callable[[], str]) -> str:
    return fill_at(make_schema())


@pytest.fixture(params=["sqlite", "postgres"])
def filled(request: pytest.FixtureRequest) -> str:
    """A catalog of either kind, not to be changed."""
    return str(request.getfixturevalue(f"{request.param}_filled"))


def fill_at(url: str) -> str:
    with Catalog.open(url) as catalog:
        fill(catalog)
    return url


def ask(url: str, query: str, *, timeout_s: float = 20.0) -> list[tuple[object, ...]]:
    with open_query(url, query, timeout_s=timeout_s) as result:
        return [tuple(row) for row in result.rows()]


def content(url: str) -> list[tuple[object, ...]]:
    return ask(url, "SELECT slide_id, label, tags, cohorts FROM v_slides ORDER BY slide_id")


def test_a_query_gives_names_and_rows_and_the_same_ones_again(filled) -> None:
    with open_query(filled, "SELECT slide_id, mpp AS um FROM v_slides ORDER BY 1",
                    timeout_s=20) as result:  # fmt: skip
        assert result.columns == ("slide_id", "um")
        first = [tuple(row) for row in result.rows()]
        assert first == [tuple(row) for row in result.rows()] == [("a", 0.25), ("b", 0.5)]


def test_a_query_without_a_row_has_its_columns(filled) -> None:
    with open_query(filled, "SELECT 1 AS x WHERE 1 = 0", timeout_s=20) as result:
        assert (result.columns, list(result.rows())) == (("x",), [])


def test_percent_signs_colons_and_semicolons_in_a_text_are_text(filled) -> None:
    assert ask(filled, "SELECT ';%s :x ? {y}' AS x -- a note; SELECT 2") == [(";%s :x ? {y}",)]
    assert ask(filled, "SELECT slide_id FROM v_slides WHERE slide_id LIKE 'a%'") == [("a",)]
    assert ask(filled, "SELECT 1 AS x;") == [(1,)]


@pytest.mark.parametrize("query", WRITES)
def test_what_would_change_something_is_refused_and_changes_nothing(filled, query) -> None:
    before = content(filled)
    with pytest.raises(CatalogError, match=r"^query: "):
        ask(filled, query)
    assert content(filled) == before


@pytest.mark.parametrize("query", OF_SQLITE)
def test_sqlite_takes_nothing_but_reads(sqlite_filled, tmp_path, monkeypatch, query) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CatalogError, match=r"^query: "):
        ask(sqlite_filled, query)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("query", OF_POSTGRES)
def test_postgresql_takes_nothing_but_queries(postgres_filled, query) -> None:
    url = postgres_filled
    before = content(url)
    with pytest.raises(CatalogError, match=r"^query: "):
        ask(url, query)
    assert content(url) == before


def test_a_query_that_takes_too_long_ends(filled) -> None:
    endless = (
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000000) "
        "SELECT count(*) FROM n"
    )
    with pytest.raises(CatalogError, match="took too long"):
        ask(filled, endless, timeout_s=0.2)


def test_a_query_that_ended_or_failed_leaves_nothing_in_the_log(filled, caplog) -> None:
    ask(filled, "SELECT * FROM v_slides")
    with pytest.raises(CatalogError):
        ask(filled, "DELETE FROM slide_tag")
    with open_query(filled, "SELECT * FROM v_slides", timeout_s=20) as result:
        next(result.rows())
    assert caplog.text == ""


def test_a_value_that_would_fill_the_memory_is_refused(sqlite_filled) -> None:
    with pytest.raises(CatalogError, match="too big"):
        ask(sqlite_filled, "SELECT zeroblob(1000000000)")


def test_an_unknown_view_is_answered_with_where_they_are_listed(filled) -> None:
    with pytest.raises(CatalogError, match=r"docs/catalog\.md"):
        ask(filled, "SELECT * FROM v_slide")


def test_what_others_write_meanwhile_is_not_in_the_second_pass(url) -> None:
    filled = fill_at(url)
    with open_query(filled, "SELECT slide_id FROM v_slides", timeout_s=20) as result:
        assert len(list(result.rows())) == 2
        with Catalog.open(filled) as catalog:
            catalog.register_slide(slide_of("c"), path_of("c"))
        assert len(list(result.rows())) == 2
    assert len(ask(filled, "SELECT slide_id FROM v_slides")) == 3


def test_more_rows_than_are_fetched_at_once_come_all(filled) -> None:
    n = 2 * ROWS_AT_ONCE + 1
    counted = (
        f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {n}) "  # noqa: S608
        "SELECT i FROM n"
    )
    assert [row[0] for row in ask(filled, counted)] == list(range(1, n + 1))


def test_a_catalog_on_a_disk_that_cannot_be_written_is_asked(sqlite_url, tmp_path) -> None:
    with Catalog.open(sqlite_url) as catalog:
        fill(catalog)
    with read_only(tmp_path):
        assert len(content(sqlite_url)) == 2


def test_the_server_s_words_do_not_tell_the_password(postgres_server) -> None:
    url = postgres_server.set(password="hush-hush").render_as_string(hide_password=False)  # noqa: S106
    with pytest.raises(CatalogError) as caught:
        ask(url, "SELECT 'hush-hush' FROM nothing")
    assert "hush-hush" not in str(caught.value)
    assert parse_url(url).password == "hush-hush"  # noqa: S105


def test_words_of_strangers_come_out_as_they_are(url) -> None:
    with Catalog.open(url) as catalog:
        for name, word in HOSTILE.items():
            catalog.register_slide(slide_of(name), path_of(name, word))
    assert dict(ask(url, "SELECT slide_id, path FROM v_slides")) == HOSTILE


@pytest.mark.parametrize("odd", ["\udcff", "\0"])
def test_a_query_that_is_no_text_of_the_database_s_is_refused(filled, odd) -> None:
    with pytest.raises(CatalogError), open_query(filled, f"SELECT '{odd}'", timeout_s=10):
        pass


def test_what_fails_while_an_answer_is_written_is_no_error_of_the_catalog(filled) -> None:
    with (  # noqa: PT012 - in the block
        pytest.raises(SpecError, match=r"^x\.csv: cannot be written"),
        open_query(filled, "SELECT 1 AS a", timeout_s=10) as answer,
    ):
        list(answer.rows())
        raise SpecError("x.csv: cannot be written")


def test_a_file_that_is_no_catalog_is_not_asked(tmp_path: Path) -> None:
    place = tmp_path / "other.db"
    connection = sqlite3.connect(place)
    connection.execute("CREATE TABLE x (y)")
    connection.close()
    with pytest.raises(CatalogError, match="another version"):
        ask(f"sqlite:///{place}", "SELECT * FROM x")
    engine = create_engine(f"sqlite:///{place}")
    with engine.connect() as opened:
        assert opened.execute(text("SELECT count(*) FROM x")).scalar() == 0
    engine.dispose()
