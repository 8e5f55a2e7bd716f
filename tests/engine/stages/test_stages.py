from contextlib import closing

import cv2
import numpy as np
import pytest
import zarr

from pathassets.adapters.annotations.reader import read_annotations
from pathassets.adapters.files import stamp_of
from pathassets.adapters.parquet import load_locations, load_manifest
from pathassets.adapters.tifffile import PyramidSpec, corrupt_tile
from pathassets.adapters.zarr.arrays import load_mask
from pathassets.core.features.colour_stats import ColourStats
from pathassets.core.features.encoder import COLOUR_STATS_CARD
from pathassets.engine.platform.annotations import AnnotationSource, record_file
from pathassets.engine.platform.plan import plan_slides
from pathassets.engine.slides.open import open_slide
from pathassets.engine.stages.context import Bench
from pathassets.engine.stages.slide_task import run_slide
from pathassets.errors import SlideChanged, SlideUnreadable
from tests.engine.annotations import record_boxes


@pytest.fixture
def slide(make_slide):
    return make_slide()


@pytest.fixture
def bench(platform, slide):
    with closing(
        Bench(
            slide_id="a",
            slide=open_slide(slide),
            members=[slide],
            stamp=stamp_of([slide]),
            fingerprint="f",
            slide_mpp=0.5,
            store=platform.store,
            device="cpu",
        )
    ) as bench:
        yield bench


@pytest.fixture
def made(platform, slide, register, make_task):
    """Artifact and folder of each section of the slide."""
    outcome = run_slide(make_task(platform, register(platform, slide)[0]))
    return {
        step.step.address.stage: (step.artifact, platform.store.path_of(step.step.address))
        for step in outcome.steps
    }


def test_the_mask_covers_the_stained_rectangle(made):
    artifact, folder = made["tissue_mask"]
    mask = load_mask(folder / "tissue.zarr")
    assert mask.downsample == 16
    assert mask.slide_mpp == 0.5
    rows, columns = np.nonzero(mask.tissue)
    assert rows.min() * 16 == pytest.approx(60, abs=16)
    assert columns.max() * 16 == pytest.approx(540, abs=16)
    assert artifact.facts["tissue_mm2"] == pytest.approx(0.38 * 0.48 / 4, rel=0.1)
    assert artifact.facts["mask_mpp"] == 8
    assert artifact.facts["reader"].startswith("tiles, simplejpeg 1.")
    assert artifact.facts["bad_tiles"] == []


def test_the_grid_lies_on_the_tissue_and_tells_its_sizes(made):
    artifact, folder = made["patch_locations"]
    facts = artifact.facts
    locations = load_locations(folder / "locations.parquet", side_px0=64, patch_px=64, mpp=0.5)
    assert len(locations) == facts["n_patches"] >= 30
    assert (facts["side_px0"], facts["patch_px"], facts["mpp"], facts["level"]) == (64, 64, 0.5, 0)
    assert facts["is_upsampled"] is False
    assert (locations.tissue_share >= 0.5).all()


def test_the_features_are_those_of_the_pixels_at_the_coordinates(made, slide):
    artifact, folder = made["features"]
    group = zarr.open_group(folder / "features.zarr", mode="r")
    boxes = group["coordinates"][:]
    with open_slide(slide, backend="openslide") as opened:
        patches = [
            opened.read_region(int(x), int(y), level=0, width_px=64, height_px=64)
            for x, y in boxes[:, :2]
        ]
    assert np.array_equal(group["features"][:], ColourStats().encode(np.stack(patches)))
    assert (boxes[:, 2:] - boxes[:, :2] == 64).all()
    assert artifact.facts["n_patches"] == len(boxes)
    assert artifact.facts["dim"] == COLOUR_STATS_CARD.dim
    assert artifact.facts["device"] == "cpu"


def test_the_features_tell_a_stranger_where_they_are_from(made, register, platform):
    folder = made["features"][1]
    attributes = dict(zarr.open_group(folder / "features.zarr", mode="r").attrs)
    [planned] = register(platform)
    assert attributes["slide_id"] == planned.slide_id
    assert attributes["slide_sha256"] == planned.record.fingerprint
    assert (attributes["slide_mpp"], attributes["patch_mpp"]) == (0.5, 0.5)
    assert attributes["encoder"] == "colour_stats"
    assert attributes["feature_names"] == list(COLOUR_STATS_CARD.feature_names)


def test_only_the_last_overview_is_held(bench):
    first = bench.overview(8.0)
    assert first.downsample == 16
    assert bench.overview(8.0) is first
    fine = bench.overview(2.0)
    assert fine.downsample == 4
    assert fine.rgb.shape == (125, 150, 3)
    again = bench.overview(8.0)
    assert again is not first
    assert np.array_equal(again.rgb, first.rgb)


