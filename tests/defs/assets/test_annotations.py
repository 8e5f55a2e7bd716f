from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest

from pathassets.defs.assets.annotations import report_annotations, reported_annotations
from tests.defs.dagster_state import copy_state
from tests.defs.small_slides import write_slide
from tests.defs.workbench import Workbench, open_bench
from tests.engine.workers_here import workers_here

DRAWN = """
annotations:
  tumour: {about: Where two observers agree.}
  mended:
tissue_mask: {otsu: {mpp: 8.0, annotations: mended}}
patch_locations:
  grid: {tissue_mask: otsu, patch_px: 256, mpp: 0.5}
  inside: {tissue_mask: otsu, patch_px: 128, region: annotations, annotations: tumour}
patch_set: {jpegs: {patch_locations: inside, image_type: jpg}}
features: {colour: {patch_locations: grid, encoder: colour_stats}}
"""
WHOLE, LEFT = (0.0, 0.0, 1024.0, 768.0), (128.0, 128.0, 512.0, 640.0)
MASK, GRID, INSIDE, JPEGS, COLOUR = (
    "tissue_mask/otsu", "patch_locations/grid", "patch_locations/inside", "patch_set/jpegs",
    "features/colour",
)  # fmt: skip
ALL = (MASK, GRID, INSIDE, JPEGS, COLOUR)


@pytest.fixture
def bench(home: Path, dagster_state: Path) -> Iterator[Workbench]:
    (home / "recipe.yaml").write_text(DRAWN)
    copy_state(dagster_state, home)
    with open_bench() as bench:
        yield bench


@dataclass(frozen=True)
class Finished:
    """After a run; only to be read."""

    bench: Workbench
    home: Path
    mended: str
    """Slide with both annotations, each the left half."""
    empty: str
    """Slide of which it is drawn that there is no tumour."""


@pytest.fixture(scope="module")
def finished(dagster_state: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Finished]:
    home = tmp_path_factory.mktemp("finished")
    (home / "recipe.yaml").write_text(DRAWN)
    copy_state(dagster_state, home)
    with pytest.MonkeyPatch.context() as patch, workers_here():
        patch.setenv("PATHASSETS_HOME", str(home))
        with open_bench() as bench:
            a, b = bench.ingest(write_slide(home / "a.svs", 1), write_slide(home / "b.svs", 2))
            for name in ("tumour", "mended"):
                bench.draw(a, LEFT, name=name)
            bench.draw(b)
            assert bench.run().success
            yield Finished(bench, home, a, b)


def stale(*entries: str) -> set[str]:
    return {f"{entry} stale" for entry in entries}


def test_annotations_are_external_assets_that_what_is_made_from_them_depends_on(
    bench: Workbench,
) -> None:
    graph = bench.definitions.resolve_asset_graph()
    tumour, mended = (dg.AssetKey(["annotations", name]) for name in ("tumour", "mended"))
    for key in (tumour, mended):
        assert graph.get(key).is_external
        assert graph.get(key).partitions_def is not None
    assert str(graph.get(tumour).description).startswith("`Where two observers agree.`\n\n")
    parents = {entry: graph.get(dg.AssetKey(entry.split("/"))).parent_keys for entry in ALL}
    assert {entry for entry in ALL if tumour in parents[entry]} == {INSIDE, JPEGS}
    assert {entry for entry in ALL if mended in parents[entry]} == {*ALL}


def test_a_slide_without_the_drawing_is_the_one_red_square_until_it_has_one(
    bench: Workbench, home: Path
) -> None:
    a, b = bench.ingest(write_slide(home / "a.svs", 1), write_slide(home / "b.svs", 2))
    bench.draw(a, LEFT)
    assert not bench.run().success
    assert bench.health(INSIDE) == {"green": [a], "red": [b]}
    assert bench.health(JPEGS) == {"green": [a], "red": [b]}
    assert bench.health(COLOUR) == {"green": [a, b], "red": []}
    assert bench.states() == {
        a: "current current current current current",
        b: "current current annotations_missing blocked current",
    }
    (said,) = (
        record.asset_observation
        for record in bench.instance.fetch_observations(
            dg.AssetKey(INSIDE.split("/")), limit=1
        ).records
    )
    assert said is not None
    assert said.description == f"`{b}: no annotations/tumour is recorded for it`"
    remedy = str(said.metadata["remedy"].value)
    assert f"pathassets annotations set {b} FILE --name tumour" in remedy
    assert "empty FeatureCollection" in remedy

    bench.draw(b)
    assert bench.run().success
    assert bench.states()[b] == "current current current current current"
    assert bench.health(INSIDE) == {"green": [a, b], "red": []}
    located = bench.latest(INSIDE, b).asset_materialization
    assert located is not None
    assert located.metadata["n_patches"].value == 0


