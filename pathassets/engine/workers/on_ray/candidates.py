"""The nodes that one kind of work may go to, and how long it waits where there is none.

nodes that are there ─▶ those with room ─▶ work
                         │ none, for `JOIN_S`
                         ▼
                      the end of the run: what was published is kept
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

from pathassets.adapters.ray_nodes import Node
from pathassets.engine.workers.on_ray.room import Nodes
from pathassets.errors import ClusterLost

logger = logging.getLogger(__name__)

JOIN_S = 600.0
"""How long work waits for a node to join: a machine that is begun again, or brought by a cloud, is
there within minutes; who waits for more is better off with a prompt."""


class Candidates:
    """Nodes for work of one kind, of which `n_fitting` go on some nodes at once.

    `what` is what has no room where there is none, as it is said.
    """

    def __init__(
        self, nodes: Nodes, n_fitting: Callable[[Sequence[Node]], int], *, what: str
    ) -> None:
        self._nodes = nodes
        self._n_fitting = n_fitting
        self._what = what
        self._waits_since_s: float | None = None
        self._told = ""

    def look(self) -> None:
        """Ask anew which nodes there are."""
        self._nodes.look()

    def now(self) -> Sequence[Node]:
        """Those that were there at the last look."""
        return self._nodes.now()

    @property
    def n_fitting(self) -> int:
        """How much of this work goes on at once."""
        return self._n_fitting(self.now())

    def hear(self) -> None:
        """Hear from a node, be it one that this machine cannot see any more: it does not wait."""
        self._waits_since_s = None

    def heed_wait(self, *, is_waiting: bool) -> None:
        """Tell that work waits for a node to join, once, and end it where none does.

        So does what was sent off, maybe to a node before Ray knew of its loss.

        Raises:
            ClusterLost: it waited for `JOIN_S`.
        """
        if not is_waiting or self.n_fitting:
            self._waits_since_s = None
            self._nodes.told.discard(self._told)
            return
        if not self._nodes.missing:  # nobody can say
            return
        now_s = time.monotonic()
        if self._waits_since_s is None:
            self._waits_since_s = now_s
            self._tell()
        if now_s - self._waits_since_s >= JOIN_S:
            raise ClusterLost(
                f"PATHASSETS_WORKERS: {self._why()}, and none joined within {_minutes()}",
                remedy="Start nodes (ray start --address), then type the same again: what was "
                "published is kept",
            )

    def _tell(self) -> None:
        self._told = f"{self._why()}: work waits for one to join, {_minutes()} at most"
        if self._told not in self._nodes.told:  # by work of another kind
            self._nodes.told.add(self._told)
            logger.warning("%s", self._told)

    def _why(self) -> str:
        if not self.now():
            return self._nodes.missing
        return f"no node that is left of the Ray cluster has room for {self._what}"


def _minutes() -> str:
    return f"{JOIN_S / 60:.2g} min"
