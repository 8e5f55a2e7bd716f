"""What a Ray cluster has, machine by machine; what work takes of it; who is gone, in words."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from pathassets.errors import PathAssetsError, SpecError, WorkerLost

KNOCK_S = 10.0
"""Time in which a cluster must take a connection."""


class NodeLost(Exception):
    """The node that worked on it is gone: somewhere else it may be done."""


class CutOff(NodeLost):
    """The node is gone that this process asks by: it was not begun."""


class HeadSilent(Exception):
    """The cluster's head takes no connection; Ray ends a process of which it has none for 60 s."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What work takes of a node while it runs."""

    cpus: float
    """Cores, or a share of one."""
    memory_bytes: int
    gpus: float = 0.0
    """Cards, or a share of one."""

    def __add__(self, other: Needs) -> Needs:
        return Needs(
            cpus=self.cpus + other.cpus,
            memory_bytes=self.memory_bytes + other.memory_bytes,
            gpus=self.gpus + other.gpus,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A machine of the cluster."""

    node_id: str
    name: str
    """Its host name, for people."""
    cpus: float
    gpus: float
    memory_bytes: float

    def n_fitting(self, needs: Needs) -> int:
        """How many of these it can hold at once."""
        pairs = (
            (self.cpus, needs.cpus),
            (self.gpus, needs.gpus),
            (self.memory_bytes, needs.memory_bytes),
        )
        return int(max(0.0, min(there // wanted for there, wanted in pairs if wanted)))

    def without(self, needs: Needs, n: int) -> Node:
        """What is left of it beside some that it holds."""
        return replace(
            self,
            cpus=self.cpus - n * needs.cpus,
            gpus=self.gpus - n * needs.gpus,
            memory_bytes=self.memory_bytes - n * needs.memory_bytes,
        )


def alive_of(found: Sequence[dict[str, Any]]) -> list[Node]:
    """Those that are there, of all that Ray knows."""
    return [
        Node(
            node_id=one["NodeID"], name=one["NodeManagerHostname"],
            cpus=one["Resources"].get("CPU", 0.0), gpus=one["Resources"].get("GPU", 0.0),
            memory_bytes=one["Resources"].get("memory", 0.0),
        )
        for one in found
        if one["Alive"]
    ]  # fmt: skip


def beside(node_id: str, found: Sequence[dict[str, Any]]) -> list[str]:
    """Addresses of the other nodes of a node's machine, of those that are there as far as known."""
    hosts = {one["NodeManagerAddress"] for one in found if one["NodeID"] == node_id}
    return [
        f"{one['NodeManagerAddress']}:{one['NodeManagerPort']}"
        for one in found
        if one["Alive"] and one["NodeManagerAddress"] in hosts and one["NodeID"] != node_id
    ]


def reach(address: str) -> None:
    """Look whether anything answers at an address.

    Raises:
        OSError: nothing does; ValueError or OverflowError: it is no address.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    socket.create_connection((host, int(port)), timeout=KNOCK_S).close()


def are_reached(addresses: Sequence[str]) -> bool:
    """Whether there are some, and all are: of a node that is lost, too, Ray asks for a minute."""
    try:
        for address in addresses:
            reach(address)
    except OSError:
        return False
    return bool(addresses)


def nobody(address: str, error: Exception) -> SpecError:
    """Why no cluster is found."""
    return SpecError(
        f"PATHASSETS_WORKERS: no Ray cluster answers at {address}: {line_of(error)}",
        remedy="Start one, ray start --head, and name its address, such as 10.0.0.1:6379; where it "
        "has a token, set RAY_AUTH_MODE=token here, too",
    )


def line_of(error: Exception) -> str:
    """What an error says, of one line, and not too long."""
    return " ".join(str(error).split())[:300]


def no_process(error: Exception) -> PathAssetsError:
    """Why there is no value, where no process of ours could say so."""
    said = line_of(error)
    if "OutOfMemory" in f"{type(error).__name__}: {said}":
        return WorkerLost(
            "its node ran out of memory",
            remedy="Raise PATHASSETS_WORKER_GB or PATHASSETS_LINE_GB, so that fewer run beside it",
        )
    return WorkerLost(
        f"no process of the Ray cluster could do it: {type(error).__name__}: {said}",
        remedy="Look at the cluster: ray status; every node needs this version of pathassets",
    )
