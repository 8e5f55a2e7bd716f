"""What happens in a lab on one day, told to a page and typed as commands, and when all is quiet.

    backfill or make_current ─▶ arrivals, resolution, verdict, drawing ─▶ quiet
    make_current ─▶ quiet ─▶ repair_slides ─▶ quiet

Whoever does it is patient: what a page or a command refuses, because something was killed, is asked
again a moment later, as it is.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import Any, TypeVar

from tests.defs.chaos.lab import ARRIVALS, Lab, Service
from tests.defs.daemon import ENDED, REPOSITORY, Daemon
from tests.engine.annotations import write_boxes

T = TypeVar("T")

PATIENCE_S = 400.0
QUIET_S = 600.0
ASK_S = 0.5
BACKFILLS = "{ partitionBackfillsOrError { ... on PartitionBackfills { results { id status } } } }"
UNDER_WAY = {"REQUESTED", "CANCELING", "FAILING"}
LAUNCH = """mutation ($params: ExecutionParams!) {
  launchPipelineExecution(executionParams: $params) {
    __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""


@dataclass
class Day:
    """One day, and what was refused on it."""

    lab: Lab
    service: Service
    refused: list[str] = field(default_factory=list)
    """What commands said that had to be typed again."""

    @property
    def page(self) -> Daemon:
        return self.service.page

    def live(self) -> None:
        """Do all that is done on this day."""
        self.ask(lambda: self.page.is_up() or None, "the page")
        self.ask(lambda: self.page.start_sensor("inbox") or True, "the sensor of the inbox")
        if self.lab.server is None:
            self.launch("make_current")
        else:
            self.ask(lambda: self.page.backfill(self.page.partitions()), "a backfill")
        self.arrive()
        self.state()
        self.wait(self._is_all_known, "all that arrived is registered")
        self.be_quiet()
        self.launch("make_current")
        self.be_quiet()
        self.launch("repair_slides")
        self.be_quiet()

    def arrive(self) -> None:
        """Put new scans into the inbox."""
        for name in ARRIVALS:
            aside = self.lab.path / f"{name}.part"
            shutil.copyfile(self.lab.slides.with_name("arriving") / name, aside)
            aside.rename(self.lab.inbox / name)

    def state(self) -> None:
        """State a resolution, a verdict and a drawing."""
        by = ("--who", "Ann", "--why", "as it is")
        drawn = write_boxes(self.lab.temp / "drawn.geojson", (128.0, 128.0, 640.0, 640.0))
        one, two, three = (self.lab.slide_id(name) for name in ("s01", "s02", "s03"))
        self.type("mpp", "set", one, "0.4", *by)
        self.type("qc", "set", two, "reject", *by)
        self.type("annotations", "set", three, drawn, "--name", "mended", *by)
        drawn.unlink()

    def _is_all_known(self) -> bool:
        names = {one.rpartition("-")[0] for one in self.page.partitions()}
        return all(Path(name).stem in names for name in ARRIVALS)

    def type(self, *arguments: str | Path) -> None:
        """Type a command until it is not refused."""

        def typed() -> bool:
            done = self.lab.type(*arguments)
            if done.returncode:
                self.refused.append(f"{arguments[0]}: {done.stdout}{done.stderr}".strip())
            return done.returncode == 0

        self.wait(typed, f"pathassets {' '.join(map(str, arguments))}")

    def launch(self, job: str) -> None:
        """Start a job as its launchpad does, without configuration."""
        params = {
            "selector": {**REPOSITORY, "pipelineName": job}, "mode": "default", "runConfigData": {}
        }  # fmt: skip
        self.ask(lambda: self.page.ask(LAUNCH, params=params)["run"], f"a run of {job}")

    def be_quiet(self) -> None:
        """Wait until nothing is under way, twice in a row."""
        seen: list[bool] = []

        def quiet() -> bool:
            seen.append(not list(self._under_way()))
            return seen[-2:] == [True, True]

        self.wait(quiet, "nothing is under way", within_s=QUIET_S)

    def _under_way(self) -> Iterator[str]:
        """Runs and backfills that have not ended."""
        for run in self.page.runs():
            if run["status"] not in ENDED:
                yield run["runId"]
        for one in self.page.ask(BACKFILLS)["results"]:
            if one["status"] in UNDER_WAY:
                yield one["id"]

    def ask(self, ask: Callable[[], T | None], what: str) -> T:
        """Ask the page until it answers with something."""
        found: list[Any] = []

        def asked() -> bool:
            found.append(ask())
            return bool(found[-1])

        self.wait(asked, what)
        answer: T = found[-1]
        return answer

    def wait(self, done: Callable[[], bool], what: str, *, within_s: float = PATIENCE_S) -> None:
        until_s = time.monotonic() + within_s
        while True:
            # An answer of a page that is going, or of one whose databases are gone.
            with suppress(OSError, HTTPException, AssertionError, KeyError, ValueError, TypeError):
                if done():
                    return
            assert time.monotonic() < until_s, f"not within {within_s:g} s: {what}{self._said()}"
            time.sleep(ASK_S)

    def _said(self) -> str:
        refused = "\n".join(self.refused[-3:])
        return f"\n{refused}\n{self.service.log.read_text()[-6000:]}"
