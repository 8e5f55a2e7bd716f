from __future__ import annotations

import os
import re
import sqlite3
import stat
import threading
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Column, Insert, MetaData, Table, create_engine, inspect, select, text

from pathassets.catalog.catalog import Catalog
from pathassets.catalog.database import connect
from pathassets.catalog.database.connect import MIGRATIONS, open_engine, reading, writing
from pathassets.catalog.database.urls import name_of
from pathassets.catalog.migrations import HEAD, VERSION_TABLE
from pathassets.catalog.records import (
    AnnotationRecord,
    CohortFacts,
    PathRecord,
    RejectedFile,
    SlideRecord,
)
from pathassets.catalog.rows import slide_row
from pathassets.catalog.tables import (
    annotation,
    metadata,
    mpp_override,
    rejected_file,
    slide,
    slide_path,
)
from pathassets.core.address import Address
from pathassets.errors import CatalogError, SpecError
from tests.unprivileged import read_only

DRAWING = Table(
    "drawing",
    MetaData(),
    *(
        Column(c.name, c.type, primary_key=c.name == "id")
        for c in annotation.c
        if c.name != "frame"
    ),
)
"""What the table of annotations was called, before it knew frames."""
REJECTED = RejectedFile(path="/a", reason="r", message="m", remedy="", size_bytes=1, mtime_ns=1)
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
NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
DRAWN = dict.fromkeys(("name", "digest", "file", "sha256", "who", "why"), "x") | {
    "slide_id": "a",
    "n_polygons": 1,
    "labels": {"": 1},
}
OF_OTHER_WORDS = (
    "INSERT INTO refusal VALUES ('/a', 'r', 'm', '', 1, 1, :now)",
    (
        "INSERT INTO artifact VALUES "
        "(:section, 'default', 'a', :digest, 'uri', '{}', '1', '{}', '[]', 'run', :now)"
    ),
    "INSERT INTO artifact_parent VALUES (:section, 'default', 'a', :digest, 'slide', '', 'a', 'v')",
    (
        "INSERT INTO attempt (section, name, subject, digest, run_id, state, reason, message, "
        "remedy, is_final, at) VALUES "
        "(:section, 'default', 'a', :digest, 'run', 'made', '', '', '', :no, :now)"
    ),
)
"""Rows as the fifth revision had them."""
OPEN_AT_ONCE = """
import os, sys
from pathassets.catalog.catalog import Catalog
gate, key = os.pipe()
for _ in range(4):
    if not os.fork():
        os.close(key)
        os.read(gate, 1)  # till nobody holds the key
        with Catalog.open(sys.argv[1]) as catalog:
            os._exit(len(catalog.slides()))
os.close(key)
print([os.wait()[1] for _ in range(4)])
"""
MEASURE_OPENING = """
import sys, time
from pathassets.catalog.catalog import Catalog
start_s = time.process_time()
Catalog.open(sys.argv[1]).close()
print(time.process_time() - start_s, "alembic" in sys.modules)
"""


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def old_row(record: SlideRecord) -> dict[str, object]:
    """Columns that slides had before their scanner, stain and codec were kept."""
    row = slide_row(record)
    return {name: value for name, value in row.items() if name not in ("scanner", "stain", "codec")}


@pytest.fixture
def engine(url):
    opened = open_engine(url)
    yield opened
    opened.dispose()


def sqlite_tables(path: Path) -> set[str]:
    connection = sqlite3.connect(path)
    tables = "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND type <> 'view'"
    rows = connection.execute(tables).fetchall()
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
        connection.execute(slide.insert(), old_row(SLIDE) | {"registered_at": now})
        connection.execute(slide_path.insert(), row | {"seen_at": now})
    first.dispose()
    with Catalog.open(url) as catalog:
        assert catalog.slides() == [SLIDE]
        assert catalog.find_path("/a") == PathRecord(**row, ctime_ns=0)
        catalog.confirm_path(PathRecord(**row, ctime_ns=3))
    with Catalog.open(url) as catalog:
        assert catalog.find_path("/a").ctime_ns == 3


def of_content(slide_id: str, fingerprint: str = "f" * 64, **facts: object) -> dict[str, object]:
    record = replace(SLIDE, slide_id=slide_id, fingerprint=fingerprint)
    return old_row(record) | {"registered_at": datetime.now(UTC)} | facts


