"""Slide -> tissue mask: found on the overview, or drawn."""

import numpy as np
import pytest

from pathassets.adapters.annotations.reader import read_annotations
from pathassets.adapters.tifffile import PyramidSpec, corrupt_tile
from pathassets.adapters.zarr.arrays import load_mask
from pathassets.engine.platform.plan import plan_slides
from pathassets.engine.stages.slide_task import run_slide
from tests.engine.annotations import record_boxes
from tests.engine.stages.chains import (
    DRAWN,
    SKIP,
    make_drawn,
    run_with,
)


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


def test_the_outlines_of_the_mask_are_kept_in_level_0_pixels(made):
    artifact, folder = made["tissue_mask"]
    outlines = read_annotations(folder / "tissue.geojson").polygons
    mask = load_mask(folder / "tissue.zarr")
    assert artifact.facts["n_pieces"] == len(outlines) == 1
    assert artifact.facts["method"] == "otsu"
    area_px0 = sum(outline.polygon.area for outline in outlines)
    assert area_px0 == mask.tissue.sum() * mask.downsample**2


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
