"""What is gone from the store, or damaged, as Dagster's runs meet it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import dagster as dg
import pytest

from pathassets.engine.platform.plan import PlannedSlide, plan_slides
from tests.defs.small_slides import write_slide
from tests.defs.workbench import Workbench

MASK, GRID, COLOUR = ("tissue_mask", "otsu"), ("patch_locations", "grid"), ("features", "colour")


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def folder_of(bench: Workbench, planned: PlannedSlide, key: tuple[str, str]) -> Path:
    return bench.platform.store.path_of(planned.steps[key].address)


def state_shown(bench: Workbench, entry: str, slide_id: str) -> object:
    made = bench.latest(entry, slide_id).asset_materialization
    assert made is not None
    return made.metadata["state"].value


@pytest.fixture
def made(bench: Workbench, home: Path) -> PlannedSlide:
    bench.ingest(write_slide(home / "a.svs", 1))
    assert bench.run().success
    [planned] = plan_slides(bench.platform)
    return planned


def test_a_backfill_makes_again_what_is_damaged_and_leaves_what_is_whole(
    bench: Workbench, made: PlannedSlide
) -> None:
    (folder_of(bench, made, GRID) / "locations.parquet").unlink()
    assert bench.run().success
    assert state_shown(bench, "tissue_mask/otsu", made.slide_id) != "made now"
    assert state_shown(bench, "patch_locations/grid", made.slide_id) == "made now"
    assert state_shown(bench, "features/colour", made.slide_id) != "made now"
    assert all(bench.platform.store.is_intact(step.address) for step in made.steps.values())
    assert bench.stale([made.slide_id]) == {}


def test_a_damaged_parent_that_was_not_selected_is_mended_without_an_event(
    bench: Workbench, made: PlannedSlide
) -> None:
    """Its version is what it was, so that nothing that is made from it is stale."""
    before = bench.latest("patch_locations/grid", made.slide_id).timestamp
    flip(folder_of(bench, made, GRID) / "locations.parquet")
    shutil.rmtree(folder_of(bench, made, MASK))
    shutil.rmtree(folder_of(bench, made, COLOUR))
    chosen = {"slide_ids": [made.slide_id], "assets": ["features/colour"]}
    config = {"ops": {"repair_chosen_slides": {"config": chosen}}}
    assert bench.run("repair_slides", run_config=config).success
    assert state_shown(bench, "features/colour", made.slide_id) == "made now"
    assert bench.latest("patch_locations/grid", made.slide_id).timestamp == before
    assert all(bench.platform.store.is_intact(step.address) for step in made.steps.values())
    assert bench.states() == {made.slide_id: "current current current"}
    assert bench.stale([made.slide_id]) == {}


@pytest.fixture
def events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where what OpenLineage is told goes; to be asked for before the bench."""
    monkeypatch.setenv("PATHASSETS_OPENLINEAGE", f"file:{tmp_path / 'events'}")
    return tmp_path / "events"


def test_a_dataset_asset_mends_a_flipped_bit_before_it_names_it_and_tells_of_it(
    events: Path, bench: Workbench, made: PlannedSlide
) -> None:
    flip(folder_of(bench, made, COLOUR) / "features.zarr" / "features" / "c" / "0" / "0")
    events.unlink()
    done = bench.run("build_datasets")
    assert done.success
    told = [json.loads(line) for line in events.read_text().splitlines()]
    assert [(one["job"]["name"], one["eventType"]) for one in told] == [
        ("dataset/cohort", "START"),
        ("slide_batch", "START"),
        ("slide_batch.slide", "START"),
        ("slide_batch.slide", "COMPLETE"),
        ("slide_batch", "COMPLETE"),
        ("dataset/cohort", "COMPLETE"),
    ]
    whole, batch, slide = (one["run"] for one in told[:3])
    assert whole["runId"] == done.run_id
    assert batch["facets"]["parent"]["run"] == {"runId": whole["runId"]}
    assert slide["facets"]["parent"]["run"] == {"runId": batch["runId"]}
    [again] = told[3]["outputs"]
    assert again["name"] == "features/colour"
    assert again["facets"]["version"]["datasetVersion"] == made.steps[COLOUR].address.digest
    assert bench.platform.store.is_intact(made.steps[COLOUR].address)
    assert bench.health("features/colour") == {"green": [made.slide_id], "red": []}
    event = bench.instance.get_latest_materialization_event(dg.AssetKey(["dataset", "cohort"]))
    assert event is not None
    assert event.asset_materialization is not None
    assert event.asset_materialization.metadata["n_slides"].value == 1
