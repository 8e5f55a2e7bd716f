from __future__ import annotations

import os
import sqlite3
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect, select, text

from pathassets.catalog import connect
from pathassets.catalog.catalog import Catalog
from pathassets.catalog.connect import MIGRATIONS, name_of, open_engine, reading, writing
from pathassets.catalog.migrations import HEAD, VERSION_TABLE
from pathassets.catalog.records import Drawing, PathRecord, RefusalRecord, SlideRecord
from pathassets.catalog.rows import slide_row
from pathassets.catalog.tables import drawing, metadata, refusal, slide, slide_path
from pathassets.errors import CatalogError

REFUSAL = RefusalRecord(path="/a", reason="r", message="m", remedy="", size_bytes=1, mtime_ns=1)
SLIDE = SlideRecord(
    slide_id="a",
    fingerprint="f" * 64,
    size_bytes=1,
    vendor="aperio",
    reader="openslide",
    width_px0=1,
    height_px0=1,
    n_levels=1,
    level_downsamples=(1.0,),
    mpp=None,
    mpp_sources=(),
)
OPEN_WHEN_TOLD = """
import sys
from pathassets.catalog.catalog import Catalog
print("ready", flush=True)
sys.stdin.readline()
with Catalog.open(sys.argv[1]) as catalog:
    print(len(catalog.slides()), flush=True)
"""
MEASURE_OPENING = """
import sys, time
from pathassets.catalog.catalog import Catalog
start_s = time.process_time()
Catalog.open(sys.argv[1]).close()
print(time.process_time() - start_s, "alembic" in sys.modules)
"""


@pytest.fixture
def engine(url):
    opened = open_engine(url)
    yield opened
    opened.dispose()


def sqlite_tables(path: Path) -> set[str]:
    connection = sqlite3.connect(path)
    rows = connection.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    connection.close()
    return {" ".join(sql.split()) for (sql,) in rows if VERSION_TABLE not in sql}


def test_the_migrations_make_exactly_the_tables(engine) -> None:
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "version_table": VERSION_TABLE,
                "compare_type": True,
                "compare_server_default": True,
            },
        )
        assert compare_metadata(context, metadata) == []
        inspector = inspect(connection)
        for table in metadata.tables.values():
            key = inspector.get_pk_constraint(table.name)
            assert key["constrained_columns"] == list(table.primary_key.columns.keys())
            assert key["name"] == table.primary_key.name


def test_the_migrations_write_the_same_sql_as_the_tables(sqlite_url, tmp_path) -> None:
    Catalog.open(sqlite_url).close()
    plain = create_engine(f"sqlite:///{tmp_path / 'plain.db'}")
    metadata.create_all(plain)
    plain.dispose()
    migrated = sqlite_tables(tmp_path / "catalog.db")
    assert migrated == sqlite_tables(tmp_path / "plain.db")
    assert len(migrated) > len(metadata.tables)


def test_head_is_the_newest_migration() -> None:
    assert ScriptDirectory(str(MIGRATIONS)).get_heads() == [HEAD]


def test_a_catalog_of_the_first_revision_keeps_its_files_and_knows_no_ctime_of_them(
    url, monkeypatch
) -> None:
    monkeypatch.setattr(connect, "HEAD", "0001")
    first = open_engine(url)
    monkeypatch.undo()
    row = {"path": "/a", "slide_id": SLIDE.slide_id, "size_bytes": 1, "mtime_ns": 2}
    now = datetime.now(UTC)
    with writing(first) as connection:
        connection.execute(slide.insert(), slide_row(SLIDE) | {"registered_at": now})
        connection.execute(slide_path.insert(), row | {"seen_at": now})
    first.dispose()
    with Catalog.open(url) as catalog:
        assert catalog.slides() == [SLIDE]
        assert catalog.find_path("/a") == PathRecord(**row, ctime_ns=0)
        catalog.confirm_path(PathRecord(**row, ctime_ns=3))
    with Catalog.open(url) as catalog:
        assert catalog.find_path("/a").ctime_ns == 3


