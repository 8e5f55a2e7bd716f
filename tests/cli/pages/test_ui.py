"""`pathassets ui --read-only`: what it starts and what it leaves alone."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from click.testing import CliRunner

from pathassets.cli import main
from pathassets.defs.instance import open_instance
from pathassets.defs.page import services
from pathassets.defs.recovery import PROCESS_TAG
from pathassets.engine.settings import read_settings
from tests.defs.small_slides import RECIPE

RUN_ID = "00000000-0000-0000-0000-000000000001"
DEAD = {PROCESS_TAG: f"{socket.gethostname()}:999999999:1:{RUN_ID}"}
"""Tag of a run whose process is gone."""


@pytest.fixture
def instance(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cheap_databases: None
) -> Iterator[dg.DagsterInstance]:
    """That of a home in which a run was killed."""
    del cheap_databases
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    monkeypatch.setenv("PATHASSETS_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with open_instance(read_settings()) as opened:
        job = dg.JobDefinition(graph_def=dg.GraphDefinition(name="empty"), name="empty")
        opened.create_run_for_job(job, run_id=RUN_ID, tags=DEAD, status=dg.DagsterRunStatus.STARTED)
        yield opened


def test_a_page_to_read_has_no_daemon_and_leaves_runs_as_they_are(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[bool, bool, dg.DagsterRunStatus]] = []

    def serve(
        _port: int, _environment: Mapping[str, str], page: Sequence[str], **said: Any
    ) -> None:
        (run,) = instance.get_runs()
        seen.append(("--read-only" in page, said.get("has_daemon", True), run.status))

    monkeypatch.setattr(services, "serve", serve)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    for options in (["--read-only"], []):
        said = CliRunner().invoke(main, ["ui", "--port", port, *options])
        assert said.exit_code == 0, said.output
    assert seen == [
        (True, False, dg.DagsterRunStatus.STARTED), (False, True, dg.DagsterRunStatus.FAILURE),
    ]  # fmt: skip
