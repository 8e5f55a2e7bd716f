"""Workers that work in the test's own process: to start real ones takes a second each.

For what a test needs made and is not about; tests of pools, batches and commands start real ones.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import pytest

from pathassets.engine.platform import platform
from pathassets.engine.workers import worker


@dataclass(frozen=True)
class WorkersHere:
    """Like `LocalWorkers`, with every job and answer pickled, and errors for answers, too."""

    n_workers: int
    timeout_s: float

    def imap(
        self, fn: Callable[[Any], Any], items: Iterable[Any], *, cpus: int = 1, gpus: int = 0
    ) -> Generator[tuple[Any, Any], None, None]:
        assert (cpus, gpus) == (1, 0)
        for item in items:
            answer = worker._attempt(pickle.dumps((fn, item)))
            yield item, pickle.loads(answer)  # noqa: S301  (what was pickled here)


@contextmanager
def workers_here(user: ModuleType = platform) -> Iterator[None]:
    """Let a module that uses workers, platforms for ingestion and batches, start no process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(user, "LocalWorkers", WorkersHere)
        yield