SKIP = """\
tissue_mask:
  otsu: {mpp: 8.0, bad_tiles: skip, max_bad_tile_share: 0.2}
patch_locations:
  grid: {tissue_mask: otsu, patch_px: 48, mpp: 0.5}
features:
  stats: {patch_locations: grid, encoder: colour_stats, bad_tiles: skip, max_bad_tile_share: 0.05}
"""


def run_with(reopen, register, make_task, slide, recipe):
    platform = reopen(recipe)
    outcome = run_slide(make_task(platform, register(platform, slide)[-1]))
    return {step.step.address.stage: step for step in outcome.steps}, platform


def test_patches_on_a_bad_tile_are_left_out_and_listed(reopen, register, make_task, make_slide):
    healthy, platform = run_with(reopen, register, make_task, make_slide("good.svs"), SKIP)
    bad_slide = make_slide("bad.svs")
    corrupt_tile(bad_slide, 0, 34)  # tiles of 64 px, ten a row: from (256, 192) to (320, 256)
    made, _ = run_with(reopen, register, make_task, bad_slide, SKIP)
    assert [step.state for step in made.values()] == ["made"] * 3

    facts = made["features"].artifact.facts
    assert facts["n_bad_tiles"] == 1
    [fault] = facts["bad_tiles"]
    assert (fault["level"], fault["tile"], fault["reason"]) == (0, 34, "undecodable")
    assert (fault["x_px"], fault["y_px"], fault["width_px"]) == (256, 192, 64)

    def read(step):
        group = zarr.open_group(platform.store.path_of(step.step.address) / "features.zarr")
        return group["coordinates"][:], group["features"][:]

    whole_boxes, whole = read(healthy["features"])
    boxes, features = read(made["features"])
    x0, y0, x1, y1 = whole_boxes.T
    touches = (x0 < 320) & (x1 > 256) & (y0 < 256) & (y1 > 192)
    assert facts["skipped"] == np.flatnonzero(touches).tolist()
    assert facts["n_skipped"] == touches.sum() > 1
    assert facts["n_patches"] == len(boxes) == (~touches).sum()
    assert np.array_equal(boxes, whole_boxes[~touches])
    assert np.array_equal(features, whole[~touches])
    assert not np.isnan(features).any()


def test_more_bad_tiles_than_allowed_fail_the_slide(reopen, register, make_task, make_slide):
    slide = make_slide()
    corrupt_tile(slide, 0, 34)
    recipe = SKIP.replace("max_bad_tile_share: 0.05", "max_bad_tile_share: 0.01")
    made, _ = run_with(reopen, register, make_task, slide, recipe)
    failed = made["features"]
    assert (failed.state, failed.reason, failed.is_final) == ("failed", "tile_unreadable", True)
    assert "more than 1.00% of the" in failed.message
    assert "level 0, tile 34 at (256, 192), 64 x 64 px" in failed.message
    assert "max_bad_tile_share" in failed.remedy


def test_a_bad_tile_fails_the_slide_unless_it_is_allowed_to_skip(
    reopen, register, make_task, make_slide
):
    slide = make_slide()
    corrupt_tile(slide, 0, 34)
    recipe = SKIP.replace("bad_tiles: skip, max_bad_tile_share: 0.05", "bad_tiles: fail")
    made, _ = run_with(reopen, register, make_task, slide, recipe)
    assert made["features"].state == "failed"
    assert "level 0, tile 34 at (256, 192), 64 x 64 px" in made["features"].message


def test_a_mask_has_no_tissue_where_the_overview_cannot_be_read(
    reopen, register, make_task, make_slide
):
    one_level = PyramidSpec(tile_px=64, n_levels=1)
    slide = make_slide(spec=one_level)
    corrupt_tile(slide, 0, 34)
    made, platform = run_with(reopen, register, make_task, slide, SKIP)
    artifact = made["tissue_mask"].artifact
    assert artifact.facts["n_bad_tiles"] == 1
    mask = load_mask(platform.store.path_of(artifact.address) / "tissue.zarr").tissue
    assert not mask[12:16, 16:20].any()
    assert mask[11, 16:20].all()
    assert mask[16, 16:20].all()
    strict = SKIP.replace("bad_tiles: skip, max_bad_tile_share: 0.2", "bad_tiles: fail")
    made, _ = run_with(reopen, register, make_task, slide, strict)
    assert made["tissue_mask"].reason == "tile_unreadable"
    assert made["features"].state == "blocked"


