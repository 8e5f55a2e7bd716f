from __future__ import annotations

import os
import signal
import sqlite3
import threading
import time
from datetime import UTC, datetime

import pytest
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from pathassets.catalog.catalog import Catalog
from pathassets.catalog.database.connect import open_engine, reading, writing
from pathassets.catalog.database.dialects import AWAY_S, BEGIN, upsert
from pathassets.catalog.records import RejectedFile
from pathassets.catalog.tables import rejected_file
from pathassets.errors import CatalogError, is_passing
from tests import killable_postgres

WRITE_80 = """
import sys
from pathassets.catalog.catalog import Catalog
from pathassets.catalog.records import ArtifactRecord, AttemptRecord
from pathassets.core.address import Address
url, run_id = sys.argv[1:]
with Catalog.open(url) as catalog:
    print("ready", flush=True)
    sys.stdin.readline()
    for i in range(80):
        address = Address("features", "r18", f"slide-{i}", run_id)
        catalog.record_artifact(
            ArtifactRecord(address=address, uri=str(address), spec={}, code_version="1",
                           facts={}, files=(), made_by=run_id),
            [Address("tissue_mask", "otsu", f"slide-{i}", "m")],
        )
        catalog.record_attempts([AttemptRecord(run_id=run_id, address=address, state="made")])
"""
WRITE_BULK = """
import sys
from pathassets.catalog.catalog import Catalog
from pathassets.catalog.records import AttemptRecord
from pathassets.core.address import Address
with Catalog.open(sys.argv[1]) as catalog:
    address = Address("features", "r18", "slide", "d")
    records = [AttemptRecord(run_id="bulk", address=address, state="made")] * 30_000
    print("ready", flush=True)
    catalog.record_attempts(records)
"""
FORK_FOR_EACH = """
import os, sys
from pathassets.catalog.catalog import Catalog
for url in sys.argv[1:]:
    child = os.fork()
    if not child:
        sys.argv[1] = url
        break
    os.waitpid(child, 0)
    print("gone", flush=True)
    sys.stdin.readline()
else:
    sys.exit()
print(os.getpid(), flush=True)
"""
WAIT_AFTER_INSERT = """
import sys
from sqlalchemy import Engine, event
@event.listens_for(Engine, "after_cursor_execute")
def wait(*args):
    if args[5] and args[2].startswith("INSERT INTO attempt"):  # many: no migration's copy
        print("written", flush=True)
        sys.stdin.readline()
"""
SLOW_ON_POSTGRES = pytest.mark.parametrize(
    "url", ["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)], indirect=True
)
REFUSAL = RejectedFile(path="/a", reason="r", message="m", remedy="", size_bytes=1, mtime_ns=1)


@pytest.fixture
def engine(url):
    opened = open_engine(url)
    yield opened
    opened.dispose()


@pytest.fixture
def sqlite_engine(sqlite_url):
    opened = open_engine(sqlite_url)
    yield opened
    opened.dispose()


def refusal_row(path: str = "/a", **changes: object) -> dict[str, object]:
    row = {"path": path, "reason": "r", "message": "m", "remedy": "", "size_bytes": 1}
    return row | {"mtime_ns": 1, "rejected_at": datetime.now(UTC)} | changes


def test_sqlite_runs_as_the_design_says(sqlite_engine) -> None:
    with reading(sqlite_engine) as connection:
        found = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    assert found == {
        "journal_mode": "wal",
        "synchronous": 1,
        "foreign_keys": 1,
        "busy_timeout": 30_000,
    }


def test_a_catalog_copied_without_its_log_mode_gets_it_back(sqlite_url, tmp_path) -> None:
    Catalog.open(sqlite_url).close()
    connection = sqlite3.connect(tmp_path / "catalog.db")
    connection.execute(f"VACUUM INTO '{tmp_path / 'copy.db'}'")
    connection.close()
    Catalog.open(f"sqlite:///{tmp_path / 'copy.db'}").close()
    connection = sqlite3.connect(tmp_path / "copy.db")
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


def test_turning_on_the_log_waits_for_a_writer_though_sqlite_does_not(tmp_path) -> None:
    place = tmp_path / "catalog.db"
    writer = sqlite3.connect(place, isolation_level=None, check_same_thread=False)
    writer.execute("CREATE TABLE other (x)")
    writer.execute("BEGIN IMMEDIATE")
    impatient = sqlite3.connect(place, timeout=30)
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        impatient.execute("PRAGMA journal_mode = WAL")
    impatient.close()
    release = threading.Timer(0.3, writer.close)
    release.start()
    with Catalog.open(f"sqlite:///{place}") as catalog:
        assert catalog.slides() == []
    release.join()


def test_an_upsert_takes_new_values_but_for_what_is_kept(engine) -> None:
    with writing(engine) as connection:
        upsert(connection, rejected_file, [refusal_row("/a"), refusal_row("/b")])
        new = refusal_row("/a", reason="new", message="new", size_bytes=2)
        upsert(connection, rejected_file, [new], keep_first=["message"], keep_known=["size_bytes"])
        rows = connection.execute(select(rejected_file).order_by(rejected_file.c.path)).all()
    assert [(r.path, r.reason, r.message, r.size_bytes) for r in rows] == [
        ("/a", "new", "m", 2),
        ("/b", "r", "m", 1),
    ]


def test_a_writer_waits_for_the_one_before_it_though_it_reads_first(engine) -> None:
    # With a deferred transaction SQLite fails the second writer at once: 'database is locked'.
    has_begun, failures = threading.Event(), []

    def add(path: str, wait_s: float) -> None:
        try:
            with writing(engine) as connection:
                connection.execute(select(rejected_file)).all()
                has_begun.set()
                time.sleep(wait_s)
                connection.execute(rejected_file.insert(), refusal_row(path))
        except CatalogError as error:
            failures.append(error)

    first = threading.Thread(target=add, args=("/a", 0.3))
    first.start()
    assert has_begun.wait(10)
    add("/b", 0.0)
    first.join()
    assert failures == []
    with reading(engine) as connection:
        assert set(connection.execute(select(rejected_file.c.path)).scalars()) == {"/a", "/b"}


def test_a_deferred_transaction_would_fail_where_an_immediate_one_waits(sqlite_engine) -> None:
    deferred = sqlite_engine.execution_options(**{BEGIN: "BEGIN"})
    with deferred.connect() as connection:
        connection.execute(select(rejected_file)).all()
        with writing(sqlite_engine) as other:
            other.execute(rejected_file.insert(), refusal_row("/a"))
        with pytest.raises(OperationalError, match="database is locked"):
            connection.execute(rejected_file.insert(), refusal_row("/b"))


def test_a_reader_sees_the_state_before_a_transaction_and_does_not_wait_for_it(engine) -> None:
    with writing(engine) as writer:
        writer.execute(rejected_file.insert(), refusal_row("/a"))
        with reading(engine) as reader:
            assert reader.execute(select(rejected_file)).all() == []


@pytest.mark.slow
@SLOW_ON_POSTGRES
def test_two_processes_write_at_the_same_time(url, start_python) -> None:
    with Catalog.open(url) as catalog:
        processes = [start_python(WRITE_80, url, run_id) for run_id in ("run-a", "run-b")]
        for process in processes:
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            process.stdin.write("go\n")
            process.stdin.flush()
        assert [process.communicate(timeout=120) for process in processes] == [("", "")] * 2
        assert len(catalog.artifact_digests()) == 160
        assert [len(catalog.attempts(run_id=run)) for run in ("run-a", "run-b")] == [80, 80]
        assert all(len(catalog.parents_of(address)) == 1 for address in catalog.artifact_digests())


def test_a_bulk_write_that_is_killed_before_it_is_committed_leaves_nothing(
    sqlite_url, tmp_path, start_python
) -> None:
    Catalog.open(sqlite_url).close()  # its migrations copy attempts, too
    process = start_python(f"{WAIT_AFTER_INSERT}{WRITE_BULK}", sqlite_url)
    assert [process.stdout.readline() for _ in range(2)] == ["ready\n", "written\n"]
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert (tmp_path / "catalog.db-wal").stat().st_size > 1_000_000
    with Catalog.open(sqlite_url) as catalog:
        assert catalog.attempts() == []


@pytest.mark.slow
def test_a_bulk_write_that_is_killed_at_any_time_is_whole_or_absent(tmp_path, start_python) -> None:
    urls = [f"sqlite:///{tmp_path / f'{i}.db'}" for i in range(3)]
    process = start_python(FORK_FOR_EACH + WRITE_BULK, *urls)
    for url, delay_s in zip(urls, (0.2, 0.4, 0.6), strict=True):
        pid = int(process.stdout.readline())
        assert process.stdout.readline() == "ready\n"
        time.sleep(delay_s)
        os.kill(pid, signal.SIGKILL)
        assert process.stdout.readline() == "gone\n"
        with Catalog.open(url) as catalog:
            assert len(catalog.attempts()) in (0, 30_000)
            catalog.refuse(REFUSAL)
        process.stdin.write("next\n")
        process.stdin.flush()


def test_a_bulk_write_that_ends_is_whole_though_its_process_is_killed(
    sqlite_url, start_python
) -> None:
    script = WRITE_BULK.replace("30_000", "2_000")
    process = start_python(
        f"{script}    print('done', flush=True)\n    sys.stdin.readline()", sqlite_url
    )
    assert [process.stdout.readline() for _ in range(2)] == ["ready\n", "done\n"]
    process.kill()
    process.wait()
    with Catalog.open(sqlite_url) as catalog:
        assert len(catalog.attempts()) == 2_000


def fill_up(engine) -> None:
    with writing(engine) as connection:
        n_pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {n_pages}")
        row = dict.fromkeys(("reason", "message", "remedy"), "x" * 1000)
        row |= {"size_bytes": 1, "mtime_ns": 1, "rejected_at": datetime.now(UTC)}
        connection.execute(rejected_file.insert(), [row | {"path": f"{n}"} for n in range(100)])


def test_a_catalog_that_has_no_room_to_grow_may_have_some_in_a_while(sqlite_url) -> None:
    engine = open_engine(sqlite_url)
    with pytest.raises(CatalogError, match="no room to grow") as caught:
        fill_up(engine)
    assert is_passing(caught.value)
    engine.dispose()


@pytest.mark.slow
def test_a_server_that_was_there_is_waited_for_and_one_that_never_was_is_not() -> None:
    with killable_postgres.serving() as server:
        _wait_for(server)


def _wait_for(server) -> None:
    engine = open_engine(server.url("postgres"))
    command = server.process.cmdline()
    server.kill()
    began_s = time.monotonic()
    with pytest.raises(CatalogError, match="the server does not answer") as caught:
        open_engine(server.url("postgres"))
    assert time.monotonic() - began_s < AWAY_S / 3
    assert is_passing(caught.value)
    threading.Timer(2.0, server.start, [command]).start()
    with reading(engine) as connection:
        assert connection.execute(select(rejected_file)).all() == []
    engine.dispose()
