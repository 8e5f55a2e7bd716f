from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest
from pydantic import ValidationError

from pathassets.defs.jobs import GarbageConfig, ScrubConfig
from tests.catalog.merges import remember_merge
from tests.defs.small_slides import write_corrupt_slide, write_slide
from tests.defs.workbench import Workbench


def repair(slide_ids: list[str], *assets: str) -> dict[str, object]:
    config = {"slide_ids": slide_ids, "assets": list(assets)}
    return {"ops": {"repair_chosen_slides": {"config": config}}}


def test_scattered_failures_turn_green_once_their_cause_is_mended(
    bench: Workbench, home: Path
) -> None:
    paths = [write_slide(home / f"{name}.svs", seed) for seed, name in enumerate("abcd")]
    a, b, c, d = bench.ingest(*paths)
    aside = [path.rename(home / f"{path.stem}.away") for path in (paths[0], paths[2])]
    assert not bench.run().success
    assert bench.health("features/colour") == {"green": [b, d], "red": [a, c]}

    still = bench.run("repair_slides", run_config=repair([a, c]))
    assert not still.success
    assert bench.health("tissue_mask/otsu") == {"green": [b, d], "red": [a, c]}

    for path in aside:
        path.rename(path.with_suffix(".svs"))
    assert bench.run("repair_slides").success  # all that failed, as its launchpad opens
    for entry in ("tissue_mask/otsu", "patch_locations/grid", "features/colour"):
        assert bench.health(entry) == {"green": [a, b, c, d], "red": []}
    assert bench.stale([a, b, c, d]) == {}


def test_what_a_shard_could_not_make_is_red_and_the_rest_of_the_cohort_as_it_was(
    bench: Workbench, home: Path
) -> None:
    a, bad, c = bench.ingest(
        write_slide(home / "a.svs", 1),
        write_corrupt_slide(home / "b.svs", 2),
        write_slide(home / "c.svs", 3),
    )
    share = {"slide_ids": [a, bad], "assets": []}
    shard = bench.run("shard_slides", run_config={"ops": {"work_on_shard": {"config": share}}})
    assert not shard.success
    assert bench.health("tissue_mask/otsu") == {"green": [a, bad], "red": []}
    assert bench.health("features/colour") == {"green": [a], "red": [bad]}
    assert bench.states()[c] == "missing missing missing"


def test_a_repair_can_be_of_some_assets(bench: Workbench, home: Path) -> None:
    (a,) = bench.ingest(write_slide(home / "a.svs", 1))
    chosen = repair([a], "patch_locations/grid", "tissue_mask/otsu")
    assert bench.run("repair_slides", run_config=chosen).success
    assert bench.states() == {a: "current current missing"}


def test_a_repair_of_an_id_that_was_merged_is_of_the_slide_it_became(
    bench: Workbench, home: Path
) -> None:
    (a,) = bench.ingest(write_slide(home / "a.svs", 1))
    remember_merge(bench.platform.catalog, "old", into=a)
    assert bench.run("repair_slides", run_config=repair(["old"])).success
    assert bench.states() == {a: "current current current"}


def test_a_slide_whose_removal_was_begun_fails_a_repair_in_words_and_no_other_job_takes_it(
    bench: Workbench, home: Path
) -> None:
    a, b = bench.ingest(write_slide(home / "a.svs", 1), write_slide(home / "b.svs", 2))
    bench.platform.catalog.begin_forgetting(a, who="Ann", why="consent")
    assert bench.run("make_current").success
    assert bench.states() == {b: "current current current"}
    asked = bench.run("repair_slides", run_config=repair([a, b]))
    (end,) = asked.get_step_failure_events()
    told = str(end.step_failure_data.user_failure_data)
    assert "1 of 2 slides failed" in told
    assert f"End its removal: pathassets forget {a} " in told
    assert bench.health("tissue_mask/otsu") == {"green": [b], "red": []}


def test_a_repair_of_what_does_not_exist_fails_in_words(bench: Workbench) -> None:
    no_slide = bench.run("repair_slides", run_config=repair(["nope"]))
    (end,) = no_slide.get_step_failure_events()
    assert "nope: not in the catalog" in str(end.step_failure_data.user_failure_data)
    no_asset = bench.run("repair_slides", run_config=repair([], "features/nope"), may_break=True)
    (end,) = no_asset.get_step_failure_events()
    assert "recipe: no entry features/nope" in str(end.step_failure_data.error)


@pytest.mark.slow
def test_garbage_is_counted_and_removed_where_that_is_asked_for(
    bench: Workbench, home: Path
) -> None:
    (a,) = bench.ingest(write_slide(home / "a.svs", 1))
    bench.run()
    bench.restate(a, 0.4)
    bench.run()
    artifacts = [*(bench.platform.store.root / "features").rglob("artifact.json")]
    assert len(artifacts) == 2
    for config, n_left in (({}, 2), ({"remove": True}, 2), ({"older_than_days": 0}, 2),
                           ({"remove": True, "older_than_days": 0}, 1)):  # fmt: skip
        asked = {"ops": {"look_for_garbage": {"config": config}}}
        assert bench.run("gc", run_config=asked).success
        assert sum(one.exists() for one in artifacts) == n_left


def test_the_dataset_lists_the_slides_and_is_not_built_twice(bench: Workbench, home: Path) -> None:
    bench.ingest(write_slide(home / "a.svs", 1), write_slide(home / "b.svs", 2, mpp=None))
    (before,) = bench.run("build_datasets").asset_materializations_for_node("dataset__cohort")
    assert before.metadata["n_to_compute"].value == 2
    assert before.metadata["to compute"].value.startswith(
        "left out for want of features, or of whole ones: 2 slides."
    )
    bench.run()
    said = []
    for _ in range(2):
        result = bench.run("build_datasets")
        assert result.success
        (made,) = result.asset_materializations_for_node("dataset__cohort")
        said.append((made.metadata["state"].value, made.metadata["uri"].value))
        assert made.metadata["n_slides"].value == 1
        assert made.metadata["n_left_out"].value == 1
        assert "n_to_compute" not in made.metadata  # nothing states the other's resolution
    (first, uri), (second, again) = said
    assert (first, second) == ("made now", "current: nothing was computed")
    assert uri == again


@pytest.mark.slow
def test_a_dataset_is_stale_when_its_slides_were_made_anew(bench: Workbench, home: Path) -> None:
    a, _ = bench.ingest(write_slide(home / "a.svs", 1), write_slide(home / "b.svs", 2))
    key = dg.AssetKey(["dataset", "cohort"])
    assert bench.staleness(key) == "missing"
    assert bench.run().success
    assert bench.run("build_datasets").success
    assert bench.staleness(key) == "fresh"
    bench.restate(a, 0.4)
    assert bench.run().success
    assert bench.staleness(key) == "stale"
    assert bench.run("build_datasets").success
    assert bench.staleness(key) == "fresh"


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -1.0, 1e300])
def test_a_number_that_upkeep_cannot_mean_is_refused(number: float) -> None:
    asked = (
        lambda: ScrubConfig(share=number),
        lambda: ScrubConfig(minutes=number),
        lambda: GarbageConfig(older_than_days=number),
    )
    for config in asked:
        with pytest.raises(ValidationError):
            config()
