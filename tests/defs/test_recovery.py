from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import dagster as dg
import psutil
import pytest

from pathassets.defs.launch import _tell_if_full, recover
from pathassets.defs.recovery import (
    DAEMON_CURSOR,
    NEVER_AGAIN,
    PROCESS_TAG,
    code_folder_prefix,
    fail_dead_runs,
    open_code_folder,
    process_tags,
)
from pathassets.defs.sensors import dead_runs
from tests.defs.dagster_state import copy_state
from tests.defs.small_slides import write_slide
from tests.defs.workbench import Workbench, open_bench

# A run like any other of the platform: it opens the resource and takes the pool's one place.
HOLD_THE_POOL = """
import time
import dagster as dg
from pathassets.defs.assets.batch import POOL
from pathassets.defs.instance import open_instance
from pathassets.defs.resources import PlatformResource
from pathassets.engine.settings import read_settings

@dg.op(pool=POOL, required_resource_keys={"platform"})
def hold():
    print("held", flush=True)
    time.sleep(600)

@dg.job(resource_defs={"platform": PlatformResource()})
def holder():
    hold()

with open_instance(read_settings()) as instance:
    holder.execute_in_process(instance=instance)
"""


@contextmanager
def holding_the_pool() -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(  # noqa: S603  (our own script)
        [sys.executable, "-c", HOLD_THE_POOL],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def active_runs(instance: dg.DagsterInstance) -> set[str]:
    return set(instance.event_log_storage.get_concurrency_info("slides").active_run_ids)


def test_a_killed_run_fails_and_its_place_goes_to_the_next_batch(
    bench: Workbench, home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bench.ingest(write_slide(home / "a.svs", 1))
    with holding_the_pool() as process:
        (run,) = bench.instance.get_runs()
        assert run.status == dg.DagsterRunStatus.STARTED
        assert active_runs(bench.instance) == {run.run_id}
        assert fail_dead_runs(bench.instance) == []  # it lives
        _tell_if_full(bench.instance)
        assert caplog.messages == [f"waiting: run {run.run_id[:8]} is working on slides"]

        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        (found,) = bench.instance.get_runs()
        assert found.status == dg.DagsterRunStatus.STARTED  # Dagster does not notice

        assert recover(bench.instance, bench.platform) == [run.run_id]
    (ended,) = bench.instance.get_runs()
    assert ended.status == dg.DagsterRunStatus.FAILURE
    assert active_runs(bench.instance) == set()
    assert bench.run().success
    assert recover(bench.instance, bench.platform) == []


def run_with(instance: dg.DagsterInstance, tags: dict[str, str], run_id: str) -> dg.DagsterRun:
    return instance.create_run_for_job(
        dg.JobDefinition(graph_def=dg.GraphDefinition(name="empty"), name="empty"),
        run_id=run_id,
        tags=tags,
        status=dg.DagsterRunStatus.STARTED,
    )


def test_a_run_is_left_alone_while_its_process_may_live(bench: Workbench) -> None:
    ids = [f"00000000-0000-0000-0000-00000000000{n}" for n in range(4)]
    here = process_tags(ids[0])
    elsewhere = {PROCESS_TAG: f"{socket.gethostname()}-2:999999999:1:{ids[1]}"}
    inherited = {PROCESS_TAG: f"{socket.gethostname()}:999999999:1:{ids[0]}"}
    for run_id, tags in zip(ids, (here, elsewhere, inherited, {}), strict=True):
        run_with(bench.instance, tags, run_id)
    assert fail_dead_runs(bench.instance) == []


@contextmanager
def code_server(folder: Path) -> Iterator[Path]:
    folder.mkdir()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(folder / "code"))
        listening.listen()
        yield folder / "code"


def launched_at(address: Path) -> dict[str, str]:
    return {".dagster/grpc_info": json.dumps({"host": "localhost", "socket": str(address)})}


def test_a_run_that_was_being_launched_is_dead_once_its_code_server_is(
    bench: Workbench, tmp_path: Path
) -> None:
    ids = [f"00000000-0000-0000-0000-00000000000{n}" for n in range(3)]
    with code_server(tmp_path / f"{code_folder_prefix()}x") as here:
        of_here, elsewhere = launched_at(here), launched_at(tmp_path / "pathassets-0-x" / "code")
        of_both = of_here | process_tags(ids[2])
        for run_id, tags in zip(ids, (of_here, elsewhere, of_both), strict=True):
            run_with(bench.instance, tags, run_id)
        age(bench.instance)
        assert fail_dead_runs(bench.instance) == []
    run_with(bench.instance, of_here, "00000000-0000-0000-0000-00000000000a")  # it may yet be told
    assert fail_dead_runs(bench.instance) == [ids[0]]


def test_folders_of_killed_code_servers_are_removed_and_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    names = ["killed", "serving", "starting", "link"]
    killed, serving, starting, link = (tmp_path / f"{code_folder_prefix()}{n}" for n in names)
    with code_server(killed):
        pass
    starting.mkdir()
    elsewhere = tmp_path / "pathassets-0-x"
    elsewhere.mkdir()
    link.symlink_to(elsewhere)
    with code_server(serving), monkeypatch.context() as patched:
        for folder in killed, serving, elsewhere:
            os.utime(folder, (0, 0))
        with open_code_folder() as opened:
            assert not killed.exists()
            assert {Path(opened), serving, starting, link, elsewhere} == {*tmp_path.iterdir()}
            assert Path(opened).name.startswith(code_folder_prefix())
        patched.setattr(os, "getuid", lambda: os.geteuid() + 1)
        os.utime(starting, (0, 0))
        with open_code_folder():
            assert starting.exists()  # somebody else's


def age(instance: dg.DagsterInstance) -> None:
    """Let nothing have been told of any run for a while."""
    database = Path(instance.run_storage._conn_string.removeprefix("sqlite:///"))
    with closing(sqlite3.connect(database)) as runs, runs:
        runs.execute("UPDATE runs SET update_timestamp = datetime(update_timestamp, '-20 seconds')")


def killed_run(
    instance: dg.DagsterInstance,
    run_id: str,
    *before: str,
    status: dg.DagsterRunStatus = dg.DagsterRunStatus.STARTED,
    **tags: str,
) -> dg.DagsterRun:
    """A run whose process is gone, and which repeats others."""
    gone = {PROCESS_TAG: f"{socket.gethostname()}:999999999:1:{run_id}"}
    if before:
        gone |= {"dagster/root_run_id": before[0], "dagster/parent_run_id": before[-1]}
    instance.create_run_for_job(
        dg.JobDefinition(graph_def=dg.GraphDefinition(name="empty"), name="empty"),
        run_id=run_id,
        tags=gone | tags,
        status=status,
        root_run_id=before[0] if before else None,
        parent_run_id=before[-1] if before else None,
    )
    assert fail_dead_runs(instance) == [run_id]
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run


def will_retry(run: dg.DagsterRun) -> str:
    """What Dagster's daemon goes by."""
    return run.tags["dagster/will_retry"]


def test_a_killed_run_is_started_again_twice_and_no_more(bench: Workbench) -> None:
    ids = [f"00000000-0000-0000-0000-00000000000{n}" for n in range(3)]
    said = [will_retry(killed_run(bench.instance, one, *ids[:n])) for n, one in enumerate(ids)]
    assert said == ["true", "true", "false"]


def test_a_killed_run_whose_sender_asks_again_is_left_to_him(bench: Workbench) -> None:
    run_id = "00000000-0000-0000-0000-000000000000"
    assert will_retry(killed_run(bench.instance, run_id, **NEVER_AGAIN)) == "false"


def test_a_killed_run_that_a_person_had_cancelled_stays_cancelled(bench: Workbench) -> None:
    run_id = "00000000-0000-0000-0000-000000000000"
    run = killed_run(bench.instance, run_id, status=dg.DagsterRunStatus.CANCELING)
    assert run.status == dg.DagsterRunStatus.CANCELED


def test_a_run_in_which_slides_failed_is_not_started_again(bench: Workbench, home: Path) -> None:
    bench.ingest(write_slide(home / "a.svs", 1, mpp=None))
    assert not bench.run().success
    (run,) = bench.instance.get_runs()
    assert will_retry(run) == "false"


def test_the_daemon_sees_a_run_that_was_found_dead_before_its_first_look(bench: Workbench) -> None:
    instance = bench.instance
    killed_run(instance, "00000000-0000-0000-0000-000000000000")
    cursors = instance.daemon_cursor_storage.get_cursor_values({DAEMON_CURSOR})
    new = instance.event_log_storage.get_logs_for_all_runs_by_log_id(
        after_cursor=int(cursors[DAEMON_CURSOR]),
        dagster_event_type={dg.DagsterEventType.RUN_FAILURE},
    )
    assert len(new) == 1


def test_a_later_process_with_the_same_number_is_another_one(bench: Workbench) -> None:
    run_id = "00000000-0000-0000-0000-000000000000"
    started = int(psutil.Process().create_time())
    tag = f"{socket.gethostname()}:{os.getpid()}:{started - 60}:{run_id}"
    run_with(bench.instance, {PROCESS_TAG: tag}, run_id)
    context = dg.build_sensor_context(bench.instance)
    skipped = dead_runs(context)
    assert isinstance(skipped, dg.SkipReason)
    assert skipped.skip_message == "1 run had lost its process"
    assert dead_runs(context) == dg.SkipReason("0 runs had lost their process")


@pytest.mark.timeout(60)
def test_an_ended_child_that_nobody_asked_after_is_dead(bench: Workbench) -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    try:
        seen = psutil.Process(child.pid)
        started = int(seen.create_time())
        while seen.status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.01)
        run_id = "00000000-0000-0000-0000-000000000000"
        tag = f"{socket.gethostname()}:{child.pid}:{started}:{run_id}"
        run_with(bench.instance, {PROCESS_TAG: tag}, run_id)
        assert fail_dead_runs(bench.instance) == [run_id]
    finally:
        child.wait()