def stated(table: Table, slide_id: str, **values: object) -> Insert:
    who = {"who": f"who of {slide_id}", "why": "asked", "made_at": datetime.now(UTC)}
    return table.insert().values(slide_id=slide_id, **who, **values)


def drawn(slide_id: str, name: str, digest: str) -> Insert:
    return stated(
        DRAWING, slide_id, name=name, digest=digest, file="x", sha256="", n_polygons=1, labels={}
    )


@pytest.fixture
def doubled(url, monkeypatch):
    """A catalog of the third revision in which three slides hold one content."""
    monkeypatch.setattr(connect, "HEAD", "0003")
    engine = open_engine(url)
    monkeypatch.undo()
    file = {"size_bytes": 1, "mtime_ns": 2, "ctime_ns": 3, "seen_at": datetime.now(UTC)}
    with writing(engine) as connection:
        connection.execute(slide.insert(), of_content("z", patient="P1"))
        connection.execute(slide.insert(), of_content("other", "e" * 64, patient="P9"))
        connection.execute(slide.insert(), of_content("b", patient="P2", label="tumour"))
        connection.execute(slide.insert(), of_content("a", thumbnail=b"jpeg"))
        for slide_id in ("z", "b", "a", "other"):
            connection.execute(
                slide_path.insert(), file | {"path": f"/{slide_id}", "slide_id": slide_id}
            )
        connection.execute(stated(mpp_override, "z", mpp=0.5))
        connection.execute(stated(mpp_override, "b", mpp=0.25))
        connection.execute(drawn("b", "tumour", "one"))
        connection.execute(drawn("a", "tumour", "one"))
        connection.execute(drawn("a", "stroma", "two"))
    engine.dispose()
    return url


def test_slides_of_one_content_are_merged_into_the_first_with_all_that_people_stated(
    doubled,
) -> None:
    with Catalog.open(doubled) as catalog:
        assert [record.slide_id for record in catalog.slides()] == ["z", "other"]
        assert {p.path for p in catalog.paths("z")} == {"/z", "/b", "/a"}
        assert [o.mpp for o in catalog.mpp_history("z")] == [0.25, 0.5]
        assert catalog.overrides()["z"].mpp == 0.25
        assert {n: d.digest for n, d in catalog.annotations()["z"].items()} == {
            "tumour": "one",
            "stroma": "two",
        }
        assert catalog.find_thumbnail("z") == b"jpeg"
        assert [(m.slide_id, m.into_slide_id) for m in catalog.merged()] == [("a", "z"), ("b", "z")]


def test_what_merged_slides_contradict_each_other_in_is_unknown_and_told_until_it_is_stated(
    doubled, caplog
) -> None:
    with Catalog.open(doubled) as catalog:
        merged = catalog.slide("z")
        assert (merged.patient, merged.label) == (None, "tumour")
        assert catalog.slide("other").patient == "P9"
    assert "slide z: b, a held the same content, and became it" in caplog.text
    assert "mpp was stated of z by who of z, and otherwise of b by who of b" in caplog.text
    assert "tumour was stated" not in caplog.text  # both drew the same
    for _ in range(2):
        assert "z: its patient was stated as 'P1' of z and 'P2' of b; it has none" in caplog.text
        caplog.clear()
        Catalog.open(doubled).close()
    with Catalog.open(doubled) as catalog:
        catalog.set_cohort_facts([CohortFacts(slide_id="z", patient="P2", label=None)])
        caplog.clear()
    Catalog.open(doubled).close()
    assert caplog.text == ""


def test_an_id_that_was_merged_away_stands_for_the_slide_it_became_and_is_not_given_again(
    doubled,
) -> None:
    with Catalog.open(doubled) as catalog:
        assert catalog.slide("b") == catalog.slide("z")
        with pytest.raises(CatalogError, match=r"slide b: was found to be the same content as z"):
            catalog.override_mpp("b", 0.5, who="Ann", why="ruler")
        new = replace(SLIDE, slide_id="b", fingerprint="d" * 64)
        path = PathRecord(path="/new", slide_id="b", size_bytes=1, mtime_ns=1, ctime_ns=1)
        with pytest.raises(CatalogError, match="/new: z has its id b, and other content"):
            catalog.register_slide(new, path)


