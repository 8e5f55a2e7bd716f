"""What becomes of items, from whatever works on them: asked in turn, for as long as there are any.

    items ─▶ put ─▶ a part: calls, lines ─▶ wait(sources) ─▶ hear ─▶ (item, result)
                        ▲ begin ◀─────────────────────────────┘

A part says what may tell something, a pipe or whatever its way of waiting knows, and until when it
has patience.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any, Protocol

from pathassets.engine.workers.process import LONGEST_WAIT_S

_NO_ITEM = object()


class Part(Protocol):
    """Something that works on items."""

    @property
    def is_at_work(self) -> bool:
        """Whether something is still to become of an item."""

    @property
    def sources(self) -> Sequence[Any]:
        """What may tell something."""

    @property
    def until_s(self) -> float:
        """When to look again though nothing was told, on the monotonic clock."""

    def begin(self) -> None:
        """Give those that are free what waits."""

    def hear(self, heard: set[Any]) -> Iterator[tuple[Any, Any]]:
        """Yield what became of items, where these sources have told something."""

    def end(self) -> None:
        """End all work at once."""


class CallPart(Part, Protocol):
    """One that calls a function, and can say whether it would do so at once."""

    def put(self, item: Any, *, first: bool = False) -> None:
        """Let an item wait: behind the others, or before them."""

    @property
    def has_room(self) -> bool:
        """Whether an item that is put in now would be worked on at once."""


class LinePart(Part, Protocol):
    """One that feeds device lines."""

    def put(self, item: Any) -> None:
        """Let an item wait for a line."""


Wait = Callable[[Sequence[Any], float], set[Any]]
"""Waits for sources, so many seconds at most; those that have told something."""


def wait_for_pipes(pipes: Sequence[Connection], patience_s: float) -> set[Any]:
    """Wait for pipes of this machine; where there are none, nothing is to be waited for."""
    return set(wait(pipes, min(LONGEST_WAIT_S, patience_s))) if pipes else set()


def heard_by(parts: Sequence[Part], wait_for: Wait) -> set[Any]:
    """Wait for any of these to tell something, or until the first must be looked at; who told."""
    sources = [source for part in parts for source in part.sources]
    patience_s = min(part.until_s for part in parts) - time.monotonic()
    return wait_for(sources, max(0.0, patience_s))


def map_items(
    calls: CallPart, items: Iterable[Any], wait_for: Wait
) -> Generator[tuple[Any, Any], None, None]:
    """Yield (item, its result or what became of it) as they finish; close it to stop.

    `items` is taken from as calls have room.
    """
    queue = iter(items)
    try:
        _fill(calls, queue)
        while calls.is_at_work:
            for item, result in calls.hear(heard_by([calls], wait_for)):
                _fill(calls, queue)  # first, so that nobody idles while the caller is busy
                yield item, result
            _fill(calls, queue)
    finally:
        calls.end()


def _fill(calls: CallPart, queue: Iterator[Any]) -> None:
    while calls.has_room:
        item = next(queue, _NO_ITEM)
        if item is _NO_ITEM:
            break
        calls.put(item)
    calls.begin()


class OpenParts:
    """Calls and lines that items are put into as they come, waited for together."""

    def __init__(self, calls: CallPart, lines: LinePart, wait_for: Wait, n_workers: int) -> None:
        self._calls = calls
        self._lines = lines
        self._wait_for = wait_for
        self.n_workers = n_workers

    def call(self, item: Any, *, first: bool = False) -> None:
        """Let the function be applied to an item: after those that wait, or before them."""
        self._calls.put(item, first=first)

    def feed(self, item: Any) -> None:
        """Let a line take an item."""
        self._lines.put(item)

    def results(self) -> Iterator[tuple[Any, Any]]:
        """Yield (item, its result or what became of it), until nothing waits or is under way."""
        parts: list[Part] = [self._calls, self._lines]
        self._begin()
        while any(part.is_at_work for part in parts):
            heard = heard_by(parts, self._wait_for)
            for part in parts:
                for item, result in part.hear(heard):
                    self._begin()  # first, so that nobody idles while the caller is busy
                    yield item, result
            self._begin()

    def end(self) -> None:
        """End all work at once."""
        self._calls.end()
        self._lines.end()

    def _begin(self) -> None:
        self._calls.begin()
        self._lines.begin()
