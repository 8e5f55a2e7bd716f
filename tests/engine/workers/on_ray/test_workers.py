"""Workers of a Ray cluster of two nodes on this machine."""

import threading
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor

import pytest

from pathassets.engine.workers.line import LineSpec
from pathassets.engine.workers.on_ray import room
from pathassets.engine.workers.on_ray.workers import RayWorkers
from tests.engine import line_tasks, pool_tasks
from tests.engine.ray_cluster import ray_cluster
from tests.engine.workers_contract import WorkersContract, are_gone

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def cluster():
    with ray_cluster() as cluster:
        yield cluster


class TestRayWorkers(WorkersContract):
    @pytest.fixture
    def make(self, cluster):
        def make(timeout_s=60.0):
            return RayWorkers(cluster=cluster.settings, timeout_s=timeout_s)

        return make

    @pytest.fixture
    def processes(self, cluster):
        return cluster.workers


class Seen:
    """Who has begun what, by the files that `note_and_wait` makes."""

    def __init__(self, folder):
        self.folder = folder

    def pids(self):
        """Processes that have begun each item."""
        found = defaultdict(list)
        for path in self.folder.glob("*.*"):
            found[path.stem].append(int(path.suffix[1:]))
        return found

    def wait_for_work_on(self, cluster, nodes, within_s=60.0):
        """Wait until processes of each of these nodes are seen at work."""
        until_s = time.monotonic() + within_s
        while time.monotonic() < until_s:
            pids = {pid for one in self.pids().values() for pid in one}
            if all(pids & {process.pid for process in cluster.workers(node)} for node in nodes):
                return
            time.sleep(0.05)
        raise AssertionError(f"seen: {self.pids()}")

    def begun_on(self, cluster, node):
        pids = {process.pid for process in cluster.workers(node)}
        return {name for name, by in self.pids().items() if pids & set(by)}

    def go_on(self):
        (self.folder / "go on").touch()


@pytest.fixture
def own_cluster():
    """One that a test may take nodes from."""
    with ray_cluster() as cluster:
        yield cluster


@pytest.fixture
def lose_a_busy_node(own_cluster, tmp_path):
    """Remove the second node, while it and the first are seen at work; what it had begun."""
    seen = Seen(tmp_path)
    lost: set[str] = set()

    def lose():
        head, node = own_cluster.nodes
        seen.wait_for_work_on(own_cluster, [head, node])
        lost.update(seen.begun_on(own_cluster, node))
        processes = own_cluster.family(node)
        own_cluster.remove(node)
        assert are_gone(processes)
        seen.go_on()

    thread = threading.Thread(target=lose)
    thread.start()
    yield lost, seen, [tmp_path / f"item {i}" for i in range(6)]
    thread.join()


def assert_lost_node_cost_nothing(lost, seen, results):
    assert sorted(result for _, result in results) == [f"item {i}" for i in range(6)]
    assert lost
    starts = {name: len(pids) for name, pids in seen.pids().items()}
    assert starts == {f"item {i}": 2 if f"item {i}" in lost else 1 for i in range(6)}


def test_calls_of_a_node_that_is_lost_while_busy_are_done_by_others(own_cluster, lose_a_busy_node):
    lost, seen, items = lose_a_busy_node
    workers = RayWorkers(cluster=own_cluster.settings, timeout_s=120.0)
    results = list(workers.imap(pool_tasks.note_and_wait, items))
    assert_lost_node_cost_nothing(lost, seen, results)
    assert are_gone(own_cluster.workers())


def test_lines_of_a_node_that_is_lost_while_busy_are_replaced(own_cluster, lose_a_busy_node):
    lost, seen, items = lose_a_busy_node
    workers = RayWorkers(cluster=own_cluster.settings, timeout_s=120.0)
    line = LineSpec(work=line_tasks.note_and_wait, device="cpu")
    with workers.open(pool_tasks.square, line, lambda _: None) as opened:
        for item in items:
            opened.feed(item)
        results = list(opened.results())
    assert_lost_node_cost_nothing(lost, seen, results)
    assert are_gone(own_cluster.workers())


def test_a_node_that_joins_later_is_worked_on_too(own_cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(room, "LOOK_S", 0.5)
    seen = Seen(tmp_path)
    workers = RayWorkers(cluster=own_cluster.settings, timeout_s=120.0)
    items = [tmp_path / f"item {i}" for i in range(12)]
    with ThreadPoolExecutor(1) as pool:
        results = pool.submit(lambda: list(workers.imap(pool_tasks.note_and_wait, items)))
        seen.wait_for_work_on(own_cluster, own_cluster.nodes)
        added = own_cluster.add()
        try:
            seen.wait_for_work_on(own_cluster, [added])
        finally:
            seen.go_on()
        assert len(results.result(60)) == 12