def test_a_file_that_is_written_to_is_noticed(bench, slide):
    bench.check_unchanged()
    with slide.open("ab") as file:
        file.write(b"!")
    with pytest.raises(SlideChanged, match="changed while it was read"):
        bench.check_unchanged()
    slide.unlink()
    with pytest.raises(SlideUnreadable, match="no such file"):
        bench.check_unchanged()


DRAWN = """\
annotations:
  tumour:
  mended:
tissue_mask:
  otsu: {mpp: 8.0, annotations: mended}
patch_locations:
  inside:
    tissue_mask: otsu
    patch_px: 32
    mpp: 0.5
    region: annotations
    annotations: tumour
    min_area_share: 1.0
  outside:
    tissue_mask: otsu
    patch_px: 32
    mpp: 0.5
    region: outside_annotations
    annotations: tumour
    min_area_share: 1.0
patch_set:
  pngs: {patch_locations: inside, bad_tiles: skip, max_bad_tile_share: 0.5}
  zarr: {patch_locations: inside, store: zarr, image_type: jpg, included_labels: [two]}
"""
ONE, TWO = (96.0, 96.0, 224.0, 192.0), (320.0, 256.0, 416.0, 320.0)
GLASS = (0.0, 0.0, 50.0, 50.0)
"""In level-0 px; the first two on nodes of the grid, in the tissue; the last on glass."""


def make_drawn(platform, register, make_task, slide, *masks, labels=("one", "two", "glass")):
    """Artifact and folder by name, of a slide with the three areas and, maybe, a drawn mask."""
    [planned] = register(platform, slide)
    record_boxes(platform, planned.slide_id, ONE, TWO, GLASS, labels=labels)
    if masks:
        record_boxes(platform, planned.slide_id, *masks, name="mended")
    outcome = run_slide(make_task(platform, plan_slides(platform)[0]))
    assert outcome.failure is None, outcome.failure
    return {
        step.step.address.name: (step.artifact, platform.store.path_of(step.step.address))
        for step in outcome.steps
    }


def locations_in(folder):
    return load_locations(folder / "locations.parquet", side_px0=32, patch_px=32, mpp=0.5)


def touches(boxes_px0, area):
    x0, y0, x1, y1 = boxes_px0.T
    return (x0 < area[2]) & (x1 > area[0]) & (y0 < area[3]) & (y1 > area[1])


def test_patches_lie_in_what_was_drawn_and_bear_its_label(reopen, register, make_task, slide):
    made = make_drawn(reopen(DRAWN), register, make_task, slide)
    artifact, folder = made["inside"]
    locations = locations_in(folder)
    assert artifact.facts["n_by_label"] == {"one": 12, "two": 6, "glass": 0}
    assert artifact.facts["n_patches"] == len(locations) == 18
    labels = np.array(locations.labels)[locations.label_codes]
    boxes = locations.boxes_px0
    assert (touches(boxes, ONE) == (labels == "one")).all()
    assert (touches(boxes, TWO) == (labels == "two")).all()


def test_patches_lie_outside_of_what_was_drawn(reopen, register, make_task, slide):
    made = make_drawn(reopen(DRAWN), register, make_task, slide)
    boxes = locations_in(made["outside"][1]).boxes_px0
    assert len(boxes) > 60
    assert not touches(boxes, ONE).any()
    assert not touches(boxes, TWO).any()


def test_a_mask_that_somebody_drew_takes_the_place_of_the_computed_one(
    reopen, register, make_task, slide
):
    made = make_drawn(reopen(DRAWN), register, make_task, slide, (0.0, 0.0, 320.0, 320.0))
    artifact, folder = made["otsu"]
    mask = load_mask(folder / "tissue.zarr")
    rows, columns = np.nonzero(mask.tissue)
    assert (mask.downsample, rows.min(), columns.min()) == (16, 0, 0)
    assert (rows.max() + 1, columns.max() + 1) == (20, 20)
    assert mask.tissue.sum() == 400
    assert artifact.facts["method"] == "drawn"
    assert artifact.facts["n_pieces"] == 1
    assert artifact.facts["tissue_mm2"] == pytest.approx((320 * 0.5 / 1000) ** 2)
    assert artifact.parents[1].stage == "annotations"
    facts = made["inside"][0].facts
    assert facts["n_by_label"] == {"one": 12, "two": 0, "glass": 1}