def test_annotations_of_a_catalog_that_knew_no_frames_are_kept_and_have_none(
    url, monkeypatch
) -> None:
    monkeypatch.setattr(connect, "HEAD", "0004")
    old = open_engine(url)
    monkeypatch.undo()
    now = datetime.now(UTC)
    words = dict.fromkeys(("name", "digest", "file", "sha256", "who", "why"), "x")
    row = words | {"slide_id": SLIDE.slide_id, "n_polygons": 1, "labels": {"": 1}}
    with writing(old) as connection:
        connection.execute(slide.insert(), old_row(SLIDE) | {"registered_at": now})
        connection.execute(DRAWING.insert(), row | {"made_at": now})
    old.dispose()
    with Catalog.open(url) as catalog:
        assert catalog.annotation_history(SLIDE.slide_id) == [AnnotationRecord(**row)]
        framed = AnnotationRecord(**row, frame="bounds")
        assert catalog.record_annotation(framed)
        assert catalog.annotations() == {SLIDE.slide_id: {"x": framed}}


def test_a_catalog_of_other_words_is_read_whole(url, monkeypatch) -> None:
    monkeypatch.setattr(connect, "HEAD", "0005")
    old = open_engine(url)
    monkeypatch.undo()
    mask = Address("tissue_mask", "default", "a", "0123")
    values = {"section": mask.stage, "digest": mask.digest, "now": NOW.isoformat(), "no": False}
    with writing(old) as connection:
        connection.execute(slide.insert(), old_row(SLIDE) | {"registered_at": NOW})
        connection.execute(DRAWING.insert(), DRAWN | {"made_at": NOW})
        for statement in OF_OTHER_WORDS:
            connection.execute(text(statement), values)
    old.dispose()
    with Catalog.open(url) as catalog:
        [made] = catalog.artifacts(stage="tissue_mask")
        assert made.address == mask
        assert catalog.parents_of(made.address) == [Address.of_slide("a", "v")]
        [tried] = catalog.attempts(partition_key="a")
        assert (tried.address, tried.state) == (made.address, "made")
        catalog.record_attempts([tried])
        assert len(catalog.attempts(partition_key="a")) == 2
        assert catalog.rejected_files() == [REJECTED]
        assert catalog.annotation_history("a") == [AnnotationRecord(**DRAWN)]
        again = AnnotationRecord(**DRAWN | {"who": "Bob"})
        assert catalog.record_annotation(again)
        assert catalog.annotations() == {"a": {"x": again}}


def test_opening_twice_keeps_what_is_there(url) -> None:
    with Catalog.open(url) as catalog:
        catalog.refuse(REJECTED)
    with Catalog.open(url) as catalog:
        assert catalog.rejected_files() == [REJECTED]


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
    said = start_python(OPEN_AT_ONCE, url).communicate(timeout=60)
    assert said == ("[0, 0, 0, 0]\n", "")


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


def test_the_file_of_a_catalog_is_its_owners_alone(tmp_path) -> None:
    place = tmp_path / "catalog.db"
    before = os.umask(0)
    try:
        with Catalog.open(f"sqlite:///{place}") as catalog:
            catalog.refuse(REJECTED)
            assert {p.name: mode_of(p) for p in tmp_path.iterdir()} == {
                "catalog.db": 0o600,
                "catalog.db-wal": 0o600,
                "catalog.db-shm": 0o600,
            }
    finally:
        os.umask(before)
    place.chmod(0o644)
    Catalog.open(f"sqlite:///{place}").close()
    assert mode_of(place) == 0o600


def test_the_file_of_a_catalog_is_its_groups_too_where_the_folder_is_handed_down(tmp_path) -> None:
    tmp_path.chmod(0o2770)
    place = tmp_path / "catalog.db"
    Catalog.open(f"sqlite:///{place}").close()
    assert mode_of(place) == 0o660
    place.chmod(0o664)
    Catalog.open(f"sqlite:///{place}").close()
    assert mode_of(place) == 0o660


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
            catalog.refuse(REJECTED)


