"""What a Ray cluster has, machine by machine, and what work takes of it."""

from __future__ import annotations

from dataclasses import dataclass, replace


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
