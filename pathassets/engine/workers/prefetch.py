"""A generator -> a thread that runs it ahead of whoever takes its items, within bounds.

generator ─▶ thread ─▶ items that wait, so many bytes of them ─▶ taker
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Generator, Iterable
from contextlib import closing
from typing import Generic, TypeVar

import psutil

from pathassets.errors import shortage_of

Item = TypeVar("Item")

MOST_HELD = 64
"""Items that may wait: one without bytes, such as a slide's end, still holds its maker's things."""
MEMORY_POLL_S = 0.1
"""How often memory is looked at while it is short."""


class NothingReady(Exception):
    """Nothing came, and what makes the items says that it has to wait itself."""


class Exhausted(Exception):
    """There are no more items."""


class Prefetcher(Generic[Item]):
    """Runs a generator of (item, bytes that it holds) in a thread, from the first `take` on."""

    def __init__(
        self, items: Generator[tuple[Item, int], None, None], *, waiting_bytes: int,
        memory_threshold: float | None,
    ) -> None:  # fmt: skip
        self.is_idle = False
        """Told by the generator: it waits for something itself, for as long as that takes."""
        self._items = items
        self._waiting_bytes = waiting_bytes
        self._memory_threshold = memory_threshold
        self._held: deque[tuple[Item, int]] = deque()
        self._n_bytes = 0
        """Of what is held, and of what was taken and not given back."""
        self._is_stopped = self._is_over = False
        self._error: BaseException | None = None
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="feed", daemon=True)

    def _run(self) -> None:
        try:
            with closing(self._items):
                for item, n_bytes in self._items:
                    if not self._put(item, n_bytes):
                        return
        except BaseException as error:  # noqa: BLE001 - raised again by `take`
            self._error = error
        finally:
            with self._changed:
                self._is_over = True
                self._changed.notify_all()

    def _put(self, item: Item, n_bytes: int) -> bool:
        """Let it wait for the taker, once there is room; False where nobody wants it any more."""
        with self._changed:
            while not self._is_stopped and not self._has_room(n_bytes):
                self._changed.wait(MEMORY_POLL_S)
            self._held.append((item, n_bytes))
            self._n_bytes += n_bytes
            self._changed.notify_all()
            return not self._is_stopped

    def _has_room(self, n_bytes: int) -> bool:
        """Where no bytes wait there is room for some: so there is progress in any memory."""
        if len(self._held) >= MOST_HELD:
            return False
        if not n_bytes or not self._n_bytes:
            return True
        if self._n_bytes + n_bytes > self._waiting_bytes:
            return False
        threshold = self._memory_threshold
        return threshold is None or psutil.virtual_memory().percent <= threshold

    def take(self, patience_s: float | None = None) -> tuple[Item, int]:
        """Wait for the next item; who is done with it gives its bytes back.

        Raises:
            NothingReady: none came for `patience_s`, and the generator is idle.
            Exhausted: there are no more.
            ResourcesShort: there is no thread for it.
        """
        if not self._thread.ident:
            self._start()
        with self._changed:
            while not self._held and not self._is_over:
                if not self._changed.wait(patience_s) and self.is_idle and not self._held:
                    raise NothingReady
            if self._held:
                return self._held.popleft()
        if self._error is not None:
            raise self._error
        raise Exhausted

    def _start(self) -> None:
        try:
            self._thread.start()
        except RuntimeError as error:
            raise shortage_of(error) or error from error

    def give_back(self, n_bytes: int) -> None:
        """Say that an item is used no more."""
        with self._changed:
            self._n_bytes -= n_bytes
            self._changed.notify_all()

    def stop(self) -> None:
        """Let the thread end with its next item, and close the generator."""
        with self._changed:
            self._is_stopped = True
            self._changed.notify_all()

    def close(self) -> None:
        """End the thread, which closes the generator; waits for it."""
        self.stop()
        if self._thread.ident:
            self._thread.join()
        self._held.clear()


def one_ahead(items: Iterable[Item]) -> Generator[Item, None, None]:
    """Yield items, the next one made in a thread while the last is used; close it to end that."""
    prefetcher = Prefetcher(((item, 1) for item in items), waiting_bytes=1, memory_threshold=None)
    n_used = 0
    try:
        while True:
            prefetcher.give_back(n_used)  # only now, so that no second one is begun meanwhile
            item, n_used = prefetcher.take()
            yield item
    except Exhausted:
        return
    finally:
        prefetcher.close()
