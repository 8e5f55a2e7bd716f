"""How cores, cards and memory of a cluster's nodes are shared out: no Ray is needed for it."""

import pytest

from pathassets.adapters.ray_nodes import Node
from pathassets.engine.settings import Cluster
from pathassets.engine.workers.on_ray.room import shares_of
from pathassets.errors import SpecError

GB = 10**9


def node(cpus, gpus=0.0, gb=64.0, name="one"):
    return Node(node_id=name, name=name, cpus=cpus, gpus=gpus, memory_bytes=gb * GB)


def told(cluster, device, *nodes):
    """Of each place: its node, lines, and what a line has; then what a worker has."""
    shares = shares_of(cluster, device, nodes)
    places = [
        (place.node.name, place.n_lines, place.needs.cpus, place.needs.gpus)
        for place in shares.places(nodes)
    ]
    return places, shares.worker.cpus


def test_a_card_has_a_line_with_half_of_the_cores():
    assert told(Cluster(), "auto", node(16.0, 1.0)) == ([("one", 1, 8.0, 1.0)], 1.0)
    assert told(Cluster(), "cuda", node(16.0, 4.0)) == ([("one", 4, 2.0, 1.0)], 1.0)


def test_a_share_of_a_card_has_a_line_too():
    assert told(Cluster(line_gpus=0.5), "auto", node(16.0, 1.0)) == ([("one", 2, 4.0, 0.5)], 1.0)


def test_nodes_without_a_card_have_no_line_where_others_have_cards():
    places, _ = told(Cluster(), "auto", node(8.0), node(8.0, 1.0, name="other"))
    assert places == [("other", 1, 4.0, 1.0)]


@pytest.mark.parametrize("device", ["auto", "cpu"])
def test_without_cards_a_line_and_a_worker_share_each_core(device):
    nodes = [node(2.0), node(1.0, name="other")]
    assert told(Cluster(), device, *nodes) == ([("one", 2, 0.5, 0), ("other", 1, 0.5, 0)], 0.5)


def test_cards_are_left_alone_where_the_cpu_is_asked_for():
    assert told(Cluster(), "cpu", node(2.0, 1.0)) == ([("one", 2, 0.5, 0.0)], 0.5)


def test_each_line_leaves_memory_for_a_worker():
    cluster = Cluster(worker_gb=2.0, line_gb=4.0)
    assert told(cluster, "cpu", node(8.0, gb=20.0)) == ([("one", 3, 0.5, 0.0)], 0.5)


@pytest.mark.parametrize(
    ("nodes", "n_workers"),
    [
        ([node(2.0), node(1.0)], 3),  # half a core each: a second one would take the line's half
        ([node(16.0, 1.0)], 8),
        ([node(16.0, 1.0), node(4.0)], 12),
        ([node(8.0, gb=12.0)], 4),
    ],
)
def test_no_worker_takes_the_room_of_a_line(nodes, n_workers):
    assert (
        shares_of(Cluster(worker_gb=1.0, line_gb=2.0), "auto", nodes).n_workers(nodes) == n_workers
    )


def test_a_line_leaves_a_core_for_a_worker():
    with pytest.raises(SpecError, match="has room for a device line"):
        shares_of(Cluster(), "auto", [node(1.0, 1.0)])


def test_a_node_that_is_too_small_is_said_to_be():
    with pytest.raises(
        SpecError, match=r"room for a device line of 4 GB .* 1 GB: one: 8 cores"
    ) as e:
        shares_of(Cluster(), "cpu", [node(8.0, gb=3.0)])
    assert "PATHASSETS_LINE_GB" in e.value.remedy


def test_a_card_that_no_node_has_is_not_waited_for():
    with pytest.raises(SpecError, match="no node of the Ray cluster has 1 GPU") as e:
        shares_of(Cluster(), "cuda", [node(8.0)])
    assert "PATHASSETS_DEVICE" in e.value.remedy
