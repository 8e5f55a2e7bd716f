"""A Ray cluster of several nodes on this machine, for tests: each node is a raylet of its own."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
import pytest

from pathassets.engine.settings import Cluster
from tests.engine.pool_tasks import is_worker

needs_ray = pytest.mark.skipif(
    find_spec("ray") is None, reason="needs Ray: pip install 'pathassets[ray]'"
)
polls_to_the_end = pytest.mark.filterwarnings(
    r"ignore:(?s)Exception in thread .*_poll_connectivity.*Channel closed!"
    ":pytest.PytestUnhandledThreadExceptionWarning"
)
"""gRPC's thread that watches a client's channel may ask once more as the channel is closed, and end
with an error."""
RAYS = Path(tempfile.gettempdir(), "ray")
"""Where it notes the newest cluster, whatever folder that has."""
OBJECTS_BYTES = 100 * 2**20
ROOT = Path(__file__).parents[2]
NODE_BYTES = 4 * 2**30


class RayCluster:
    """Nodes with so many cores each; the first is the head."""

    def __init__(self, n_nodes: int = 2, **node: Any) -> None:
        from ray import cluster_utils  # noqa: PLC0415  (a second, that only these tests pay)

        RAYS.mkdir(exist_ok=True)
        self._folder = tempfile.mkdtemp(prefix="ray", dir="/tmp")
        self._node = {
            "num_cpus": 1, "memory": NODE_BYTES, "object_store_memory": OBJECTS_BYTES,
            "include_dashboard": False, "temp_dir": self._folder,
        } | node  # fmt: skip
        kept = {"_system_config": {"num_workers_soft_limit": 2 * self._node["num_cpus"]}}
        self._cluster = cluster_utils.Cluster(
            initialize_head=True, head_node_args=self._node | kept
        )
        self.nodes = [self._cluster.head_node]
        for _ in range(n_nodes - 1):
            self.add()

    @property
    def settings(self) -> Cluster:
        return Cluster(address=self._cluster.address, line_gb=1.0)

    def add(self, **node: Any) -> Any:
        self.nodes.append(self._cluster.add_node(**self._node | node))
        return self.nodes[-1]

    def remove(self, node: Any) -> None:
        """Kill a node and all that runs on it."""
        self.nodes.remove(node)
        self._cluster.remove_node(node, allow_graceful=False)

    def lose_all(self) -> None:
        """Kill all nodes and what runs on them; the head goes on to hold the cluster together."""
        for node in self.nodes:
            for process in self.family(node):
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            [raylet] = node.all_processes["raylet"]
            raylet.process.kill()

    def family(self, node: Any = None) -> list[psutil.Process]:
        """Processes below a node's raylet, or below all."""
        found = []
        for one in self.nodes if node is None else [node]:
            [raylet] = one.all_processes["raylet"]
            if psutil.pid_exists(raylet.process.pid):
                found += psutil.Process(raylet.process.pid).children(recursive=True)
        return found

    def workers(self, node: Any = None) -> list[psutil.Process]:
        """Worker processes of ours among them."""
        return [process for process in self.family(node) if is_worker(process)]

    def kill_head(self) -> None:
        """Kill all that the head node is, as a machine that dies."""
        started = [one for some in self.nodes[0].all_processes.values() for one in some]
        roots = [psutil.Process(one.process.pid) for one in started]
        tree = [below for root in roots for below in (root, *root.children(recursive=True))]
        for process in tree:
            with suppress(psutil.NoSuchProcess):
                process.kill()

    def servers_of_clients(self) -> list[psutil.Process]:
        """Those that the head has started, each for one client."""
        [proxy] = self._cluster.head_node.all_processes["ray_client_server"]
        return psutil.Process(proxy.process.pid).children()

    def wait_for(self, port: int, within_s: float = 60.0) -> None:
        """Wait until the head's server of clients takes connections, seconds after its start."""
        until_s = time.monotonic() + within_s
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
            except OSError:
                assert time.monotonic() < until_s
                time.sleep(0.2)
            else:
                return

    def end(self) -> None:
        self._cluster.shutdown()
        shutil.rmtree(Path(self._folder), ignore_errors=True)


@contextmanager
def ray_cluster(n_nodes: int = 2, **node: Any) -> Iterator[RayCluster]:
    with pytest.MonkeyPatch.context() as patch:
        # What a driver tells its workers of its path, a client of it does not.
        patch.setenv("PYTHONPATH", str(ROOT), prepend=os.pathsep)
        patch.setenv("GRPC_ENABLE_FORK_SUPPORT", "0")  # docs/operations.md: a head with clients
        cluster = RayCluster(n_nodes, **node)
        try:
            yield cluster
        finally:
            cluster.end()