def give_back(instance: dg.DagsterInstance, file: sqlite3.Connection) -> None:
    """Let others write to a catalog again, once a run has said that it will try again."""
    said: list[str] = []
    while not any("to be tried again" in one for one in said):
        time.sleep(0.05)
        logs = (instance.all_logs(run.run_id) for run in instance.get_runs())
        said = [entry.user_message for entries in logs for entry in entries]
    file.execute("ROLLBACK")


@pytest.mark.timeout(120)
@pytest.mark.parametrize("is_patient", [True, False])
def test_a_run_whose_catalog_is_away_for_a_while_goes_on_when_it_is_back(
    home: Path, dagster_state: Path, monkeypatch: pytest.MonkeyPatch, *, is_patient: bool
) -> None:
    place = home / "catalog.db"
    monkeypatch.setenv("PATHASSETS_CATALOG", f"sqlite:///{place}?timeout=0.1")
    monkeypatch.setenv("PATHASSETS_RETRY_PAUSES_S", "0.5,1,2,4" if is_patient else "none")
    copy_state(dagster_state, home)
    with (
        open_bench() as bench,
        closing(sqlite3.connect(place, isolation_level=None, check_same_thread=False)) as file,
    ):
        (a,) = bench.ingest(write_slide(home / "a.svs", 1))
        file.execute("BEGIN IMMEDIATE")  # nobody else writes
        if is_patient:
            threading.Thread(target=give_back, args=(bench.instance, file), daemon=True).start()
        result = bench.run(may_break=True)
        assert result.success == is_patient
        assert bench.health("features/colour") == {
            "green": [a] * is_patient,
            "red": [a] * (not is_patient),
        }
