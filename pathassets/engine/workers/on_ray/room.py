"""Nodes of a cluster -> how many items at once, and which node has how many device lines.

    GPUs:  a line for each card, or for each share of one; half of the node's cores are the lines'
    none:  a line for each core, half of which is the line's; the other half is a worker's

So beside its lines each node has room for work that needs no device, whichever nodes are lost.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass

from pathassets.adapters import ray
from pathassets.adapters.ray_nodes import CutOff, HeadSilent, Needs, Node
from pathassets.engine.settings import Cluster
from pathassets.errors import SpecError

logger = logging.getLogger(__name__)

LOOK_S = 10.0
"""Between two looks at which nodes there are: they come and go."""
SILENT_S = 30.0
"""How long a head may be silent, as one that is started again: Ray ends this process after 60 s."""
_HALF = 0.5
"""A core that a worker and a line share, as they do on one machine."""
_GB = 10**9


class Nodes:
    """The nodes that there are, looked at now and then."""

    def __init__(self) -> None:
        self._looked_s = -LOOK_S
        self._heard_s = time.monotonic()
        self._nodes: Sequence[Node] = ()
        self._known: Sequence[Node] = ()
        """Those that were there when somebody could say so."""
        self.missing = ""
        """What is said where there is none; empty where nobody can say."""
        self.told: set[str] = set()
        """What was told of work that waits for one, and still does."""

    def now(self) -> Sequence[Node]:
        """Those that were there at the last look."""
        if time.monotonic() - self._looked_s >= LOOK_S:
            self.look()
        return self._nodes

    def look(self) -> None:
        """Ask which there are, and tell which are lost; where nobody can say, it is none.

        Raises:
            ClusterLost: nobody could say for too long.
        """
        try:
            self._take(ray.nodes())
        except CutOff:
            self._nodes, self.missing = (), "this machine has no node of the Ray cluster any more"
            self._heard_s = time.monotonic()
        except HeadSilent as error:
            self._nodes, self.missing = (), ""
            if time.monotonic() - self._heard_s > SILENT_S:
                raise ray.lost(error) from error
        self._looked_s = time.monotonic()

    def _take(self, found: Sequence[Node]) -> None:
        there = {node.node_id for node in found}
        goes_on = ": what it had under way is begun again on another" if found else ""
        for node in self._known:
            if node.node_id not in there:
                logger.warning("node %s of the Ray cluster was lost%s", node.name, goes_on)
        self._nodes = self._known = found
        self.missing = "no node of the Ray cluster is left"
        self._heard_s = time.monotonic()


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A node, and what each line on it takes."""

    node: Node
    needs: Needs
    n_lines: int


def worker_needs(cluster: Cluster, *, cpus: float) -> Needs:
    """What a worker takes of its node."""
    return Needs(cpus=cpus, memory_bytes=int(cluster.worker_gb * _GB))


def n_fitting(needs: Needs, nodes: Sequence[Node]) -> int:
    """How many of these all nodes hold at once."""
    return sum(node.n_fitting(needs) for node in nodes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """How cores and cards are shared out among workers and lines, while both are at work."""

    cluster: Cluster
    has_gpus: bool

    @property
    def worker(self) -> Needs:
        """What a worker takes."""
        return worker_needs(self.cluster, cpus=1.0 if self.has_gpus else _HALF)

    def places(self, nodes: Sequence[Node]) -> list[Place]:
        """Where there may be lines."""
        places = (self._place(node) for node in nodes)
        return [place for place in places if place.n_lines]

    def n_lines(self, nodes: Sequence[Node]) -> int:
        """Lines that there may be."""
        return sum(place.n_lines for place in self.places(nodes))

    def n_workers(self, nodes: Sequence[Node]) -> int:
        """Workers that have room beside all the lines: more would keep lines from beginning."""
        places = (self._place(node) for node in nodes)
        return sum(
            place.node.without(place.needs, place.n_lines).n_fitting(self.worker)
            for place in places
        )

    def _place(self, node: Node) -> Place:
        """As many lines as leave room for a worker each."""
        n_most = int(node.gpus // self.cluster.line_gpus) if self.has_gpus else int(node.cpus)
        cpus = _HALF if not self.has_gpus else max(1.0, node.cpus // max(1, 2 * n_most))
        needs = Needs(
            cpus=cpus, memory_bytes=int(self.cluster.line_gb * _GB),
            gpus=self.cluster.line_gpus if self.has_gpus else 0.0,
        )  # fmt: skip
        return Place(
            node=node, needs=needs, n_lines=min(n_most, node.n_fitting(needs + self.worker))
        )


def shares_of(cluster: Cluster, device: str, nodes: Sequence[Node]) -> Shares:
    """Share out the nodes that there are.

    Raises:
        SpecError: a GPU was asked for and there is none, or a line fits on no node.
    """
    has_gpus = device != "cpu" and any(node.gpus >= cluster.line_gpus for node in nodes)
    if device == "cuda" and not has_gpus:
        raise SpecError(
            f"device cuda: no node of the Ray cluster has {cluster.line_gpus:g} GPU",
            remedy="Use PATHASSETS_DEVICE=auto or cpu; ray status names what nodes have",
        )
    shares = Shares(cluster=cluster, has_gpus=has_gpus)
    if not shares.places(nodes):
        raise no_room(shares.worker, nodes, f"a device line of {cluster.line_gb:g} GB beside ")
    return shares


def said_of(needs: Needs) -> str:
    """Cores and memory, for people."""
    return f"{needs.cpus:g} cores and {needs.memory_bytes / _GB:g} GB"


def no_room(needs: Needs, nodes: Sequence[Node], beside: str = "") -> SpecError:
    """Work that no node has room for, however long it waits."""
    there = "; ".join(
        f"{node.name}: {node.cpus:g} cores, {node.memory_bytes / _GB:.1f} GB" for node in nodes
    )
    return SpecError(
        f"no node of the Ray cluster has room for {beside}{said_of(needs)}: "
        f"{there or 'there is none'}",
        remedy="Lower PATHASSETS_WORKER_GB or PATHASSETS_LINE_GB, or add larger nodes",
    )