@pytest.mark.slow
def test_a_drawing_makes_stale_what_is_made_from_it_and_a_withdrawal_too(
    bench: Workbench, home: Path
) -> None:
    a, b = bench.ingest(write_slide(home / "a.svs", 1), write_slide(home / "b.svs", 2))
    for slide_id in (a, b):
        bench.draw(slide_id, LEFT)
    assert bench.run().success
    assert bench.stale([a, b]) == {}

    bench.draw(a, LEFT)
    assert bench.stale([a, b]) == {}  # it is the same

    bench.draw(b, LEFT, name="mended")
    bench.withdraw(b, "mended")
    mask = dg.AssetKey(MASK.split("/"))
    assert bench.staleness(mask, b) == "fresh"  # it is as it was made, without

    bench.draw(a, WHOLE)
    # The first annotation of a slide that was made without: its mask was computed.
    bench.draw(b, LEFT, name="mended")
    assert bench.stale([a, b]) == {a: stale(INSIDE, JPEGS), b: stale(*ALL)}
    assert bench.run().success
    assert bench.stale([a, b]) == {}

    bench.withdraw(b, "mended")
    assert bench.stale([a, b]) == {b: stale(*ALL)}
    bench.withdraw(a)
    bench.draw(a, WHOLE)
    assert bench.run().success
    assert bench.stale([a, b]) == {}


@pytest.mark.slow
def test_other_annotations_in_the_recipe_make_stale_what_names_them(
    finished: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATHASSETS_HOME", str(finished.home))
    text = DRAWN.replace("annotations: tumour", "annotations: mended")
    (finished.home / "recipe.yaml").write_text(text)
    with open_bench() as changed:
        assert changed.stale([finished.mended]) == {finished.mended: stale(INSIDE, JPEGS)}


def test_a_drawing_is_reported_once_with_what_a_person_wants_to_know(
    bench: Workbench, home: Path
) -> None:
    (a,) = bench.ingest(write_slide(home / "a.svs", 1))
    drawn = bench.draw(a, LEFT, (600.0, 200.0, 700.0, 300.0))
    key = dg.AssetKey(["annotations", "tumour"])
    for _ in range(2):
        report_annotations(bench.instance, bench.platform, [a])
    assert len(bench.instance.fetch_materializations(key, limit=9).records) == 1
    assert len(bench.instance.fetch_observations(key, limit=9).records) == 1
    assert reported_annotations(bench.instance, "tumour", [a]) == {a: drawn.digest}
    assert reported_annotations(bench.instance, "mended", [a]) == {}
    seen = bench.latest("annotations/tumour", a).asset_materialization
    assert seen is not None
    metadata = {name: value.value for name, value in seen.metadata.items()}
    assert metadata["n_polygons"] == 2
    assert metadata["labels"] == {"": 2}
    assert (metadata["who"], metadata["why"]) == ("Ann", "review of 3 May")
    assert (metadata["file"], metadata["sha256"]) == (drawn.file, drawn.sha256)
    assert str(metadata["outlines"]).startswith("![](data:image/webp;base64,")
    assert str(metadata["outlines_large"]).startswith("![](data:image/jpeg;base64,")
    assert bench.health("annotations/tumour") == {"green": [a], "red": []}

    bench.withdraw(a)
    assert reported_annotations(bench.instance, "tumour", [a]) == {a: "withdrawn"}
    gone = bench.latest("annotations/tumour", a).asset_materialization
    assert gone is not None
    assert gone.description == "withdrawn"
    assert gone.metadata["who"].value == "Bob"
    assert "n_polygons" not in gone.metadata


@pytest.mark.slow
def test_what_was_recorded_and_not_reported_is_reported_with_the_next(
    bench: Workbench, home: Path
) -> None:
    from tests.engine.annotations import record_boxes  # noqa: PLC0415  (what was killed stopped here)

    (a,) = bench.ingest(write_slide(home / "a.svs", 1))
    drawn = record_boxes(bench.platform, a, LEFT).annotation
    assert bench.run().success  # on a page that knows of no annotation
    report_annotations(bench.instance, bench.platform, [a])
    assert reported_annotations(bench.instance, "tumour", [a]) == {a: drawn.digest}
    assert bench.stale([a]) == {a: stale(INSIDE, JPEGS)}  # rather too much than too little
    assert bench.run().success
    assert bench.stale([a]) == {}


def test_locations_without_a_patch_are_green_with_a_warning(finished: Finished) -> None:
    bench, a, b = finished.bench, finished.mended, finished.empty
    key = dg.AssetCheckKey(dg.AssetKey(["patch_locations", "inside"]), "has_patches")
    history = bench.instance.event_log_storage.get_asset_check_execution_history(key, limit=10)
    checks = {
        record.partition: record.event.asset_check_evaluation
        for record in history
        if record.event is not None
    }
    assert {name: check.passed for name, check in checks.items()} == {a: True, b: False}
    assert checks[b].severity == dg.AssetCheckSeverity.WARN
    assert "no square" in str(checks[b].description)


def test_mask_grid_and_patch_set_come_with_pictures(finished: Finished) -> None:
    bench, a = finished.bench, finished.mended
    pictures = {MASK: "mask", GRID: "grid", INSIDE: "grid", JPEGS: "patches"}
    for entry, picture in pictures.items():
        seen = bench.latest(entry, a).asset_materialization
        assert seen is not None
        icon = str(seen.metadata[picture].value)
        assert icon.startswith("![](data:image/webp;base64,")
        assert len(icon) < 1000
    mask = bench.latest(MASK, a).asset_materialization
    assert mask is not None
    assert mask.metadata["method"].value == "drawn"
    written = bench.latest(JPEGS, a).asset_materialization
    located = bench.latest(INSIDE, a).asset_materialization
    assert written is not None
    assert located is not None
    assert written.metadata["n_patches"].value == located.metadata["n_patches"].value > 0
