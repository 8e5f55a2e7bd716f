"""Workers that work in the test's own process: to start real ones takes a second each.

For what a test needs made and is not about; tests of pools, batches and commands start real ones.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from pathassets.engine.platform import platform


@dataclass(frozen=True)
class WorkersHere:
    """Like `LocalWorkers`, with every job and result pickled, too."""

    n_workers: int
    timeout_s: float

    def imap(
        self, fn: Callable[[Any], Any], items: Iterable[Any], *, cpus: int = 1, gpus: int = 0
    ) -> Generator[tuple[Any, Any], None, None]:
        assert (cpus, gpus) == (1, 0)
        for item in items:
            work, job = copied((fn, item))
            yield item, copied(work(job))


def copied(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))  # noqa: S301  (what was pickled here)


@contextmanager
def workers_here() -> Iterator[None]:
    """Let platforms start no process for ingestion and batches."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(platform, "LocalWorkers", WorkersHere)
        yield
