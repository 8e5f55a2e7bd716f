"""Dagster's code server, daemon and webserver as one: started together, ended together.

A page that is there to be read has no daemon: two of them on one home would both ask the sensors
and start runs, and a run ends with the one that started it.

`dagster dev` does the same, but its webserver has no guard, it ignores SIGTERM where SIGINT is
ignored (as it is for what a script starts with `&`), and what it started outlives its kill -9. The
code server listens on a socket in a folder of this user alone, where no browser reaches it.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import psutil
import yaml

from pathassets.defs.page.service import CODE_SERVER, all_of, interrupt, kill
from pathassets.defs.recovery import is_listening, open_code_folder
from pathassets.engine.logs import log_as_told
from pathassets.errors import ServiceEnded

DEFINITIONS = "pathassets.definitions"
POLL_S = 0.2
END_S = 15.0
"""How long what a program has started, such as a run, may take to end when it is interrupted."""
LOADING_S = 600
"""How long the definitions may take to load: a busy machine takes its time to import torch."""

Stops = list[int]
"""Signals that asked for the end; a second one asks for it at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What is running."""

    environment: Mapping[str, str]
    leash: int
    """Reading end of a pipe that is closed when this process ends."""
    stops: Stops
    started: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    """Programs by name."""

    def start(self, name: str, *command: str) -> None:
        """Start an installed command or a module as a program.

        In a session of its own: Ctrl-C in a terminal is for us, who end all in their order.
        """
        service = [sys.executable, "-m", "pathassets.defs.page.service", str(self.leash)]
        self.started[name] = subprocess.Popen(  # noqa: S603 - our own command
            [*service, *command],
            env=self.environment,
            pass_fds=(self.leash,),
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )

    def is_going_on(self) -> bool:
        """Wait a moment; whether nobody asked for the end meanwhile.

        Raises:
            ServiceEnded: a program ended by itself.
        """
        time.sleep(0 if self.stops else POLL_S)
        for name, process in self.started.items():
            if not self.stops and process.poll() is not None:
                raise ServiceEnded(
                    f"{name} ended, exit code {process.returncode}; the others were ended, too",
                    remedy="Look at what it said before; the same command starts all again",
                )
        return not self.stops

    def end(self) -> None:
        """End all that was started, and all that it started: first as Ctrl-C does, then by force.

        A run is interrupted: it keeps what it finished, and the next one makes the rest.
        """
        tree = self._all()
        n_stops = len(self.stops)
        interrupt(tree)
        until = time.monotonic() + END_S
        while tree and time.monotonic() < until and len(self.stops) <= n_stops:
            _, left = psutil.wait_procs(tree, timeout=POLL_S)
            tree = {*left}
        self.kill()

    def kill(self) -> None:
        """End all of it by force."""
        kill(self._all())

    def _all(self) -> set[psutil.Process]:
        """All that was started and has not ended, be it that its parent has."""
        own = {process.pid for process in self.started.values()}
        return {*psutil.Process().children(recursive=True), *all_of(own)}


def serve(
    port: int, environment: Mapping[str, str], page: Sequence[str], *, has_daemon: bool = True
) -> None:
    """Serve the page on this port until a signal asks for the end.

    `page` is the module that is run for it, and options of its own:
    `python -m PAGE --port PORT --workspace FILE OPTION…`. Without a daemon nothing is run by it.

    Raises:
        ServiceEnded: a program ended by itself; the others were ended, too.
    """
    with open_code_folder() as folder, _stops() as stops, _leash() as leash:
        # What killed processes leave in it, such as Dagster's own sockets, goes with the folder.
        inside = {**environment, "TMPDIR": folder}
        services = Services(environment=inside, leash=leash, stops=stops)
        address, workspace = Path(folder, "code"), Path(folder, "workspace.yaml")
        server = {"socket": str(address), "location_name": DEFINITIONS}
        workspace.write_text(yaml.safe_dump({"load_from": [{"grpc_server": server}]}))
        logs = ["--log-format", "json"] if log_as_told() else []
        location = ["--socket", str(address), "--location-name", DEFINITIONS]
        try:
            services.start(
                "the code server", "dagster", CODE_SERVER, "start", "-m", DEFINITIONS, *location,
                "--startup-timeout", str(LOADING_S), "--log-level", "warning",
                "--inject-env-vars-from-instance", *logs,
            )  # fmt: skip
            while not is_listening(address) and services.is_going_on():
                pass
            if not stops:
                known = ["--workspace", str(workspace)]
                if has_daemon:
                    services.start("the daemon", "dagster-daemon", "run", *known, *logs)
                module, *options = page
                services.start("the webserver", module, "--port", str(port), *known, *options)
            while services.is_going_on():
                pass
        except ServiceEnded:
            services.kill()  # runs are started again: one that is interrupted would not be
            raise
        finally:
            services.end()


@contextmanager
def _stops() -> Iterator[Stops]:
    """Signals that ask for the end, while the block runs.

    Also where a shell had them ignored, which what is started meanwhile then does not inherit; but
    for SIGHUP: to ignore it is what nohup is for.
    """
    seen: Stops = []

    def note(number: int, _frame: FrameType | None) -> None:
        seen.append(number)

    asked = {signal.SIGINT, signal.SIGTERM}
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        asked.add(signal.SIGHUP)
    before = {number: signal.signal(number, note) for number in asked}
    try:
        yield seen
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _leash() -> Iterator[int]:
    """The reading end of a pipe, whose other end is held here alone."""
    reading, writing = os.pipe()
    try:
        yield reading
    finally:
        os.close(writing)
        os.close(reading)
