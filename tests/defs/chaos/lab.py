"""A home with a day's work before it, on SQLite or on PostgreSQL, and a service that runs its page.

The day is the same for every lab: slides of which one is bad and one is gone, recorded by whoever
made the home; arrivals in its inbox; and what people state meanwhile.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
import yaml

from pathassets.defs.instance import TEMPLATE
from pathassets.engine.platform.platform import open_to_read
from pathassets.engine.settings import Settings
from tests.chaos import Home
from tests.defs.daemon import COMMAND, Daemon, environment
from tests.defs.small_slides import write_slide, write_slow_model
from tests.killable_postgres import Server

N_SLIDES = 9
BAD, GONE = "s07", "s08"
"""Without resolution; its file was taken away after it was registered."""
ARRIVALS = ("n00.svs", "n01.svs", "n02.svs")
PAUSE_S = 0.4
"""Of the encoder for each of its batches."""
RECIPE = """
annotations: {mended: {about: tissue by hand}}
tissue_mask: {otsu: {mpp: 8.0, annotations: mended}}
patch_locations: {grid: {tissue_mask: otsu, patch_px: 256, mpp: 0.5, min_tissue_share: 0.5}}
features: {slow: {patch_locations: grid, encoder: {name: 'slow_model:build', version: a}}}
dataset:
  cohort: {features: slow, verdict: not_rejected, seed: 0,
           split: {train: 0.7, val: 0.15, test: 0.15}}
"""
RESTART_S = 1.0
"""`RestartSec` of the service."""


@dataclass(frozen=True)
class Lab(Home):
    """A home, its slides and its databases."""

    slides: Path
    """Folder of the scans, which all labs read."""
    server: Server | None = None
    """Of the databases; None where they are SQLite's files."""

    @property
    def inbox(self) -> Path:
        return self.path / "inbox"

    @property
    def store(self) -> Path:
        return self.path / "store"

    @property
    def variables(self) -> dict[str, str]:
        own = {
            **super().variables,
            "PATHASSETS_INBOX_STABLE_S": "2",
            "PATHASSETS_RETRY_PAUSES_S": "2,5,10",
            "PATHASSETS_WORKERS": "2",
            "PYTHONPATH": str(self.slides),
        }
        if self.server is not None:
            own["PATHASSETS_CATALOG"] = self.server.url(f"catalog_{self.path.name}")
        return own

    @property
    def environment(self) -> dict[str, str]:
        return environment(self.path, **self.variables)

    @contextmanager
    def settings(self) -> Iterator[Settings]:
        with pytest.MonkeyPatch.context() as patch, super().settings() as settings:
            patch.syspath_prepend(self.slides)
            yield settings

    def type(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Type a command, which may be refused, but in words."""
        done = subprocess.run(  # noqa: S603 - our own command
            [COMMAND, *map(str, arguments)],
            env=self.environment, capture_output=True, text=True, check=False, timeout=600,
        )  # fmt: skip
        said = done.stdout + done.stderr
        assert "Traceback" not in said, said
        return done

    def make(self) -> None:
        """Register the slides, and let one of them be gone since."""
        for folder in (self.path, self.inbox, self.temp):
            folder.mkdir(parents=True, mode=0o700)
        if self.server is not None:
            for kind in ("catalog", "dagster"):
                self.server.make(f"{kind}_{self.path.name}")
            self._keep_dagster_on(self.server)
        aside = self.slides.with_name("aside.svs")
        if aside.exists():
            aside.rename(self.slides / f"{GONE}.svs")
        done = self.type("ingest", self.slides)
        assert done.returncode == 0, done.stderr
        (self.slides / f"{GONE}.svs").rename(aside)

    def copied(self, path: Path) -> Lab:
        """The same home under another path, with databases of its own."""
        shutil.copytree(self.path, path, symlinks=True)
        lab = Lab(path, self.recipe, self.slides, self.server)
        lab.temp.mkdir()
        if self.server is not None:
            for kind in ("catalog", "dagster"):
                self.server.make(f"{kind}_{path.name}", like=f"{kind}_{self.path.name}")
            lab._keep_dagster_on(self.server)
        return lab

    def _keep_dagster_on(self, server: Server) -> None:
        config = yaml.safe_load(TEMPLATE.read_text())
        url = server.url(f"dagster_{self.path.name}")
        config["storage"] = {"postgres": {"postgres_url": url}}
        (self.path / "dagster.yaml").write_text(yaml.safe_dump(config))

    def slide_id(self, name: str) -> str:
        """Id of the slide whose file has this name; empty while it is not registered."""
        with self.settings() as settings, open_to_read(settings) as platform:
            known = (one for page in platform.catalog.slide_pages() for one in page)
            return next((one for one in known if one.startswith(f"{name}-")), "")


def write_cohort(folder: Path) -> Path:
    """Write the slides that every lab has, those that arrive, the model and the recipe."""
    slides, arriving = folder / "slides", folder / "arriving"
    slides.mkdir()
    arriving.mkdir()
    for seed in range(N_SLIDES):
        name = f"s{seed:02}"
        write_slide(slides / f"{name}.svs", seed, mpp=None if name == BAD else 0.5)
    for seed, name in enumerate(ARRIVALS, N_SLIDES):
        write_slide(arriving / name, seed)
    write_slow_model(slides, PAUSE_S)
    recipe = folder / "recipe.yaml"
    recipe.write_text(RECIPE)
    return recipe


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@dataclass
class Service:
    """`pathassets ui`, started again when it ends by itself, as `Restart=on-failure` of systemd."""

    lab: Lab
    port: int = field(default_factory=free_port)
    n_restarts: int = 0
    _is_over: threading.Event = field(default_factory=threading.Event)
    _process: subprocess.Popen[bytes] | None = None
    _thread: threading.Thread | None = None

    @property
    def page(self) -> Daemon:
        return Daemon(self.lab.path, self.port, 0)

    @property
    def log(self) -> Path:
        return self.lab.path.with_name(f"{self.lab.path.name}.log")

    def start(self) -> None:
        self._thread = threading.Thread(target=self._keep_up)
        self._thread.start()

    def _keep_up(self) -> None:
        while not self._is_over.is_set():
            with self.log.open("ab") as log:
                self._process = subprocess.Popen(  # noqa: S603 - our own command
                    [COMMAND, "ui", "--port", str(self.port)],
                    env=self.lab.environment, stdout=log, stderr=subprocess.STDOUT,
                    start_new_session=True,
                )  # fmt: skip
            if self._process.wait() == 0 or self._is_over.wait(RESTART_S):
                return
            self.n_restarts += 1

    def stop(self) -> None:
        """End it as `systemctl stop` does."""
        self._is_over.set()
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
        if self._thread is not None:
            self._thread.join(120)
            assert not self._thread.is_alive(), self.log.read_text()

    def end(self) -> None:
        """Leave nothing, however a test ends."""
        self._is_over.set()
        left = self.lab.processes()
        for process in left:
            process.kill()
        psutil.wait_procs(left, timeout=10)
