"""Items -> results, over worker processes that may die or hang without harm to the others.

`Workers` is all that the rest of the house knows of where work runs: a local pool of processes here,
a cluster's scheduler another day. A function and its items are picklable, its result is a value; an
item whose worker dies or times out comes back as `WorkerLost`.
"""

from __future__ import annotations

import logging
import multiprocessing as mp
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from itertools import islice
from multiprocessing.connection import wait as wait_for_process
from typing import Any, Protocol, TypeVar

import cv2
from pebble import ProcessExpired, ProcessPool

from pathassets.errors import WorkerLost

logger = logging.getLogger(__name__)

T = TypeVar("T")
R = TypeVar("R")

PRELOADED = ["pathassets.engine.slide_task"]
"""Imported once by the server that workers are forked from: a worker starts in milliseconds."""


class Workers(Protocol):
    """Somewhere to run slide tasks."""

    def imap(
        self, fn: Callable[[T], R], items: Iterable[T], *, cpus: int = 1, gpus: int = 0
    ) -> Iterator[tuple[T, R | Exception]]:
        """Yield (item, its result or what became of it) as they finish."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalWorkers:
    """Worker processes on this machine."""

    n_workers: int
    timeout_s: float
    """Time an item may take before its worker is ended."""

    def imap(
        self, fn: Callable[[Any], Any], items: Iterable[Any], *, cpus: int = 1, gpus: int = 0
    ) -> Iterator[tuple[Any, Any]]:
        """Yield (item, its result or what became of it) as they finish.

        `items` is taken from as workers fall free. `cpus` and `gpus` are what one item needs; a GPU
        is leased by the item itself, here, so only cores bound how many run at once.
        """
        del gpus
        n_workers = max(1, self.n_workers // cpus)
        context = mp.get_context("forkserver")
        context.set_forkserver_preload(PRELOADED)
        queue = iter(items)
        running: dict[Future[Any], Any] = {}
        with ProcessPool(
            max_workers=n_workers, context=context, initializer=_start_worker, initargs=(cpus,)
        ) as pool:
            try:
                while True:
                    for item in islice(queue, n_workers + 1 - len(running)):
                        future = pool.schedule(fn, args=(item,), timeout=self.timeout_s)
                        running[future] = item
                    if not running:
                        return
                    done, _ = wait(running, return_when=FIRST_COMPLETED)
                    for future in done:
                        item = running.pop(future)
                        yield item, self._result(future)
            finally:
                pool.stop()

    def _result(self, future: Future[Any]) -> Any:
        try:
            return future.result()
        except ProcessExpired as error:
            return WorkerLost(
                f"worker process ended with code {error.exitcode}",
                remedy="Look for 'out of memory' in the system log; run the slide again",
            )
        except TimeoutError:
            return WorkerLost(
                f"no result within {self.timeout_s:g} s",
                remedy="Look whether its disk answers; raise PATHASSETS_SLIDE_TIMEOUT_S",
            )
        except Exception as error:  # noqa: BLE001 - the slide boundary: the others go on
            logger.exception("a slide task raised")
            return error


def _start_worker(cpus: int) -> None:
    """Give a fresh worker its share of the cores, and an end when its parent ends."""
    cv2.setNumThreads(cpus)
    parent = mp.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(parent: int) -> None:
    wait_for_process([parent])
    os._exit(1)  # a worker without a parent would go on writing to a store nobody reads
