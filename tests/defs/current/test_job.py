"""`make_current`: scattered slides in one run, then the datasets; what it leaves, and says."""

from __future__ import annotations

import shutil
from pathlib import Path

import dagster as dg
import pytest

from pathassets.core.address import ALL_SLIDES
from pathassets.defs.assets import batch
from pathassets.defs.current import job
from pathassets.engine.platform.plan import plan_slides
from tests.defs.assets.test_dataset import shown, tell
from tests.defs.checks_shown import webserver_here
from tests.defs.small_slides import RECIPE, write_slide
from tests.defs.workbench import Workbench, open_bench

COHORT = dg.AssetKey(["dataset", "cohort"])
ENTRIES = ("tissue_mask/otsu", "patch_locations/grid", "features/colour")


def make_current(bench: Workbench) -> dg.ExecuteInProcessResult:
    return bench.run("make_current")


def said(bench: Workbench, result: dg.ExecuteInProcessResult) -> list[str]:
    """What a run's log tells beside its events."""
    logged = bench.instance.all_logs(result.run_id)
    return [one.user_message for one in logged if one.dagster_event is None]


def failure_of(result: dg.ExecuteInProcessResult) -> str:
    (end,) = result.get_step_failure_events()
    return str(end.step_failure_data.user_failure_data)


def test_scattered_slides_are_made_in_one_run_and_the_dataset_of_them(
    bench: Workbench, home: Path
) -> None:
    paths = [write_slide(home / f"{n}.svs", i, mpp=None if n == "d" else 0.5)
             for i, n in enumerate("abcdef")]  # fmt: skip
    a, b, c, d, e, f = bench.ingest(*paths)
    aside = paths[2].rename(home / "c.away")

    first = make_current(bench)
    assert not first.success
    assert "2 of 6 slides failed" in failure_of(first)
    for entry in ENTRIES:  # red, though no asset of theirs was planned as the run began
        assert bench.health(entry) == {"green": [a, b, e, f], "red": [c, d]}
    assert shown(bench)["n_slides"] == 4
    assert bench.staleness(COHORT) == "fresh"

    aside.rename(paths[2])
    bench.restate(a, 0.4)
    (lost,) = (one for one in plan_slides(bench.platform, [e]))
    shutil.rmtree(bench.platform.store.path_of(lost.steps["features", "colour"].address))
    (g,) = bench.ingest(write_slide(home / "bb.svs", 7))
    second = make_current(bench)
    assert second.success, failure_of(second)  # d is left: its content fails the same way
    for entry in ENTRIES:
        assert bench.health(entry) == {"green": [a, b, g, c, e, f], "red": [d]}
    assert bench.stale([a, b, c, e, f, g]) == {}
    assert (shown(bench)["n_slides"], bench.staleness(COHORT)) == (6, "fresh")
    told = said(bench, second)
    assert "4 slides: 3 missing or stale, 1 failed before, 0 made and not shown" in told
    assert "stale: tissue_mask/otsu of 1 slides: mpp: 0.5 → 0.4, by a test" in told

    assert len(bench.instance.get_runs()) == 2


LAUNCHPAD = """
query ($selector: PipelineSelector!) { runConfigSchemaOrError(selector: $selector) {
  ... on RunConfigSchema { rootDefaultYaml } } }
"""


@pytest.mark.slow
def test_its_launchpad_is_empty_and_that_of_a_repair_says_all_that_failed(
    bench: Workbench, home: Path
) -> None:
    with webserver_here(bench.instance, home) as ask:

        def opened(job_name: str) -> str:
            where = {"repositoryName": "__repository__", "repositoryLocationName": "<<in_process>>"}
            found = ask(LAUNCHPAD, selector={**where, "pipelineName": job_name})
            return str(found["rootDefaultYaml"])

        assert "slide_ids: []" in opened("repair_slides")
        assert "config" not in opened("make_current")


@pytest.mark.slow
def test_of_more_slides_than_one_run_takes_the_next_runs_take_the_others(
    bench: Workbench, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job, "MAX_AT_ONCE", 2)
    monkeypatch.setattr(batch, "MAX_SLIDES", 1)
    paths = [write_slide(home / f"{n}.svs", i) for i, n in enumerate("abc")]
    a, b, c = bench.ingest(*paths)
    for path in paths[:2]:
        path.unlink()
    for made in ([], [c], [c]):
        assert not make_current(bench).success
        assert bench.health(ENTRIES[0]) == {"green": made, "red": [a, b]}
    first, second, third = reversed([run.run_id for run in bench.instance.get_runs()])
    assert [tried_in(bench, one) for one in (first, second, third)] == [{a, b}, {a, c}, {a, b}]


def tried_in(bench: Workbench, run_id: str) -> set[str]:
    attempts = bench.platform.catalog.attempts(run_id=run_id)
    return {one.address.partition_key for one in attempts} - {ALL_SLIDES}


@pytest.mark.slow
def test_a_dataset_that_is_kept_back_fails_the_run_once_all_else_is_done(home: Path) -> None:
    recipe = RECIPE.replace("seed: 0", "seed: 0, split_file: parts.csv")
    split = "split: {train: 0.7, val: 0.15, test: 0.15}, "
    (home / "recipe.yaml").write_text(recipe.replace(split, ""))
    (home / "parts.csv").write_text("patient,split\nP-007,train\np 7,test\n")
    with open_bench() as bench:
        paths = [write_slide(home / f"{n}.svs", i) for i, n in enumerate("abc")]
        a, b, c = bench.ingest(*paths)
        tell(bench, a, "P-007", "x")
        tell(bench, b, "p 7", "x")
        paths[2].unlink()
        result = make_current(bench)
        assert not result.success
        assert "1 of 3 slides failed" in failure_of(result)
        assert "one name in two spellings" in failure_of(result)
        assert bench.health(ENTRIES[2]) == {"green": [a, b], "red": [c]}
        planned = bench.instance.all_logs(
            result.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED
        )
        last = planned[-1].dagster_event
        assert last is not None
        assert last.asset_key == COHORT  # and so the page shows it failed
