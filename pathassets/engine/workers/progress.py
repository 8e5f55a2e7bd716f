"""How far worker processes are -> one count, while they work.

worker: note(n) ─▶ eight bytes of a file ─▶ parent: looks every fifth of a second ─▶ advance
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

POLL_S = 0.2
"""Between two looks at the counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CounterPlace:
    """Where one worker's count stands. Picklable."""

    path: str
    number: int

    def note(self, n: int) -> None:
        """Say how many are done; where the file is out of reach nobody is told."""
        with suppress(OSError), Path(self.path).open("r+b") as file:
            file.seek(8 * self.number)
            file.write(n.to_bytes(8, "little"))


class ProgressCounter:
    """The counts of some workers, while a `with` block lasts; `advance` is told what is new."""

    def __init__(self, n_places: int, advance: Callable[[int], None]) -> None:
        self._n_places = n_places
        self._advance = advance
        self._n_reported = 0
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._poll, daemon=True)

    def place(self, number: int) -> CounterPlace:
        """Where a worker's count stands."""
        return CounterPlace(path=self._file.name, number=number)

    def __enter__(self) -> Self:
        self._file = tempfile.NamedTemporaryFile(prefix="pathassets-tally-")
        self._file.truncate(8 * self._n_places)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()
        self._report()
        self._file.close()

    def _poll(self) -> None:
        while not self._is_over.wait(POLL_S):
            self._report()

    def _report(self) -> None:
        n = int(np.fromfile(self._file.name, "<i8").sum())
        if n > self._n_reported:
            self._advance(n - self._n_reported)
            self._n_reported = n
