"""A real `pathassets ui` over a home of its own, and what a test asks of it through GraphQL."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import psutil

T = TypeVar("T")

COMMAND = str(Path(sys.executable).with_name("pathassets"))
POLL_S = 0.5
LOCATION = "pathassets.definitions"
REPOSITORY = {"repositoryLocationName": LOCATION, "repositoryName": "__repository__"}
ENDED = {"SUCCESS", "FAILURE", "CANCELED"}
BACKFILL_ENDED = {"COMPLETED", "COMPLETED_SUCCESS", "COMPLETED_FAILED", "FAILED", "CANCELED"}


def wait_for(ask: Callable[[], T | None], what: str, *, within_s: float) -> T:
    """Ask until there is an answer that is not None or empty."""
    deadline = time.monotonic() + within_s
    while not (answer := ask()):
        assert time.monotonic() < deadline, f"not within {within_s:g} s: {what}"
        time.sleep(POLL_S)
    return answer


def environment(home: Path, **more: str) -> dict[str, str]:
    """The environment of someone who has set the home, and nothing else."""
    ours = ("PATHASSETS_", "DAGSTER_", "PYTHONWARNINGS")
    plain = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    house = {"DAGSTER_DISABLE_TELEMETRY": "yes", "PATHASSETS_RETRY_PAUSES_S": "none"}
    return {**plain, "PATHASSETS_HOME": str(home), **house, **more}


def pathassets(
    home: Path, *arguments: str | Path, code: int = 0, **more: str
) -> subprocess.CompletedProcess[str]:
    """Run the command as a person would."""
    done = subprocess.run(  # noqa: S603  (our own command)
        [COMMAND, *map(str, arguments)],
        env=environment(home, **more),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    return done


@dataclass(frozen=True)
class Daemon:
    home: Path
    port: int
    pid: int
    """Of the command that started all other processes."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(self, query: str, **variables: Any) -> Any:
        """Send GraphQL; returns the only field of the answer."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.url}/graphql", body, headers)  # noqa: S310
        with urllib.request.urlopen(request, timeout=60) as reply:  # noqa: S310
            answer = json.load(reply)
        assert "errors" not in answer, answer["errors"]
        (found,) = answer["data"].values()
        return found

    def slide_assets(self) -> list[str]:
        """Per-slide assets that Dagster can run."""
        nodes = self.ask("{ assetNodes { assetKey { path } isPartitioned isExecutable } }")
        runnable = [n for n in nodes if n["isPartitioned"] and n["isExecutable"]]
        return sorted("/".join(node["assetKey"]["path"]) for node in runnable)

    def health(self) -> dict[str, tuple[int, list[str]]]:
        """How many partitions of each per-slide asset are green, and which are red."""
        nodes = self.ask(
            """{ assetNodes { assetKey { path } partitionStats { numMaterialized }
                 assetPartitionStatuses {
                   ... on DefaultPartitionStatuses { failedPartitions } } } }"""
        )
        return {
            "/".join(node["assetKey"]["path"]): (
                node["partitionStats"]["numMaterialized"],
                node["assetPartitionStatuses"]["failedPartitions"],
            )
            for node in nodes
            if node["partitionStats"]
        }

    def partitions(self) -> list[str]:
        node = self.ask(
            """{ assetNodeOrError(assetKey: {path: ["slide"]}) {
                 ... on AssetNode { partitionKeys } } }"""
        )
        keys: list[str] = node["partitionKeys"]
        return keys

    def staleness(self, asset: str, slide_id: str) -> str:
        node = self.ask(
            """query ($path: [String!]!, $slide: String!) {
                 assetNodeOrError(assetKey: {path: $path}) {
                   ... on AssetNode { staleStatus(partition: $slide) } } }""",
            path=asset.split("/"),
            slide=slide_id,
        )
        return str(node["staleStatus"])

    def backfill(self, slide_ids: list[str]) -> str:
        """Launch a backfill of all per-slide assets; returns its id."""
        launched = self.ask(
            """mutation ($params: LaunchBackfillParams!) {
                 launchPartitionBackfill(backfillParams: $params) {
                   __typename ... on LaunchBackfillSuccess { backfillId }
                   ... on PythonError { message } } }""",
            params={
                "assetSelection": [{"path": name.split("/")} for name in self.slide_assets()],
                "partitionNames": slide_ids,
            },
        )
        return str(launched["backfillId"])

    def end_of_backfill(self, backfill_id: str) -> list[dict[str, Any]]:
        """Wait until Dagster calls a backfill ended; returns its runs."""

        def ended() -> bool:
            backfill = self.ask(
                """query ($id: String!) { partitionBackfillOrError(backfillId: $id) {
                     ... on PartitionBackfill { status } } }""",
                id=backfill_id,
            )
            return backfill["status"] in BACKFILL_ENDED

        wait_for(ended, f"end of backfill {backfill_id}", within_s=240)
        return self.runs({"key": "dagster/backfill", "value": backfill_id})

    def end_of_runs(self, backfill_id: str) -> list[dict[str, Any]]:
        """Wait until what runs of a backfill have ended, half a minute before Dagster says so."""

        def ended() -> list[dict[str, Any]]:
            runs = self.runs({"key": "dagster/backfill", "value": backfill_id})
            return runs if all(run["status"] in ENDED for run in runs) else []

        return wait_for(ended, f"end of the runs of backfill {backfill_id}", within_s=240)

    def backfills(self) -> list[str]:
        """Ids of all backfills, newest first."""
        found = self.ask(
            "{ partitionBackfillsOrError { ... on PartitionBackfills { results { id } } } }"
        )
        return [one["id"] for one in found["results"]]

    def runs(self, *tags: dict[str, str]) -> list[dict[str, Any]]:
        """Runs with these tags, newest first."""
        found = self.ask(
            """query ($filter: RunsFilter!) { runsOrError(filter: $filter) { ... on Runs {
                 results { runId status jobName tags { key value } } } } }""",
            filter={"tags": list(tags)},
        )
        runs: list[dict[str, Any]] = found["results"]
        return runs

    def version_of(self, asset: str) -> str | None:
        """Run of the newest materialization of an unpartitioned asset; None where there is none."""
        node = self.ask(
            """query ($path: [String!]!) { assetNodeOrError(assetKey: {path: $path}) {
                 ... on AssetNode { assetMaterializations(limit: 1) { runId } } } }""",
            path=asset.split("/"),
        )
        made = node["assetMaterializations"]
        return str(made[0]["runId"]) if made else None

    def materialize(self, asset: str) -> str:
        """Launch a run of one unpartitioned asset, wait for its end; returns its status."""
        return self.launch("__ASSET_JOB", assetSelection=[{"path": asset.split("/")}])

    def launch(self, job: str, *, within_s: float = 120, **more: Any) -> str:
        """Launch a job as its launchpad does, without configuration; its status at its end."""
        launched = self.ask(
            """mutation ($params: ExecutionParams!) {
                 launchPipelineExecution(executionParams: $params) {
                   __typename ... on LaunchRunSuccess { run { runId } }
                   ... on PythonError { message } } }""",
            params={
                "selector": {**REPOSITORY, "pipelineName": job, **more},
                "mode": "default",
                "runConfigData": {},
            },
        )
        run_id = launched["run"]["runId"]

        def status() -> str | None:
            (run,) = (run for run in self.runs() if run["runId"] == run_id)
            return str(run["status"]) if run["status"] in ENDED else None

        return wait_for(status, f"end of run {run_id}", within_s=within_s)

    def start_sensor(self, name: str) -> None:
        started = self.ask(
            """mutation ($selector: SensorSelector!) { startSensor(sensorSelector: $selector) {
                 __typename ... on PythonError { message } } }""",
            selector={**REPOSITORY, "sensorName": name},
        )
        assert started["__typename"] == "Sensor", started

    def kill(self) -> None:
        """Kill the command and all that it started, at once, as a dying machine does."""
        command = psutil.Process(self.pid)
        tree = [command, *command.children(recursive=True)]
        for process in tree:
            process.suspend()  # none may see another end
        tree = [command, *command.children(recursive=True)]
        for process in tree:
            process.kill()
        psutil.wait_procs(tree, timeout=10)

    def is_up(self) -> bool:
        """Whether the page answers and has loaded the definitions."""
        try:
            return bool(self.ask("{ assetNodes { id } }"))
        except (urllib.error.URLError, ConnectionError):
            return False


@contextmanager
def running(home: Path, log: Path, *options: str, **more: str) -> Iterator[Daemon]:
    """Start `pathassets ui` on a free port, in a session of its own, and end it in the end."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with log.open("w") as output:
        process = subprocess.Popen(  # noqa: S603  (our own command)
            [COMMAND, "ui", "--port", str(port), *options],
            env=environment(home, **more),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    daemon = Daemon(home, port, process.pid)
    try:
        wait_for(lambda: process.poll() is not None or daemon.is_up(), "the page", within_s=300)
        assert process.poll() is None, log.read_text()
        yield daemon
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the process as Ctrl-C does, then what is left of those that it started."""
    started = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
    process.send_signal(signal.SIGINT)
    try:
        process.wait(60)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    _, left = psutil.wait_procs(started, timeout=10)
    for one in left:
        one.kill()
    psutil.wait_procs(left, timeout=10)
