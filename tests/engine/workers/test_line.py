"""Lines, seen from the process that feeds them; what a line is given is in `line_tasks`."""

import os
import subprocess
import threading
import time
from collections import Counter
from contextlib import closing

import pytest
from filelock import FileLock

from pathassets.engine.workers import line as lines
from pathassets.engine.workers.line import LineSpec
from pathassets.engine.workers.pool import LocalWorkers
from pathassets.errors import ResourcesShort, WorkerLost
from tests.engine import gpu_line_tasks, import_error_tasks, line_tasks, pool_tasks
from tests.engine.pool_tasks import workers_now
from tests.engine.workers.test_pool import Popens, are_gone, is_lost

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


@pytest.mark.parametrize("n_workers", [1, 2])
def test_every_item_comes_back_with_its_result(n_workers):
    items = [f"item {i}" for i in range(20)]
    found = done_by(line_tasks.do_each, items, n_workers=n_workers)
    assert found == {item: item for item in items}


def test_no_items_start_no_line():
    with open_lines(line_tasks.do_each) as workers:
        assert list(workers.results()) == []
        assert workers_now() == []


def test_one_line_stays_for_all_items_and_no_second_is_started_for_one():
    with open_lines(line_tasks.tell_pid, n_workers=4) as workers:
        pids = set()
        for item in range(5):  # one more each time that all there were are done
            workers.feed(item)
            pids |= {pid for _, pid in workers.results()}
        assert len(pids) == 1


@pytest.mark.parametrize(
    ("bad", "said", "work"),
    [
        ("kill", "code -9", line_tasks.do_ahead),
        ("kill", "code -9", line_tasks.do_each),
        ("exit 0", "code 0", line_tasks.do_ahead),
        ("segfault", "code -11", line_tasks.do_ahead),
    ],
)
def test_an_item_that_kills_its_line_is_lost_alone(work, bad, said):
    found = done_by(work, ["a", bad, "b", "c", f"again: {bad}", "d"])
    assert is_lost(found[bad], said)
    assert is_lost(found[f"again: {bad}"], said)
    assert all(found[item] == item for item in GOOD)


@pytest.mark.parametrize(
    ("bad", "kind", "said"),
    [
        ("raise", ValueError, "no such patch"),
        ("sys.exit", RuntimeError, "SystemExit: 3"),
        ("odd", RuntimeError, "OddError: 1 2"),
        ("no disk", FileNotFoundError, "/no/such/disk"),
    ],
)
def test_an_item_that_breaks_its_line_comes_back_alone_with_the_error(bad, kind, said):
    found = done_by(line_tasks.do_ahead, ["a", "b", bad, "c", "d"])
    assert type(found[bad]) is kind
    assert said in str(found[bad])
    assert "Traceback" in found[bad].__notes__[0]
    assert all(found[item] == item for item in GOOD)


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
@pytest.mark.parametrize("bad", ["hang", "hold"])
def test_a_line_that_gets_no_further_is_ended_and_costs_the_item_that_stops_it(bad):
    found = done_by(line_tasks.do_ahead, ["a", bad, "b"], timeout_s=1.0)
    assert is_lost(found[bad], "no result within 1 s")
    assert (found["a"], found["b"]) == ("a", "b")


@pytest.mark.timeout(60)
def test_a_line_that_sticks_in_the_midst_of_a_result_is_ended():
    found = done_by(line_tasks.stick_while_it_tells, ["a", "stick"], timeout_s=1.0)
    assert found["a"] == bytes(line_tasks.LARGE_BYTES)
    assert is_lost(found["stick"], "no result within 1 s")


def test_a_line_that_gets_on_may_take_longer_than_the_timeout():
    assert done_by(line_tasks.get_on_slowly, [2.5], timeout_s=1.5)[2.5] >= 1


@pytest.mark.timeout(60)
def test_a_line_with_nothing_to_do_is_not_ended_by_the_timeout():
    with open_lines(line_tasks.tell_pid, timeout_s=0.8) as workers:
        workers.feed("a")
        [(_, pid)] = workers.results()
        threading.Event().wait(1.0)  # longer than the timeout
        workers.feed("b")
        assert [result for _, result in workers.results()] == [pid]


def test_an_item_that_cannot_be_sent_is_lost_alone():
    bad = lambda: "an item"  # noqa: E731  (of all functions, one that does not pickle)
    with open_lines(line_tasks.do_each) as workers:
        for item in ("a", bad, "b"):
            workers.feed(item)
        found = dict(workers.results())
    assert (found["a"], found["b"]) == ("a", "b")
    assert "pickle" in str(found[bad])


