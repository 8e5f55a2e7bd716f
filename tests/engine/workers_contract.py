"""What all `Workers` promise, wherever they work: the same tests for this machine and a cluster."""

from __future__ import annotations

import os
import time
from collections import Counter
from contextlib import closing
from typing import Any

import psutil
import pytest

from pathassets.engine.workers.line import LineSpec
from pathassets.errors import ResourcesShort, WorkerLost
from tests.chaos import wait_until
from tests.engine import line_tasks, pool_tasks
from tests.engine.pool_tasks import behave, pid_of, square

GOOD = ["a", "b", "c", "d"]


def are_gone(processes, within_s=30.0):
    until_s = time.monotonic() + within_s
    while time.monotonic() < until_s:
        if not any(is_alive(p) for p in processes):
            return True
        time.sleep(0.02)
    return False


def is_alive(process):
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def is_lost(result, said):
    return isinstance(result, WorkerLost) and said in result.message and bool(result.remedy)


class WorkersContract:
    """Give it `make(**how) -> Workers`, of two at least, and `processes()`: theirs, now."""

    @pytest.fixture
    def open_lines(self, make):
        def open_lines(work, *, on_usage=lambda _: None, **how):
            return make(**how).open(square, LineSpec(work=work, device="cpu"), on_usage)

        return open_lines

    @pytest.fixture
    def done_by(self, open_lines, processes):
        """What became of each item; every one comes back, and once."""

        def done_by(work, items, **how):
            with open_lines(work, **how) as workers:
                for item in items:
                    workers.feed(item)
                results = list(workers.results())
            assert Counter(id(item) for item, _ in results) == Counter(map(id, items))
            assert are_gone(processes())
            return dict(results)

        return done_by

    # ------------------------------------------------------------------------------ functions

    def test_every_item_comes_back_with_its_result(self, make):
        assert dict(make().imap(square, range(20))) == {i: i * i for i in range(20)}

    def test_no_items_give_no_results_and_start_no_worker(self, make, processes):
        wait_until(lambda: processes() == [], limit_s=60, what="those of tests before are gone")
        assert list(make().imap(square, [])) == []
        assert processes() == []

    def test_the_parent_does_no_item_itself_and_a_worker_does_many(self, make):
        pids = {pid for _, pid in make().imap(pid_of, range(40))}
        assert os.getpid() not in pids
        assert 1 <= len(pids) <= 8

    @pytest.mark.parametrize(
        ("bad", "said"),
        [("exit 3", "code 3"), ("exit 0", "code 0"), ("kill", "code -9"), ("segfault", "code -11")],
    )
    def test_a_worker_that_dies_costs_only_its_own_item(self, make, bad, said):
        items = ["a", "b", bad, "c", "d", bad, "e"]
        results = list(make(timeout_s=30.0).imap(line_tasks.behave, items))
        assert sorted(r for item, r in results if item != bad) == ["a", "b", "c", "d", "e"]
        lost = [r for item, r in results if item == bad]
        assert [is_lost(r, said) and not r.is_late for r in lost] == [True, True]

    @pytest.mark.timeout(120)
    @pytest.mark.parametrize("bad", ["hang", "hold"])
    def test_a_hang_is_ended_by_the_timeout_and_overtaken(self, make, processes, bad):
        results = list(make(timeout_s=5.0).imap(line_tasks.behave, [bad, *GOOD]))
        assert results[-1][0] == bad
        assert is_lost(results[-1][1], "no result within 5 s")
        assert results[-1][1].is_late  # to try it again would take as long again
        assert sorted(r for _, r in results[:-1]) == GOOD
        assert are_gone(processes())

    @pytest.mark.timeout(120)
    def test_the_timeout_counts_from_the_start_of_the_work(self, make):
        items = [f"{i}: nap" for i in range(24)]  # 9.6 s of naps, which wait for each other
        found = dict(make(timeout_s=4.0).imap(line_tasks.behave, items))
        assert found == {item: item for item in items}

    def test_an_exception_comes_back_as_a_value_with_its_traceback(self, make):
        results = dict(make().imap(behave, ["raise", "a"]))
        error = results["raise"]
        assert isinstance(error, ValueError)
        assert str(error) == "no such patch"
        assert "in behave" in error.__notes__[0]
        assert results["a"] == "a"

    @pytest.mark.parametrize(
        ("bad", "said"),
        [("odd", "OddError: 1 2"), ("sys.exit", "SystemExit: 3"), ("unpicklable", "pickle")],
    )
    def test_what_cannot_be_sent_back_costs_only_its_own_item(self, make, bad, said):
        results = dict(make().imap(behave, ["a", bad, "b"]))
        assert isinstance(results[bad], Exception)
        assert said in str(results[bad])
        assert (results["a"], results["b"]) == ("a", "b")

    def test_an_item_that_does_not_pickle_is_lost_alone(self, make):
        bad = lambda: "an item"  # noqa: E731  (of all functions, one that does not pickle)
        found = dict(make().imap(square, [2, bad, 3]))
        assert (found[2], found[3]) == (4, 9)
        assert "pickle" in str(found[bad])

    def test_an_item_that_a_worker_cannot_read_is_lost_alone(self, make):
        bad = line_tasks.OpensNowhere()
        found = dict(make().imap(pool_tasks.pid_of, ["a", bad]))
        assert isinstance(found[bad], ImportError)
        assert found["a"] != os.getpid()

    def test_a_want_of_memory_has_a_reason_of_its_own(self, make):
        found = dict(make().imap(behave, ["no memory", "well"]))
        assert isinstance(found["no memory"], ResourcesShort)
        assert found["well"] == "well"

    def test_items_are_taken_as_workers_fall_free(self, make):
        taken: list[int] = []

        def items():
            for i in range(60):
                taken.append(i)
                yield i

        with closing(make().imap(square, items())) as results:
            assert taken == []
            next(results)
            at_once = len(taken)
            assert at_once <= 8
            for n_done, _ in enumerate(results, 2):
                assert len(taken) <= n_done + at_once
        assert len(taken) == 60

    def test_an_error_of_the_items_is_the_callers_and_ends_the_workers(self, make, processes):
        def items():
            yield "hang"
            raise LookupError("no more")

        with pytest.raises(LookupError, match="no more"):
            list(make().imap(behave, items()))
        assert are_gone(processes())

    @pytest.mark.timeout(120)
    @pytest.mark.parametrize("bad", ["hang", "hold"])
    def test_closing_it_early_ends_the_workers(self, make, processes, bad):
        results = make().imap(line_tasks.behave, ["a", bad, bad])
        assert next(results) == ("a", "a")
        workers = processes()
        assert workers
        results.close()
        assert are_gone(workers)

    # ---------------------------------------------------------------------------------- lines

    def test_every_item_of_a_line_comes_back_with_its_result(self, done_by):
        items = [f"item {i}" for i in range(20)]
        assert done_by(line_tasks.do_each, items) == {item: item for item in items}

    def test_no_items_start_no_line(self, open_lines, processes):
        with open_lines(line_tasks.do_each) as workers:
            assert list(workers.results()) == []
            assert processes() == []

    def test_one_line_stays_for_all_items_and_no_second_is_started_for_one(self, open_lines):
        with open_lines(line_tasks.tell_pid) as workers:
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
    def test_an_item_that_kills_its_line_is_lost_alone(self, done_by, work, bad, said):
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
    def test_an_item_that_breaks_its_line_comes_back_alone_with_the_error(
        self, done_by, bad, kind, said
    ):
        found = done_by(line_tasks.do_ahead, ["a", "b", bad, "c", "d"])
        assert type(found[bad]) is kind
        assert said in str(found[bad])
        assert "Traceback" in found[bad].__notes__[0]
        assert all(found[item] == item for item in GOOD)

    @pytest.mark.timeout(120)
    @pytest.mark.parametrize("bad", ["hang", "hold"])
    def test_a_line_that_gets_no_further_is_ended_and_costs_the_item_that_stops_it(
        self, done_by, bad
    ):
        found = done_by(line_tasks.do_ahead, ["a", bad, "b"], timeout_s=3.0)
        assert is_lost(found[bad], "no result within 3 s")
        assert (found["a"], found["b"]) == ("a", "b")

    @pytest.mark.timeout(120)
    def test_a_line_that_sticks_in_the_midst_of_a_result_is_ended(self, done_by):
        found = done_by(line_tasks.stick_while_it_tells, ["a", "stick"], timeout_s=3.0)
        assert found["a"] == bytes(line_tasks.LARGE_BYTES)
        assert is_lost(found["stick"], "no result within 3 s")

    def test_a_line_that_gets_on_may_take_longer_than_the_timeout(self, done_by):
        assert done_by(line_tasks.get_on_slowly, [4.5], timeout_s=3.0)[4.5] >= 1

    @pytest.mark.timeout(120)
    def test_a_line_with_nothing_to_do_is_not_ended_by_the_timeout(self, open_lines):
        with open_lines(line_tasks.tell_pid, timeout_s=2.0) as workers:
            workers.feed("a")
            [(_, pid)] = workers.results()
            time.sleep(2.2)  # longer than the timeout
            workers.feed("b")
            assert [result for _, result in workers.results()] == [pid]

    def test_an_item_or_a_call_that_cannot_be_sent_is_lost_alone(self, open_lines):
        bad_item = lambda: "an item"  # noqa: E731  (of all functions, ones that do not pickle)
        bad_call = lambda: "a call"  # noqa: E731  (likewise)
        with open_lines(line_tasks.do_each) as workers:
            for item in ("a", bad_item, "b"):
                workers.feed(item)
            for item in (2, bad_call, 3):
                workers.call(item)
            found: dict[Any, Any] = dict(workers.results())
        assert (found["a"], found["b"], found[2], found[3]) == ("a", "b", 4, 9)
        assert "pickle" in str(found[bad_item])
        assert "pickle" in str(found[bad_call])

    def test_an_item_that_a_line_cannot_read_costs_no_line(self, open_lines):
        bad = line_tasks.OpensNowhere()
        with open_lines(line_tasks.tell_pid) as workers:
            for item in ("a", bad):
                workers.feed(item)
            found: dict[Any, Any] = dict(workers.results())
        assert isinstance(found[bad], ImportError)
        assert "no such item here" in str(found[bad])
        assert found["a"] != os.getpid()

    def test_a_result_of_a_line_that_cannot_be_sent_is_lost_alone(self, done_by):
        found = done_by(line_tasks.do_each, ["a", "unpicklable", "b"])
        assert "pickle" in str(found["unpicklable"])
        assert (found["a"], found["b"]) == ("a", "b")

    @pytest.mark.timeout(120)
    @pytest.mark.parametrize(
        ("work", "kind", "said"),
        [
            (line_tasks.break_at_once, LookupError, "the model is gone"),
            (line_tasks.exit_at_once, WorkerLost, "code 3"),
        ],
    )
    def test_where_no_line_can_begin_every_item_says_so(self, done_by, work, kind, said):
        found = done_by(work, GOOD)
        assert {type(result) for result in found.values()} == {kind}
        assert all(said in str(result) for result in found.values())

    @pytest.mark.timeout(120)
    def test_a_line_takes_no_more_than_it_wants(self, open_lines, tmp_path):
        go_on = tmp_path / "go on"
        with open_lines(line_tasks.hold_back) as workers:
            for path in (go_on, None, None, None):
                workers.feed(path)
            pids = []
            for _, pid in workers.results():
                pids.append(pid)
                if len(pids) == 3:  # by the other line: none of them waits behind the slow one
                    go_on.touch()
        assert len(set(pids[:3])) == 1
        assert pids[3] != pids[0]

    def test_functions_and_lines_go_on_side_by_side(self, open_lines):
        with open_lines(line_tasks.do_each) as workers:
            workers.call(3)
            found: dict[Any, Any] = {}
            for item, result in workers.results():
                found[item] = result
                if item == 3:
                    workers.feed("a")
                if item == "a":
                    workers.call(4)
        assert found == {3: 9, "a": "a", 4: 16}

    def test_a_call_may_be_put_before_those_that_wait(self, make):
        line = LineSpec(work=line_tasks.do_each, device="cpu")
        with make().open(line_tasks.behave, line, lambda _: None) as workers:
            for i in range(12):
                workers.call(f"{i}: nap")
            workers.call("at once", first=True)
            done = [item for item, _ in workers.results()]
        assert done.index("at once") < 6
        assert len(done) == 13

    @pytest.mark.timeout(120)
    @pytest.mark.parametrize("bad", ["hang", "hold"])
    def test_closing_it_early_ends_lines_and_workers(self, open_lines, processes, bad):
        with open_lines(line_tasks.do_ahead) as workers:
            for item in ("a", bad):
                workers.feed(item)
            workers.call(2)
            with closing(workers.results()) as results:
                found = {item for item, _ in (next(results), next(results))}
            assert found == {"a", 2}
            family = processes()
            assert len(family) >= 2
        assert are_gone(family)

    def test_a_line_tells_how_far_it_is_and_on_which_device(self, open_lines):
        told: list[Any] = []
        with open_lines(line_tasks.count_and_wait, on_usage=told.append) as workers:
            workers.feed("a")
            assert [result for _, result in workers.results()] == ["a"]
        assert [(one.number, one.device.split()[0], one.usage) for one in told] == [(1, "cpu", 1)]
