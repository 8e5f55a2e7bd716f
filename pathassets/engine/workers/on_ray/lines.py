"""Device lines on the nodes of a Ray cluster: one host for each device, fed as it wants more.

    put ─▶ waiting ─▶ the host that wants one and has fewest ══▶ (item, result)
              ▲                        │ its node is lost
              └────────────────────────┘

What an item that ends its line costs is settled on the node, by the host (hosts.py).
"""

from __future__ import annotations

import pickle
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pathassets.adapters import ray
from pathassets.adapters.ray import Guest, Ref
from pathassets.adapters.ray_nodes import NodeLost
from pathassets.engine.workers.line import LineSpec, LineUsage, OnUsage
from pathassets.engine.workers.on_ray.calls import Tried, Waiting
from pathassets.engine.workers.on_ray.candidates import Candidates
from pathassets.engine.workers.on_ray.hosts import LineHost, Told
from pathassets.engine.workers.on_ray.room import Place, Shares
from pathassets.errors import ClusterLost, PathAssetsError

MOST_STARTS = 2
"""Hosts in a row that end before they have said a word; then nobody tries another."""


@dataclass(eq=False, slots=True)
class _Host:
    """A line on a node."""

    place: Place
    guest: Guest
    listening: Ref
    is_wanting: bool = False
    has_begun: bool = False
    """Whether it ever said a word."""
    under_way: dict[int, Tried] = field(default_factory=dict)
    """Items by their numbers."""


class RayLines:
    """Device lines over items that are put in as they come; hosts are started as they are needed.

    `on_usage` hears how far each is. A line that gets no further for `timeout_s` is ended.
    """

    def __init__(
        self, spec: LineSpec, *, shares: Shares, candidates: Candidates, timeout_s: float,
        on_usage: OnUsage,
    ) -> None:  # fmt: skip
        self._spec = replace(spec, is_assigned=True, device="cuda" if shares.has_gpus else "cpu")
        self._shares = shares
        self._candidates = candidates
        self._timeout_s = timeout_s
        self._on_usage = on_usage
        self._hosts: list[_Host] = []
        self._waiting = Waiting()
        self._n_items = self._n_failed_starts = 0
        self._n_joined = ray.n_joined()
        self._numbers: dict[tuple[_Host, int], int] = {}
        """Of lines, by their hosts and their numbers there."""

    def put(self, item: Any) -> None:
        """Let an item wait for a line."""
        self._waiting.items.append(Tried(item))

    @property
    def is_at_work(self) -> bool:
        """Whether something is still to become of an item."""
        return bool(self._waiting or any(host.under_way for host in self._hosts))

    def begin(self) -> None:
        """Start what hosts are needed, and give one item to each that wants one."""
        self._candidates.heed_wait(is_waiting=self.is_at_work)
        places = self._shares.places(self._candidates.now())
        self._heed_cut()
        if self._waiting.given_up:
            return
        self._start(places)
        for host in sorted(self._hosts, key=lambda host: len(host.under_way)):
            if host.is_wanting and self._waiting.items:
                self._give(host)

    def _heed_cut(self) -> None:
        """Let others do what hosts had with which the connection was cut: they ended with it."""
        if self._n_joined != ray.n_joined():
            self._n_joined = ray.n_joined()
            for host in self._hosts:
                self._waiting.put_again(host.under_way.values())
            self._hosts.clear()

    def _start(self, places: Sequence[Place]) -> None:
        n_open = len(self._waiting.items) - sum(not host.under_way for host in self._hosts)
        for place in self._free(places)[: max(0, n_open)]:
            guest = ray.settle(
                LineHost, self._spec, self._timeout_s, needs=place.needs, node=place.node
            )
            self._hosts.append(_Host(place, guest, ray.ask(guest, "listen")))

    def _free(self, places: Sequence[Place]) -> list[Place]:
        """Those without a line, of the nodes with fewest first."""
        n_there = Counter(host.place.node.node_id for host in self._hosts)
        ranked = [
            (n, place)
            for place in places
            for n in range(n_there[place.node.node_id], place.n_lines)
        ]
        return [place for _, place in sorted(ranked, key=lambda one: one[0])]

    def _give(self, host: _Host) -> None:
        one = self._waiting.items.popleft()
        try:
            data = pickle.dumps(one.item)
        except Exception as error:  # noqa: BLE001 - whatever its pickling raises
            self._waiting.given_up.append((one.item, error))
            return
        self._n_items += 1
        host.under_way[self._n_items] = one
        host.is_wanting = False
        ray.ask(host.guest, "put", self._n_items, data)

    @property
    def sources(self) -> list[Ref]:
        """What may tell something."""
        self._heed_cut()
        return [host.listening for host in self._hosts]

    @property
    def until_s(self) -> float:
        """When to look again though nothing was told, on the monotonic clock."""
        return self._waiting.until_s

    def hear(self, heard: set[Ref]) -> Iterator[tuple[Any, Any]]:
        """Yield what became of items; hosts whose nodes are lost are given up."""
        for host in list(self._hosts):
            self._heed_cut()
            if host in self._hosts and host.listening in heard:
                try:
                    told: Told = ray.take(host.listening)
                except ClusterLost:
                    raise
                except (NodeLost, PathAssetsError) as error:
                    self._end(host, error)
                else:
                    yield from self._take(host, told)
        yield from self._waiting.tell()

    def _take(self, host: _Host, told: Told) -> Iterator[tuple[Any, Any]]:
        host.has_begun, self._n_failed_starts = True, 0
        self._candidates.hear()
        host.is_wanting |= told.is_wanting
        host.listening = ray.ask(host.guest, "listen")
        for usage in told.usages:
            self._on_usage(self._named(host, usage))
        # First: while one is told of, the connection may be cut and what is under way put again.
        done = [(host.under_way.pop(number).item, result) for number, result in told.done]
        for item, result in done:
            yield item, pickle.loads(result)  # noqa: S301 - our own

    def _named(self, host: _Host, usage: LineUsage) -> LineUsage:
        """With a number of its own among the lines of all nodes."""
        number = self._numbers.setdefault((host, usage.number), len(self._numbers) + 1)
        return LineUsage(number, f"{usage.device} of {host.place.node.name}", usage.usage)

    def _end(self, host: _Host, error: Exception) -> None:
        """Hear that a host has ended: with its node, or by itself."""
        self._hosts.remove(host)
        ray.evict(host.guest)  # where it lives and only cannot be heard, it must not go on
        self._candidates.look()
        nodes_left = {node.node_id for node in self._candidates.now()}
        if isinstance(error, NodeLost) or host.place.node.node_id not in nodes_left:
            self._waiting.put_again(host.under_way.values())
        else:
            self._bury(host, error)

    def _bury(self, host: _Host, error: Exception) -> None:
        """Give up what a host had that ended by itself, and all where none can begin."""
        given_up = self._waiting.given_up
        given_up.extend((one.item, error) for one in host.under_way.values())
        if host.has_begun or any(other.has_begun for other in self._hosts):
            return
        self._n_failed_starts += 1
        if self._n_failed_starts >= MOST_STARTS:
            self._n_failed_starts = 0
            given_up.extend((one.item, error) for one in self._waiting.items)
            self._waiting.items.clear()

    def end(self) -> None:
        """End all lines at once."""
        self._heed_cut()
        for host in self._hosts:
            ray.evict(host.guest)
        self._hosts.clear()
