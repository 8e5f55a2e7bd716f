from __future__ import annotations

from pathlib import Path

import dagster as dg

from pathassets.defs.slides import report_slides, reported_versions
from tests.defs.small_slides import write_slide
from tests.defs.workbench import Workbench


def n_reported(bench: Workbench) -> int:
    return len(bench.instance.fetch_materializations(dg.AssetKey("slide"), limit=100).records)


def test_a_slide_is_reported_once_and_again_when_its_resolution_changes(
    bench: Workbench, home: Path
) -> None:
    a, b = bench.ingest(write_slide(home / "b.svs", 2), write_slide(home / "a.svs", 1))
    assert bench.instance.get_dynamic_partitions("slides") == [a, b]
    assert n_reported(bench) == 2
    assert report_slides(bench.instance, bench.platform, [a, b]) == []
    assert n_reported(bench) == 2

    before = reported_versions(bench.instance)
    bench.restate(a, 0.4)
    after = reported_versions(bench.instance)
    assert n_reported(bench) == 3
    assert {s for s in (a, b) if before[s] != after[s]} == {a}
    seen = bench.latest("slide", a).asset_materialization
    assert seen is not None
    assert seen.metadata["mpp"].value == 0.4
    assert seen.metadata["mpp_stated"].value == "0.4 by a test: it wants to"
