"""A function over items, each a task of Ray's: where there is room, and again where a node is lost.

    put ─▶ waiting ─▶ task ─▶ a host on some node (hosts.py) ─▶ (item, result)
              ▲                 │ its node is lost
              └─────────────────┘

None wait at the nodes: what is put before others is the next, and a line finds the room that was
left to it.
"""

from __future__ import annotations

import math
import pickle
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from pathassets.adapters import ray
from pathassets.adapters.ray import Ref
from pathassets.adapters.ray_nodes import CutOff, Needs, NodeLost
from pathassets.engine.workers.on_ray.candidates import Candidates
from pathassets.engine.workers.on_ray.hosts import do_job
from pathassets.errors import ClusterLost, PathAssetsError, WorkerLost

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
        return Tried(self.item, self.n_losses + 1)


class Waiting:
    """Items that wait, and those that are given up: told before more is begun."""

    def __init__(self) -> None:
        self.items: deque[Tried] = deque()
        self.given_up: deque[tuple[Any, Exception]] = deque()

    def __bool__(self) -> bool:
        """Whether something is still to become of any."""
        return bool(self.items or self.given_up)

    def put_again(self, lost: Iterable[Tried]) -> None:
        """Let items wait again whose node is lost, before the others."""
        for one in lost:
            again = one.again()
            if isinstance(again, Tried):
                self.items.appendleft(again)
            else:
                self.given_up.append((one.item, again))

    @property
    def until_s(self) -> float:
        """When to look though nothing was told, on the monotonic clock."""
        return 0.0 if self.given_up else math.inf

    def tell(self) -> Iterator[tuple[Any, Any]]:
        """Yield those that are given up."""
        while self.given_up:
            yield self.given_up.popleft()


class RayCalls:
    """A function over items that are put in as they come; one takes `needs` while it is done."""

    def __init__(
        self, fn: Callable[[Any], Any], *, needs: Needs, candidates: Candidates, timeout_s: float
    ) -> None:
        self._fn = fn
        self._needs = needs
        self._candidates = candidates
        self._timeout_s = timeout_s
        self._busy: dict[Ref, Tried] = {}
        self._waiting = Waiting()
        self._n_joined = ray.n_joined()

    def put(self, item: Any, *, first: bool = False) -> None:
        """Let an item wait: behind the others, or before them."""
        items = self._waiting.items
        (items.appendleft if first else items.append)(Tried(item))

    @property
    def n_workers(self) -> int:
        """Items that the nodes can work on at once."""
        return self._candidates.n_fitting

    @property
    def has_room(self) -> bool:
        """Whether an item that is put in now would be sent off at once, or waits for a node."""
        n_most = max(1, self.n_workers)
        n_there = len(self._busy) + len(self._waiting.items)
        return n_there < n_most and not self._waiting.given_up

    @property
    def is_at_work(self) -> bool:
        """Whether something is still to become of an item."""
        return bool(self._busy or self._waiting)

    def begin(self) -> None:
        """Send off what the nodes can work on now."""
        waiting, n_most = self._waiting, self.n_workers
        self._candidates.heed_wait(is_waiting=self.is_at_work)
        self._heed_cut()
        while waiting.items and len(self._busy) < n_most and not waiting.given_up:
            one = waiting.items.popleft()
            try:
                job = pickle.dumps((self._fn, one.item))
            except Exception as error:  # noqa: BLE001 - whatever its pickling raises
                waiting.given_up.append((one.item, error))
            else:
                ref = ray.call(do_job, job, self._timeout_s, needs=self._needs)
                self._busy[ref] = one

    def _heed_cut(self) -> None:
        """Do again what was asked by a connection that was cut since: none of it is heard of."""
        if self._n_joined != ray.n_joined():
            self._n_joined = ray.n_joined()
            self._waiting.put_again(self._busy.values())
            self._busy.clear()

    @property
    def sources(self) -> list[Ref]:
        """What may tell something."""
        self._heed_cut()
        return list(self._busy)

    @property
    def until_s(self) -> float:
        """When to look again though nothing was told, on the monotonic clock."""
        return self._waiting.until_s

    def hear(self, heard: set[Ref]) -> Iterator[tuple[Any, Any]]:
        """Yield what became of items whose tasks are done, or have no process any more."""
        yield from self._waiting.tell()
        for ref in [ref for ref in self._busy if ref in heard]:
            self._heed_cut()
            if ref not in self._busy:
                continue
            one = self._busy.pop(ref)
            try:
                result = pickle.loads(ray.take(ref))  # noqa: S301 - our own worker wrote it
            except CutOff:
                self._waiting.items.appendleft(one)
                self._candidates.look()
            except NodeLost:
                self._waiting.put_again([one])
                self._candidates.look()
            except ClusterLost:
                raise
            except PathAssetsError as error:
                yield one.item, error
            else:
                self._candidates.hear()
                yield one.item, result

    def end(self) -> None:
        """End the processes that are at work."""
        self._heed_cut()
        for ref in self._busy:
            ray.cancel(ref)
        self._busy.clear()
