"""What the page shows of checks, by the answers it is given: the event log alone does not tell."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from socket import gethostname

import dagster as dg
import numpy as np
import pytest

from pathassets.core.address import Address
from pathassets.core.features.colour_stats import ColourStats
from pathassets.core.quality.rules import SlideRules
from pathassets.defs.events import slide_events
from pathassets.defs.recovery import PROCESS_TAG, fail_dead_runs
from pathassets.engine.stages import features as feature_stage
from tests.defs.checks_shown import Ask, newest_of, verdicts, webserver_here
from tests.defs.dagster_state import copy_state
from tests.defs.small_slides import RECIPE, write_corrupt_slide, write_slide
from tests.defs.test_jobs import repair
from tests.defs.workbench import Workbench, open_bench

MASK, GRID, QUALITY, COLOUR, MEAN = (
    "tissue_mask/otsu",
    "patch_locations/grid",
    "patch_quality/numbers",
    "features/colour",
    "slide_embedding/mean",
)
ADDED = """
patch_quality:
  numbers: {patch_locations: grid, checks: {min_tissue_mm2: 0.01, max_colour_deviation: 9}}
  unjudged: {patch_locations: grid, checks: {max_colour_deviation: 9}}
slide_embedding: {mean: {features: colour}}
"""


@pytest.fixture
def bench(home: Path, dagster_state: Path) -> Iterator[Workbench]:
    """A bench whose recipe has an asset of every kind that is checked."""
    (home / "recipe.yaml").write_text(RECIPE + ADDED)
    copy_state(dagster_state, home)
    with open_bench() as bench:
        yield bench


@pytest.fixture
def ask(bench: Workbench, home: Path) -> Iterator[Ask]:
    with webserver_here(bench.instance, home) as ask:
        yield ask


def passed(*slide_ids: str) -> dict[str, dict[str, list[str]]]:
    """Every check, passed by these slides and without a verdict on any other."""
    good = {"succeeded": sorted(slide_ids)}
    return {
        f"{MASK} has_tissue": good,
        f"{GRID} has_patches": good,
        f"{QUALITY} keeps_rules": good,
        f"{COLOUR} features_are_finite": good,
        f"{MEAN} has_patches": good,
    }


@pytest.mark.slow
def test_a_good_slide_passed_and_one_that_failed_for_another_reason_has_no_verdict(
    bench: Workbench, home: Path, ask: Ask
) -> None:
    good, no_mpp, blank, corrupt = bench.ingest(
        write_slide(home / "a.svs", 1),
        write_slide(home / "b.svs", 2, mpp=None),
        write_slide(home / "c.svs", 3, is_blank=True),
        write_corrupt_slide(home / "d.svs", 4),
    )
    assert not bench.run().success
    expected = {
        f"{MASK} has_tissue": {"succeeded": [good, corrupt], "failed": [blank]},
        f"{GRID} has_patches": {"succeeded": [good, corrupt], "failed": [blank]},
        f"{QUALITY} keeps_rules": {"succeeded": [good, corrupt], "failed": [blank]},
        f"{COLOUR} features_are_finite": {"succeeded": [good, blank]},
        f"{MEAN} has_patches": {"succeeded": [good], "failed": [blank]},
    }
    assert verdicts(ask) == expected
    assert newest_of(ask, COLOUR, "features_are_finite", corrupt) is None
    assert newest_of(ask, MASK, "has_tissue", no_mpp) is None

    assert not bench.run().success  # what is current is only logged again
    assert verdicts(ask) == expected


@pytest.mark.slow
def test_a_check_is_about_the_newest_materialization_of_its_slide(
    bench: Workbench, home: Path, ask: Ask
) -> None:
    a, b = bench.ingest(write_slide(home / "a.svs", 1), write_slide(home / "b.svs", 2))
    for _ in range(2):
        run = bench.run()
        for asset, check in ((MASK, "has_tissue"), (COLOUR, "features_are_finite")):
            shown = newest_of(ask, asset, check, a)
            assert shown is not None
            target = shown["evaluation"]["targetMaterialization"]
            made = bench.latest(asset, a)
            assert (shown["status"], target["runId"]) == ("SUCCEEDED", run.run_id)
            assert target["timestamp"] == pytest.approx(made.timestamp, abs=1e-3)
    assert verdicts(ask) == passed(a, b)

    bench.restate(a, 0.4)
    assert bench.run().success
    assert verdicts(ask) == passed(a, b)  # the one that changed, too


@pytest.mark.slow
def test_a_repaired_slide_passed(bench: Workbench, home: Path, ask: Ask) -> None:
    path = write_slide(home / "a.svs", 1)
    a, b = bench.ingest(path, write_slide(home / "b.svs", 2))
    aside = path.rename(home / "a.away")
    assert not bench.run().success
    assert verdicts(ask) == passed(b)

    aside.rename(path)
    assert bench.run("repair_slides", run_config=repair([a])).success
    assert verdicts(ask) == passed(a, b)


def test_a_slide_that_breaks_rules_is_told_by_value_and_limit_and_warned_of() -> None:
    rules = SlideRules(min_focus=50.0, max_ink_share=0.1, max_fold_share=0.2)
    facts = {"focus_median": 12.5, "ink_share": 0.05, "fold_share": None}
    said = slide_events._keeps_rules(rules, facts, Address("patch_quality", "numbers", "a", "d"))
    assert (said.passed, said.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert said.description == (
        "`focus 12.5 is below min_focus 50; fold_share is not known, max_fold_share is 0.2`"
    )
    shown = {name: value.value for name, value in said.metadata.items()}
    assert (shown["focus"], shown["min_focus"], shown["fold_share"]) == (12.5, "50", "not known")


def test_a_run_of_some_assets_says_nothing_of_the_others(
    bench: Workbench, home: Path, ask: Ask
) -> None:
    (a,) = bench.ingest(write_slide(home / "a.svs", 1))
    bench.run(asset_selection=[dg.AssetKey(MASK.split("/"))])
    nothing: dict[str, list[str]] = {}
    assert verdicts(ask) == dict.fromkeys(passed(), nothing) | {
        f"{MASK} has_tissue": {"succeeded": [a]}
    }


def test_a_run_that_died_leaves_no_verdict(bench: Workbench, home: Path, ask: Ask) -> None:
    (a,) = bench.ingest(write_slide(home / "a.svs", 1))
    run_id = "00000000-0000-0000-0000-000000000000"
    bench.instance.create_run_for_job(
        bench.definitions.resolve_job_def("process_slides"),
        run_id=run_id,
        tags={"dagster/partition": a, PROCESS_TAG: f"{gethostname()}:999999999:1:{run_id}"},
        status=dg.DagsterRunStatus.STARTED,
    )
    assert verdicts(ask)[f"{COLOUR} features_are_finite"] == {"inProgress": [a]}
    assert fail_dead_runs(bench.instance) == [run_id]
    nothing: dict[str, list[str]] = {}
    assert verdicts(ask) == dict.fromkeys(passed(), nothing)


def test_a_run_that_could_not_open_the_platform_leaves_no_verdict(
    bench: Workbench, home: Path, ask: Ask
) -> None:
    (a,) = bench.ingest(write_slide(home / "a.svs", 1))
    recipe = (home / "recipe.yaml").read_text()
    (home / "recipe.yaml").write_text("nonsense: {}")
    assert not bench.run(may_break=True).success
    nothing: dict[str, list[str]] = {}
    assert verdicts(ask) == dict.fromkeys(passed(), nothing)

    (home / "recipe.yaml").write_text(recipe)
    assert bench.run().success
    (home / "recipe.yaml").write_text("nonsense: {}")
    assert not bench.run(may_break=True).success
    assert verdicts(ask) == passed(a)


@pytest.mark.slow
def test_features_that_are_not_finite_failed_be_there_older_ones_or_not(
    bench: Workbench, home: Path, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = bench.ingest(write_slide(home / "a.svs", 1), write_slide(home / "b.svs", 2))
    bench.run(tags={"dagster/partition": a})
    assert verdicts(ask) == passed(a)

    class Spoiled(ColourStats):
        def begin(self, batch):
            rows = np.full_like(self.encode(batch), np.nan)
            return lambda: rows

    monkeypatch.setattr(feature_stage, "_opened", lambda *_: Spoiled())
    bench.restate(a, 0.4)
    assert not bench.run().success
    both = {"succeeded": [a, b]}
    assert verdicts(ask) == {
        f"{MASK} has_tissue": both,
        f"{GRID} has_patches": both,
        f"{QUALITY} keeps_rules": both,
        f"{COLOUR} features_are_finite": {"failed": [a, b]},
        f"{MEAN} has_patches": {"succeeded": [a]},
    }


def test_the_page_can_ask_for_a_slide_s_assets_with_their_checks(
    bench: Workbench, home: Path, ask: Ask
) -> None:
    """Its button names the checks beside the assets; no step of theirs may be missed."""
    (a,) = bench.ingest(write_slide(home / "a.svs", 1))
    names = [tuple(one.split(" ")) for one in verdicts(ask)]
    job = bench.definitions.resolve_implicit_global_asset_job_def().get_subset(
        asset_selection={dg.AssetKey(asset.split("/")) for asset, _ in names},
        asset_check_selection={
            dg.AssetCheckKey(dg.AssetKey(asset.split("/")), check) for asset, check in names
        },
    )
    assert job.execute_in_process(instance=bench.instance, partition_key=a).success
    assert verdicts(ask) == passed(a)