def test_a_drawn_mask_needs_no_pixel_of_the_slide(reopen, register, make_task, make_slide):
    slide = make_slide(spec=PyramidSpec(tile_px=64, n_levels=1))
    corrupt_tile(slide, 0, 34)
    platform = reopen(DRAWN)
    [planned] = register(platform, slide)
    assert run_slide(make_task(platform, planned)).failure.reason == "tile_unreadable"
    record_boxes(platform, planned.slide_id, (0.0, 0.0, 320.0, 320.0), name="mended")
    [planned] = plan_slides(platform)
    outcome = run_slide(make_task(platform, planned, "tissue_mask"))
    assert [step.state for step in outcome.steps] == ["made"]


def test_a_mask_picture_is_a_mask_and_an_area(reopen, register, make_task, slide, tmp_path):
    platform = reopen(DRAWN)
    [planned] = register(platform, slide)
    picture = np.zeros((125, 150), np.uint8)
    picture[25:75, 25:100] = 255  # of 4 px: from (100, 100) to (400, 300)
    cv2.imwrite(str(tmp_path / "mask.png"), picture)
    for name in ("tumour", "mended"):
        stated = AnnotationSource(name=name, who="Ann", why="mended")
        record_file(platform, planned.slide_id, tmp_path / "mask.png", stated)
    outcome = run_slide(make_task(platform, plan_slides(platform)[0]))
    assert outcome.failure is None, outcome.failure
    made = {step.step.address.name: step.artifact for step in outcome.steps}
    assert made["otsu"].facts["downsample"] == 4
    assert made["otsu"].facts["tissue_mm2"] == pytest.approx(0.15 * 0.1)
    # Whole patches of 32 px between 100 and 400, and between 100 and 300.
    assert made["inside"].facts["n_by_label"] == {"": 8 * 5}


def test_the_outlines_of_the_mask_are_kept_in_level_0_pixels(made):
    artifact, folder = made["tissue_mask"]
    outlines = read_annotations(folder / "tissue.geojson").polygons
    mask = load_mask(folder / "tissue.zarr")
    assert artifact.facts["n_pieces"] == len(outlines) == 1
    assert artifact.facts["method"] == "otsu"
    area_px0 = sum(outline.polygon.area for outline in outlines)
    assert area_px0 == mask.tissue.sum() * mask.downsample**2


def test_a_patch_set_has_an_image_of_every_patch(reopen, register, make_task, slide):
    made = make_drawn(reopen(DRAWN), register, make_task, slide)
    artifact, folder = made["pngs"]
    rows = load_manifest(folder / "patches.parquet")
    locations = locations_in(made["inside"][1])
    assert [(r["x_px0"], r["y_px0"]) for r in rows] == list(
        zip(locations.x_px0.tolist(), locations.y_px0.tolist(), strict=True)
    )
    with open_slide(slide, backend="openslide") as opened:
        for row in rows:
            pixels = cv2.imread(str(folder / row["file"]))[..., ::-1]
            expected = opened.read_region(
                row["x_px0"], row["y_px0"], level=0, width_px=32, height_px=32
            )
            assert np.array_equal(pixels, expected)
    facts = artifact.facts
    assert (facts["n_patches"], facts["n_images"], facts["n_skipped"]) == (18, 18, 0)
    assert facts["n_by_label"] == {"one": 12, "two": 6}
    only_two = made["zarr"][0].facts
    assert only_two["n_by_label"] == {"two": 6}


def test_a_patch_set_leaves_out_what_touches_a_bad_tile(reopen, register, make_task, make_slide):
    slide = make_slide()
    corrupt_tile(slide, 0, 22)  # tiles of 64 px, ten a row: from (128, 128) to (192, 192)
    recipe = DRAWN[: DRAWN.index("  zarr:")]
    made = make_drawn(reopen(recipe), register, make_task, slide)
    artifact, folder = made["pngs"]
    boxes = locations_in(made["inside"][1]).boxes_px0
    bad = np.flatnonzero(touches(boxes, (128, 128, 192, 192)))
    assert artifact.facts["skipped"] == bad.tolist()
    assert artifact.facts["n_skipped"] == 4
    assert artifact.facts["n_bad_tiles"] == 1
    assert artifact.facts["n_patches"] == 14
    kept = {row["index"] for row in load_manifest(folder / "patches.parquet")}
    assert kept == set(range(18)) - set(bad.tolist())


def test_a_patch_set_of_no_patches_is_one_too(reopen, register, make_task, make_slide):
    platform = reopen(DRAWN)
    [planned] = register(platform, make_slide())
    record_boxes(platform, planned.slide_id)
    outcome = run_slide(make_task(platform, plan_slides(platform)[0]))
    assert outcome.failure is None
    sets = [step for step in outcome.steps if step.step.address.stage == "patch_set"]
    assert [step.artifact.facts["n_images"] for step in sets] == [0, 0]
    assert all(step.preview.startswith(b"\xff\xd8") for step in sets)
