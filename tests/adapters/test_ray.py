"""The door to Ray, as far as it needs no cluster; with one: tests/engine/workers/on_ray."""

import sys
from types import SimpleNamespace

import pytest

from pathassets.adapters import ray
from pathassets.adapters.ray_nodes import Needs, Node
from pathassets.errors import SpecError
from tests.engine.ray_cluster import needs_ray

GB = 10**9


def test_where_ray_is_not_installed_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(SpecError, match="Ray is not installed") as e, ray.joined(ray.HERE, 1):
        pass
    assert e.value.remedy == "pip install 'pathassets[ray]'"


@pytest.mark.slow
@needs_ray
@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1", "127.0.0.1:99999"])
def test_an_address_where_nobody_answers_is_said_to_be_so(address):
    said = f"no Ray cluster answers at {address}: "
    with pytest.raises(SpecError, match=said) as e, ray.joined(address, 1):
        pass
    assert "ray start" in e.value.remedy


def test_one_process_works_at_one_cluster(monkeypatch):
    held = ray._Connection(n_holders=1, address="10.0.0.1:6379")
    monkeypatch.setattr(ray, "_connection", held)
    with pytest.raises(SpecError, match=r"works at 10\.0\.0\.1:6379, not at local"):
        ray._enter(ray.HERE, 1)


def test_a_node_holds_what_its_scarcest_resource_allows():
    node = Node(node_id="1", name="one", cpus=8.0, gpus=1.0, memory_bytes=16.0 * GB)
    line, worker = Needs(cpus=2.0, memory_bytes=4 * GB, gpus=0.5), Needs(cpus=1, memory_bytes=GB)
    assert node.n_fitting(line) == 2
    assert node.n_fitting(worker) == 8
    assert node.n_fitting(Needs(cpus=0.5, memory_bytes=3 * GB)) == 5
    assert line + worker == Needs(cpus=3.0, memory_bytes=5 * GB, gpus=0.5)


class Interrupted(BaseException):
    """As a handler of signals raises it, and Python's own is not."""


def in_c_code(*_, **__):
    """What Ray makes of it, also where its own Python has met it in between."""
    met = ValueError()
    met.__cause__ = Interrupted()
    raise SystemError("<wait> returned a result with an exception set") from met


ASKED = [
    lambda: ray.wait(["ref"], 1.0),
    lambda: ray.take("ref"),
    lambda: ray.cancel("ref"),
    lambda: ray.evict("guest"),
    ray.nodes,
]


@pytest.mark.parametrize("ask", ASKED)
def test_an_interruption_within_ray_is_raised_as_itself(monkeypatch, ask):
    names = ("NodeDiedError", "LocalRayletDiedError", "ObjectLostError", "ActorUnavailableError",
             "ActorUnschedulableError", "RayError")  # fmt: skip
    errors = SimpleNamespace(**dict.fromkeys(names, OSError))
    asked = dict.fromkeys(("wait", "get", "cancel", "kill", "nodes"), in_c_code)
    monkeypatch.setattr(ray, "_load", lambda: SimpleNamespace(**asked, exceptions=errors))
    monkeypatch.setattr(ray, "_connection", ray._Connection())
    with pytest.raises(Interrupted):
        ask()


def test_what_was_being_handled_already_is_no_interruption(monkeypatch):
    def fail(*_, **__):
        raise SystemError("a fault of Ray's")

    monkeypatch.setattr(ray, "_load", lambda: SimpleNamespace(cancel=fail))
    monkeypatch.setattr(ray, "_connection", ray._Connection())

    def end_interrupted():
        try:
            raise Interrupted
        finally:
            ray.cancel("ref")

    with pytest.raises(SystemError, match="a fault of Ray's"):
        end_interrupted()


def test_a_system_error_that_no_interruption_made_is_left_as_it_is(monkeypatch):
    def fail(*_, **__):
        raise SystemError("a fault of Ray's")

    monkeypatch.setattr(ray, "_load", lambda: SimpleNamespace(wait=fail))
    with pytest.raises(SystemError, match="a fault of Ray's"):
        ray.wait(["ref"], 1.0)
