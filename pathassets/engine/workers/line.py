"""Device lines, seen from the process that feeds them: which line gets what, and what if one dies.

    put ─▶ waiting ─▶ the line that wants one and has fewest ══▶ (item, result)
              ▲                        │ dies, breaks, gets no further
              └── each alone ◀── items under way

A line is a process that lives on one device as long as there are items. Where one dies, each item
that it had under way is tried again with no other beside it: the one that ends its line then, too,
is lost, and the others are done.
"""

from __future__ import annotations

import math
import pickle
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

from pathassets.engine.workers.devices import may_have_gpu
from pathassets.engine.workers.line_process import (
    PIECE_BYTES,
    Beat,
    Broken,
    Done,
    LineWork,
    Message,
    Ready,
    Wants,
    serve_line,
)
from pathassets.engine.workers.process import (
    SHORT_PAUSE_S,
    WorkerProcess,
    lost,
    start_worker,
    too_late,
)
from pathassets.errors import ResourcesShort

MOST_STARTS = 2
"""Lines in a row that die before they have taken an item; then nobody tries another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LineSpec:
    """What device lines do."""

    work: LineWork
    """To be imported by its name in a line's process."""
    device: str
    """`auto`, `cpu` or `cuda`: on CPUs a line is a share of the cores."""
    is_assigned: bool = False
    """Whether a scheduler gave this process its device and its threads, for one line."""


@dataclass(frozen=True, slots=True)
class LineUsage:
    """How far a line is."""

    number: int
    """Of the line; one that takes the place of another has a number of its own."""
    device: str
    usage: Any
    """What its work told last."""


OnUsage = Callable[[LineUsage], None]


@dataclass(eq=False, slots=True)
class _Line(WorkerProcess):
    """One line."""

    number: int
    deadline_s: float
    """By when it must have got further, on the monotonic clock."""
    device: str = ""
    """Empty until it has one."""
    is_wanting: bool = False
    under_way: dict[int, Any] = field(default_factory=dict)
    """Items by their numbers."""
    is_alone: bool = False
    """Whether it has an item that must have no other beside it."""
    error: Exception | None = None
    """Why it cannot go on, as it said itself."""
    heard: bytearray = field(default_factory=bytearray)
    """The beginning of a message."""
    has_begun: bool = False
    """Whether it ever was given an item."""

    @property
    def until_s(self) -> float:
        """When it is given up; one that has nothing to do may wait for ever."""
        return self.deadline_s if self.under_way or not self.device else math.inf

    def hear(self) -> Message | None:
        """Take a piece of a message, which is there; None where more of it is to come.

        Raises:
            EOFError, OSError: it has died.
        """
        piece = self.pipe.recv_bytes()
        self.heard += piece
        if len(piece) == PIECE_BYTES:
            return None
        said: Message = pickle.loads(self.heard)  # noqa: S301 - our own line wrote it
        self.heard.clear()
        return said


