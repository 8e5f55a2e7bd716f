import errno
import json
import logging
import math
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from pathassets.engine.workers import calls
from pathassets.engine.workers import worker as worker_program
from pathassets.engine.workers.pool import LocalWorkers
from pathassets.engine.workers.process import lost
from pathassets.errors import ResourcesShort, WorkerLost
from tests.engine import workers_contract
from tests.engine.pool_tasks import (
    behave,
    memory_of,
    modules_of,
    opencv_threads,
    pid_of,
    square,
    warn,
    workers_now,
)
from tests.engine.workers_contract import are_gone, is_alive

ORPHANS = """
import sys
from pathlib import Path
from pathassets.engine.workers.pool import LocalWorkers
from tests.engine.pool_tasks import note_and_sleep

workers = LocalWorkers(n_workers=2, timeout_s=600)
list(workers.imap(note_and_sleep, [Path(sys.argv[1])] * 4))
"""
THREADLESS = """
import os, sys
from pathassets.engine.workers import worker
from tests.engine.pool_tasks import leave_no_memory

sys.argv = ["worker", "0", str(os.getppid())]
leave_no_memory(1)
worker.main()
"""
UNGUARDED = """
from pathassets.engine.workers.pool import LocalWorkers
from tests.engine.pool_tasks import square

print("once")
print(sorted(r for _, r in LocalWorkers(n_workers=2, timeout_s=60).imap(square, range(3))))
"""
WHOLE_LIFE = """
import psutil
from pathassets.engine.workers.pool import LocalWorkers
from tests.engine.pool_tasks import square

family = set()
for _, result in LocalWorkers(n_workers=2, timeout_s=60).imap(square, range(5)):
    family |= {p.pid for p in psutil.Process().children(recursive=True)}
print(*sorted(family))
"""


def pool(n_workers=2, timeout_s=60.0):
    return LocalWorkers(n_workers=n_workers, timeout_s=timeout_s)


class TestLocalWorkers(workers_contract.WorkersContract):
    @pytest.fixture
    def make(self):
        return pool

    @pytest.fixture
    def processes(self):
        return workers_now


@pytest.mark.parametrize("n_workers", [0, 1])
def test_there_is_always_one_worker(n_workers):
    assert dict(pool(n_workers).imap(square, [3])) == {3: 9}


def test_an_item_that_needs_all_cores_runs_alone():
    results = pool(n_workers=2).imap(pid_of, range(4), cpus=2)
    assert len({pid for _, pid in results}) == 1


def test_all_workers_may_die_at_once():
    results = list(pool().imap(behave, ["kill"] * 4 + ["a"]))
    assert sum(isinstance(r, WorkerLost) for _, r in results) == 4
    assert ("a", "a") in results


def test_a_worker_that_dies_while_it_is_idle_costs_no_item():
    def items():
        yield "a"
        [idle] = workers_now()
        idle.kill()
        while is_alive(idle):
            time.sleep(0.01)
        yield "b"

    assert list(pool(n_workers=1).imap(behave, items())) == [("a", "a"), ("b", "b")]


def test_a_worker_that_dies_before_it_has_read_its_job_costs_no_item():
    def items():
        yield "a"
        [idle] = workers_now()
        idle.suspend()  # so that the next job is sent, and not read
        threading.Timer(0.3, idle.kill).start()
        yield "b"

    assert list(pool(n_workers=1).imap(behave, items())) == [("a", "a"), ("b", "b")]


def test_a_timeout_may_be_infinite():
    assert list(pool(timeout_s=math.inf).imap(behave, ["a"])) == [("a", "a")]


@pytest.mark.parametrize(
    "want", ["no thread", "no memory", "no memory to draw", "no memory to open"]
)
def test_a_want_of_memory_or_threads_has_a_reason_of_its_own(want):
    found = dict(LocalWorkers(n_workers=1, timeout_s=60).imap(behave, [want, "well"]))
    assert isinstance(found[want], ResourcesShort)
    assert found[want].reason == "resources_short"
    assert not found[want].is_final
    assert "fewer workers or threads" in found[want].remedy
    assert found["well"] == "well"


def test_a_worker_that_cannot_start_its_own_thread_says_so(start_python):
    process = start_python(THREADLESS)
    assert process.wait(60) == worker_program.NO_THREAD
    assert lost(process.returncode).reason == "resources_short"


class Popens:
    """Starts so many processes, and no more until one of them has ended."""

    def __init__(self, n_most):
        self.n_most, self.started = n_most, []
        self.popen = subprocess.Popen

    def __call__(self, *args, **kwargs):
        if sum(process.poll() is None for process in self.started) >= self.n_most:
            raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
        self.started.append(self.popen(*args, **kwargs))
        return self.started[-1]


def test_where_the_system_starts_no_more_processes_those_there_are_do_the_work(monkeypatch):
    monkeypatch.setattr(subprocess, "Popen", Popens(2))
    found = dict(LocalWorkers(n_workers=4, timeout_s=60).imap(square, range(9)))
    assert found == {x: x * x for x in range(9)}