@pytest.mark.parametrize("name", ["catalog.db", "50% of it?.db"])
def test_a_catalog_opened_to_read_writes_nothing_beside_it(tmp_path, name) -> None:
    folder = tmp_path / "catalog"
    url = f"sqlite:///{(folder / name).as_posix().replace('?', '%3F')}"
    with Catalog.open(url) as catalog:
        catalog.refuse(REJECTED)
    with read_only(folder), Catalog.open_to_read(url) as catalog:
        assert catalog.rejected_files() == [REJECTED]
    assert [path.name for path in folder.iterdir()] == [name]


def test_a_catalog_is_opened_to_read_by_whatever_url_opens_it(tmp_path) -> None:
    folder = tmp_path / "catalog"
    url = f"sqlite+pysqlite:///{folder / 'catalog.db'}?timeout=5"
    Catalog.open(url).close()
    with read_only(folder), Catalog.open_to_read(url) as catalog:
        assert catalog.rejected_files() == []


def test_what_a_writer_left_in_the_log_of_a_name_in_percent_signs_is_read(tmp_path) -> None:
    folder = tmp_path / "catalog"
    url = f"sqlite:///{folder}/it%3F.db"
    with Catalog.open(url) as writer:
        writer.refuse(REJECTED)
        with read_only(folder), Catalog.open_to_read(url) as catalog:
            assert catalog.rejected_files() == [REJECTED]


def test_a_catalog_of_another_version_is_not_read_as_if_it_were_of_this(sqlite_url) -> None:
    Catalog.open(sqlite_url).close()
    old = open_engine(sqlite_url)
    with writing(old) as connection:
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '0001'"))  # noqa: S608
    old.dispose()
    with pytest.raises(CatalogError, match=r"another version of pathassets.*Make it writable"):
        Catalog.open_to_read(sqlite_url)


def test_a_catalog_that_is_not_there_is_not_made_by_reading(tmp_path) -> None:
    with pytest.raises(CatalogError, match="cannot be opened"):
        Catalog.open_to_read(f"sqlite:///{tmp_path / 'catalog.db'}")
    assert list(tmp_path.iterdir()) == []


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
        assert connection.execute(select(rejected_file)).all() == []
    engine.dispose()
    holder.close()


def test_a_new_catalog_that_another_process_locks_is_refused_after_the_timeout(tmp_path) -> None:
    holder = sqlite3.connect(tmp_path / "catalog.db", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(CatalogError, match="is locked by another process"):
        Catalog.open(f"sqlite:///{tmp_path / 'catalog.db'}?timeout=0.1")
    holder.close()


def test_what_fails_inside_a_transaction_is_not_written(engine) -> None:
    row = dict.fromkeys(("path", "reason", "message", "remedy", "rejected_at"), "x")
    row |= {"size_bytes": 1, "mtime_ns": 1, "rejected_at": None}
    with pytest.raises(CatalogError), writing(engine) as connection:
        connection.execute(rejected_file.insert(), row)
    with reading(engine) as connection:
        assert connection.execute(select(rejected_file.c.path)).all() == []


@pytest.mark.parametrize("opening", [reading, writing])
@pytest.mark.parametrize(
    "error", [SpecError("x.csv: cannot be written"), ValueError("no"), OSError("full")]
)
def test_what_fails_beside_the_catalog_is_told_as_it_is(engine, opening, error) -> None:
    with pytest.raises(type(error)) as told, opening(engine) as connection:  # noqa: PT012 - in the block
        connection.execute(select(rejected_file.c.path)).all()
        raise error
    assert told.value is error


@pytest.mark.parametrize("opening", [reading, writing])
def test_a_value_that_the_driver_refuses_is_an_error_of_the_catalog(engine, opening) -> None:
    for path, told in (("a\udcff", "'a\\udcff' has bytes that are no text"), ("a\0", "")):
        asked = select(rejected_file.c.path).where(rejected_file.c.path == path)
        if engine.dialect.name == "sqlite" and not told:
            continue  # it takes NUL
        with (
            pytest.raises(CatalogError, match=re.escape(told or "cannot hold a value")),
            opening(engine) as connection,
        ):
            connection.execute(asked).all()


def test_a_catalog_is_named_by_its_file(engine, tmp_path) -> None:
    if engine.dialect.name == "sqlite":
        assert name_of(engine.url) == f"catalog {tmp_path / 'catalog.db'}"
    else:
        assert name_of(engine.url).startswith("catalog postgresql+psycopg2://postgres:***@")
