"""What is killed: which processes of a lab there are, told by what they are, and how each dies."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self

import psutil

from tests.chaos import shared_memory_of
from tests.defs.chaos.lab import Lab

LOOK_S = 0.2
DOWN_S = 3.0
"""How long a server stays down that was killed."""
EVENING_S = 30.0
"""More than any of them takes to die."""
FULL_S = (3.0, 9.0)
"""How long a disk stays full, at least and at most."""
MIB = 1 << 20


def kinds_of(process: psutil.Process) -> str:
    """What a process of a lab is; empty where it is nothing that is killed here."""
    with suppress(psutil.Error):
        command = process.cmdline()
        said = " ".join(command)
        if "pathassets.defs.page.service" in command:
            return next((kind for kind, word in SERVICES.items() if word in command), "")
        if "api grpc" in said:
            return "definitions"
        if "engine/workers/worker.py" in said:
            is_worker = "PATHASSETS_READ_THREADS" in process.environ()
            return "pool worker" if is_worker else "line"
        if "multiprocessing.spawn" in said:
            return "run"
    return ""


SERVICES = {
    "webserver": "pathassets.cli.pages.webserver",
    "daemon": "dagster-daemon",
    "code server": "code-server",
}
PASSING = ("run", "line", "pool worker")
"""Those that are there now and then."""
SERVER = ("postgres", "backend")
KINDS = ("line", "postgres", "run", "disk", "daemon", "pool worker", "webserver", "backend",
         "code server", "definitions")  # fmt: skip
"""In the order of rounds, so that the first few are unlike each other."""


def found(lab: Lab) -> Mapping[str, list[psutil.Process]]:
    """Processes of a lab by what they are."""
    kinds: defaultdict[str, list[psutil.Process]] = defaultdict(list)
    for process in lab.processes():
        kinds[kinds_of(process)].append(process)
    if lab.server is not None:
        kinds["postgres"] = [lab.server.process]
        kinds["backend"] = lab.server.backends_of(f"dagster_{lab.path.name}")
        kinds["backend"] += lab.server.backends_of(f"catalog_{lab.path.name}")
    return kinds


@dataclass
class Strike:
    """A victim that dies at a moment of the day, once there is one."""

    lab: Lab
    kind: str
    at_s: float
    seed: float
    is_struck: bool = False
    was_s: float = 0.0
    """When it was done."""
    named: set[str] = field(default_factory=set)
    """Shared memory that its processes had then."""
    error: Exception | None = None
    _is_over: threading.Event = field(default_factory=threading.Event)
    _is_evening: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._wait)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_evening.set()
        self._is_over.set()
        self._thread.join()

    def at_last(self) -> None:
        """Die in the evening, where the day was over before; whoever is there then."""
        self._is_evening.set()
        self._thread.join(EVENING_S)

    @property
    def _draw(self) -> random.Random:
        return random.Random(self.seed)  # noqa: S311 - not for secrets

    def _wait(self) -> None:
        began_s = time.monotonic()
        self._is_evening.wait(self.at_s)
        while not self.is_struck and not self._is_over.is_set():
            try:
                self.is_struck = self._strike()
            except Exception as error:  # noqa: BLE001 - told by the test
                self.error = error
                return
            self._is_over.wait(LOOK_S)
        self.was_s = time.monotonic() - began_s

    def _strike(self) -> bool:
        if self.kind == "disk":
            fill(self.lab, self._draw.uniform(*FULL_S))
            return True
        victims = sorted(found(self.lab)[self.kind], key=lambda process: process.pid)
        if not victims:
            return False
        self.named = shared_memory_of(self.lab.processes())
        if self.kind == "postgres":
            _kill_server(self.lab)
            return True
        victim = self._draw.choice(victims)
        with suppress(psutil.NoSuchProcess):
            victim.send_signal(signal.SIGKILL)
            return True
        return False


def _kill_server(lab: Lab) -> None:
    server = lab.server
    assert server is not None
    command = server.process.cmdline()
    server.kill()
    time.sleep(DOWN_S)
    server.start(command)


def fill(lab: Lab, seconds: float) -> None:
    """Leave not a byte on the disk of the store for a while."""
    filler = lab.store / "filler"
    until_s = time.monotonic() + seconds
    try:
        while time.monotonic() < until_s:  # what is freed meanwhile is taken, too
            with suppress(OSError), filler.open("ab") as file:
                while True:
                    os.write(file.fileno(), bytes(MIB))
            with suppress(OSError), filler.open("ab") as file:
                while True:
                    os.write(file.fileno(), bytes(512))
            time.sleep(LOOK_S)
    finally:
        filler.unlink(missing_ok=True)