def test_where_the_system_starts_none_each_item_says_so(monkeypatch):
    monkeypatch.setattr(subprocess, "Popen", Popens(0))
    monkeypatch.setattr(calls, "SHORT_PAUSE_S", 0)
    found = dict(LocalWorkers(n_workers=4, timeout_s=60).imap(square, range(3)))
    assert {type(result) for result in found.values()} == {ResourcesShort}
    assert len(found) == 3
    assert "Resource temporarily unavailable" in str(found[0])


def test_an_item_that_finds_no_process_is_told_before_all_others_are_tried(monkeypatch):
    monkeypatch.setattr(subprocess, "Popen", Popens(0))
    monkeypatch.setattr(calls, "SHORT_PAUSE_S", 0)
    taken = []
    items = (taken.append(n) or n for n in range(1000))
    with closing(LocalWorkers(n_workers=4, timeout_s=60).imap(square, items)) as results:
        assert isinstance(next(results)[1], ResourcesShort)
    assert len(taken) < 5


def test_an_exception_comes_back_as_a_value_with_its_traceback(caplog):
    with caplog.at_level(logging.DEBUG):
        results = dict(pool().imap(behave, ["raise", "a"]))
    assert caplog.text == ""  # whoever gets it raises it, or says it
    error = results["raise"]
    assert isinstance(error, ValueError)
    assert str(error) == "no such patch"
    assert "in behave" in error.__notes__[0]
    assert results["a"] == "a"


def test_items_are_taken_as_workers_fall_free():
    taken = []

    def items():
        for i in range(20):
            taken.append(i)
            yield i

    with closing(pool().imap(square, items())) as results:
        assert taken == []
        next(results)
        assert len(taken) <= 2 + 2
        for n_done, _ in enumerate(results, 2):
            assert len(taken) <= n_done + 2
    assert len(taken) == 20


def test_nothing_is_left_of_the_workers_at_the_end():
    list(pool().imap(square, range(3)))
    assert workers_now() == []


def test_two_threads_may_use_it_at_once():
    found = {}

    def run(k):
        found[k] = dict(pool().imap(square, range(k, k + 10)))

    threads = [threading.Thread(target=run, args=(k,)) for k in (0, 100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {k: {i: i * i for i in range(k, k + 10)} for k in (0, 100)}


def test_the_workers_end_when_their_parent_is_killed(tmp_path, start_python):
    process = start_python(ORPHANS, tmp_path)
    until_s = time.monotonic() + 60
    while len(list(tmp_path.glob("*.pid"))) < 2:
        assert time.monotonic() < until_s
        time.sleep(0.05)
    family = psutil.Process(process.pid).children(recursive=True)
    pids = {int(p.stem) for p in tmp_path.glob("*.pid")}
    assert pids == {p.pid for p in family}
    process.kill()
    process.wait()
    assert are_gone(family)


def test_a_program_that_used_it_ends_at_once_and_leaves_no_process(start_python):
    process = start_python(WHOLE_LIFE)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    family = [int(pid) for pid in out.split()]
    assert len(family) == 2
    assert are_gone([psutil.Process(pid) for pid in family if psutil.pid_exists(pid)])


def test_a_script_without_a_guard_runs_once(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(UNGUARDED)
    done = subprocess.run(  # noqa: S603 - our own script
        [sys.executable, "-W", "error", script], capture_output=True, text=True, check=False,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(Path.cwd()), *sys.path])}, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == ["once", "[0,", "1,", "4]"]


def test_a_worker_imports_only_what_its_work_needs():
    [(_, modules)] = pool().imap(modules_of, [0])
    assert "tests.engine.pool_tasks" in modules
    heavy = {"numpy", "cv2", "torch", "dagster", "openslide", "pathassets.engine.slides.open"}
    assert not heavy & set(modules)


@pytest.mark.parametrize(("n_workers", "cpus"), [(2, 1), (4, 2)])
def test_a_worker_runs_opencv_on_its_own_cores_alone(n_workers, cpus):
    [(_, n_threads)] = pool(n_workers).imap(opencv_threads, [0], cpus=cpus)
    assert n_threads == cpus


def test_a_worker_has_no_standard_input_and_what_can_be_imported_here(tmp_path, monkeypatch):
    (tmp_path / "only_here.py").write_text(
        "def read(_):\n    import sys\n    return sys.stdin.read()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    import only_here  # noqa: PLC0415  (it exists only now)

    assert list(pool().imap(only_here.read, [0])) == [(0, "")]


def test_a_worker_logs_as_its_parent_a_line_for_a_record(capfd, monkeypatch):
    list(pool().imap(warn, ["a\nb"]))
    monkeypatch.setenv("PATHASSETS_LOG_FORMAT", "json")
    list(pool().imap(warn, ["a\nb"]))
    as_text, as_json = capfd.readouterr().err.splitlines()
    assert as_text == r"a\nb: warned"
    assert json.loads(as_json)["message"] == "a\nb: warned"


def test_ctrl_c_is_for_the_parent():
    with closing(pool(n_workers=1).imap(behave, ["a", "nap", "b"])) as results:
        next(results)
        [worker] = workers_now()
        worker.send_signal(signal.SIGINT)
        assert [result for _, result in results] == ["nap", "b"]


def test_workers_share_no_memory_that_could_be_left_behind():
    [(_, maps)] = pool().imap(memory_of, [0])
    assert "/shm/" not in maps
