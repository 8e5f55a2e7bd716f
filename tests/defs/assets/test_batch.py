from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pytest

from pathassets.core.features.colour_stats import ColourStats
from pathassets.core.features.encoder import COLOUR_STATS_CARD
from pathassets.engine.stages import features as feature_stage
from tests.defs.dagster_state import copy_state
from tests.defs.small_slides import N_PATCHES, RECIPE, write_corrupt_slide, write_slide
from tests.defs.workbench import Workbench, open_bench

ALL = ("tissue_mask/otsu", "patch_locations/grid", "features/colour")


MEAN = "slide_embedding/mean"


@dataclass(frozen=True)
class Ran:
    """After a run with real workers over four slides; only to be read."""

    bench: Workbench
    result: dg.ExecuteInProcessResult
    good: str
    no_mpp: str
    blank: str
    corrupt: str


@pytest.fixture(scope="module")
def ran(dagster_state: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ran]:
    home = tmp_path_factory.mktemp("ran")
    (home / "recipe.yaml").write_text(f"{RECIPE}slide_embedding: {{mean: {{features: colour}}}}\n")
    copy_state(dagster_state, home)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATHASSETS_HOME", str(home))
        patch.setenv("PATHASSETS_WORKERS", "1")
        with open_bench() as bench:
            slides = bench.ingest(
                write_slide(home / "a.svs", 1),
                write_slide(home / "b.svs", 2, mpp=None),
                write_slide(home / "c.svs", 3, is_blank=True),
                write_corrupt_slide(home / "d.svs", 4),
            )
            yield Ran(bench, bench.run(), *slides)


def test_a_run_fails_just_the_partitions_of_the_bad_slides(ran: Ran) -> None:
    bench, result = ran.bench, ran.result
    a, b, c, d = ran.good, ran.no_mpp, ran.blank, ran.corrupt
    assert not result.success
    assert bench.health("tissue_mask/otsu") == {"green": [a, c, d], "red": [b]}
    assert bench.health("patch_locations/grid") == {"green": [a, c, d], "red": [b]}
    assert bench.health("features/colour") == {"green": [a, c], "red": [b, d]}
    assert bench.states() == {
        a: "current current current current",
        b: "resolution_missing blocked blocked blocked",
        c: "current current current current",
        d: "current current tile_unreadable blocked",
    }
    (end,) = result.get_step_failure_events()
    said = end.step_failure_data.user_failure_data
    assert said is not None
    assert said.description is not None
    assert said.description.startswith("2 of 4 slides failed; the others are done.")
    assert f"tissue_mask/otsu: {b}: no micrometres per pixel" in said.description
    assert f"pathassets mpp set {b}" in said.description
    assert f"features/colour: {d}" in said.description


def test_a_failed_partition_says_why_in_an_observation(ran: Ran) -> None:
    bench, a = ran.bench, ran.no_mpp
    mask, locations = (
        bench.instance.fetch_observations(dg.AssetKey(entry.split("/")), limit=1).records[0]
        for entry in ALL[:2]
    )
    assert mask.partition_key == locations.partition_key == a
    seen = mask.asset_observation
    blocked = locations.asset_observation
    assert seen is not None
    assert blocked is not None
    assert seen.metadata["reason"].value == "resolution_missing"
    assert str(seen.description).startswith(f"`{a}: no micrometres per pixel")
    assert f"pathassets mpp set {a}" in str(seen.metadata["remedy"].value)
    assert blocked.description == f"`{a}: not tried, tissue_mask/otsu failed`"


def test_bare_glass_is_green_with_a_warning(ran: Ran) -> None:
    checks = checks_of(ran.bench, "tissue_mask/otsu", "has_tissue")
    assert {name: check.passed for name, check in checks.items()} == {
        ran.good: True,
        ran.blank: False,
        ran.corrupt: True,
    }
    assert checks[ran.blank].severity == dg.AssetCheckSeverity.WARN
    assert checks[ran.blank].description == "bare glass: no tissue was found"
    features = ran.bench.latest("features/colour", ran.blank).asset_materialization
    assert features is not None
    assert features.metadata["n_patches"].value == 0


