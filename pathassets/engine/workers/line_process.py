"""A device line, seen from its own process: items in, results out, on one device for as long.

    parent ══ item ══▶ items ─▶ work(…) ─▶ done ══ result ══▶ parent
           ◀═ wants ══                  beat ══ how far it is, each second that it got further ══▶

An item is asked for when it can be worked on, so that none waits here that another line could take.
"""

from __future__ import annotations

import math
import pickle
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

from pathassets.engine.settings import threads_of_line
from pathassets.engine.workers.devices import lease_device
from pathassets.engine.workers.worker import sealed, sealed_error

BEAT_S = 1.0
"""Between two looks at how far it is."""
PIECE_BYTES = 16_000
"""Of a message: what `Connection` writes at once. Between two writes another thread may keep the
interpreter lock for ever, and whoever waits for the second would, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """It has its device."""

    device: str
    n_devices: int
    """Of that kind on this machine; those of the CPU are not counted."""


@dataclass(frozen=True, slots=True)
class Wants:
    """It can take one more item."""


@dataclass(frozen=True, slots=True)
class Beat:
    """It is getting on."""

    usage: Any
    """What its work tells; None while it waits for its device."""


@dataclass(frozen=True, slots=True)
class Done:
    """What became of an item."""

    number: int
    result: bytes
    """Pickled."""


@dataclass(frozen=True, slots=True)
class Broken:
    """It cannot go on."""

    error: bytes
    """Pickled."""


Message = Ready | Wants | Beat | Done | Broken


@dataclass
class LineEnd:
    """The line's end of its pipe. Any thread may tell what is done; one takes the items."""

    _pipe: Connection
    device: str = "cpu"
    n_threads: int = 1
    """Threads that its work may read by."""
    timeout_s: float = math.inf
    """After so long without getting further it is ended from outside."""
    usage: Callable[[], Any] = lambda: None
    """What its work has done so far: equal to what it was, where it got no further."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def items(self) -> Iterator[tuple[int, Any]]:
        """Ask for items, and wait for each, with its number; until there are no more."""
        while (entry := self._next()) is not None:
            number, data = entry
            try:
                item = pickle.loads(data)  # noqa: S301 - our own parent wrote it
            except BaseException as error:  # noqa: BLE001 - whatever its unpickling raises
                self.failed(number, error)
            else:
                yield number, item

    def _next(self) -> tuple[int, bytes] | None:
        with suppress(EOFError, OSError):
            self.tell(Wants())
            number = int.from_bytes(self._pipe.recv_bytes())
            return number, self._pipe.recv_bytes()
        return None

    def done(self, number: int, result: Any) -> None:
        """Say what became of an item."""
        try:
            data = sealed(result)
        except Exception as error:  # noqa: BLE001 - the slide boundary
            data = sealed_error(error)
        self.tell(Done(number, data))

    def failed(self, number: int, error: BaseException) -> None:
        """Say why there is no result of an item."""
        self.tell(Done(number, sealed_error(error)))

    def tell(self, message: Message) -> None:
        """Send a message whole, whatever other threads send."""
        data = pickle.dumps(message)
        with self._lock:
            for start in range(0, len(data) + 1, PIECE_BYTES):  # the last is a shorter one
                self._pipe.send_bytes(data[start : start + PIECE_BYTES])


LineWork = Callable[[LineEnd], None]
"""Takes the items of a line until there are none, and tells what became of each. What it raises
ends the line, and the items under way are tried by another."""


def serve_line(  # noqa: PLR0913 - keywords, all of one line
    pipe: Connection, *, work: LineWork, device: str, n_threads: int, timeout_s: float = math.inf,
    is_assigned: bool = False,
) -> None:  # fmt: skip
    """Wait for a device, then work for as long as the parent has items.

    What a scheduler assigned to it, device and threads, is not waited for, nor shared out again.
    """
    end = LineEnd(pipe, n_threads=n_threads, timeout_s=timeout_s)
    waiting = partial(end.tell, Beat(None))
    try:
        with lease_device(device, is_assigned=is_assigned, on_wait=waiting) as lease:
            end.device = lease.device
            if lease.n_devices and not is_assigned:
                end.n_threads = threads_of_line(lease.n_devices)
            end.tell(Ready(device=lease.device, n_devices=lease.n_devices))
            with _beating(end):
                work(end)
    except BaseException as error:  # noqa: BLE001 - even an exit is an answer
        end.tell(Broken(sealed_error(error)))


class _beating:  # noqa: N801 - a context manager, called as a function
    """Tell each second how far the work is, where it got further."""

    def __init__(self, end: LineEnd) -> None:
        self._end = end
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="beat", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _run(self) -> None:
        last = None
        with suppress(OSError):
            while not self._is_over.wait(BEAT_S):
                usage = self._end.usage()
                if usage != last:
                    self._end.tell(Beat(usage))
                    last = usage
