"""Workers that work in the test's own process: to start real ones takes a second each.

For what a test needs made and is not about; tests of pools, batches and commands start real ones.
"""

from __future__ import annotations

import pickle
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import pytest

from pathassets.engine.platform import platform
from pathassets.engine.workers import worker
from pathassets.engine.workers.line import LineSpec, OnUsage
from pathassets.engine.workers.line_process import Done, LineEnd, Message


@dataclass(frozen=True)
class WorkersHere:
    """Like `LocalWorkers`, with every job and answer pickled, and errors for answers, too."""

    n_workers: int
    timeout_s: float
    n_threads: int = 1

    def imap(
        self, fn: Callable[[Any], Any], items: Iterable[Any], *, cpus: int = 1
    ) -> Generator[tuple[Any, Any], None, None]:
        assert cpus == 1
        for item in items:
            answer = worker.attempt(pickle.dumps((fn, item)))
            yield item, pickle.loads(answer)  # noqa: S301  (what was pickled here)

    @contextmanager
    def open(
        self, fn: Callable[[Any], Any], line: LineSpec, _on_usage: OnUsage
    ) -> Iterator[OpenHere]:
        yield OpenHere(fn, line, self.n_threads)


class OpenHere:
    """One item after the other, on a line by itself."""

    def __init__(self, fn: Callable[[Any], Any], line: LineSpec, n_threads: int) -> None:
        self.n_workers = 1
        self._fn = fn
        self._line = line
        self._n_threads = n_threads
        self._waiting: deque[tuple[Any, bool]] = deque()

    def call(self, item: Any, *, first: bool = False) -> None:
        (self._waiting.appendleft if first else self._waiting.append)((item, False))

    def feed(self, item: Any) -> None:
        self._waiting.append((item, True))

    def results(self) -> Iterator[tuple[Any, Any]]:
        while self._waiting:
            item, is_fed = self._waiting.popleft()
            answer = self._fed(item) if is_fed else worker.attempt(pickle.dumps((self._fn, item)))
            yield item, pickle.loads(answer)  # noqa: S301  (what was pickled here)

    def _fed(self, item: Any) -> bytes:
        end = EndHere(pickle.dumps(item), n_threads=self._n_threads)
        self._line.work(end)
        return end.answers.pop()


class EndHere(LineEnd):
    """A line's end of no pipe: it has one item, and keeps what becomes of it."""

    def __init__(self, item: bytes, n_threads: int) -> None:
        self.device, self.n_threads = "cpu", n_threads
        self._item = item
        self.answers: list[bytes] = []

    def items(self) -> Iterator[tuple[int, Any]]:
        yield 1, pickle.loads(self._item)  # noqa: S301  (what was pickled here)

    def tell(self, message: Message) -> None:
        assert isinstance(message, Done)
        self.answers.append(message.result)


@contextmanager
def workers_here(user: ModuleType = platform) -> Iterator[None]:
    """Let a module that uses workers, platforms for ingestion and batches, start no process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(user, "LocalWorkers", WorkersHere)
        yield
