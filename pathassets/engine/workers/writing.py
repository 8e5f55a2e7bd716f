"""Rows to the disk in a thread behind the encoding one: a device does not wait for a chunk's write.

encoding thread: put(act) ─▶ some acts wait, in order ─▶ writing thread: act()
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from queue import Queue

from pathassets.errors import shortage_of

Act = Callable[[], None]
"""Something to do to a writer. It raises nothing."""
MOST_WAITING = 4
"""Acts that may wait, a pass's rows each: a write may take as long as their computing, and a kill
costs no more than these and the chunk that is being filled."""


class WritingThread:
    """Does what it is given, in order."""

    def __init__(self) -> None:
        self._acts: Queue[Act | None] = Queue(MOST_WAITING)
        self._thread = threading.Thread(target=self._run, name="write", daemon=True)

    def put(self, act: Act) -> float:
        """Let it be done; returns the seconds that passed until there was room for it.

        Raises:
            ResourcesShort: there is no thread for it.
        """
        if not self._thread.ident:
            self._start()
        started_s = time.perf_counter()
        self._acts.put(act)
        return time.perf_counter() - started_s

    def _start(self) -> None:
        try:
            self._thread.start()
        except RuntimeError as error:
            raise shortage_of(error) or error from error

    def join(self) -> None:
        """Wait until all is done."""
        self._acts.join()

    def close(self) -> None:
        """End the thread, once all is done."""
        if self._thread.ident:
            self._acts.put(None)
            self._thread.join()

    def _run(self) -> None:
        while (act := self._acts.get()) is not None:
            act()
            self._acts.task_done()
