"""Stored patch locations of a slide -> the patch set's files, and a picture of some of them."""

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
from pathassets.engine.stages.context import Bench, Facts, Order

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


def write_patches(bench: Bench, order: Order, locations: PatchLocations) -> Facts:
    """Write the patch set of a slide into the order's folder.

    What touches a tile that cannot be read, at any of its resolutions, is left out where the spec
    lets it, and listed by its place among all locations.
    """
    spec, bad_tiles = order.spec, BadTiles()
    job = _job(bench, spec, locations)
    how = ReadHow(n_batch=batch_size_of(job), n_threads=bench.n_threads, spec=spec)
    facts = write_patch_set(
        job, spec, order.folder,
        slide_id=bench.slide_id, digest=order.address.digest, n_threads=bench.n_threads,
        batches=read_sets(bench.slide, job, how, bad_tiles=bad_tiles),
    )  # fmt: skip
    skipped = job.index[bad_tiles.skipped].tolist()
    return {**facts, "n_skipped": len(skipped), "skipped": skipped, **bad_tiles.facts()}


def lay_contact_sheet(bench: Bench, order: Order, locations: PatchLocations) -> np.ndarray:
    """Some patches of the set, RGB uint8 (y, x, 3): which, the set's identity decides."""
    job = _job(bench, order.spec, locations)
    chosen = choose_some(len(job), seed_of(order.address.digest, bench.slide_id))
    some = _some(locations, job.index[chosen])
    with closing(read_patches(bench.slide, some, spec=LENIENT, n_batch=N_BATCH)) as batches:
        pixels = [batch.pixels for batch in batches]
    side_px = locations.patch_px
    return lay_sheet(np.concatenate([np.empty((0, side_px, side_px, 3), np.uint8), *pixels]))


def _job(bench: Bench, spec: PatchSetSpec, locations: PatchLocations) -> ExtractionJob:
    level = locations.level
    stored = _Stored(
        wsi_file=str(bench.slide.path), slide_mpp=bench.slide_mpp, locations=locations,
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
