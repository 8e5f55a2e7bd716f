"""`Workers` of a Ray cluster: functions are its tasks, lines live in its actors, each on a device.

    imap(fn, items) ─▶ RayCalls ──────────▶ tasks on the nodes
    open(fn, line)  ─▶ RayCalls, RayLines ─▶ tasks, and one actor for each device

The connection is held for as long as there is work; with it end the processes on the nodes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from pathassets.adapters import ray
from pathassets.engine.settings import Cluster, send_no_usage_reports, usable_cores
from pathassets.engine.workers.line import LineSpec, OnUsage
from pathassets.engine.workers.loop import OpenParts, map_items
from pathassets.engine.workers.on_ray import room
from pathassets.engine.workers.on_ray.calls import RayCalls
from pathassets.engine.workers.on_ray.candidates import Candidates
from pathassets.engine.workers.on_ray.lines import RayLines
from pathassets.engine.workers.on_ray.room import (
    Nodes,
    n_fitting,
    no_room,
    said_of,
    shares_of,
    worker_needs,
)
from pathassets.engine.workers.pool import OpenWorkers


@dataclass(frozen=True, slots=True, kw_only=True)
class RayWorkers:
    """Processes on the nodes of a Ray cluster."""

    cluster: Cluster
    timeout_s: float
    """Time an item may take, from its start on a node, before its process is ended."""

    def imap(
        self, fn: Callable[[Any], Any], items: Iterable[Any], *, cpus: int = 1
    ) -> Generator[tuple[Any, Any], None, None]:
        """Yield (item, its result or what became of it) as they finish; close it to stop.

        Raises:
            SpecError: there is no Ray, no cluster, or no node with room for an item.
        """
        with self._joined():
            nodes = Nodes()
            needs = worker_needs(self.cluster, cpus=cpus)
            candidates = Candidates(nodes, partial(n_fitting, needs), what=said_of(needs))
            calls = RayCalls(fn, needs=needs, candidates=candidates, timeout_s=self.timeout_s)
            if not calls.n_workers:
                raise no_room(needs, nodes.now())
            with closing(map_items(calls, items, _wait)) as results:
                yield from results

    @contextmanager
    def open(
        self, fn: Callable[[Any], Any], line: LineSpec, on_usage: OnUsage
    ) -> Iterator[OpenWorkers]:
        """Hold workers for a function and for a line, until the end of the `with` block.

        Raises:
            SpecError: there is no Ray, no cluster, no GPU that was asked for, or no node with room.
        """
        with self._joined():
            nodes = Nodes()
            shares = shares_of(self.cluster, line.device, nodes.now())
            for_calls = Candidates(nodes, shares.n_workers, what=said_of(shares.worker))
            calls = RayCalls(
                fn, needs=shares.worker, candidates=for_calls, timeout_s=self.timeout_s
            )
            for_lines = Candidates(nodes, shares.n_lines, what="a device line")
            lines = RayLines(
                line, shares=shares, candidates=for_lines, timeout_s=self.timeout_s,
                on_usage=on_usage,
            )  # fmt: skip
            parts = OpenParts(calls, lines, _wait, calls.n_workers)
            try:
                yield parts
            finally:
                parts.end()

    def _joined(self) -> AbstractContextManager[None]:
        send_no_usage_reports()
        return ray.joined(self.cluster.address, usable_cores())


def _wait(refs: Sequence[Any], patience_s: float) -> set[Any]:
    """Wait for the nodes to tell something, no longer than it is before they are looked at."""
    patience_s = min(room.LOOK_S, patience_s)
    if not refs:  # what waits has no node that it could be on
        time.sleep(patience_s)
        return set()
    return ray.wait(refs, patience_s)
