"""Patch locations -> patch quality: a row of numbers for each patch, and facts of the slide.

locations.parquet, tissue.zarr, overview, patch pixels ─▶ quality.parquet
"""

from __future__ import annotations

from contextlib import closing

import numpy as np

from pathassets.adapters.parquet import save_table
from pathassets.adapters.zarr.arrays import load_mask
from pathassets.core.address import Address
from pathassets.core.features.feature_map import draw_colours
from pathassets.core.locations.locations import PatchLocations
from pathassets.core.quality.patch_measures import MEASURES, measure
from pathassets.core.quality.patch_quality import (
    colours_of_patches,
    patch_table,
    slide_facts,
    view_slide,
)
from pathassets.core.slides.bad_tiles import BadTiles
from pathassets.core.tissue.tissue_mask import TissueMask
from pathassets.engine.slides.read_patches import read_patches
from pathassets.engine.stages.context import OVERVIEW_MPP, SlideContext
from pathassets.engine.stages.job import Facts, StageJob
from pathassets.engine.stages.patch_locations import load_patches
from pathassets.engine.stages.patch_set import LENIENT, N_BATCH
from pathassets.engine.stages.tissue_mask import MASK

QUALITY = "quality.parquet"


def make_patch_quality(context: SlideContext, job: StageJob) -> Facts:
    """Measure every patch; what cannot be read is a row without numbers."""
    address, info = job.parents["patch_locations"], context.slide.info
    locations, mask = load_patches(context, address), _load_mask(context, address)
    overview = context.overview(OVERVIEW_MPP)
    view = view_slide(overview.rgb, mask, overview.downsample * context.slide_mpp)
    bad_tiles = BadTiles()
    measures = _measure_all(context, locations, bad_tiles)
    table = patch_table(
        locations, measures, bad_tiles.skipped, view,
        width_px0=info.width_px0, height_px0=info.height_px0,
    )  # fmt: skip
    save_table(job.folder / QUALITY, table)
    colours = colours_of_patches(table, job.spec)
    picture = draw_colours(overview.rgb, locations.boxes_px0, colours, width_px0=info.width_px0)
    job.save_preview(picture)
    return {
        **slide_facts(table, view, mask, locations, job.spec),
        "is_upsampled": bad_tiles.is_upsampled,
        **bad_tiles.facts(),
        **context.reader_facts(),
    }


def _load_mask(context: SlideContext, locations: Address) -> TissueMask:
    """The mask that patch locations were laid on."""
    artifact = context.store.read(locations)
    mask = next(one for one in artifact.parents if one.stage == "tissue_mask")
    return load_mask(context.artifact(mask)[1] / MASK)


def _measure_all(
    context: SlideContext, locations: PatchLocations, bad_tiles: BadTiles
) -> np.ndarray:
    """Measures of all patches, float32 (n, len(MEASURES)); NaN where one cannot be read."""
    measures = np.full((len(locations), len(MEASURES)), np.nan, np.float32)
    reading = read_patches(
        context.slide, locations, spec=LENIENT, n_batch=N_BATCH,
        n_threads=context.share.n_threads, bad_tiles=bad_tiles,
    )  # fmt: skip
    with closing(reading) as batches:
        for batch in batches:
            measures[batch.indices] = measure(batch.pixels)
    return measures