def test_drawings_of_a_catalog_that_knew_no_frames_are_kept_and_have_none(url, monkeypatch) -> None:
    monkeypatch.setattr(connect, "HEAD", "0003")
    old = open_engine(url)
    monkeypatch.undo()
    now = datetime.now(UTC)
    words = dict.fromkeys(("name", "digest", "file", "sha256", "who", "why"), "x")
    row = words | {"slide_id": SLIDE.slide_id, "n_polygons": 1, "labels": {"": 1}}
    with writing(old) as connection:
        connection.execute(slide.insert(), slide_row(SLIDE) | {"registered_at": now})
        connection.execute(drawing.insert(), row | {"made_at": now})
    old.dispose()
    with Catalog.open(url) as catalog:
        assert catalog.drawing_history(SLIDE.slide_id) == [Drawing(**row)]
        framed = Drawing(**row, frame="bounds")
        assert catalog.record_drawing(framed)
        assert catalog.drawings() == {SLIDE.slide_id: {"x": framed}}


def test_opening_twice_keeps_what_is_there(url) -> None:
    with Catalog.open(url) as catalog:
        catalog.refuse(REFUSAL)
    with Catalog.open(url) as catalog:
        assert catalog.refusals() == [REFUSAL]


def test_an_up_to_date_catalog_opens_quickly_and_without_alembic(sqlite_url, start_python) -> None:
    Catalog.open(sqlite_url).close()
    said, errors = start_python(MEASURE_OPENING, sqlite_url).communicate(timeout=60)
    assert errors == ""
    cpu_s, has_alembic = said.split()
    assert has_alembic == "False"
    assert float(cpu_s) < 0.05  # measured: 0.004


@pytest.mark.parametrize(
    "url", ["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)], indirect=True
)
def test_four_processes_open_a_new_catalog_at_once(url, start_python) -> None:
    processes = [start_python(OPEN_WHEN_TOLD, url) for _ in range(4)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    assert [process.communicate(timeout=60) for process in processes] == [("0\n", "")] * 4


def test_many_threads_open_new_catalogs_at_once(tmp_path) -> None:
    opened: list[Catalog] = []

    def work(thread: int) -> None:
        opened.append(Catalog.open(f"sqlite:///{tmp_path / f'{thread % 3}.db'}"))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [catalog.slides() for catalog in opened] == [[]] * 9
    for catalog in opened:
        catalog.close()


def test_a_catalog_of_a_newer_version_is_refused(url) -> None:
    engine = open_engine(url)
    with writing(engine) as connection:
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))  # noqa: S608
    engine.dispose()
    with pytest.raises(CatalogError, match="revision 9999 is of a newer pathassets") as caught:
        Catalog.open(url)
    assert caught.value.remedy.startswith("Upgrade pathassets, or point PATHASSETS_CATALOG")


def test_a_migration_that_fails_leaves_nothing_behind(url) -> None:
    plain = create_engine(url)
    with plain.begin() as connection:
        connection.execute(text("CREATE TABLE attempt (x INTEGER)"))
    with pytest.raises(CatalogError, match="attempt"):
        Catalog.open(url)
    with plain.connect() as connection:
        assert inspect(connection).get_table_names() == ["attempt"]
    plain.dispose()


def test_the_folder_of_a_new_catalog_is_made(tmp_path) -> None:
    with Catalog.open(f"sqlite:///{tmp_path / 'a b' / '100%' / 'ü.db'}"):
        assert (tmp_path / "a b" / "100%" / "ü.db").is_file()


def test_a_file_that_is_no_database_is_refused_and_kept(tmp_path) -> None:
    file = tmp_path / "scan.svs"
    file.write_bytes(b"II*\0" * 4096)
    with pytest.raises(CatalogError, match=r"scan\.svs: is not an SQLite database") as caught:
        Catalog.open(f"sqlite:///{file}")
    assert "PATHASSETS_CATALOG" in caught.value.remedy
    assert file.read_bytes() == b"II*\0" * 4096


