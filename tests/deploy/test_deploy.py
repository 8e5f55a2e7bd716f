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
from pathassets.engine import settings

ROOT = Path(__file__).parents[2]
COMPOSE, SYSTEMD = ROOT / "deploy" / "compose", ROOT / "deploy" / "systemd"
UNITS = sorted(SYSTEMD.iterdir())
HELM, KUBERAY = ROOT / "deploy" / "helm", ROOT / "deploy" / "kuberay"
SLURM = sorted((ROOT / "deploy" / "slurm").glob("*.sh"))
SLURM_SETTINGS = ROOT / "deploy" / "slurm" / "pathassets.env.example"
SBATCH = {
    "array", "cpus-per-task", "gres", "job-name", "mem", "nodes", "ntasks-per-node", "output",
    "time",
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
    values = yaml.safe_load((HELM / "values.yaml").read_text())
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
    commands = re.findall(r'^(?:[A-Z_]+="[^"]*" )?pathassets (.*)$', text, re.MULTILINE)
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


def test_jobs_on_slurm_take_their_settings_from_one_file_which_the_environment_overrules(
    tmp_path: Path,
) -> None:
    (tmp_path / "pathassets.env").write_text(SLURM_SETTINGS.read_text())
    names = set(re.findall(r"export (PATHASSETS_\w+)=", SLURM_SETTINGS.read_text()))
    assert names <= known_settings()
    for script in SLURM:
        (line,) = re.findall(r"^source .*$", script.read_text(), re.MULTILINE)
        told = subprocess.run(  # noqa: S603
            ["bash", "-euc", f"{line}; env"],  # noqa: S607
            env={"PATH": os.environ["PATH"], "SLURM_SUBMIT_DIR": str(tmp_path),
                 "PATHASSETS_STORE": "s3://bucket/store"},
            capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        found = dict(one.split("=", 1) for one in told.splitlines() if one[:11] == "PATHASSETS_")
        assert set(found) == names
        assert found["PATHASSETS_HOME"] == str(tmp_path)
        assert found["PATHASSETS_STORE"] == "s3://bucket/store"


SRUN = """#!/bin/bash
echo "srun $* by $RAY_AUTH_MODE" >>"$TOLD"
"""
RAY = """#!/bin/bash
echo "ray $*" >>"$TOLD"
if [ "$*" = "get-auth-token --generate" ]; then
  echo secret && mkdir -p ~/.ray && echo secret >~/.ray/auth_token
fi
"""
SCONTROL = """#!/bin/bash
printf '%s\\n' a1 a2 a3
"""
PATHASSETS = """#!/bin/bash
wait_for() { until [ "$(grep -c ^srun "$TOLD")" = 2 ]; do sleep 0.05; done; }
wait_for
echo "pathassets $* on $PATHASSETS_WORKERS by $RAY_AUTH_MODE" >>"$TOLD"
"""


@pytest.fixture
def told_by_the_job_with_ray(tmp_path: Path) -> list[str]:
    """Slurm's and Ray's programs are not there: others in their place say how they were called."""
    for name, text in (("srun", SRUN), ("ray", RAY), ("scontrol", SCONTROL),
                       ("pathassets", PATHASSETS)):  # fmt: skip
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o700)
    (tmp_path / "pathassets.env").write_text("")
    (script,) = (one for one in SLURM if one.name == "ray.sh")
    environment = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}", "TOLD": str(tmp_path / "told"),
        "SLURM_SUBMIT_DIR": str(tmp_path), "SLURM_JOB_NODELIST": "a[1-3]",
        "SLURM_JOB_ID": "70001", "SLURM_CPUS_PER_TASK": "16", "HOME": str(tmp_path),
    }  # fmt: skip
    said = subprocess.run(  # noqa: S603
        ["bash", str(script)],  # noqa: S607
        env=environment, check=True, timeout=30, stdout=subprocess.PIPE,
    ).stdout  # fmt: skip
    assert b"secret" not in said
    return (tmp_path / "told").read_text().splitlines()


