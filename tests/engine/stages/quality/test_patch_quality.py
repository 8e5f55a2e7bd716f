"""Patch locations -> patch quality: a row for each patch, whether it can be read or not."""

import shutil

import numpy as np
import pandas as pd

from pathassets.adapters.tifffile import corrupt_tile
from pathassets.core.quality.patch_measures import MEASURES, measure
from pathassets.core.quality.patch_quality import COLUMNS
from pathassets.engine.platform.plan import plan_slides
from pathassets.engine.slides.open import open_slide
from pathassets.engine.stages.slide_task import run_slide
from tests.engine.stages.chains import run_with

RECIPE = """\
tissue_mask:
  otsu: {mpp: 8.0, bad_tiles: skip, max_bad_tile_share: 0.2}
patch_locations:
  grid: {tissue_mask: otsu, patch_px: 48, mpp: 0.5}
patch_quality:
  numbers: {patch_locations: grid}
"""


def test_rows_are_what_was_measured_of_the_pixels_at_the_locations(
    reopen, register, make_task, slide
):
    made, platform = run_with(reopen, register, make_task, slide, RECIPE)
    quality, where = (
        platform.store.path_of(made[stage].artifact.address)
        for stage in ("patch_quality", "patch_locations")
    )
    table = pd.read_parquet(quality / "quality.parquet")
    locations = pd.read_parquet(where / "locations.parquet")
    assert tuple(table.columns) == COLUMNS
    assert table[["x_px0", "y_px0"]].equals(locations[["x_px0", "y_px0"]])
    with open_slide(slide, backend="openslide") as opened:
        patches = [
            opened.read_region(x, y, level=0, width_px=48, height_px=48)
            for x, y in zip(table["x_px0"][:5], table["y_px0"][:5], strict=True)
        ]
    assert np.array_equal(
        table[list(MEASURES)][:5].to_numpy(np.float32), measure(np.array(patches))
    )
    facts = made["patch_quality"].artifact.facts
    assert (facts["n_patches"], facts["n_skipped"]) == (len(table), 0)
    assert facts["tissue_mm2"] == made["tissue_mask"].artifact.facts["tissue_mm2"]
    assert made["patch_quality"].preview.startswith(b"\xff\xd8")


def test_a_patch_on_a_bad_tile_is_a_row_without_numbers(reopen, register, make_task, make_slide):
    slide = make_slide("bad.svs")
    corrupt_tile(slide, 0, 34)  # tiles of 64 px, ten a row: from (256, 192) to (320, 256)
    made, platform = run_with(reopen, register, make_task, slide, RECIPE)
    artifact = made["patch_quality"].artifact
    table = pd.read_parquet(platform.store.path_of(artifact.address) / "quality.parquet")
    x, y = table["x_px0"], table["y_px0"]
    touches = (x < 320) & (x + 48 > 256) & (y < 256) & (y + 48 > 192)
    assert (table["is_read"] == ~touches).all()
    assert table.loc[touches, list(MEASURES)].isna().all(axis=None)
    assert artifact.facts["n_skipped"] == touches.sum() > 1
    assert artifact.facts["bad_patch_share"] == touches.mean()
    assert artifact.facts["n_bad_tiles"] == 1


def test_a_mask_that_is_gone_is_made_again_for_the_quality_of_patches_laid_on_it(
    reopen, register, make_task, slide
):
    made, platform = run_with(reopen, register, make_task, slide, RECIPE)
    mask, quality = (
        platform.store.path_of(made[stage].artifact.address)
        for stage in ("tissue_mask", "patch_quality")
    )
    before = (quality / "quality.parquet").read_bytes()
    shutil.rmtree(mask / "tissue.zarr")
    shutil.rmtree(quality)
    outcome = run_slide(make_task(platform, plan_slides(platform)[0], "patch_quality"))
    assert [(s.step.address.stage, s.state) for s in outcome.all_steps] == [
        ("tissue_mask", "made"),
        ("patch_quality", "made"),
    ]
    assert (quality / "quality.parquet").read_bytes() == before