def checks_of(bench: Workbench, asset: str, name: str) -> dict[str | None, Any]:
    key = dg.AssetCheckKey(dg.AssetKey(asset.split("/")), name)
    history = bench.instance.event_log_storage.get_asset_check_execution_history(key, limit=10)
    found = {r.partition: r.event.asset_check_evaluation for r in history if r.event is not None}
    assert len(found) == len(history)
    return found


def test_features_that_are_not_finite_fail_a_blocking_check_that_names_the_patch(
    bench: Workbench, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = bench.ingest(write_slide(home / "a.svs", 1), write_slide(home / "b.svs", 2))

    class Spoiled(ColourStats):
        n_passes = 0

        def begin(self, batch):
            rows = self.encode(batch)
            self.n_passes += 1
            rows[3, 1] = np.nan if self.n_passes > 1 else 0.0
            return lambda: rows

    encoder = Spoiled()
    monkeypatch.setattr(feature_stage, "_opened", lambda *_: encoder)
    assert not bench.run().success
    assert bench.health("features/colour") == {"green": [a], "red": [b]}
    checks = checks_of(bench, "features/colour", "features_are_finite")
    assert {name: check.passed for name, check in checks.items()} == {a: True, b: False}
    assert checks[b].severity == dg.AssetCheckSeverity.ERROR
    assert "features of patch 3 at level-0 point (" in checks[b].description
    assert checks[a].metadata["n_patches"].value == N_PATCHES
    spec = bench.definitions.resolve_asset_graph().get_check_spec(
        dg.AssetCheckKey(dg.AssetKey(["features", "colour"]), "features_are_finite")
    )
    assert spec.blocking


def test_patches_unlike_those_an_encoder_was_trained_on_come_with_a_warning(
    bench: Workbench, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (a,) = bench.ingest(write_slide(home / "a.svs", 1))

    class Trained(ColourStats):
        card = replace(COLOUR_STATS_CARD, mpp=0.25)

    monkeypatch.setattr(feature_stage, "_opened", lambda *_: Trained())
    assert bench.run().success
    made = bench.latest("features/colour", a).asset_materialization
    assert made is not None
    said = made.metadata["warning"].text
    assert said == "the encoder was trained at 0.25 um per pixel, these are at 0.5"


def test_an_embedding_is_an_asset_with_its_numbers_and_a_check(ran: Ran) -> None:
    assert ran.bench.stale([ran.good, ran.blank]) == {}
    made = ran.bench.latest(MEAN, ran.good).asset_materialization
    assert made is not None
    assert made.metadata["n_patches"].value == N_PATCHES
    assert made.metadata["norm"].value > 0
    checks = checks_of(ran.bench, MEAN, "has_patches")
    assert {name: check.passed for name, check in checks.items()} == {
        ran.good: True,
        ran.blank: False,
    }
    assert "no number" in checks[ran.blank].description


@pytest.mark.slow
def test_nothing_is_stale_after_a_run_and_a_new_resolution_makes_the_slide_s_assets_stale(
    bench: Workbench, home: Path
) -> None:
    a, b = bench.ingest(write_slide(home / "a.svs", 1), write_slide(home / "b.svs", 2))
    assert bench.stale([a, b]) == {slide: {f"{entry} missing" for entry in ALL} for slide in (a, b)}
    assert bench.run().success
    assert bench.stale([a, b]) == {}

    bench.restate(a, 0.4)
    assert bench.stale([a, b]) == {a: {f"{entry} stale" for entry in ALL}}

    assert bench.run().success
    assert bench.stale([a, b]) == {}
    # The new plan covered b too: what was current was logged again, without being made again.
    states = {s: bench.latest("features/colour", s).asset_materialization for s in (a, b)}
    assert {s: m and m.metadata["state"].value for s, m in states.items()} == {
        a: "made now",
        b: "current: nothing was computed",
    }
    assert bench.health("features/colour") == {"green": sorted([a, b]), "red": []}


def test_a_changed_entry_makes_itself_and_its_descendants_stale(
    bench: Workbench, home: Path
) -> None:
    (a,) = bench.ingest(write_slide(home / "a.svs", 1))
    assert bench.run().success
    text = RECIPE.replace("min_tissue_share: 0.5", "min_tissue_share: 0.6")
    (home / "recipe.yaml").write_text(text)
    with open_bench() as changed:
        assert changed.stale([a]) == {a: {"patch_locations/grid stale", "features/colour stale"}}
        assert changed.run().success
        assert changed.stale([a]) == {}


def test_a_part_of_the_stations_can_be_run(bench: Workbench, home: Path) -> None:
    (a,) = bench.ingest(write_slide(home / "a.svs", 1))
    only = [dg.AssetKey(["tissue_mask", "otsu"])]
    assert bench.run(asset_selection=only).success
    assert bench.states() == {a: "current missing missing"}
    rest = [dg.AssetKey(["patch_locations", "grid"]), dg.AssetKey(["features", "colour"])]
    assert bench.run(asset_selection=rest).success
    assert bench.states() == {a: "current current current"}
    assert bench.stale([a]) == {}


def test_a_station_without_its_parent_says_what_to_run(bench: Workbench, home: Path) -> None:
    (a,) = bench.ingest(write_slide(home / "a.svs", 1))
    result = bench.run(asset_selection=[dg.AssetKey(["features", "colour"])])
    assert not result.success
    (end,) = result.get_step_failure_events()
    assert "patch_locations/grid" in str(end.step_failure_data.user_failure_data)
    assert bench.states() == {a: "missing missing artifact_missing"}


def test_a_partition_that_is_no_slide_fails_and_the_slides_are_done(
    bench: Workbench, home: Path
) -> None:
    (a,) = bench.ingest(write_slide(home / "a.svs", 1))
    bench.instance.add_dynamic_partitions("slides", ["typed-by-hand"])
    result = bench.run()
    (end,) = result.get_step_failure_events()
    assert "typed-by-hand: not in the catalog" in str(end.step_failure_data.user_failure_data)
    assert bench.health("features/colour") == {"green": [a], "red": ["typed-by-hand"]}


def test_what_a_person_sees_of_a_slide(ran: Ran) -> None:
    bench, a = ran.bench, ran.good
    seen = {entry: bench.latest(entry, a).asset_materialization for entry in ("slide", *ALL)}
    metadata = {entry: dict(m.metadata) for entry, m in seen.items() if m is not None}
    pictures = {
        "slide": "thumbnail",
        "tissue_mask/otsu": "mask",
        "patch_locations/grid": "grid",
        "features/colour": "features_map",
    }
    for entry, picture in pictures.items():
        icon = str(metadata[entry][picture].value)
        # Dagster's page shows Markdown of up to 1,000 characters in place.
        assert icon.startswith("![](data:image/webp;base64,")
        assert len(icon) < 1000
        assert f"{picture}_large" not in metadata[entry]  # each event is kept twice, for ever
        assert metadata[entry]["cohort_page"].value == f"/cohort?slide={a}"
    assert metadata["tissue_mask/otsu"]["tissue_mm2"].value == pytest.approx(0.0983, rel=0.02)
    assert 0.4 < metadata["tissue_mask/otsu"]["tissue_share"].value < 0.6
    assert metadata["features/colour"]["n_patches"].value == N_PATCHES
    assert metadata["features/colour"]["patches_per_second"].value > 0
    for name in ("seconds_reading", "seconds_waiting", "seconds_computing"):
        assert 0 <= metadata["features/colour"][name].value < 60
    assert metadata["features/colour"]["peak_memory_bytes"].value > 2**20
    assert metadata["features/colour"]["device"].value == "cpu"
    assert metadata["features/colour"]["precision"].value == "float32"
    plotted = {"tissue_mask/otsu": {"seconds", "bytes"}, "patch_locations/grid": {"n_patches"}}
    assert all(
        isinstance(metadata[entry][n].value, int | float)
        for entry, names in plotted.items()
        for n in names
    )
    fixed = {"slide": {"mpp", "width_px0"}, "patch_locations/grid": {"mpp", "side_px0", "level"}}
    assert {type(metadata[entry][n].value) for entry, of in fixed.items() for n in of} == {str}
    assert metadata["slide"]["width_px0"].value == "1,024"
    shown = [v.value for of in metadata.values() for v in of.values()]
    floats = [value for value in shown if isinstance(value, float)]
    assert floats
    assert all(value == float(f"{value:.3g}") for value in floats if value < 100)
