"""Workers of a Ray cluster of two nodes on this machine."""

import signal
import threading
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

import psutil
import pytest

from pathassets.adapters import ray
from pathassets.engine.settings import Cluster
from pathassets.engine.workers.line import LineSpec
from pathassets.engine.workers.on_ray import candidates, room
from pathassets.engine.workers.on_ray.workers import RayWorkers
from pathassets.errors import ClusterLost, SpecError
from tests.chaos import wait_until
from tests.engine import line_tasks, pool_tasks, simulated_cards
from tests.engine.pool_tasks import behave
from tests.engine.ray_cluster import needs_ray, polls_to_the_end, ray_cluster
from tests.engine.workers_contract import WorkersContract, are_gone, is_lost

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600), needs_ray, polls_to_the_end]

CLIENT_PORT = 23_123
"""Where Ray's own, 10,001, may be another's."""


@pytest.fixture(scope="module")
def cluster():
    with ray_cluster() as cluster:
        yield cluster


ORPHANS = """
import sys
from pathlib import Path
from pathassets.engine.settings import Cluster
from pathassets.engine.workers.on_ray.workers import RayWorkers
from tests.engine.pool_tasks import note_and_sleep

workers = RayWorkers(cluster=Cluster(address=sys.argv[1], line_gb=1.0), timeout_s=600)
list(workers.imap(note_and_sleep, [Path(sys.argv[2])] * 2))
"""


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


@pytest.mark.parametrize(("n_gpus", "line_gpus", "n_cpus"), [(1, 0.5, 6), (2, 1.0, 8)])
def test_a_card_or_a_share_that_ray_assigns_is_the_lease(tmp_path, n_gpus, line_gpus, n_cpus):
    with ray_cluster(1, num_cpus=n_cpus, num_gpus=n_gpus) as cluster:
        settings = replace(cluster.settings, line_gpus=line_gpus)
        line = LineSpec(work=simulated_cards.meet, device="cuda")
        workers = RayWorkers(cluster=settings, timeout_s=60.0)
        with workers.open(pool_tasks.square, line, lambda _: None) as opened:
            for _ in range(2):
                opened.feed((tmp_path, 60.0))
            results = [result for _, result in opened.results()]
    assert results == [("cuda:0", True)] * 2  # both at once, whether on one card or on two


def test_threads_follow_from_the_cores_that_were_assigned(monkeypatch):
    monkeypatch.setenv(
        "PATHASSETS_READ_THREADS", "9"
    )  # of who asks, and none of the nodes' business
    with ray_cluster(1, num_cpus=6, num_gpus=1) as cluster:
        workers = RayWorkers(cluster=cluster.settings, timeout_s=60.0)
        line = LineSpec(work=simulated_cards.tell_threads, device="cuda")
        with workers.open(pool_tasks.opencv_threads, line, lambda _: None) as opened:
            opened.feed("fed")
            opened.call("called")
            found = dict(opened.results())
        assert found == {"fed": ("fed", "cuda:0", 3), "called": 1}
        assert list(workers.imap(pool_tasks.opencv_threads, [0], cpus=3)) == [(0, 3)]


def test_a_cluster_is_started_where_there_is_none_and_ends_with_the_work():
    before = signal.getsignal(signal.SIGTERM)
    others = psutil.Process().children(recursive=True)
    workers = RayWorkers(cluster=Cluster(), timeout_s=60.0)
    results = workers.imap(pool_tasks.square, range(5))
    assert next(results)[1] in {0, 1, 4, 9, 16}
    family = set(psutil.Process().children(recursive=True)) - set(others)
    assert any("raylet" in process.name() for process in family)
    assert len(list(results)) == 4
    assert are_gone(family)
    assert signal.getsignal(signal.SIGTERM) is before


# Ray 2.60 leaves the logs of its server of clients open in the process that starts a head.
@pytest.mark.filterwarnings("ignore:unclosed file .*ray_client_server:ResourceWarning")
def test_a_machine_that_is_no_node_may_use_them_as_a_client():
    with ray_cluster(1, num_cpus=2, ray_client_server_port=CLIENT_PORT) as cluster:
        cluster.wait_for(CLIENT_PORT)
        settings = replace(cluster.settings, address=f"ray://127.0.0.1:{CLIENT_PORT}")
        workers = RayWorkers(cluster=settings, timeout_s=60.0)
        found = dict(workers.imap(behave, ["a", "exit 3", "raise"]))
        assert found["a"] == "a"
        assert is_lost(found["exit 3"], "code 3")
        assert isinstance(found["raise"], ValueError)
        line = LineSpec(work=line_tasks.do_each, device="cpu")
        with workers.open(pool_tasks.square, line, lambda _: None) as opened:
            for item in ("a", "kill"):
                opened.feed(item)
            opened.call(3)
            done = dict(opened.results())
        assert (done["a"], done[3]) == ("a", 9)
        assert is_lost(done["kill"], "code -9")
        assert are_gone(cluster.workers())


