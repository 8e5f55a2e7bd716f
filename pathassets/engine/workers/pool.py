"""Where work runs: functions over items on CPUs, and lines of items that stay on one device.

`Workers` is all that the rest of the house knows of it: processes on this machine here, a cluster's
scheduler another day. Functions, items and results are picklable values; an item whose process dies
or takes too long comes back as `WorkerLost`.

    imap(fn, items) ──────────────────────▶ (item, result) as they finish
    open(fn, line) ─▶ call(item), feed(item) ─▶ results(): (item, result), until none is left
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any, Protocol, TypeVar

from pathassets.engine.workers.calls import Calls
from pathassets.engine.workers.line import Lines, LineSpec, OnUsage
from pathassets.engine.workers.process import LONGEST_WAIT_S

T = TypeVar("T")
R = TypeVar("R")

_NO_ITEM = object()


class OpenWorkers(Protocol):
    """Workers that items are put into as they come."""

    def call(self, item: Any, *, first: bool = False) -> None:
        """Let the function be applied to an item, on a CPU: after those that wait, or before."""

    def feed(self, item: Any) -> None:
        """Let a line take an item, on the device where it lives."""

    def results(self) -> Iterator[tuple[Any, Any]]:
        """Yield (item, its result or what became of it), until nothing waits or is under way."""


class Workers(Protocol):
    """Somewhere to run work."""

    def imap(
        self, fn: Callable[[T], R], items: Iterable[T], *, cpus: int = 1
    ) -> Generator[tuple[T, R | Exception], None, None]:
        """Yield (item, its result or what became of it) as they finish; close it to stop."""

    def open(
        self, fn: Callable[[Any], Any], line: LineSpec, on_usage: OnUsage
    ) -> AbstractContextManager[OpenWorkers]:
        """Hold workers for a function and for a line, until the end of the `with` block.

        `on_usage` hears how far each line is, while results are waited for.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalWorkers:
    """Worker processes on this machine."""

    n_workers: int
    """Processes for functions, and lines where there is no GPU."""
    timeout_s: float
    """Time an item may take before its worker is ended."""
    n_threads: int = 1
    """Threads that may read one slide, where there is no GPU."""

    def imap(
        self, fn: Callable[[Any], Any], items: Iterable[Any], *, cpus: int = 1
    ) -> Generator[tuple[Any, Any], None, None]:
        """Yield (item, its result or what became of it) as they finish; close it to stop.

        `items` is taken from as workers fall free. `cpus` is what one item needs.
        """
        queue = iter(items)
        calls = self._calls(fn, cpus)
        try:
            _fill(calls, queue)
            while calls.is_at_work:
                for item, result in calls.hear(_heard([calls])):
                    _fill(calls, queue)  # first, so that nobody idles while the caller is busy
                    yield item, result
                _fill(calls, queue)
        finally:
            calls.end()

    @contextmanager
    def open(
        self, fn: Callable[[Any], Any], line: LineSpec, on_usage: OnUsage
    ) -> Iterator[OpenWorkers]:
        """Hold workers for a function and for a line, until the end of the `with` block."""
        lines = Lines(
            line, n_shares=self.n_workers, n_threads=self.n_threads, timeout_s=self.timeout_s,
            on_usage=on_usage,
        )  # fmt: skip
        calls = self._calls(fn, 1)
        try:
            yield _LocalOpenWorkers(calls, lines)
        finally:
            calls.end()
            lines.end()

    def _calls(self, fn: Callable[[Any], Any], cpus: int) -> Calls:
        return Calls(
            fn, n_workers=max(1, self.n_workers // cpus), cpus=cpus, n_threads=self.n_threads,
            timeout_s=self.timeout_s,
        )  # fmt: skip


def _fill(calls: Calls, queue: Iterator[Any]) -> None:
    while calls.has_room:
        item = next(queue, _NO_ITEM)
        if item is _NO_ITEM:
            break
        calls.put(item)
    calls.begin()


def _heard(parts: list[Calls | Lines]) -> set[Connection]:
    """Wait for any of these to tell something, or until the first must be looked at; who told."""
    pipes = [pipe for part in parts for pipe in part.pipes]
    patience_s = min(part.until_s for part in parts) - time.monotonic()
    if not pipes:
        return set()
    heard = wait(pipes, min(LONGEST_WAIT_S, max(0.0, patience_s)))
    return {pipe for pipe in heard if isinstance(pipe, Connection)}


class _LocalOpenWorkers:
    """Processes of both kinds, waited for together."""

    def __init__(self, calls: Calls, lines: Lines) -> None:
        self._calls = calls
        self._lines = lines

    def call(self, item: Any, *, first: bool = False) -> None:
        """Let the function be applied to an item: after those that wait, or before them."""
        self._calls.put(item, first=first)

    def feed(self, item: Any) -> None:
        """Let a line take an item."""
        self._lines.put(item)

    def results(self) -> Iterator[tuple[Any, Any]]:
        """Yield (item, its result or what became of it), until nothing waits or is under way."""
        parts: list[Calls | Lines] = [self._calls, self._lines]
        self._begin()
        while any(part.is_at_work for part in parts):
            heard = _heard(parts)
            for part in parts:
                for item, result in part.hear(heard):
                    self._begin()  # first, so that nobody idles while the caller is busy
                    yield item, result
            self._begin()

    def _begin(self) -> None:
        self._calls.begin()
        self._lines.begin()
