"""What runs on the nodes: hosts, processes of Ray's, each of which keeps one of ours beside it.

    do_job: job ═▶ a worker process, as on one machine ═▶ answer
    LineHost: put(item) ═▶ a device line, as on one machine ═▶ listen(): what became of which

A host runs nothing of a slide itself. So what kills, hangs or fills a process is met on its node
as it is on one machine, an item's time counts from its start there, and Ray keeps its processes.
Cores, device and memory are those that Ray assigned; the node's own environment says the rest.
"""

from __future__ import annotations

import math
import pickle
import time
from dataclasses import dataclass
from multiprocessing import Pipe
from queue import SimpleQueue
from typing import Any

from pathassets.adapters import ray
from pathassets.adapters.ray_nodes import Needs
from pathassets.engine.workers.calls import Calls
from pathassets.engine.workers.line import Lines, LineSpec, LineUsage
from pathassets.engine.workers.loop import heard_by, wait_for_pipes
from pathassets.engine.workers.worker import attempt, sealed, sealed_error

_kept: dict[tuple[int, float], Calls] = {}
"""The process that does jobs for this host, by the cores and the time that it was started for."""


def do_job(job: bytes, timeout_s: float) -> bytes:
    """Do a job in a process of this node, which stays for the next; what became of it, pickled."""
    calls = _calls_with(cores(ray.assigned()), timeout_s)
    calls.put(job)
    while True:
        calls.begin()
        for _, answer in calls.hear(heard_by([calls], wait_for_pipes)):
            return answer if isinstance(answer, bytes) else sealed_error(answer)


def _calls_with(n_cores: int, timeout_s: float) -> Calls:
    if (n_cores, timeout_s) not in _kept:
        for other in _kept.values():
            other.end()
        _kept.clear()
        _kept[n_cores, timeout_s] = Calls(
            attempt, n_workers=1, cpus=n_cores, n_threads=n_cores, timeout_s=timeout_s
        )
    return _kept[n_cores, timeout_s]


def cores(needs: Needs) -> int:
    """Threads for a number of cores, or for a share of one."""
    return max(1, math.floor(needs.cpus))


@dataclass(frozen=True, slots=True)
class _Item:
    """An item that is opened by the line, and by nobody on the way."""

    number: int
    data: bytes

    def __reduce__(self) -> tuple[Any, ...]:
        return pickle.loads, (self.data,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a line has to tell, all that there is."""

    is_wanting: bool
    """Whether it can take one more item."""
    done: tuple[tuple[int, bytes], ...]
    """Numbers of items, each with its result, pickled."""
    usages: tuple[LineUsage, ...]


class LineHost:
    """A device line, and who feeds it. `listen` is asked for again each time that it was heard."""

    def __init__(self, spec: LineSpec, timeout_s: float) -> None:
        self._usages: list[LineUsage] = []
        self._lines = Lines(
            spec, n_shares=1, n_threads=cores(ray.assigned()), timeout_s=timeout_s,
            on_usage=self._usages.append,
        )  # fmt: skip
        self._put: SimpleQueue[_Item] = SimpleQueue()
        self._bell, self._ring = Pipe(duplex=False)
        self._has_asked = False

    def put(self, number: int, data: bytes) -> None:
        """Let the line have an item, while it is listened to."""
        self._put.put(_Item(number, data))
        self._ring.send_bytes(b".")

    def listen(self) -> Told:
        """Let the line work until it has something to tell."""
        done: list[tuple[int, bytes]] = []
        while True:
            self._take_in()
            self._lines.begin()
            is_wanting = self._lines.has_room and not self._has_asked
            if done or self._usages or is_wanting:
                return self._told(done, is_wanting=is_wanting)
            patience_s = max(0.0, self._lines.until_s - time.monotonic())
            heard = wait_for_pipes([self._bell, *self._lines.sources], patience_s)
            for item, result in self._lines.hear(heard):
                done.append((item.number, _sealed(result)))

    def _take_in(self) -> None:
        while self._bell.poll():
            self._bell.recv_bytes()
            self._lines.put(self._put.get())
            self._has_asked = False

    def _told(self, done: list[tuple[int, bytes]], *, is_wanting: bool) -> Told:
        self._has_asked |= is_wanting
        told = Told(is_wanting=is_wanting, done=tuple(done), usages=tuple(self._usages))
        self._usages.clear()
        return told


def _sealed(result: Any) -> bytes:
    return sealed_error(result) if isinstance(result, Exception) else sealed(result)