@contextmanager
def one_killed_at_its_start(cluster):
    """Kill the first server that Ray starts for a client from now on."""
    earlier = cluster.servers_of_clients()
    killed: list[int] = []
    is_over = threading.Event()

    def kill():
        while not is_over.wait(0.05):
            for server in set(cluster.servers_of_clients()) - set(earlier):
                server.kill()
                killed.append(server.pid)
                return

    thread = threading.Thread(target=kill)
    thread.start()
    yield
    is_over.set()
    thread.join()
    assert killed


@pytest.mark.filterwarnings("ignore:unclosed file .*ray_client_server:ResourceWarning")
def test_a_server_of_a_client_that_dies_at_its_start_is_asked_for_again(monkeypatch):
    with ray_cluster(1, num_cpus=2, ray_client_server_port=CLIENT_PORT) as cluster:
        cluster.wait_for(CLIENT_PORT)
        address = f"ray://127.0.0.1:{CLIENT_PORT}"
        workers = RayWorkers(cluster=replace(cluster.settings, address=address), timeout_s=60.0)
        with one_killed_at_its_start(cluster):
            assert dict(workers.imap(pool_tasks.square, [2])) == {2: 4}
        monkeypatch.setattr(ray, "N_CLIENT_TRIES", 1)
        with one_killed_at_its_start(cluster), pytest.raises(SpecError, match=address) as e:
            list(workers.imap(pool_tasks.square, [2]))
        assert "starts no server for its client: RuntimeError" in str(e.value)
        assert "GRPC_ENABLE_FORK_SUPPORT=0" in e.value.remedy
        as_a_node = RayWorkers(cluster=cluster.settings, timeout_s=60.0)
        assert dict(as_a_node.imap(pool_tasks.square, [2])) == {2: 4}


@pytest.mark.filterwarnings("ignore:unclosed file .*ray_client_server:ResourceWarning")
@pytest.mark.parametrize("is_client", [False, True])
@pytest.mark.parametrize("has_lines", [False, True])
def test_a_head_that_dies_is_told_and_this_process_goes_on(
    tmp_path, monkeypatch, is_client, has_lines
):
    monkeypatch.setattr(room, "LOOK_S", 1.0)
    monkeypatch.setattr(room, "SILENT_S", 5.0)
    monkeypatch.setenv("RAY_CLIENT_RECONNECT_GRACE_PERIOD", "5")
    seen = Seen(tmp_path)
    with ray_cluster(1, num_cpus=2, ray_client_server_port=CLIENT_PORT) as own:
        own.wait_for(CLIENT_PORT)
        client = replace(own.settings, address=f"ray://127.0.0.1:{CLIENT_PORT}")
        workers = RayWorkers(cluster=client if is_client else own.settings, timeout_s=120.0)

        def die():
            seen.wait_for_work_on(own, own.nodes)
            own.kill_head()

        thread = threading.Thread(target=die)
        thread.start()
        with pytest.raises(ClusterLost, match="the head of the Ray cluster is gone") as e:
            work_on(workers, [tmp_path / f"item {i}" for i in range(4)], has_lines=has_lines)
        thread.join()
    assert "what was published is kept" in e.value.remedy
    with ray_cluster(1) as other:
        again = RayWorkers(cluster=other.settings, timeout_s=60.0)
        assert list(again.imap(pool_tasks.square, [2])) == [(2, 4)]


def work_on(workers, items, *, has_lines):
    """Have calls, or a line, work on items that wait."""
    if not has_lines:
        return list(workers.imap(pool_tasks.note_and_wait, items))
    line = LineSpec(work=line_tasks.note_and_wait, device="cpu")
    with workers.open(pool_tasks.square, line, lambda _: None) as opened:
        for item in items:
            opened.feed(item)
        return list(opened.results())


WAITS = "work waits for one to join, {} min at most"


