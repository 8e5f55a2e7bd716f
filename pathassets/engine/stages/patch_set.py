"""Patch locations -> patch set: images of the patches, and a picture of some of them.

locations.parquet, patch pixels ─▶ images or a packed store, patches.parquet, patches.txt
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from pathassets.core.locations.locations import PatchLocations
from pathassets.core.patches.contact_sheet import choose_some, lay_sheet
from pathassets.core.patches.patch_set import PatchSetSpec
from pathassets.core.patches.read_plan import ReadSpec
from pathassets.core.slides.bad_tiles import BadTiles
from pathassets.core.slides.resolution import LevelOrMpp
from pathassets.core.spec import seed_of
from pathassets.engine.patches.extraction import ExtractionJob, ExtractionSpec, job_of
from pathassets.engine.patches.images import batch_size_of
from pathassets.engine.patches.multi_resolution import ReadHow, read_sets
from pathassets.engine.patches.writer import write_patch_set
from pathassets.engine.slides.read_patches import read_patches
from pathassets.engine.stages.context import SlideContext
from pathassets.engine.stages.job import Facts, StageJob
from pathassets.engine.stages.patch_locations import load_patches

N_BATCH = 64
LENIENT = ReadSpec(bad_tiles="skip", max_bad_tile_share=1.0)
"""A picture shows what can be shown."""


@dataclass(kw_only=True)
class _Stored:
    """Patch locations of an artifact, as extractors take them: not frozen, for their protocol."""

    wsi_file: str
    slide_mpp: float
    locations: PatchLocations
    level_or_mpp: LevelOrMpp
    patch_data: Sequence[Any] = ()
    """They take the locations instead."""
    class_name: str = "patch_set"
    param_info: dict[str, Any] = field(default_factory=dict)


def make_patch_set(context: SlideContext, job: StageJob) -> Facts:
    """Keep the patches as images."""
    locations = load_patches(context, job.parents["patch_locations"])
    patches = _extraction(context, job.spec, locations)
    facts = _write_patches(context, job, patches)
    job.save_preview(_contact_sheet(context, job, locations, patches.index))
    return {**facts, **context.reader_facts()}


def _extraction(
    context: SlideContext, spec: PatchSetSpec, locations: PatchLocations
) -> ExtractionJob:
    level = locations.level
    stored = _Stored(
        wsi_file=str(context.slide.path), slide_mpp=context.slide_mpp, locations=locations,
        level_or_mpp=float(locations.mpp or 0) if level is None else level,
    )  # fmt: skip
    return job_of(
        stored,
        ExtractionSpec(
            levels_or_mpps=spec.levels_or_mpps or None,
            resampling_mode=spec.resampling_mode,
            included_labels=spec.included_labels,
            excluded_labels=spec.excluded_labels,
        ),
    )


def _write_patches(context: SlideContext, job: StageJob, patches: ExtractionJob) -> Facts:
    """Write the patch set of a slide into the job's folder.

    What touches a tile that cannot be read, at any of its resolutions, is left out where the spec
    lets it, and listed by its place among all locations.
    """
    spec, bad_tiles = job.spec, BadTiles()
    how = ReadHow(n_batch=batch_size_of(patches), n_threads=context.share.n_threads, spec=spec)
    facts = write_patch_set(
        patches, spec, job.folder,
        slide_id=context.slide_id, digest=job.address.digest, n_threads=context.share.n_threads,
        batches=read_sets(context.slide, patches, how, bad_tiles=bad_tiles),
    )  # fmt: skip
    skipped = patches.index[bad_tiles.skipped].tolist()
    return {**facts, "n_skipped": len(skipped), "skipped": skipped, **bad_tiles.facts()}


def _contact_sheet(
    context: SlideContext, job: StageJob, locations: PatchLocations, index: np.ndarray
) -> np.ndarray:
    """Some patches of the set, RGB uint8 (y, x, 3): which, the set's identity decides.

    `index` are the places of the set's patches among all locations.
    """
    chosen = choose_some(len(index), seed_of(job.address.digest, context.slide_id))
    some = _some(locations, index[chosen])
    with closing(read_patches(context.slide, some, spec=LENIENT, n_batch=N_BATCH)) as batches:
        pixels = [batch.pixels for batch in batches]
    side_px = locations.patch_px
    return lay_sheet(np.concatenate([np.empty((0, side_px, side_px, 3), np.uint8), *pixels]))


def _some(locations: PatchLocations, index: np.ndarray) -> PatchLocations:
    """The locations at some places."""
    codes = locations.label_codes
    return replace(
        locations,
        x_px0=locations.x_px0[index],
        y_px0=locations.y_px0[index],
        tissue_share=locations.tissue_share[index],
        label_codes=None if codes is None else codes[index],
    )
