"""A count that grows -> a bar for who looks on, plain lines in a log.

Everything goes to stderr: what a program prints for others to read stays clean.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import tqdm.auto  # type: ignore[import-untyped]
import tqdm.notebook  # type: ignore[import-untyped]

SHORTEST_PAUSE_S = 10.0
"""Between two lines in a log."""
PAUSE_SHARE = 0.1
"""Of the time so far, if that is longer: an hour takes 50 lines, ten hours take 75."""

IN_NOTEBOOK = issubclass(tqdm.auto.tqdm, tqdm.notebook.tqdm)
"""Whether there is a page that draws bars; its stderr is no terminal."""


class _Bar(tqdm.auto.tqdm):  # type: ignore[misc]
    """A bar that starts no thread of its own: it would outlive the bar."""

    monitor_interval = 0


class _Lines:
    """What a bar says, as a line every so often and one at the end; all times in s."""

    def __init__(self, total: int | None, unit: str, label: str) -> None:
        self._words: dict[str, Any] = {"total": total, "unit": unit, "prefix": label, "ncols": 0}
        self._n = 0
        self._n_told = -1
        self._started_s = self._told_s = time.monotonic()

    def update(self, n: int) -> None:
        self._n += n
        now_s = time.monotonic()
        pause_s = max(SHORTEST_PAUSE_S, PAUSE_SHARE * (now_s - self._started_s))
        if now_s - self._told_s >= pause_s:
            self._tell(now_s)

    def close(self) -> None:
        if self._n != self._n_told:
            self._tell(time.monotonic())

    def _tell(self, now_s: float) -> None:
        line = _Bar.format_meter(self._n, elapsed=now_s - self._started_s, **self._words)
        print(line, file=sys.stderr, flush=True)  # noqa: T201  (progress is what it is for)
        self._told_s, self._n_told = now_s, self._n


@contextmanager
def progress_bar(
    total: int | None, *, unit: str, label: str, is_shown: bool
) -> Iterator[Callable[[int], None]]:
    """Yield `advance(n)`, which says that n more of `total` are done; any thread may call it.

    On a terminal and in a notebook a bar with count, rate and time left; elsewhere the same as
    lines, ten seconds or more apart, with a last one; nothing at all unless `is_shown`. Without
    a total there is no time left. `unit` is a plural, such as "patches".
    """
    if not is_shown:
        yield lambda _n: None
        return
    bar = _live_bar(total, unit, label) if _is_watched() else _Lines(total, f" {unit}", label)
    lock = threading.Lock()

    def advance(n: int) -> None:
        with lock:
            bar.update(n)

    try:
        yield advance
    finally:
        with lock:
            bar.close()


def _is_watched() -> bool:
    """Whether a bar can be drawn; a terminal may have no width, and tqdm then draws nothing."""
    if IN_NOTEBOOK or not sys.stderr.isatty():
        return IN_NOTEBOOK
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns > 0
    except OSError:  # what stands for a terminal has no file
        return True


def _live_bar(total: int | None, unit: str, label: str) -> _Bar:
    # Dynamic steps would leave a slow bar standing, which tqdm mends with a thread.
    return _Bar(total=total, unit=f" {unit}", desc=label, dynamic_ncols=True, miniters=1)
