"""What Dagster calls features that another tool made."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pathassets.defs.build import build_definitions
from pathassets.defs.launch import report_imported
from pathassets.engine.platform.exchange.adopt import ImportRequest, adopt
from pathassets.engine.platform.exchange.export import ExportRequest, export
from tests.defs.dagster_state import copy_state
from tests.defs.small_slides import write_slide
from tests.defs.test_jobs import repair
from tests.defs.workbench import Workbench, open_bench

RECIPE = """
tissue_mask: {otsu: {mpp: 8.0}}
patch_locations: {grid: {tissue_mask: otsu, patch_px: 256, mpp: 0.5}}
features:
  ours: {patch_locations: grid, encoder: colour_stats}
  theirs: {patch_locations: grid, encoder: colour_stats}
slide_embedding: {mean: {features: theirs}}
"""
THEIRS, MEAN = "features/theirs", "slide_embedding/mean"


@pytest.fixture
def bench(home: Path, dagster_state: Path) -> Iterator[Workbench]:
    (home / "recipe.yaml").write_text(RECIPE)
    copy_state(dagster_state, home)
    with open_bench() as bench:
        yield bench


@pytest.mark.slow
def test_imported_features_are_fresh_until_their_slide_changes(
    bench: Workbench, home: Path
) -> None:
    a, b = bench.ingest(*(write_slide(home / f"{name}.svs", n) for n, name in enumerate("ab")))
    made = ["tissue_mask/otsu", "patch_locations/grid", "features/ours"]
    assert bench.run("repair_slides", run_config=repair([a, b], *made)).success
    to = home / "trident"
    list(export(bench.platform, ExportRequest(tool="trident", what="features/ours", to=to)))
    list(adopt(bench.platform, ImportRequest(tool="trident", folder=to, features="theirs")))
    definitions = build_definitions(bench.platform.recipe)
    for _ in range(2):  # whoever lost some imports them again
        report_imported(definitions, bench.instance, bench.platform, "theirs", [a, b])
    missing = {f"{MEAN} missing"}
    assert bench.stale([a, b]) == {a: missing, b: missing}
    assert provenance(bench, a) == "external"
    assert bench.run().success
    assert bench.stale([a, b]) == {}
    assert (provenance(bench, a), provenance(bench, b)) == ("external", "external")
    bench.restate(a, 0.4)
    assert f"{THEIRS} stale" in bench.stale([a])[a]
    assert bench.stale([b]) == {}
    assert bench.run().success
    assert (provenance(bench, a), provenance(bench, b)) == ("", "external")
    assert bench.stale([a, b]) == {}


def provenance(bench: Workbench, slide_id: str) -> str:
    event = bench.latest(THEIRS, slide_id).asset_materialization
    assert event is not None
    said = event.metadata.get("provenance")
    return "" if said is None else str(said.value)
