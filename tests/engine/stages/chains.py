"""Recipes with many entries, what becomes of a slide by them, and where to look at it."""

from pathlib import Path

import zarr

from pathassets.adapters.parquet import load_locations
from pathassets.engine.platform.plan import plan_slides
from pathassets.engine.stages.slide_task import run_slide
from tests.engine.annotations import record_boxes

TWO_ENCODERS = """\
tissue_mask:
  otsu: {mpp: 8.0}
patch_locations:
  grid: {tissue_mask: otsu, patch_px: 16, mpp: 0.5}
features:
  one: {patch_locations: grid, encoder: colour_stats}
  two: {patch_locations: grid, encoder: {name: FACTORY, version: "2"}}
  fast: {patch_locations: grid, encoder: colour_stats, fast: true}
slide_embedding:
  mean: {features: one}
  peak: {features: two, method: max}
""".replace("FACTORY", "tests.engine.encoder_factories:make_encoder")
ALL_MADE = dict.fromkeys(["otsu", "grid", "one", "two", "fast", "mean", "peak"], "made")


def by_name(outcome):
    return {step.step.entry.name: step for step in outcome.steps}


def states(outcome):
    return {name: step.state for name, step in by_name(outcome).items()}


def group_of(task, step):
    folder = Path(task.store_root, str(step.step.address))
    return zarr.open_group(folder / f"{step.step.entry.stage.name.split('_')[-1]}.zarr", mode="r")


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
