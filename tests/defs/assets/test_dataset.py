"""What the page shows of a dataset: parts, leave-outs, changes, and what keeps it back."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from pathassets.catalog.records import CohortFacts
from pathassets.defs.text import N_ROWS, table_value
from tests.defs.small_slides import N_PATCHES, RECIPE, write_slide
from tests.defs.workbench import Workbench, open_bench

COHORT = dg.AssetKey(["dataset", "cohort"])


def build(bench: Workbench) -> dg.ExecuteInProcessResult:
    return bench.run("build_datasets", asset_selection=[COHORT])


def shown(bench: Workbench) -> dict[str, object]:
    event = bench.instance.get_latest_materialization_event(COHORT)
    return {name: one.value for name, one in event.asset_materialization.metadata.items()}


def rows(table: list[dg.TableRecord]) -> list[dict[str, object]]:
    return [dict(record.data) for record in table.records]


def tell(bench: Workbench, slide_id: str, patient: str, label: str) -> None:
    bench.platform.catalog.set_cohort_facts(
        [CohortFacts(slide_id=slide_id, patient=patient, label=label)]
    )


def test_a_version_tells_its_parts_its_leave_outs_and_what_changed(
    bench: Workbench, home: Path
) -> None:
    label = "![x](http://evil.example) \x1b[2J"
    a, b, _ = bench.ingest(
        write_slide(home / "a.svs", 1),
        write_slide(home / "b.svs", 2),
        write_slide(home / "c.svs", 3, mpp=None),
    )
    tell(bench, a, "p1", label)
    bench.run()
    assert build(bench).success
    told = shown(bench)
    parts = rows(told["parts"])
    assert {row["label"]: row["slides"] for row in parts} == {
        "![x](http://evil.example) \\x1b[2J": 1, "": 1,
    }  # fmt: skip
    assert [row["why"] for row in rows(told["left_out"])] == ["no features"]
    assert "changes" not in told

    tell(bench, b, "p2", "normal")
    assert build(bench).success
    told = shown(bench)
    changes = [(row["change"], row["slide"]) for row in rows(told["changes"])]
    assert ("relabelled", b) in changes
    assert ("renamed", b) in changes
    assert str(told["version_before"]).startswith("cohort@")


@pytest.mark.slow
def test_a_version_that_leaves_patches_out_tells_how_many_it_uses(home: Path) -> None:
    text = RECIPE + "patch_quality: {numbers: {patch_locations: grid}}\n"
    (home / "recipe.yaml").write_text(text)
    with open_bench() as bench:
        (a,) = bench.ingest(write_slide(home / "a.svs", 1))
        assert bench.run().success
        assert build(bench).success
        assert "patches used" not in shown(bench)
    (table,) = (home / "store" / "patch_quality").rglob("quality.parquet")
    limit = pd.read_parquet(table)["focus"].sort_values().iloc[2]
    rules = f"features: colour, patch_quality: numbers, patch_rules: {{min_focus: {limit}}}"
    (home / "recipe.yaml").write_text(text.replace("features: colour", rules))
    with open_bench() as bench:
        assert build(bench).success
        told = shown(bench)
        assert told["patches used"] == f"{N_PATCHES - 2} of {N_PATCHES} patches"
        assert rows(told["changes"]) == [
            {
                "change": "other patches",
                "slide": a,
                "what": f"n_used_from {N_PATCHES}, n_used_to {N_PATCHES - 2}",
            }
        ]


@pytest.mark.slow
def test_a_dataset_that_is_kept_back_fails_with_each_finding_and_what_to_do(
    home: Path,
) -> None:
    (home / "recipe.yaml").write_text(
        RECIPE.replace("seed: 0", "seed: 0, split_file: parts.csv").replace(
            "split: {train: 0.7, val: 0.15, test: 0.15}, ", ""
        )
    )
    (home / "parts.csv").write_text("patient,split\nP-007,train\np 7,test\n")
    with open_bench() as bench:
        a, b = bench.ingest(write_slide(home / "a.svs", 1), write_slide(home / "b.svs", 2))
        tell(bench, a, "P-007", "x")
        tell(bench, b, "p 7", "x")
        assert bench.run().success
        result = build(bench)
        assert not result.success
        (failure,) = result.get_step_failure_events()
        told = failure.step_failure_data.user_failure_data
        (finding,) = bench.platform.catalog.findings("cohort")
        assert "one name in two spellings" in told.description
        assert finding.finding in told.description
        (row,) = rows(told.metadata["findings"].value)
        assert (row["finding"], row["slides"]) == (finding.finding, f"{a}, {b}")
        assert "pathassets dataset accept cohort" in str(told.metadata["what to do"].value)
        bench.platform.catalog.accept_finding("cohort", finding.finding, who="Ann", why="two men")
        assert build(bench).success
        assert [(r["who"], r["why"]) for r in rows(shown(bench)["accepted"])] == [
            ("Ann", "two men")
        ]


def test_of_many_rows_the_page_has_the_first_and_how_many_more() -> None:
    table = table_value([{"slide": f"s{i}", "n": i} for i in range(N_ROWS + 5)]).value
    assert len(table.records) == N_ROWS + 1
    assert dict(table.records[-1].data) == {"slide": "5 more", "n": ""}
