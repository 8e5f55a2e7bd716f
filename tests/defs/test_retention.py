"""Runs that are removed from Dagster: what is shown again, and that nothing is made again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from pathassets.defs.partitions import range_of
from tests.defs.daemon import environment
from tests.defs.small_slides import write_slide
from tests.defs.test_launch import launch, wanted
from tests.defs.workbench import Workbench

FEATURES = dg.AssetKey(["features", "colour"])
ROOT = Path(__file__).parents[2]


def delete_here(bench: Workbench, home: Path, run_id: str) -> None:
    assert home.is_dir()
    bench.instance.delete_run(run_id)


def delete_by_command(bench: Workbench, home: Path, run_id: str) -> None:
    """As docs/operations.md says it."""
    assert bench.instance.has_run(run_id)
    subprocess.run(  # noqa: S603 - our own
        [str(Path(sys.executable).with_name("dagster")), "run", "delete", "--force", run_id],
        env=environment(home, DAGSTER_HOME=str(home / ".dagster")),
        check=True, capture_output=True,
    )  # fmt: skip


def shown(bench: Workbench) -> list[dg.EventLogRecord]:
    return [*bench.instance.fetch_materializations(FEATURES, limit=10).records]


def made(home: Path) -> dict[str, int]:
    """When each artifact was published."""
    return {str(one): one.stat().st_mtime_ns for one in (home / "store").rglob("artifact.json")}


@pytest.mark.parametrize(
    "delete", [delete_here, pytest.param(delete_by_command, marks=pytest.mark.slow)]
)
def test_what_a_deleted_run_had_told_the_next_run_tells_again_and_makes_nothing(
    bench: Workbench, home: Path, delete: Any
) -> None:
    slides = bench.ingest(*(write_slide(home / f"{n}.svs", i) for i, n in enumerate("ab")))
    assert launch(bench, wanted(bench)) == len(slides)
    (run,), before = bench.instance.get_runs(), made(home)
    delete(bench, home, run.run_id)
    assert not shown(bench)
    assert launch(bench, wanted(bench)) == len(slides)
    assert sorted(str(one.partition_key) for one in shown(bench)) == sorted(slides)
    assert not bench.stale(slides)
    assert launch(bench, wanted(bench)) == 0
    assert made(home) == before


def test_of_slides_that_are_named_only_what_dagster_lacks_is_told_again(
    bench: Workbench, home: Path
) -> None:
    a, b, c = bench.ingest(*(write_slide(home / f"{n}.svs", i) for i, n in enumerate("abc")))
    for named in ([a, b], [c]):
        assert launch(bench, wanted(bench, *named)) == len(named)
    (of_two,) = (run for run in bench.instance.get_runs() if range_of(run.tags, [a, b, c]) != [c])
    bench.instance.delete_run(of_two.run_id)
    assert launch(bench, wanted(bench, c)) == 0
    assert launch(bench, wanted(bench, b, c)) == 1
    assert sorted(str(one.partition_key) for one in shown(bench)) == [b, c]
    assert launch(bench, wanted(bench, b, c)) == 0


def test_a_home_forgets_ticks_after_a_while() -> None:
    kept = yaml.safe_load((ROOT / "pathassets" / "dagster.yaml").read_text())["retention"]
    told = (ROOT / "docs" / "operations.md").read_text()
    for kind, states in kept.items():
        days = states["purge_after_days"]
        row = f"| ticks of a {kind} | {days['skipped']} days, {days['success']} where"
        assert row in told, row
        assert days["failure"] == days["success"]