@contextmanager
def all_nodes_lost(cluster, seen, nodes):
    """Lose these, or all, once they are seen at work, in a thread."""

    def lose():
        seen.wait_for_work_on(cluster, nodes)
        if nodes == cluster.nodes:
            cluster.lose_all()
        else:
            for node in nodes:
                family = cluster.family(node)
                cluster.remove(node)
                assert are_gone(family)
        seen.go_on()

    thread = threading.Thread(target=lose)
    thread.start()
    yield
    thread.join()


def said_of(caplog, *words):
    return [text for text in caplog.messages if any(word in text for word in words)]


@pytest.mark.parametrize("has_lines", [False, True])
def test_work_of_which_all_nodes_are_lost_waits_for_one_to_join(
    own_cluster, tmp_path, monkeypatch, caplog, has_lines
):
    monkeypatch.setattr(room, "LOOK_S", 0.5)
    monkeypatch.setattr(candidates, "JOIN_S", 60.0)
    said = WAITS.format(1)
    connect, refusals = ray._connect, ["not yet"] * has_lines

    def refuse_once(address, n_cpus):
        if refusals and own_cluster.settings.address == address and said in caplog.text:
            raise SpecError(refusals.pop())
        connect(address, n_cpus)

    monkeypatch.setattr(ray, "_connect", refuse_once)
    seen = Seen(tmp_path)
    workers = RayWorkers(cluster=own_cluster.settings, timeout_s=120.0)
    items = [tmp_path / f"item {i}" for i in range(6)]
    with ThreadPoolExecutor(1) as pool, all_nodes_lost(own_cluster, seen, own_cluster.nodes):
        results = pool.submit(work_on, workers, items, has_lines=has_lines)
        wait_until(lambda: said in caplog.text, limit_s=60.0, what=said)
        own_cluster.add()
        found = results.result(60)
    assert sorted(result for _, result in found) == [f"item {i}" for i in range(6)]
    assert len(said_of(caplog, "was lost")) == 2
    assert len(said_of(caplog, "work waits")) == 1
    assert not refusals


@pytest.mark.parametrize("has_lines", [False, True])
@pytest.mark.parametrize("is_own_lost", [False, True])
def test_a_run_that_no_node_joins_in_time_ends_and_says_what_to_do(
    tmp_path, monkeypatch, caplog, is_own_lost, has_lines
):
    monkeypatch.setattr(room, "LOOK_S", 0.5)
    monkeypatch.setattr(candidates, "JOIN_S", 3.0)
    seen = Seen(tmp_path)
    with ray_cluster(2 if is_own_lost else 1, num_cpus=1 if is_own_lost else 0) as own:
        if not is_own_lost:
            own.add(num_cpus=1)
        nodes = own.nodes[:] if is_own_lost else own.nodes[1:]
        workers = RayWorkers(cluster=own.settings, timeout_s=120.0)
        with all_nodes_lost(own, seen, nodes), pytest.raises(ClusterLost) as e:
            work_on(workers, [tmp_path / f"item {i}" for i in range(6)], has_lines=has_lines)
    assert e.value.message.endswith("and none joined within 0.05 min")
    assert "Start nodes" in e.value.remedy
    assert "what was published is kept" in e.value.remedy
    assert len(said_of(caplog, "was lost")) == len(nodes)
    assert len(said_of(caplog, "work waits")) == 1


@pytest.mark.parametrize("is_named", [True, False])
def test_nothing_goes_on_when_the_parent_is_killed(cluster, tmp_path, start_python, is_named):
    address = cluster.settings.address if is_named else Cluster().address
    process = start_python(ORPHANS, address, tmp_path)
    until_s = time.monotonic() + 120
    while not (noted := list(tmp_path.glob("*.pid"))):
        assert time.monotonic() < until_s
        time.sleep(0.05)
    family = [psutil.Process(int(path.stem)) for path in noted]
    started = psutil.Process(process.pid).children(recursive=True)
    family += [one for one in started if one.name() in {"raylet", "gcs_server"}]
    assert is_named or len(family) >= 3  # Ray's agents look for their node once a minute
    process.kill()
    process.wait()
    assert are_gone(family, within_s=30.0)
    assert are_gone(cluster.workers())


def test_a_task_that_no_node_has_room_for_is_refused(cluster):
    settings = replace(cluster.settings, worker_gb=100.0)
    workers = RayWorkers(cluster=settings, timeout_s=60.0)
    with pytest.raises(SpecError, match="no node of the Ray cluster has room for 1 cores and 100"):
        list(workers.imap(pool_tasks.square, [1]))