class Lines:
    """Device lines over items that are put in as they come; lines are started as they are needed.

    `n_shares` is how many lines the CPUs are shared out among, where there is no GPU, and
    `n_threads` how many threads each may read by. `on_usage` hears how far each is. One that gets
    no further for `timeout_s` is ended.
    """

    def __init__(
        self, spec: LineSpec, *, n_shares: int, n_threads: int, timeout_s: float,
        on_usage: OnUsage,
    ) -> None:  # fmt: skip
        self._spec = spec
        self._n_shares = n_shares
        self._n_threads = n_threads
        self._timeout_s = timeout_s
        self._on_usage = on_usage
        is_cpu = spec.device == "cpu" or not may_have_gpu()
        self._most = n_shares if is_cpu else 1
        """Lines there may be: of GPUs, the first tells how many there are."""
        self._lines: list[_Line] = []
        self._waiting: deque[Any] = deque()
        self._suspects: deque[Any] = deque()
        """Items whose line died: each is tried with no other beside it."""
        self._given_up: deque[tuple[Any, Exception]] = deque()
        self._n_items = self._n_lines = self._n_failed_starts = 0

    def put(self, item: Any) -> None:
        """Let an item wait for a line."""
        self._waiting.append(item)

    @property
    def is_at_work(self) -> bool:
        """Whether something is still to become of an item."""
        is_waiting = self._waiting or self._suspects or self._given_up
        return bool(is_waiting or any(line.under_way for line in self._lines))

    @property
    def has_room(self) -> bool:
        """Whether an item that is put in now would be taken up at once, by a line or a new one."""
        if self._waiting or self._suspects or self._given_up:
            return False
        return not self._lines or any(line.is_wanting and not line.is_alone for line in self._lines)

    def begin(self) -> None:
        """Start what lines are needed, and give one item to each that wants one."""
        if self._given_up:
            return
        self._start()
        for line in sorted(self._lines, key=lambda line: len(line.under_way)):
            if line.is_wanting and not line.is_alone:
                self._give(line)

    def _start(self) -> None:
        n_open = len(self._waiting) + len(self._suspects)
        n_free = sum(not line.under_way for line in self._lines)
        while n_open > n_free and len(self._lines) < self._most:
            try:
                self._lines.append(self._started())
            except ResourcesShort as short:
                self._do_with_fewer(short)
                return
            n_free += 1

    def _started(self) -> _Line:
        serve = partial(
            serve_line, work=self._spec.work, device=self._spec.device,
            n_threads=self._n_threads, timeout_s=self._timeout_s,
            is_assigned=self._spec.is_assigned,
        )  # fmt: skip
        started = start_worker(serve, n_threads=None)  # of a GPU's line, it finds out itself
        self._n_lines += 1
        return _Line(
            started.process, started.pipe, number=self._n_lines,
            deadline_s=time.monotonic() + self._timeout_s,
        )  # fmt: skip

    def _do_with_fewer(self, short: Exception) -> None:
        """Go on with the lines there are; where there is none, one item is given up."""
        self._most = max(1, len(self._lines))
        left = self._suspects or self._waiting
        if left and not self._lines:
            time.sleep(SHORT_PAUSE_S)  # what is short now is not for ever; the next may do
            self._given_up.append((left.popleft(), short))

    def _give(self, line: _Line) -> None:
        is_suspect = bool(self._suspects) and not line.under_way
        queue = self._suspects if is_suspect else self._waiting
        if not queue:
            return
        item = queue.popleft()
        try:
            data = pickle.dumps(item)
        except Exception as error:  # noqa: BLE001 - whatever its pickling raises
            self._given_up.append((item, error))
            return
        line.is_alone = is_suspect
        self._send(line, item, data)

    def _send(self, line: _Line, item: Any, data: bytes) -> None:
        self._n_items += 1
        if not line.under_way:
            line.deadline_s = time.monotonic() + self._timeout_s
        line.under_way[self._n_items] = item
        line.is_wanting, line.has_begun = False, True
        with suppress(OSError):  # where it has died, its end will be heard
            line.pipe.send_bytes(self._n_items.to_bytes(8))
            line.pipe.send_bytes(data)

    @property
    def sources(self) -> list[Connection]:
        """What may tell something."""
        return [line.pipe for line in self._lines]

    @property
    def until_s(self) -> float:
        """When to look again though nothing was told, on the monotonic clock."""
        if self._given_up:
            return 0.0
        return min((line.until_s for line in self._lines), default=math.inf)

    def hear(self, heard: set[Any]) -> Iterator[tuple[Any, Any]]:
        """Yield what became of items; lines that have died or get no further are ended.

        `heard` has each pipe with something in it; a dead line's has an end.
        """
        now_s = time.monotonic()
        for line in list(self._lines):
            if line.pipe in heard:
                yield from self._hear(line)
            elif line.until_s <= now_s:
                line.process.kill()
                self._end(line, too_late(self._timeout_s))
        while self._given_up:
            yield self._given_up.popleft()

    def _hear(self, line: _Line) -> Iterator[tuple[Any, Any]]:
        try:
            said = line.hear()
        except (EOFError, OSError):
            self._end(line, None)
            return
        line.deadline_s = time.monotonic() + self._timeout_s
        if said is not None:
            yield from self._take(line, said)

    def _take(self, line: _Line, said: Message) -> Iterator[tuple[Any, Any]]:
        match said:
            case Ready():
                line.device = said.device
                if not self._spec.is_assigned:
                    self._most = said.n_devices or self._n_shares
            case Wants():
                line.is_wanting = True
            case Beat():
                if said.usage is not None:
                    self._on_usage(LineUsage(line.number, line.device, said.usage))
            case Broken():
                line.error = pickle.loads(said.error)  # noqa: S301
                line.process.kill()  # a thread of it may go on for as long as it likes
            case Done():
                item = line.under_way.pop(said.number)
                line.is_alone = line.is_alone and bool(line.under_way)
                yield item, pickle.loads(said.result)  # noqa: S301

    def _end(self, line: _Line, why: Exception | None) -> None:
        """Bury a line; what it had is tried again, each alone, or was alone and is lost."""
        self._lines.remove(line)
        line.end()
        error = line.error or why or lost(line.process.returncode)
        if line.is_alone:
            self._given_up.extend((item, error) for item in line.under_way.values())
        else:
            self._suspects.extend(line.under_way.values())
        if line.has_begun:
            self._n_failed_starts = 0
        else:
            self._miss(error, is_sure=line.error is not None)

    def _miss(self, error: Exception, *, is_sure: bool) -> None:
        """Hear of a line that never began; where that is not sure of the next, another is tried."""
        if isinstance(error, ResourcesShort) or any(line.has_begun for line in self._lines):
            self._do_with_fewer(error)
            return
        self._n_failed_starts += 1
        if not is_sure and self._n_failed_starts < MOST_STARTS:
            return
        self._n_failed_starts = 0
        self._given_up.extend((item, error) for item in (*self._suspects, *self._waiting))
        self._suspects.clear()
        self._waiting.clear()

    def end(self) -> None:
        """End all lines at once."""
        for line in self._lines:
            line.process.kill()
        for line in self._lines:
            line.end()
        self._lines.clear()