def test_a_place_that_cannot_hold_a_catalog_is_refused(tmp_path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CatalogError, match="its folder cannot be made"):
        Catalog.open(f"sqlite:///{tmp_path / 'file' / 'catalog.db'}")
    (tmp_path / "folder.db").mkdir()
    with pytest.raises(CatalogError, match="cannot be opened") as caught:
        Catalog.open(f"sqlite:///{tmp_path / 'folder.db'}")
    assert caught.value.remedy


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_write_permission_is_refused(tmp_path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(CatalogError, match="cannot be opened"):
        Catalog.open(f"sqlite:///{tmp_path / 'catalog.db'}")
    tmp_path.chmod(0o700)


def test_a_kernel_folder_that_takes_no_files_is_refused() -> None:
    for url in ("sqlite:////proc/catalog.db", "sqlite:////proc/new/catalog.db"):
        with pytest.raises(CatalogError, match=r"catalog /proc/.*cannot be"):
            Catalog.open(url)


def test_a_catalog_opened_read_only_says_so(sqlite_url, tmp_path) -> None:
    Catalog.open(sqlite_url).close()
    read_only = f"sqlite:///file:{tmp_path / 'catalog.db'}?mode=ro&uri=true"
    with Catalog.open(read_only) as catalog:
        assert catalog.slides() == []
        with pytest.raises(CatalogError, match=r"is read-only .*Make the file .* writable"):
            catalog.refuse(REFUSAL)


@pytest.mark.parametrize(
    "url",
    [
        "catalog.db",
        "mysql://u:secret@host/db",
        "oracle9://u:secret@host/db",
        "postgresql+pg8000://u:secret@host/db",
        "postgresql+psycopg2://u:secret@host:port/db",
        "sqlite://u:secret@host/catalog.db",
        "sqlite:///catalog.db?timeout=long",
    ],
)
def test_a_url_of_no_use_is_refused_with_an_example_and_without_its_password(url) -> None:
    with pytest.raises(CatalogError, match=r"Write it as sqlite:////absolute") as caught:
        Catalog.open(url)
    assert "secret" not in str(caught.value)


def test_a_catalog_in_memory_is_refused() -> None:
    with pytest.raises(CatalogError, match="no write-ahead log can be kept here"):
        Catalog.open("sqlite://")


def test_a_server_that_is_not_there_is_named_without_its_password(tmp_path) -> None:
    url = f"postgresql+psycopg2://ann:secret@/db?host={tmp_path}"
    with pytest.raises(CatalogError, match=r"ann:\*\*\*@.*server does not answer") as caught:
        Catalog.open(url)
    assert "Check that it runs" in caught.value.remedy
    assert "secret" not in str(caught.value)


def test_a_locked_catalog_is_refused_after_the_timeout(sqlite_url, tmp_path) -> None:
    Catalog.open(sqlite_url).close()
    holder = sqlite3.connect(tmp_path / "catalog.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    engine = open_engine(f"{sqlite_url}?timeout=0.1")
    with (
        pytest.raises(CatalogError, match="is locked by another process") as caught,
        writing(engine),
    ):
        pass
    assert "try again" in caught.value.remedy
    with reading(engine) as connection:
        assert connection.execute(select(refusal)).all() == []
    engine.dispose()
    holder.close()


def test_a_new_catalog_that_another_process_locks_is_refused_after_the_timeout(tmp_path) -> None:
    holder = sqlite3.connect(tmp_path / "catalog.db", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(CatalogError, match="is locked by another process"):
        Catalog.open(f"sqlite:///{tmp_path / 'catalog.db'}?timeout=0.1")
    holder.close()


def test_what_fails_inside_a_transaction_is_not_written(engine) -> None:
    row = dict.fromkeys(("path", "reason", "message", "remedy", "refused_at"), "x")
    row |= {"size_bytes": 1, "mtime_ns": 1, "refused_at": None}
    with pytest.raises(CatalogError), writing(engine) as connection:
        connection.execute(refusal.insert(), row)
    with reading(engine) as connection:
        assert connection.execute(select(refusal.c.path)).all() == []


def test_a_catalog_is_named_by_its_file(engine, tmp_path) -> None:
    if engine.dialect.name == "sqlite":
        assert name_of(engine.url) == f"catalog {tmp_path / 'catalog.db'}"
    else:
        assert name_of(engine.url).startswith("catalog postgresql+psycopg2://postgres:***@")
