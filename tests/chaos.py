"""A demo platform that is there to be killed, and all that can be said of it afterwards."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import sqlite3
import subprocess
import sysconfig
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import psutil
import pytest

from pathassets.adapters.store.partial import GUARD, PARTIAL
from pathassets.adapters.store.staging import SWEEP_LOCK
from pathassets.adapters.store.upkeep import CATALOGS
from pathassets.engine.settings import Settings, read_settings

T = TypeVar("T")

COMMAND = Path(sysconfig.get_path("scripts")) / "pathassets"
LOCKS = {SWEEP_LOCK, ".making.lock"}
"""Files that stay: they are locked, not made, by whoever needs them."""
RUN = r"[0-9a-f-]{36}"
Steps = list[tuple[str, str]]
"""Audit events, and what is to be found in their first two arguments."""

HOOK = """
import json, os, re, signal, sys

steps = json.loads(os.environ.get("CHAOS_STEPS", "[]"))

def watch(event, args):
    if steps and event == steps[0][0] and re.search(steps[0][1], " ".join(map(str, args[:2]))):
        del steps[0]
        if not steps:
            os.killpg(0, signal.SIGKILL)

if steps:
    sys.addaudithook(watch)
"""
"""Kills the process group at the last of a list of events; Python imports it in every process."""


@dataclass(frozen=True)
class Home:
    """A platform of its own, and all that its processes may leave."""

    path: Path
    recipe: Path

    @property
    def temp(self) -> Path:
        return self.path.with_name(f"{self.path.name}.tmp")

    @property
    def variables(self) -> dict[str, str]:
        return {
            "PATHASSETS_HOME": str(self.path),
            "PATHASSETS_RECIPE": str(self.recipe),
            "TMPDIR": str(self.temp),
        }

    def start(self, *, steps: Steps = []) -> subprocess.Popen[bytes]:  # noqa: B006 - only read
        """Start the demo in a session of its own; it kills itself at the last of the steps."""
        self.temp.mkdir(parents=True, exist_ok=True)
        hook = self.path.with_name("hook")
        hook.mkdir(exist_ok=True)
        (hook / "sitecustomize.py").write_text(HOOK)
        chaos = {"CHAOS_STEPS": json.dumps(steps), "PYTHONPATH": str(hook)} if steps else {}
        with self.path.with_name(f"{self.path.name}.log").open("ab") as log:
            return subprocess.Popen(  # noqa: S603 - our own command
                [COMMAND, "demo"],
                env=os.environ | self.variables | chaos,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def finish(self) -> float:
        """Run the demo to its end; returns the seconds it took."""
        started_s = time.monotonic()
        process = self.start()
        try:
            assert process.wait(timeout=180) == 0, self.said()
        finally:
            kill_group(process)
        return time.monotonic() - started_s

    def said(self) -> str:
        return self.path.with_name(f"{self.path.name}.log").read_text()

    def processes(self) -> list[psutil.Process]:
        """All processes that know of this home, but for those that only wait to be reaped."""
        return [process for process in psutil.process_iter() if self._is_of(process)]

    def _is_of(self, process: psutil.Process) -> bool:
        with suppress(psutil.Error):
            names = [*process.cmdline(), *process.environ().values()]
            return any(str(self.path) in name for name in names) and process.pid != os.getpid()
        return False

    @contextmanager
    def settings(self) -> Iterator[Settings]:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self.variables.items():
                patch.setenv(name, value)
            yield read_settings()


def kill_group(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def wait_until(ask: Callable[[], T], *, limit_s: float, what: str) -> T:
    """Ask until the answer is one; give that answer, for the next may be another."""
    until_s = time.monotonic() + limit_s
    while not (answer := ask()):
        assert time.monotonic() < until_s, f"not within {limit_s:g} s: {what}"
        time.sleep(0.01)
    return answer


# What there is in the end


def state_of(home: Home) -> dict[str, Any]:
    """All that must not depend on what happened on the way."""
    from pathassets.defs.instance import open_instance  # noqa: PLC0415 - dagster takes seconds
    from pathassets.engine.platform.platform import open_platform  # noqa: PLC0415
    from pathassets.engine.platform.standing.rows import slide_rows  # noqa: PLC0415
    from pathassets.engine.platform.status import cohort_status  # noqa: PLC0415
    from pathassets.report import status_json  # noqa: PLC0415

    with home.settings() as settings, open_platform(settings) as platform:
        status = "".join(status_json(cohort_status(platform), slide_rows(platform))).replace(
            str(home.path), "~"
        )
        with open_instance(settings) as instance:
            return {
                "files": hashes_of(home.path / "store") | hashes_of(home.path / "demo"),
                "status": json.loads(status),
                "catalog": catalog_of(platform),
                "dagster": dagster_of(instance, platform),
            }


def hashes_of(folder: Path) -> dict[str, str]:
    """SHA-256 of every file but the catalog, and what it says of itself: times and ids differ.

    Of a lock it is empty: there stands who held it last.
    """
    return {
        str(path.relative_to(folder.parent)): (
            "" if path.suffix == ".lock" else hashlib.sha256(path.read_bytes()).hexdigest()
        )
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and not path.name.startswith("catalog.sqlite")
        and path.parent.name != CATALOGS
    }


def catalog_of(platform: Any) -> dict[str, Any]:
    catalog = platform.catalog
    return {
        "slides": [asdict(slide) | {"registered_at": ""} for slide in catalog.slides()],
        "artifacts": {
            made.uri: [made.facts, str(made.files), catalog.parents_of(made.address)]
            for made in catalog.artifacts()
        },
    }


def dagster_of(instance: Any, platform: Any) -> dict[str, Any]:
    import dagster as dg  # noqa: PLC0415 - it takes seconds

    storage = instance.event_log_storage
    slides = [("slide",), *(entry.key for entry in platform.recipe.per_slide)]
    runs = instance.get_runs()
    pool = storage.get_concurrency_info("slides")
    return {
        "partitions": instance.get_dynamic_partitions("slides"),
        "assets": {"/".join(key): asset_of(instance, dg.AssetKey([*key])) for key in slides},
        "datasets": {
            "/".join(entry.key): version_of(instance, dg.AssetKey([*entry.key]))
            for entry in platform.recipe.datasets
        },
        "unfinished runs": [run.run_id for run in runs if not run.is_finished],
        "places taken in the pool": [pool.active_slot_count, pool.pending_step_count],
        "schema": schema_of(platform.settings.dagster_home),
    }


def asset_of(instance: Any, key: Any) -> dict[str, Any]:
    """The colours of an asset's partitions, what is there, and what its check said."""
    import dagster as dg  # noqa: PLC0415 - it takes seconds
    from dagster._core.storage import partition_status_cache as cache  # noqa: PLC0415

    from pathassets.defs.partitions import SLIDES  # noqa: PLC0415

    with dg.partition_loading_context(dynamic_partitions_store=instance):
        found = cache.get_and_update_asset_status_cache_value(instance, key, SLIDES)
        made = found.deserialize_materialized_partition_subsets(SLIDES).get_partition_keys()
        failed = found.deserialize_failed_partition_subsets(SLIDES).get_partition_keys()
        busy = found.deserialize_in_progress_partition_subsets(SLIDES).get_partition_keys()
    storage = instance.event_log_storage
    tags = storage.get_latest_tags_by_partition(
        key, dg.DagsterEventType.ASSET_MATERIALIZATION, tag_keys=["dagster/data_version"]
    )
    history = storage.get_asset_check_execution_history(dg.AssetCheckKey(key, "has_tissue"), 1000)
    checks = {(record.partition, record.status.value) for record in history if record.event}
    return {
        "green": sorted(set(made) - set(failed)),
        "red": sorted(failed),
        "busy": sorted(busy),
        "versions": dict(tags),
        "checks": sorted(c for c in checks if c[1] != "PLANNED"),
    }


