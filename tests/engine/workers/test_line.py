"""Lines, seen from the process that feeds them; what a line is given is in `line_tasks`."""

import os
import subprocess
import threading
from collections import Counter

import pytest

from pathassets.engine.workers import devices
from pathassets.engine.workers import line as lines
from pathassets.engine.workers.line import LineSpec
from pathassets.engine.workers.pool import LocalWorkers
from pathassets.errors import ResourcesShort, WorkerLost
from tests.engine import (
    gpu_line_tasks,
    import_error_tasks,
    line_tasks,
    pool_tasks,
    simulated_cards,
)
from tests.engine.pool_tasks import workers_now
from tests.engine.workers.test_pool import Popens

GOOD = ["a", "b", "c", "d"]


def open_lines(work, *, device="cpu", on_usage=lambda _: None, **how):
    workers = LocalWorkers(**{"n_workers": 1, "timeout_s": 60.0} | how)
    return workers.open(pool_tasks.square, LineSpec(work=work, device=device), on_usage)


def done_by(work, items, **how):
    """What became of each item; every one comes back, and once."""
    with open_lines(work, **how) as workers:
        for item in items:
            workers.feed(item)
        results = list(workers.results())
    assert Counter(id(item) for item, _ in results) == Counter(map(id, items))
    assert workers_now() == []
    return {item: result for item, result in results if isinstance(item, str | int | float)}


def test_an_error_that_is_told_costs_no_line():
    with open_lines(line_tasks.tell_errors) as workers:
        for item in ("raise", "sys.exit", "a"):
            workers.feed(item)
        found, pids = {}, set()
        for item, result in workers.results():
            found[item] = result
            pids |= {process.pid for process in workers_now()}
    assert len(pids) == 1
    assert str(found["raise"]) == "no such patch"
    assert "SystemExit" in str(found["sys.exit"])


@pytest.mark.timeout(60)
@pytest.mark.parametrize("n_workers", [1, 2])
@pytest.mark.parametrize(
    ("work", "kind", "said"),
    [
        (import_error_tasks.never_begun, WorkerLost, "code 1"),
        (line_tasks.break_at_once, LookupError, "the model is gone"),
        (line_tasks.exit_at_once, WorkerLost, "code 3"),
    ],
)
def test_where_no_line_can_begin_every_item_says_so(work, kind, said, n_workers, capfd):
    found = done_by(work, GOOD, n_workers=n_workers)
    assert {type(result) for result in found.values()} == {kind}
    assert all(said in str(result) for result in found.values())
    most = lines.MOST_STARTS + n_workers - 1  # others have begun by the time that the last fails
    assert capfd.readouterr().err.count("ImportError: no such") <= most


def test_where_a_second_line_cannot_begin_the_first_does_all(tmp_path, monkeypatch):
    monkeypatch.setenv("LINE_TASKS_FOLDER", str(tmp_path))
    found = done_by(line_tasks.begin_once, list(range(5)), n_workers=3)
    assert found == {item: item for item in range(5)}


def test_where_the_system_starts_no_more_processes_the_line_there_is_does_all(monkeypatch):
    monkeypatch.setattr(subprocess, "Popen", Popens(1))
    found = done_by(line_tasks.tell_pid, [f"item {i}" for i in range(6)], n_workers=4)
    assert len(set(found.values())) == 1


def test_where_the_system_starts_no_process_each_item_says_so(monkeypatch):
    monkeypatch.setattr(subprocess, "Popen", Popens(0))
    monkeypatch.setattr(lines, "SHORT_PAUSE_S", 0)
    found = done_by(line_tasks.do_each, GOOD, n_workers=2)
    assert {type(result) for result in found.values()} == {ResourcesShort}


def test_a_line_without_gpus_reads_by_the_threads_that_it_was_given(monkeypatch):
    monkeypatch.setenv("PATHASSETS_READ_THREADS", "9")
    assert done_by(line_tasks.tell_threads, ["a"], n_threads=3) == {"a": ("a", "cpu", 3)}


@pytest.mark.parametrize(("told", "n_threads"), [("", None), ("7", 7)])
def test_a_line_on_a_gpu_shares_the_cores_with_those_on_others(
    monkeypatch, tmp_path, told, n_threads
):
    simulated_cards.move_to(tmp_path, monkeypatch)
    monkeypatch.setenv("PATHASSETS_READ_THREADS", told)
    monkeypatch.setattr(lines, "may_have_gpu", lambda: True)
    expected = n_threads or max(1, len(os.sched_getaffinity(0)) // 2)
    found = done_by(gpu_line_tasks.tell_threads, ["a"], device="cuda", n_workers=9)
    assert found == {"a": ("a", "cuda:0", expected)}


@pytest.mark.timeout(60)
def test_a_line_that_waits_for_its_device_is_not_ended_by_the_timeout(monkeypatch, tmp_path):
    simulated_cards.move_to(tmp_path, monkeypatch)
    with devices.try_lock("GPU-a"), devices.try_lock("GPU-b") as second:
        released = threading.Timer(2.0, second.close)
        released.start()
        found = done_by(gpu_line_tasks.tell_threads, ["a"], device="cuda", timeout_s=1.0)
        released.join()
    assert found["a"][1] == "cuda:1"


def test_a_line_is_on_every_device_where_there_are_items(monkeypatch, tmp_path):
    simulated_cards.move_to(tmp_path, monkeypatch)
    monkeypatch.setattr(lines, "may_have_gpu", lambda: True)
    go_on = tmp_path / "go on"
    with open_lines(gpu_line_tasks.hold_back, device="cuda") as workers:
        for path in (go_on, None, None):
            workers.feed(path)
        devices = {}
        for path, device in workers.results():
            devices[path] = device
            go_on.touch()
    assert devices == {go_on: "cuda:0", None: "cuda:1"}
