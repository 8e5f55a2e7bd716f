"""Weights of one entry that are gone keep nothing else from being made, and let no run be green."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from pathassets.defs.assets.dataset import find_due, shown_version
from pathassets.defs.build import build_definitions
from tests.defs.small_slides import RECIPE, write_slide
from tests.defs.workbench import Workbench

MINE = "mine: {patch_locations: grid, encoder: {name: 'my.models:make', weights: w.pt}}"
OTHERS = "tissue_mask/otsu", "patch_locations/grid", "features/colour"


@pytest.fixture
def home(home: Path) -> Path:
    """A home whose recipe names weights that are not there, and a dataset that is made by them."""
    recipe = RECIPE.replace("colour_stats}", f"colour_stats}}, {MINE}")
    (home / "recipe.yaml").write_text(
        recipe.replace("dataset: {", "dataset: {of_mine: {features: mine}, ")
    )
    return home


def said(result: dg.ExecuteInProcessResult) -> str:
    return " ".join(str(e.step_failure_data) for e in result.get_step_failure_events())


def test_one_run_makes_all_that_needs_no_weights_and_says_what_it_left_out(
    bench: Workbench, home: Path
) -> None:
    slides = bench.ingest(*(write_slide(home / f"{n}.svs", n) for n in range(2)))
    done = bench.run("make_current")
    assert not done.success
    for entry in OTHERS:
        assert bench.health(entry) == {"green": slides, "red": []}
    assert bench.health("features/mine")["green"] == []
    assert shown_version(bench.instance, ("dataset", "cohort"))
    assert shown_version(bench.instance, ("dataset", "of_mine")) is None
    for words in ("features/mine", "dataset/of_mine", "w.pt: no such file", "Put it there"):
        assert words in said(done)
    again = bench.run("make_current")
    assert not again.success
    assert "features/colour" not in said(again)


def test_the_asset_is_red_where_a_range_of_it_is_asked_for_and_its_dataset_fails_alone(
    bench: Workbench, home: Path
) -> None:
    slides = bench.ingest(write_slide(home / "a.svs", 1))
    assert not bench.run().success
    assert bench.health("features/mine") == {"green": [], "red": slides}
    assert bench.health("features/colour") == {"green": slides, "red": []}
    bench.run("build_datasets")
    assert shown_version(bench.instance, ("dataset", "cohort"))
    assert shown_version(bench.instance, ("dataset", "of_mine")) is None
    config = {"slide_ids": slides, "assets": ["features/colour"]}
    others = {"ops": {"repair_chosen_slides": {"config": config}}}
    assert bench.run("repair_slides", run_config=others).success


def test_nothing_that_follows_from_the_weights_counts_as_current_until_they_are_back(
    bench: Workbench,
) -> None:
    recipe = bench.platform.recipe
    keys = [entry.key for entry in recipe.datasets]
    unread = find_due(bench.instance, bench.platform, keys).unread
    assert [cell.key for cell in unread] == [("dataset", "of_mine")]
    graph = build_definitions(recipe).resolve_asset_graph()
    versions = {
        "/".join(key.path): graph.get(key).code_version for key in graph.get_all_asset_keys()
    }
    is_unread = {name for name, version in versions.items() if "unread" in (version or "")}
    assert is_unread == {"features/mine", "dataset/of_mine"}
