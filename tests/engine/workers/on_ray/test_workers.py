"""Workers of a Ray cluster of two nodes on this machine."""

import pytest

from pathassets.engine.workers.on_ray.workers import RayWorkers
from tests.engine.ray_cluster import ray_cluster
from tests.engine.workers_contract import WorkersContract

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
