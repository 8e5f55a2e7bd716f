from __future__ import annotations

import tomllib
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster._core.definitions.assets.graph.asset_graph import AssetGraph

from pathassets.adapters.yaml import load_recipe
from pathassets.core.recipe import Recipe
from pathassets.core.recipe_file import parse_recipe
from pathassets.defs.build import build_definitions
from pathassets.engine.settings import DEFAULT_RECIPE

# What Dagster shows of the recipe that ships with the package. A change here is one that users see:
# a new key orphans what was made under the old one, a new code version (of the code, then of the
# entry and what it is made from) makes it stale.
ALONE = {
    "make_current", "repair_slides", "shard_slides", "ingest_files", "process_new_slides", "scrub",
    "gc",
}  # fmt: skip
"""Jobs that there are whatever the recipe says."""
GRAPH = """
quarantine
    group slide
    checks is_empty
slide
    group slide, kinds openslide, partitions slides
tissue_mask/otsu_8um
    group tissue_mask, kinds opencv zarr, partitions slides, code 4.3-5292e5db
    checks has_tissue
    from slide
patch_locations/grid_256px_05um
    group patch_locations, kinds numpy parquet, partitions slides, code 3-e9770d87
    checks has_patches
    from slide, tissue_mask/otsu_8um
features/colour_stats
    group features, kinds zarr, partitions slides, code 3.3+1-0ff502cb
    checks features_are_finite
    from patch_locations/grid_256px_05um, slide
features/resnet18_untrained
    group features, kinds torch zarr, partitions slides, code 3.3+1-14f81da4, tags untrained
    checks features_are_finite
    from patch_locations/grid_256px_05um, slide
dataset/cohort
    group dataset, kinds pandas parquet, code 1-dfbb1067
    from features/colour_stats by AllPartitionMapping
"""


@pytest.fixture
def recipe() -> Recipe:
    return load_recipe(DEFAULT_RECIPE)


@pytest.fixture
def definitions(recipe: Recipe) -> dg.Definitions:
    return build_definitions(recipe, write_page=str)


def name(key: dg.AssetKey) -> str:
    return "/".join(key.path)


def drawn(graph: AssetGraph) -> str:
    lines = []
    for key in graph.toposorted_asset_keys:
        node = graph.get(key)
        facts = {
            "group": [node.group_name],
            "kinds": sorted(node.kinds),
            "partitions": [node.partitions_def.name] if node.partitions_def else [],
            "code": [node.code_version] if node.code_version else [],
            "tags": sorted(tag for tag in node.tags if not tag.startswith("dagster/")),
        }
        checks = sorted(c.name for c in graph.asset_check_keys if c.asset_key == key)
        mappings = {parent: type(m).__name__ for parent, m in node.partition_mappings.items()}
        parents = [
            f"{name(parent)} by {mappings[parent]}" if parent in mappings else name(parent)
            for parent in sorted(node.parent_keys)
        ]
        lines.append(name(key))
        lines.append("    " + ", ".join(f"{n} {' '.join(v)}" for n, v in facts.items() if v))
        lines += [f"    checks {' '.join(checks)}"] if checks else []
        lines += [f"    from {', '.join(parents)}"] if parents else []
    return "\n".join(lines)


def test_the_graph_is_the_recipe_s(definitions: dg.Definitions) -> None:
    assert drawn(definitions.resolve_asset_graph()) == GRAPH.strip()


def test_a_dataset_with_rules_of_quality_follows_all_slides_of_both() -> None:
    text = yaml.safe_load(DEFAULT_RECIPE.read_text())
    text["patch_quality"] = {"numbers": {"patch_locations": "grid_256px_05um"}}
    rules = {"patch_quality": "numbers", "patch_rules": {"min_focus": 50.0}}
    text["dataset"]["cohort"] |= rules
    graph = build_definitions(parse_recipe(text, str)).resolve_asset_graph()
    node = graph.get(dg.AssetKey(["dataset", "cohort"]))
    assert {name(key) for key in node.parent_keys} == {
        "features/colour_stats", "patch_quality/numbers"
    }  # fmt: skip
    assert {type(one) for one in node.partition_mappings.values()} == {dg.AllPartitionMapping}


def test_every_asset_has_an_owner_and_says_what_it_is(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    nodes = [graph.get(key) for key in graph.get_all_asset_keys()]
    assert [node.key for node in nodes if not node.description] == []
    assert {tuple(node.owners) for node in nodes} == {("team:pathology",)}


def test_an_untrained_encoder_is_called_so_in_words(definitions: dg.Definitions) -> None:
    node = definitions.resolve_asset_graph().get(dg.AssetKey(["features", "resnet18_untrained"]))
    assert "without training" in str(node.description)
    assert "not for training on" in str(node.description)


def test_all_stations_of_a_slide_are_one_asset_that_runs_in_the_pool(
    definitions: dg.Definitions, recipe: Recipe
) -> None:
    batch = definitions.resolve_assets_def(dg.AssetKey(["tissue_mask", "otsu_8um"]))
    assert {tuple(key.path) for key in batch.keys} == {entry.key for entry in recipe.per_slide}
    assert batch.can_subset
    assert (batch.op.pool, batch.backfill_policy) == ("slides", dg.BackfillPolicy.multi_run(500))


def test_dg_loads_what_dagster_does() -> None:
    tool = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["tool"]
    assert tool["dg"]["directory_type"] == "project"
    root = tool["dg"]["project"]["root_module"]  # dg asks it for the module `definitions`
    assert f"{root}.definitions" == tool["dagster"]["module_name"]


def test_no_schedule_runs_before_it_is_switched_on(definitions: dg.Definitions) -> None:
    schedules = [s for s in definitions.schedules or () if isinstance(s, dg.ScheduleDefinition)]
    assert {s.name: (s.job_name, s.cron_schedule) for s in schedules} == {
        "nightly_datasets": ("build_datasets", "0 2 * * *"),
        "nightly_scrub": ("scrub", "0 3 * * *"),
        "nightly_report": ("report", "0 4 * * *"),
        "weekly_gc": ("gc", "0 5 * * 0"),
    }
    assert {s.default_status for s in schedules} == {dg.DefaultScheduleStatus.STOPPED}
    assert "REMOVES" in str(schedules[-1].description)


def test_what_starts_runs_on_new_slides_waits_to_be_switched_on(
    definitions: dg.Definitions,
) -> None:
    sensors = {s.name: s.default_status for s in definitions.sensors or ()}
    assert sensors == {
        "inbox": dg.DefaultSensorStatus.STOPPED,
        "dead_runs": dg.DefaultSensorStatus.RUNNING,
        "keep_current": dg.DefaultSensorStatus.STOPPED,
        "datasets_follow": dg.DefaultSensorStatus.RUNNING,
    }


@pytest.mark.parametrize("stages", [["tissue_mask"], ["tissue_mask", "patch_locations"]])
def test_a_recipe_may_end_before_the_dataset(recipe: Recipe, stages: list[str]) -> None:
    short = Recipe(entries=tuple(e for e in recipe.entries if e.stage.name in stages))
    definitions = build_definitions(short)
    dg.Definitions.validate_loadable(definitions)
    jobs = {job.name for job in definitions.resolve_all_job_defs()}
    assert jobs == {"__ASSET_JOB", "process_slides", *ALONE}