def test_the_job_with_ray_starts_a_head_then_the_other_nodes_then_the_run(
    told_by_the_job_with_ray: list[str],
) -> None:
    told = told_by_the_job_with_ray
    head, others = sorted((one for one in told if one.startswith("srun")), key=len, reverse=True)
    assert "--nodes=1 --nodelist=a1 ray start --head --node-ip-address=a1 --port=20001 " in head
    assert "--nodes=2 --exclude=a1 ray start --address=a1:20001 " in others
    assert "ray health-check --address a1:20001" in told
    assert "--disable-usage-stats" in head
    assert told[-1].startswith("pathassets run on a1:20001")


def test_all_of_the_job_with_ray_ask_for_a_token_which_nobody_else_reads(
    told_by_the_job_with_ray: list[str], tmp_path: Path
) -> None:
    assert told_by_the_job_with_ray[0] == "ray get-auth-token --generate"
    steps = [one for one in told_by_the_job_with_ray if one.split()[0] in {"srun", "pathassets"}]
    assert len(steps) == 3
    assert {one.rpartition(" by ")[2] for one in steps} == {"token"}
    assert (tmp_path / ".ray" / "auth_token").stat().st_mode & 0o077 == 0


def ray_groups() -> list[dict[str, Any]]:
    """Head and workers of the cluster's manifest."""
    cluster = yaml.safe_load((KUBERAY / "raycluster.yaml").read_text())
    assert (cluster["apiVersion"], cluster["kind"]) == ("ray.io/v1", "RayCluster")
    spec: dict[str, Any] = cluster["spec"]
    return [spec["headGroupSpec"], *spec["workerGroupSpecs"]]


def test_all_pods_of_the_ray_cluster_have_the_image_settings_and_disks_of_the_chart() -> None:
    (ours,) = yaml.safe_load((HELM / "values.yaml").read_text())["dagster-user-deployments"][
        "deployments"
    ]
    image = f"{ours['image']['repository']}:{ours['image']['tag']}"
    fork_support = {"name": "GRPC_ENABLE_FORK_SUPPORT", "value": "0"}  # that clients need of a head
    for group, of_its_own in zip(ray_groups(), ([fork_support], [], []), strict=True):
        pod = group["template"]["spec"]
        (container,) = pod["containers"]
        assert container["image"] == image
        assert container["env"] == [*ours["env"], *of_its_own]
        assert [one["secretRef"] for one in container["envFrom"]] == ours["envSecrets"]
        assert container["volumeMounts"] == ours["volumeMounts"]
        claims = [one.get("persistentVolumeClaim") for one in pod["volumes"]]
        assert claims == [one.get("persistentVolumeClaim") for one in ours["volumes"]]
        assert {one["name"] for one in ours["env"]} <= known_settings()


def test_the_head_of_the_ray_cluster_works_on_no_slide_and_one_group_has_cards() -> None:
    head, *workers = ray_groups()
    assert head["rayStartParams"]["num-cpus"] == "0"
    with_cards = [
        one["groupName"]
        for one in workers
        if "nvidia.com/gpu" in one["template"]["spec"]["containers"][0]["resources"]["limits"]
    ]
    assert with_cards == ["cards"]


@pytest.mark.parametrize(("name", "scheme"), [("client", "ray://"), ("launcher", "http://")])
def test_values_beside_the_charts_name_the_cluster_s_own_service(name: str, scheme: str) -> None:
    text = (KUBERAY / f"values-{name}.yaml").read_text()
    cluster = yaml.safe_load((KUBERAY / "raycluster.yaml").read_text())["metadata"]["name"]
    head = ray_groups()[0]["template"]["spec"]["containers"][0]
    ports = {one["containerPort"] for one in head["ports"]}
    ((host, port),) = re.findall(rf"{scheme}([\w-]+):(\d+)", text)
    assert host == f"{cluster}-head-svc"
    assert int(port) in ports
    values = yaml.safe_load(text)
    launcher = values["runLauncher"]["type"]
    of_type = launcher[0].lower() + launcher[1:]
    kept = {one for one, value in values["runLauncher"]["config"].items() if value is not None}
    assert kept == {"k8sRunLauncher" if of_type == "k8sRunLauncher" else "customRunLauncher"}


def known_settings() -> set[str]:
    """Every setting that the program reads."""
    return set(re.findall(r"PATHASSETS_[A-Z_]+", Path(settings.__file__).read_text()))
