"""The examples of deploy/: their form, by the programs that read them where those are installed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from pathassets.cli import main
from pathassets.cli.pages import webserver
from pathassets.core.shards import Shard
from pathassets.defs.page import service
from pathassets.defs.page.nightly import AFTER_SCRUB
from pathassets.defs.schedules import AFTER_DATASETS, NIGHTLY, SUNDAYS

ROOT = Path(__file__).parents[2]
COMPOSE, SYSTEMD = ROOT / "deploy" / "compose", ROOT / "deploy" / "systemd"
UNITS = sorted(SYSTEMD.iterdir())
SLURM = sorted((ROOT / "deploy" / "slurm").iterdir())
SBATCH = {
    "array", "cpus-per-task", "gres", "job-name", "mem", "output", "time",
}  # fmt: skip
"""Options of sbatch that the examples may take."""
FILLED_IN = {"POSTGRES_PASSWORD": "word", "EDITOR_HASH": "hash", "VIEWER_HASH": "hash"}


def environment() -> dict[str, str]:
    """What `env.example` says once its blanks are filled in."""
    lines = (COMPOSE / "env.example").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and line[0] != "#") | FILLED_IN


def compose(tmp_path: Path, values: dict[str, str]) -> subprocess.CompletedProcess[str]:
    program = shutil.which("docker-compose")
    if program is None:
        pytest.skip("needs docker-compose")
    (tmp_path / "env").write_text("".join(f"{name}={value}\n" for name, value in values.items()))
    return subprocess.run(  # noqa: S603  (an installed program)
        [program, "--env-file", str(tmp_path / "env"), "config"],
        cwd=COMPOSE,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_compose_file_is_one_and_only_its_proxy_is_reached(tmp_path: Path) -> None:
    done = compose(tmp_path, environment())
    assert done.returncode == 0, done.stderr
    services: dict[str, Any] = yaml.safe_load(done.stdout)["services"]
    assert [name for name, service in services.items() if "ports" in service] == ["proxy"]
    ours = {n: s for n, s in services.items() if s["image"].startswith("pathassets")}
    assert set(ours) == {"code", "daemon", "web", "viewer"}
    assert {"/srv/scans:/slides:ro"} == {
        v for s in ours.values() for v in s["volumes"] if "/slides" in v
    }
    begins = f"python -m {service.__name__} {service.NO_LEASH} dagster {service.CODE_SERVER} start"
    assert ours["code"]["command"].startswith(f"{begins} ")
    is_read_only = {name: "--read-only" in ours[name]["command"] for name in ("web", "viewer")}
    assert is_read_only == {"web": False, "viewer": True}


def test_the_backup_begins_when_no_schedule_does_and_the_document_switches_on_every_unit() -> None:
    timer = (SYSTEMD / "pathassets-backup.timer").read_text()
    [at] = re.findall(r"OnCalendar=.* (\d\d):(\d\d)", timer)
    crons = (NIGHTLY, AFTER_DATASETS, SUNDAYS, AFTER_SCRUB)
    begins = {tuple(map(int, cron.split()[1::-1])) for cron in crons}
    assert tuple(map(int, at)) not in begins
    [enable] = re.findall(r"systemctl enable --now (.*)", (ROOT / "docs/deployment.md").read_text())
    installed = {unit.name for unit in UNITS if "[Install]" in unit.read_text()}
    assert set(enable.split()) == installed


@pytest.mark.parametrize("name", [*FILLED_IN, "PATHASSETS_LAB", "PATHASSETS_HOST"])
def test_what_was_left_blank_is_named(name: str, tmp_path: Path) -> None:
    done = compose(tmp_path, environment() | {name: ""})
    assert done.returncode != 0
    assert name in done.stderr


def test_dagster_in_containers_is_set_up_as_it_is_here_but_for_where_its_state_is() -> None:
    here = yaml.safe_load((ROOT / "pathassets" / "dagster.yaml").read_text())
    there = yaml.safe_load((COMPOSE / "dagster.yaml").read_text())
    for name in ("storage", "compute_logs", "local_artifact_storage"):
        here.pop(name, None), there.pop(name, None)
    assert there == here


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_takes_the_units(unit: Path, tmp_path: Path) -> None:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("needs systemd-analyze")
    for one in UNITS:  # a timer wants its service; the command is installed elsewhere
        text = one.read_text().replace("/opt/pathassets/.venv/bin/pathassets", "/bin/true")
        (tmp_path / one.name).write_text(text)
    done = subprocess.run(  # noqa: S603  (an installed program)
        [program, "verify", "--man=no", str(tmp_path / unit.name)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_commands_of_the_examples_have_the_options_that_they_name() -> None:
    texts = [path.read_text() for path in (*UNITS, COMPOSE / "compose.yaml")]
    asked = [
        (line.split()[0], set(re.findall(r"--[a-z-]+", line)))
        for text in texts
        for line in re.findall(r"bin/pathassets (.*)", text)
    ]
    assert {command for command, _ in asked} == {"ui", "backup", "metrics"}
    for command, options in asked:
        said = CliRunner().invoke(main, [command, "--help"]).output
        assert options <= set(re.findall(r"--[a-z-]+", said)), command
    page = " ".join(texts[-1].split())
    named = re.findall(r"cli\.pages\.webserver ((?:--[a-z-]+ ?[^- ]* ?)+)", page)
    known = {name for option in webserver.main.params for name in option.opts}
    assert len(named) == 2
    assert set(re.findall(r"--[a-z-]+", " ".join(named))) <= known


def test_the_values_for_dagsters_chart_run_our_definitions() -> None:
    values = yaml.safe_load((ROOT / "deploy" / "helm" / "values.yaml").read_text())
    (ours,) = values["dagster-user-deployments"]["deployments"]
    assert ours["dagsterApiGrpcArgs"] == ["-m", "pathassets.definitions"]
    mounted = {mount["name"] for mount in ours["volumeMounts"]}
    assert mounted == {volume["name"] for volume in ours["volumes"]}
    container = values["runLauncher"]["config"]["k8sRunLauncher"]["runK8sConfig"]["containerConfig"]
    assert set(container["resources"]) == {"requests", "limits"}


@pytest.mark.parametrize("script", SLURM, ids=lambda script: script.name)
def test_a_shell_takes_the_scripts_for_slurm_and_they_ask_for_what_there_is(script: Path) -> None:
    done = subprocess.run(["bash", "-n", str(script)], check=False, capture_output=True)  # noqa: S603, S607
    assert (done.returncode, done.stderr) == (0, b"")
    text = script.read_text()
    assert text.startswith("#!/bin/bash\n")
    directives = re.findall(r"^#SBATCH --([a-z-]+)=\S+$", text, re.MULTILINE)
    assert len(directives) == text.count("#SBATCH")
    assert set(directives) <= SBATCH
    commands = re.findall(r"^pathassets (.*)$", text, re.MULTILINE)
    assert commands
    for line in commands:
        said = CliRunner().invoke(main, [line.split()[0], "--help"]).output
        assert set(re.findall(r"--[a-z-]+", line)) <= set(re.findall(r"--[a-z-]+", said))


def test_tasks_of_the_array_have_a_share_each() -> None:
    text = SLURM[1].read_text()
    assert SLURM[1].name == "array.sh"
    (n_tasks,) = re.findall(r"--array=1-(\d+)$", text, re.MULTILINE)
    names = {"$SLURM_ARRAY_TASK_ID": "3", "$SLURM_ARRAY_TASK_COUNT": n_tasks}
    (shard,) = re.findall(r'^shard="(.*)"$', text, re.MULTILINE)
    for name, value in names.items():
        shard = shard.replace(name, value)
    assert Shard.parse(shard) == Shard(number=3, n_shards=int(n_tasks))
