"""`pathassets ui` and all that it starts: together they start, and together they end."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.defs.daemon import COMMAND, Daemon, environment, pathassets, running, wait_for
from tests.defs.small_slides import RECIPE, write_slide, write_slow_recipe

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

N_SLIDES = 20
"""Four fill a batch of the encoder and are done together: some are left after each of two kills."""
IN_BACKGROUND = '"$0" ui --port "$1" >"$2" 2>&1 & echo $!'
"""As a script does it: what a shell that talks to nobody starts with & ignores SIGINT."""
ENDED_S = 60
"""More than all may take on a busy machine; on an idle one it is six seconds."""


@dataclass(frozen=True)
class Background:
    home: Path
    port: int

    def daemon(self, ui: psutil.Process) -> Daemon:
        return Daemon(self.home, self.port, ui.pid)

    @property
    def log(self) -> Path:
        return self.home / "ui.log"

    def start(self) -> list[psutil.Process]:
        """Start it and wait for its page; returns all its processes, itself first."""
        return self.serving(self.launch())

    def launch(self) -> psutil.Process:
        heard = ["env", "--default-signal=HUP"]  # also where the tests were started with nohup
        shell = [*heard, "sh", "-c", IN_BACKGROUND, COMMAND, str(self.port), str(self.log)]
        env = environment(self.home, PYTHONPATH=str(self.home))
        said = subprocess.run(  # noqa: S603  (our own command)
            shell, env=env, capture_output=True, text=True, check=True
        )
        return psutil.Process(int(said.stdout))

    def serving(self, ui: psutil.Process) -> list[psutil.Process]:
        """Wait for its page; returns all its processes, itself first."""
        wait_for(
            lambda: not ui.is_running() or self.daemon(ui).is_up(),
            self.log.read_text(),
            within_s=120,
        )
        assert ui.is_running(), self.log.read_text()
        return [ui, *ui.children(recursive=True)]


@pytest.fixture
def background(tmp_path: Path) -> Iterator[Background]:
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        started = Background(tmp_path, probe.getsockname()[1])
    yield started
    for process in psutil.process_iter(["environ"]):  # where a test failed half-way
        if (process.info["environ"] or {}).get("PATHASSETS_HOME") == str(tmp_path):
            process.kill()


def left(processes: list[psutil.Process]) -> list[str]:
    """Commands of those that do not end in time."""
    _, alive = psutil.wait_procs(processes, timeout=ENDED_S)
    return [" ".join(process.cmdline()) for process in alive]


def test_what_a_script_started_ends_with_all_its_processes_and_the_next_one_starts_at_once(
    background: Background,
) -> None:
    before = background.start()
    before[0].kill()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        ui = background.launch()
        assert left(before) == []  # whose page would answer for the new one
        before = background.serving(ui)
        assert len(before) == 5  # ui, code server, what loads the definitions, daemon, page
        ui.send_signal(number)
        assert left(before) == []
        assert "Traceback" not in background.log.read_text()


def interrupt(background: Background, ui: psutil.Process, number: signal.Signals) -> set[str]:
    """Send a signal while slides are run, and see all end; returns the runs that were going on."""
    daemon = background.daemon(ui)
    n_before = daemon.health()["features/colour"][0]
    daemon.backfill(daemon.partitions())
    wait_for(
        lambda: daemon.health()["features/colour"][0] > n_before, "more features", within_s=120
    )
    processes = [ui, *ui.children(recursive=True)]
    going_on = {run["runId"] for run in daemon.runs() if run["status"] == "STARTED"}
    assert going_on
    ui.send_signal(number)
    assert left(processes) == []
    return going_on


def test_runs_are_interrupted_and_the_next_ones_do_the_rest(background: Background) -> None:
    home = background.home
    write_slow_recipe(home, pause_s=3)
    (home / "slides").mkdir()
    for seed in range(N_SLIDES):
        write_slide(home / "slides" / f"{seed}.svs", seed)
    python = {"PYTHONPATH": str(home)}
    pathassets(home, "ingest", home / "slides", **python)

    ui, *others = background.start()
    for number in (signal.SIGTERM, signal.SIGKILL):
        interrupted = interrupt(background, ui, number)
        ui, *others = background.start()
        status = {run["runId"]: run["status"] for run in background.daemon(ui).runs()}
        assert {status[run] for run in interrupted} == {"FAILURE"}
    (daemon,) = (one for one in others if "dagster-daemon" in one.cmdline())
    daemon.kill()
    assert left([ui, *others]) == []
    said = background.log.read_text()
    assert "the daemon ended, exit code -9; the others were ended, too" in said

    stages = "tissue_mask,patch_locations,features"  # one slide may not have been come to
    said = pathassets(home, "run", "--select", stages, **python).stdout
    assert f"ran {N_SLIDES} slides" not in said  # what was finished is kept
    rows = json.loads(pathassets(home, "status", "--json", **python).stdout)["slides"]
    assert {row["assets"]["features/colour"]["state"] for row in rows} == {"current"}


def kill_amid_a_run(background: Background, word: str) -> None:
    """Kill the program of which the command line has this word; see all end."""
    ui, *others = background.start()
    daemon = background.daemon(ui)
    daemon.backfill(daemon.partitions())
    wait_for(lambda: any(r["status"] == "STARTED" for r in daemon.runs()), "a run", within_s=120)
    tree = [ui, *ui.children(recursive=True)]
    next(one for one in others if word in " ".join(one.cmdline()[1:])).kill()
    assert left(tree) == []
    assert "the code server ended, exit code -9" in background.log.read_text()


def test_a_run_goes_on_after_the_code_server_was_killed_or_what_loads_the_definitions_for_it(
    background: Background,
) -> None:
    home = background.home
    write_slow_recipe(home, pause_s=1)
    write_slide(home / "a.svs", 1)
    pathassets(home, "ingest", home / "a.svs", PYTHONPATH=str(home))
    for word in ("code-server", "api grpc"):
        kill_amid_a_run(background, word)
    daemon = background.daemon(background.start()[0])
    wait_for(lambda: daemon.health()["features/colour"] == (1, []), "what is left", within_s=180)


def test_a_page_to_read_beside_another_runs_nothing_and_ends_no_run_of_it(
    background: Background, tmp_path: Path
) -> None:
    home = background.home
    write_slow_recipe(home, pause_s=5)
    write_slide(home / "a.svs", 1)
    pathassets(home, "ingest", home / "a.svs", PYTHONPATH=str(home))
    daemon = background.daemon(background.start()[0])
    log = tmp_path / "viewer.log"
    with running(home, log, "--read-only", PYTHONPATH=str(home)) as viewer:
        ui = psutil.Process(viewer.pid)
        commands = [one.cmdline() for one in ui.children(recursive=True)]
        assert len(commands) == 3  # code server, what loads the definitions, page
        assert not [one for one in commands if "dagster-daemon" in one]
        daemon.backfill(daemon.partitions())
        wait_for(lambda: [r["status"] for r in viewer.runs()] == ["STARTED"], "it", within_s=120)
    wait_for(lambda: daemon.health()["features/colour"] == (1, []), "the features", within_s=120)
    (run,) = daemon.runs()
    wait_for(lambda: daemon.runs()[0]["status"] == "SUCCESS", "its end", within_s=60)
    assert [one["runId"] for one in daemon.runs()] == [run["runId"]]  # it was not started again
    for said in (log.read_text(), background.log.read_text()):
        assert "daemon is still sending heartbeats" not in said


PUBLIC = "https://slides.example"
WHERE = ("Dagster UI: ", "all slides: ")
"""How lines begin that tell a person where the pages are."""
SWITCH_ON = """mutation { startSchedule(scheduleSelector: {
  repositoryName: "__repository__", repositoryLocationName: "pathassets.definitions",
  scheduleName: "nightly_scrub"}) { __typename } }"""


def switch_on(daemon: Daemon, origin: str) -> str:
    """What the page says to one who wants to switch a schedule on, behind its proxy."""
    headers = {"Host": "slides.example", "Origin": origin, "Content-Type": "application/json"}
    body = json.dumps({"query": SWITCH_ON}).encode()
    request = urllib.request.Request(f"{daemon.url}/graphql", body, headers)  # noqa: S310
    with urllib.request.urlopen(request, timeout=60) as reply:  # noqa: S310
        said: str = json.load(reply)["data"]["startSchedule"]["__typename"]
    return said


def test_a_page_to_read_changes_nothing_is_at_home_behind_a_proxy_and_logs_as_json(
    tmp_path: Path,
) -> None:
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    write_slide(tmp_path / "a.svs", 1)
    pathassets(tmp_path, "ingest", tmp_path / "a.svs")
    log, json_logs = tmp_path / "ui.log", {"PATHASSETS_LOG_FORMAT": "json"}
    options = ["--read-only", "--public-url", PUBLIC]
    with running(tmp_path, log, *options, **json_logs) as daemon:
        assert len(daemon.partitions()) == 1
        assert switch_on(daemon, PUBLIC) == "UnauthorizedError"
        with pytest.raises(urllib.error.HTTPError, match="403"):
            switch_on(daemon, "https://other.example")
        with urllib.request.urlopen(f"{daemon.url}/metrics", timeout=60) as reply:  # noqa: S310
            assert b"\npathassets_slides 1.0\n" in reply.read()
    assert all(isinstance(line, dict) for line in all_of_json(log))


def all_of_json(log: Path) -> list[dict[str, Any]]:
    """All that was said, but for where the pages are."""
    told = [line for line in log.read_text().splitlines() if not line.startswith(WHERE)]
    return [json.loads(line) for line in told]


def test_what_is_said_of_runs_that_the_page_starts_is_json_where_that_is_asked_for(
    tmp_path: Path,
) -> None:
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    write_slide(tmp_path / "a.svs", 1)
    json_logs = {"PATHASSETS_LOG_FORMAT": "json"}
    pathassets(tmp_path, "ingest", tmp_path / "a.svs", **json_logs)
    log = tmp_path / "ui.log"
    with running(tmp_path, log, **json_logs) as daemon:
        run_ids = {run["runId"] for run in daemon.end_of_runs(daemon.backfill(daemon.partitions()))}
        assert daemon.launch("gc") == "SUCCESS"
    lines = all_of_json(log)
    ended = {
        line["job"]: line["run_id"] for line in lines if line.get("event") == "PIPELINE_SUCCESS"
    }
    assert ended.keys() == {"__ASSET_JOB", "gc"}
    assert run_ids == {ended["__ASSET_JOB"]}
