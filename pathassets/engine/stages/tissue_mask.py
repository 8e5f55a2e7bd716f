"""Slide -> tissue mask: found on the overview, or what a person drew.

overview of the slide, or an annotation ─▶ tissue.zarr, tissue.geojson
"""

from __future__ import annotations

import math

from pathassets.adapters.zarr.arrays import save_mask
from pathassets.core.address import Address
from pathassets.core.annotations.annotations import to_geojson
from pathassets.core.annotations.mask_outlines import outline_mask
from pathassets.core.locations.overlay import draw_mask
from pathassets.core.slides.bad_tiles import BadTiles
from pathassets.core.slides.regions import BoxPx
from pathassets.core.slides.slide import SlideInfo
from pathassets.core.spec import canonical_json
from pathassets.core.stages import ANNOTATIONS
from pathassets.core.tissue.tissue_mask import TissueMask, TissueSpec, find_tissue
from pathassets.engine.stages.context import Overview, SlideContext
from pathassets.engine.stages.job import Facts, StageJob
from pathassets.engine.stages.recorded_annotation import read_mask

MASK = "tissue.zarr"
OUTLINES = "tissue.geojson"


def make_tissue_mask(context: SlideContext, job: StageJob) -> Facts:
    """Find the tissue on the overview, or take it from an annotation."""
    overview = context.overview(job.spec.mpp)
    annotation = job.parents.get(ANNOTATIONS)
    if annotation is None:
        mask, facts = _find_tissue(context, job.spec, overview)
    else:
        mask, facts = _annotated_tissue(context, annotation)
    outlines = outline_mask(mask)
    save_mask(job.folder / MASK, mask)
    geojson = canonical_json(to_geojson(outlines))
    (job.folder / OUTLINES).write_text(geojson, encoding="utf-8")
    job.save_preview(draw_mask(overview.rgb, mask))
    return {
        "tissue_share": mask.tissue_share,
        "tissue_mm2": mask.tissue_mm2,
        "n_pieces": len(outlines),
        "downsample": mask.downsample,
        "mask_mpp": mask.downsample * context.slide_mpp,
        **facts,
        **context.reader_facts(),
    }


def _find_tissue(
    context: SlideContext, spec: TissueSpec, overview: Overview
) -> tuple[TissueMask, Facts]:
    bad_tiles = BadTiles(n_tiles=overview.n_tiles)
    for fault in overview.faults:
        bad_tiles.enter(fault, spec, context.slide.path)
    mask = find_tissue(
        overview.rgb, downsample=overview.downsample, slide_mpp=context.slide_mpp, spec=spec
    ).without(_boxes_px(overview, context.slide.info))
    return mask, {"method": spec.method, **bad_tiles.facts()}


def _annotated_tissue(context: SlideContext, annotation: Address) -> tuple[TissueMask, Facts]:
    """The mask that a person drew, whatever the overview shows."""
    facts = {"method": "drawn", "annotation": str(annotation)}
    return read_mask(context, annotation), facts


def _boxes_px(overview: Overview, info: SlideInfo) -> list[BoxPx]:
    """Parts of the overview that hold nothing, rounded outwards."""
    scale = info.level_downsamples[overview.level] / overview.downsample
    return [
        (
            int(f.x_px * scale), int(f.y_px * scale),
            math.ceil((f.x_px + f.width_px) * scale), math.ceil((f.y_px + f.height_px) * scale),
        )
        for f in overview.faults
    ]  # fmt: skip