def version_of(instance: Any, key: Any) -> str:
    event = instance.get_latest_materialization_event(key)
    return "" if event is None else event.asset_materialization.tags["dagster/data_version"]


def schema_of(folder: Path) -> dict[str, list[str]]:
    """Tables, indices and migrations of Dagster's databases, but for those of single runs."""
    found: dict[str, list[str]] = {}
    for path in sorted(folder.rglob("*.db")):
        if re.fullmatch(rf"({RUN})?\.db", path.name):
            continue
        with closing(sqlite3.connect(path)) as connection:
            names = connection.execute("SELECT name FROM sqlite_master ORDER BY name").fetchall()
            done = connection.execute("SELECT name FROM secondary_indexes ORDER BY name").fetchall()
            revision = connection.execute("SELECT version_num FROM alembic_version").fetchall()
        found[str(path.relative_to(folder))] = [str(rows) for rows in (names, done, revision)]
    return found


def left_behind(home: Home) -> list[str]:
    """What nobody will look at again."""
    staged = [path for path in home.path.glob("*/.staging/*") if path.name not in LOCKS]
    parts = [p for p in home.path.rglob("*") if p.name.endswith((".part", ".partial", ".lock"))]
    temp = list(home.temp.iterdir())
    kept = (*LOCKS, GUARD, PARTIAL)
    begun = [path for path in home.path.glob(f"*/{PARTIAL}/*") if path.name != GUARD]
    found = [*staged, *begun, *(p for p in parts if p.name not in kept), *temp]
    return [str(path) for path in found]


def shared_memory_of(processes: list[psutil.Process]) -> set[str]:
    """Shared memory and semaphores that processes have open under a name."""
    found: set[str] = set()
    for process in processes:
        with suppress(psutil.Error):
            found |= {m.path for m in process.memory_maps() if m.path.startswith("/dev/shm/")}  # noqa: S108
    return {name for name in found if Path(name).exists()}


def assert_healed(home: Home, expected: dict[str, Any]) -> None:
    """Same state as if nothing had happened, and nothing left of what did."""
    state = state_of(home)
    for part, value in expected.items():
        assert state[part] == value, f"{part} differs: {_first(state[part], value)}\n{home.said()}"
    assert left_behind(home) == []
    assert home.processes() == []


def _first(found: Any, expected: Any) -> str:
    """What differs, of two parts of a state that are tables."""
    if not isinstance(found, dict) or not isinstance(expected, dict):
        return f"{found!r}, not {expected!r}"
    names = sorted(found.keys() | expected.keys())
    odd = [name for name in names if found.get(name) != expected.get(name)]
    return "; ".join(f"{n}: {found.get(n)!r}, not {expected.get(n)!r}" for n in odd[:10])
