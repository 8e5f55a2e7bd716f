"""Tissue mask -> patch locations: the squares of the slide that become patches.

tissue.zarr, and an annotation where the recipe names one ─▶ locations.parquet
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from pathassets.adapters.parquet import load_locations, save_locations
from pathassets.adapters.zarr.arrays import load_mask
from pathassets.core.address import Address
from pathassets.core.annotations.annotations import AnnotationPolygon
from pathassets.core.annotations.mask_outlines import outline_mask
from pathassets.core.locations.locations import PatchLocations, locate
from pathassets.core.locations.overlay import draw_grid, draw_outlines
from pathassets.core.patches.read_plan import plan_read
from pathassets.core.stages import ANNOTATIONS
from pathassets.engine.stages.context import OVERVIEW_MPP, SlideContext
from pathassets.engine.stages.job import Facts, StageJob
from pathassets.engine.stages.recorded_annotation import read_mask, read_polygons
from pathassets.engine.stages.tissue_mask import MASK

LOCATIONS = "locations.parquet"


def make_patch_locations(context: SlideContext, job: StageJob) -> Facts:
    """Find the squares over the tissue, and in what was drawn."""
    mask = load_mask(context.artifact(job.parents["tissue_mask"])[1] / MASK)
    polygons = _polygons(context, job.parents.get(ANNOTATIONS))
    info = context.slide.info
    locations = locate(mask, info, job.spec, annotations=polygons, slide_key=context.slide_id)
    read = plan_read(locations, info.level_downsamples)
    save_locations(job.folder / LOCATIONS, locations)
    preview = draw_grid(context.overview(OVERVIEW_MPP).rgb, locations, width_px0=info.width_px0)
    if polygons is not None:
        preview = draw_outlines(
            preview, polygons, width_px0=info.width_px0, height_px0=info.height_px0
        )
    job.save_preview(preview)
    return {
        "n_patches": len(locations),
        "n_by_label": _by_label(locations),
        "patch_px": locations.patch_px,
        "side_px0": locations.side_px0,
        "mpp": locations.mpp,
        "asked_level": locations.level,
        "level": read.level,
        "is_upsampled": read.is_upsampled,
        **context.reader_facts(),
    }


def _polygons(
    context: SlideContext, annotation: Address | None
) -> Sequence[AnnotationPolygon] | None:
    """What was drawn on the slide; None where the recipe names no annotations."""
    if annotation is None:
        return None
    polygons = read_polygons(context, annotation)
    return outline_mask(read_mask(context, annotation)) if polygons is None else polygons


def _by_label(locations: PatchLocations) -> dict[str, int]:
    """Patches of each label, of those without any too; "" is no label."""
    codes = locations.label_codes
    if codes is None:
        return {locations.labels[0]: len(locations)}
    counts = Counter(codes.tolist())
    return {label: counts[code] for code, label in enumerate(locations.labels)}


def load_patches(context: SlideContext, address: Address) -> PatchLocations:
    """The patch locations of a slide, once they are made."""
    artifact, folder = context.artifact(address)
    facts = artifact.facts
    return load_locations(
        folder / LOCATIONS, side_px0=facts["side_px0"], patch_px=facts["patch_px"],
        mpp=facts["mpp"], level=facts["asked_level"],
    )  # fmt: skip
