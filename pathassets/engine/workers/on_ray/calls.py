"""A function over items, each a task of Ray's: where there is room, and again where a node is lost.

    put ─▶ waiting ─▶ task ─▶ a host on some node (hosts.py) ─▶ (item, result)
              ▲                 │ its node is lost
              └─────────────────┘

None wait at the nodes: what is put before others is the next, and a line finds the room that was
left to it.
"""

from __future__ import annotations

import logging
import math
import pickle
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pathassets.adapters import ray
from pathassets.adapters.ray import NodeLost, Ref
from pathassets.adapters.ray_nodes import Needs, Node
from pathassets.engine.workers.on_ray.hosts import do_job
from pathassets.engine.workers.on_ray.room import Nodes
from pathassets.errors import ClusterLost, PathAssetsError, WorkerLost

logger = logging.getLogger(__name__)

MOST_LOSSES = 3
"""Nodes that may be lost under one item, before it is given up: it may be what ends them."""


@dataclass(frozen=True, slots=True)
class Tried:
    """An item, and how many nodes were lost under it."""

    item: Any
    n_losses: int = 0

    def again(self) -> Tried | WorkerLost:
        """The item once more; or why not."""
        if self.n_losses + 1 >= MOST_LOSSES:
            return WorkerLost(
                f"{MOST_LOSSES} nodes of the Ray cluster were lost while they worked on it",
                remedy="Look at the cluster: ray status; run the slide again",
            )
        logger.warning("a node of the Ray cluster was lost: its work is done by others")
        return Tried(self.item, self.n_losses + 1)


class RayCalls:
    """A function over items that are put in as they come; one takes `needs` while it is done.

    `n_fitting` tells how many of them some nodes work on at once.
    """

    def __init__(
        self, fn: Callable[[Any], Any], *, needs: Needs, nodes: Nodes,
        n_fitting: Callable[[Sequence[Node]], int], timeout_s: float,
    ) -> None:  # fmt: skip
        self._fn = fn
        self._needs = needs
        self._nodes = nodes
        self._n_fitting = n_fitting
        self._timeout_s = timeout_s
        self._busy: dict[Ref, Tried] = {}
        self._waiting: deque[Tried] = deque()
        self._given_up: deque[tuple[Any, Exception]] = deque()

    def put(self, item: Any, *, first: bool = False) -> None:
        """Let an item wait: behind the others, or before them."""
        (self._waiting.appendleft if first else self._waiting.append)(Tried(item))

    @property
    def n_workers(self) -> int:
        """Items that the nodes can work on at once."""
        return self._n_fitting(self._nodes.now())

    @property
    def has_room(self) -> bool:
        """Whether an item that is put in now would be sent off at once."""
        return len(self._busy) + len(self._waiting) < self._most and not self._given_up

    @property
    def _most(self) -> int:
        """Where no node is left, one waits for the next."""
        return max(1, self.n_workers)

    @property
    def is_at_work(self) -> bool:
        """Whether something is still to become of an item."""
        return bool(self._busy or self._waiting or self._given_up)

    def begin(self) -> None:
        """Send off what the nodes can work on now."""
        while self._waiting and len(self._busy) < self._most and not self._given_up:
            one = self._waiting.popleft()
            try:
                job = pickle.dumps((self._fn, one.item))
            except Exception as error:  # noqa: BLE001 - whatever its pickling raises
                self._given_up.append((one.item, error))
            else:
                ref = ray.call(do_job, job, self._timeout_s, needs=self._needs)
                self._busy[ref] = one

    @property
    def sources(self) -> list[Ref]:
        """What may tell something."""
        return list(self._busy)

    @property
    def until_s(self) -> float:
        """When to look again though nothing was told, on the monotonic clock."""
        return 0.0 if self._given_up else math.inf

    def hear(self, heard: set[Ref]) -> Iterator[tuple[Any, Any]]:
        """Yield what became of items whose tasks are done, or have no process any more."""
        while self._given_up:
            yield self._given_up.popleft()
        for ref in [ref for ref in self._busy if ref in heard]:
            one = self._busy.pop(ref)
            try:
                result = pickle.loads(ray.take(ref))  # noqa: S301 - our own worker wrote it
            except NodeLost:
                self._nodes.look()
                again = one.again()
                if isinstance(again, Tried):
                    self._waiting.appendleft(again)
                else:
                    yield one.item, again
            except ClusterLost:
                raise
            except PathAssetsError as error:
                yield one.item, error
            else:
                yield one.item, result

    def end(self) -> None:
        """End the processes that are at work."""
        for ref in self._busy:
            ray.cancel(ref)
        self._busy.clear()