def test_a_call_that_cannot_be_sent_is_lost_alone():
    bad = lambda: "an item"  # noqa: E731  (likewise)
    with open_lines(line_tasks.do_each) as workers:
        for item in (2, bad, 3):
            workers.call(item)
        found = dict(workers.results())
    assert (found[2], found[3]) == (4, 9)
    assert "pickle" in str(found[bad])


def test_an_item_that_a_line_cannot_read_costs_no_line():
    bad = line_tasks.OpensNowhere()
    with open_lines(line_tasks.tell_pid) as workers:
        for item in ("a", bad, "b"):
            workers.feed(item)
        found = dict(workers.results())
    assert found["a"] == found["b"]
    assert isinstance(found[bad], ImportError)
    assert "no such item here" in str(found[bad])


def test_a_result_that_cannot_be_sent_is_lost_alone():
    found = done_by(line_tasks.do_each, ["a", "unpicklable", "b"])
    assert "pickle" in str(found["unpicklable"])
    assert (found["a"], found["b"]) == ("a", "b")


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


def test_a_line_takes_no_more_than_it_wants(tmp_path):
    go_on = tmp_path / "go on"
    with open_lines(line_tasks.hold_back, n_workers=2) as workers:
        for path in (go_on, None, None, None):
            workers.feed(path)
        pids = []
        for _, pid in workers.results():
            pids.append(pid)
            if len(pids) == 3:  # by the other line: none of them waits behind the slow one
                go_on.touch()
    assert len(set(pids[:3])) == 1
    assert pids[3] != pids[0]


def test_functions_and_lines_go_on_side_by_side():
    with open_lines(line_tasks.do_each) as workers:
        workers.call(3)
        found = {}
        for item, result in workers.results():
            found[item] = result
            if item == 3:
                workers.feed("a")
            if item == "a":
                workers.call(4)
    assert found == {3: 9, "a": "a", 4: 16}


def test_a_call_may_be_put_before_those_that_wait():
    with open_lines(line_tasks.do_each) as workers:
        for item in (1, 2):
            workers.call(item)
        workers.call(3, first=True)
        assert [item for item, _ in workers.results()] == [3, 1, 2]


@pytest.mark.timeout(60)
@pytest.mark.parametrize("bad", ["hang", "hold"])
def test_closing_it_early_ends_lines_and_workers(bad):
    with open_lines(line_tasks.do_ahead, n_workers=2) as workers:
        for item in ("a", bad):
            workers.feed(item)
        workers.call(2)
        with closing(workers.results()) as results:
            found = {item for item, _ in (next(results), next(results))}
        assert found == {"a", 2}
        family = workers_now()
        assert len(family) >= 2
        began_s = time.monotonic()
    assert time.monotonic() - began_s < 5
    assert are_gone(family)


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
    monkeypatch.setenv("TMPDIR", str(tmp_path))  # where the locks are
    monkeypatch.setenv("PATHASSETS_READ_THREADS", told)
    monkeypatch.setattr(lines, "may_have_gpu", lambda: True)
    expected = n_threads or max(1, len(os.sched_getaffinity(0)) // 2)
    found = done_by(gpu_line_tasks.tell_threads, ["a"], device="cuda", n_workers=9)
    assert found == {"a": ("a", "cuda:0", expected)}


@pytest.mark.timeout(60)
def test_a_line_that_waits_for_its_device_is_not_ended_by_the_timeout(monkeypatch, tmp_path):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    folder = tmp_path / "pathassets-devices"
    folder.mkdir()
    locks = [FileLock(folder / f"GPU-{name}.lock", thread_local=False) for name in "ab"]
    for lock in locks:
        lock.acquire()
    released = threading.Timer(2.0, locks[1].release)
    released.start()
    found = done_by(gpu_line_tasks.tell_threads, ["a"], device="cuda", timeout_s=1.0)
    released.join()
    locks[0].release()
    assert found["a"][1] == "cuda:1"


def test_a_line_is_on_every_device_where_there_are_items(monkeypatch, tmp_path):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
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


def test_a_line_tells_how_far_it_is_and_on_which_device():
    told = []
    with open_lines(line_tasks.count_and_wait, on_usage=told.append) as workers:
        workers.feed("a")
        assert [result for _, result in workers.results()] == ["a"]
    assert [(one.number, one.device, one.usage) for one in told] == [(1, "cpu", 1)]
