"""Where work runs: functions over items on CPUs, and lines of items that stay on one device.

`Workers` is all that the rest of the house knows of it: processes on this machine here, those of a
cluster in `on_ray/`. Functions, items and results are picklable values; an item whose process dies
or takes too long comes back as `WorkerLost`.

    imap(fn, items) ──────────────────────▶ (item, result) as they finish
    open(fn, line) ─▶ call(item), feed(item) ─▶ results(): (item, result), until none is left
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from pathassets.engine.workers.calls import Calls
from pathassets.engine.workers.line import Lines, LineSpec, OnUsage
from pathassets.engine.workers.loop import OpenParts, map_items, wait_for_pipes

T = TypeVar("T")
R = TypeVar("R")


class OpenWorkers(Protocol):
    """Workers that items are put into as they come."""

    n_workers: int
    """Items that may be worked on by functions at once, as far as is known."""

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
        """Yield (item, its result or what became of it) as they finish; close it to stop.

        `items` is taken from as workers fall free. `cpus` is what one item needs.
        """

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
        """Yield (item, its result or what became of it) as they finish; close it to stop."""
        return map_items(self._calls(fn, cpus), items, wait_for_pipes)

    @contextmanager
    def open(
        self, fn: Callable[[Any], Any], line: LineSpec, on_usage: OnUsage
    ) -> Iterator[OpenWorkers]:
        """Hold workers for a function and for a line, until the end of the `with` block."""
        lines = Lines(
            line, n_shares=self.n_workers, n_threads=self.n_threads, timeout_s=self.timeout_s,
            on_usage=on_usage,
        )  # fmt: skip
        parts = OpenParts(self._calls(fn, 1), lines, wait_for_pipes, self.n_workers)
        try:
            yield parts
        finally:
            parts.end()

    def _calls(self, fn: Callable[[Any], Any], cpus: int) -> Calls:
        return Calls(
            fn, n_workers=max(1, self.n_workers // cpus), cpus=cpus, n_threads=self.n_threads,
            timeout_s=self.timeout_s,
        )  # fmt: skip
