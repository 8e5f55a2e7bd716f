from contextlib import closing

import numpy as np
import pytest
import zarr

from pathassets.adapters.files import stamp_of
from pathassets.adapters.parquet import load_locations
from pathassets.adapters.tifffile import PyramidSpec, corrupt_tile
from pathassets.adapters.zarr import load_mask
from pathassets.core.colour_stats import ColourStats
from pathassets.core.encoder import COLOUR_STATS_CARD
from pathassets.engine.slide_task import run_slide
from pathassets.engine.slides import open_slide
from pathassets.engine.stations import Bench
from pathassets.errors import SlideChanged, SlideUnreadable


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
        step.step.address.section: (step.artifact, platform.store.path_of(step.step.address))
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
    return {step.step.address.section: step for step in outcome.steps}, platform


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
