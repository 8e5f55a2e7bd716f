"""Jobs -> parts for processes; what comes of the parts -> the order in which it is passed on."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from pathassets.engine.workers.parts.job import ReadSet
from pathassets.errors import PathAssetsError

WAITING_BYTES = 128 * 2**20
"""Pixels that may wait for their turn."""


class Part(NamedTuple):
    """Consecutive patches of a job, for one process."""

    number: int
    """In the order of the jobs and their patches."""
    job: int
    squares: slice


class Delivered(NamedTuple):
    """Some patches of a job."""

    job: int
    """Number of the job."""
    sets: ReadSet


class Told(NamedTuple):
    """What a part says of the patches around it."""

    part: Part
    said: Any


class End(NamedTuple):
    """A part is over."""

    part: Part
    pid: int
    """Of the process that had it."""
    error: PathAssetsError | None


Event = Delivered | Told | End


class Schedule:
    """Who reads what: jobs in order, cut into parts."""

    def __init__(self, sizes: Sequence[int], part_size: Callable[[int, int], int]) -> None:
        self._sizes = sizes
        self._part_size = part_size
        """Patches for the next part, of the number of its job and those that are left of all."""
        self._n_left = sum(sizes)
        self._n_parts = 0
        self._job = 0
        self._start = 0

    @property
    def job(self) -> int | None:
        """The job that the next part is of; None after the last."""
        return self._job if self._job < len(self._sizes) else None

    def next(self) -> Part | None:
        """The next part, of no patches where a job has none; None after the last."""
        if self._job == len(self._sizes):
            return None
        job, start, size = self._job, self._start, self._sizes[self._job]
        n = self._part_size(job, self._n_left)
        stop = start + n if size - start - n >= n // 2 else size  # leave no small rest
        self._n_left -= stop - start
        self._job, self._start = (job + 1, 0) if stop == size else (job, stop)
        self._n_parts += 1
        return Part(self._n_parts - 1, job, slice(start, stop))

    def drop(self, job: int) -> None:
        """Leave out what is left of a job, if it is the one being cut."""
        if job == self._job:
            self._n_left -= self._sizes[job] - self._start
            self._job, self._start = job + 1, 0


class ReorderBuffer:
    """Where what comes too early waits for its turn; nothing does where nothing is ordered."""

    def __init__(self, *, is_ordered: bool) -> None:
        self._is_ordered = is_ordered
        self.turn = 0
        """Number of the part whose turn it is."""
        self._waiting: dict[int, deque[Event]] = {}
        self._waiting_bytes = 0

    @property
    def is_full(self) -> bool:
        """Whether only the part whose turn it is may go on."""
        return self._waiting_bytes > WAITING_BYTES

    def put(self, number: int, event: Event) -> None:
        """Add what happened in a part."""
        key = number if self._is_ordered else self.turn
        self._waiting.setdefault(key, deque()).append(event)
        self._waiting_bytes += _n_bytes(event)

    def ready(self) -> Iterator[Event]:
        """Take out what need not wait, in its order."""
        while events := self._waiting.get(self.turn):
            event = events.popleft()
            self._waiting_bytes -= _n_bytes(event)
            if isinstance(event, End) and self._is_ordered:
                del self._waiting[self.turn]
                self.turn += 1
            yield event


def _n_bytes(event: Event) -> int:
    return sum(p.nbytes for p in event.sets.pixels) if isinstance(event, Delivered) else 0
