"""What each stage does for one slide: read its parents, compute, write files into a folder.

    tissue_mask       overview of the slide, or an annotation  ─▶ tissue.zarr, tissue.geojson
    patch_locations   tissue.zarr, an annotation               ─▶ locations.parquet
    patch_set         locations.parquet, patch pixels      ─▶ images or a packed store, their table

Each comes with a preview.jpg, and returns facts. What is made of patches is `feature_stations`'.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence

from pathassets.adapters.annotations.reader import read_annotations
from pathassets.adapters.opencv import preview_jpeg
from pathassets.adapters.parquet import save_locations
from pathassets.adapters.zarr.arrays import load_mask, save_mask
from pathassets.core.address import Address
from pathassets.core.annotations.annotations import AnnotationPolygon, to_geojson
from pathassets.core.annotations.mask_outlines import outline_mask
from pathassets.core.locations.locations import PatchLocations, locate
from pathassets.core.locations.overlay import draw_grid, draw_mask, draw_outlines
from pathassets.core.patches.read_plan import plan_read
from pathassets.core.recipe import ANNOTATIONS
from pathassets.core.slides.bad_tiles import BadTiles
from pathassets.core.slides.regions import BoxPx
from pathassets.core.slides.slide import SlideInfo
from pathassets.core.spec import canonical_json
from pathassets.core.tissue.tissue_mask import TissueMask, TissueSpec, find_tissue
from pathassets.engine.slides.bounds import is_offset
from pathassets.engine.slides.tissue_mask import as_tissue_mask
from pathassets.engine.stages.context import (
    LOCATIONS,
    ORIGINAL,
    OVERVIEW_MPP,
    POLYGONS,
    PREVIEW,
    Bench,
    Facts,
    Order,
    Overview,
)
from pathassets.engine.stages.features import load_patches, make_slide_embedding
from pathassets.engine.stages.patch_set import lay_contact_sheet, write_patches
from pathassets.errors import AnnotationError

TISSUE = "tissue.zarr"
OUTLINES = "tissue.geojson"


def make_tissue_mask(bench: Bench, order: Order) -> Facts:
    """Find the tissue on the overview, or take it from an annotation."""
    overview = bench.overview(order.spec.mpp)
    drawn = order.parents.get(ANNOTATIONS)
    if drawn is None:
        mask, facts = _find_tissue(bench, order.spec, overview)
    else:
        mask, facts = _annotated_tissue(bench, drawn)
    outlines = outline_mask(mask)
    save_mask(order.folder / TISSUE, mask)
    geojson = canonical_json(to_geojson(outlines))
    (order.folder / OUTLINES).write_text(geojson, encoding="utf-8")
    (order.folder / PREVIEW).write_bytes(preview_jpeg(draw_mask(overview.rgb, mask)))
    return {
        "tissue_share": mask.tissue_share,
        "tissue_mm2": mask.tissue_mm2,
        "n_pieces": len(outlines),
        "downsample": mask.downsample,
        "mask_mpp": mask.downsample * bench.slide_mpp,
        **facts,
        **bench.reader_facts(),
    }


def _find_tissue(bench: Bench, spec: TissueSpec, overview: Overview) -> tuple[TissueMask, Facts]:
    bad_tiles = BadTiles(n_tiles=overview.n_tiles)
    for fault in overview.faults:
        bad_tiles.enter(fault, spec, bench.slide.path)
    mask = find_tissue(
        overview.rgb, downsample=overview.downsample, slide_mpp=bench.slide_mpp, spec=spec
    ).without(_boxes_px(overview, bench.slide.info))
    return mask, {"method": spec.method, **bad_tiles.facts()}


def _annotated_tissue(bench: Bench, drawn: Address) -> tuple[TissueMask, Facts]:
    """The mask that a person drew, whatever the overview shows."""
    return _mask_of(bench, drawn), {"method": "drawn", "annotation": str(drawn)}


def _mask_of(bench: Bench, drawn: Address) -> TissueMask:
    artifact, folder = bench.annotation(drawn)
    polygons = _kept_polygons(bench, drawn)
    if polygons is not None:
        return as_tissue_mask(polygons, bench.slide)
    [path] = [file.path for file in artifact.files if file.path.startswith(ORIGINAL)]
    return as_tissue_mask(folder / path, bench.slide, frame=artifact.facts.get("frame"))


def _kept_polygons(bench: Bench, drawn: Address) -> Sequence[AnnotationPolygon] | None:
    """What a person drew, in level-0 pixels; None where it is a picture of a mask.

    Raises:
        AnnotationError: the slide has bounds, and it was recorded before anybody was asked whether
            coordinates count from there.
    """
    artifact, folder = bench.annotation(drawn)
    if all(file.path != POLYGONS for file in artifact.files):
        return None
    if is_offset(bench.slide.info) and not artifact.facts.get("frame"):
        raise AnnotationError(
            drawn,
            "was recorded without a frame, and the slide has bounds",
            remedy=f"Record it again: pathassets annotations set {drawn.partition_key} FILE "
            f"--name {drawn.name} --frame bounds (QuPath) or level0 --who NAME --why …",
        )
    return read_annotations(folder / POLYGONS).polygons


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


def make_patch_locations(bench: Bench, order: Order) -> Facts:
    """Find the squares over the tissue, and in what was drawn."""
    mask = load_mask(bench.artifact(order.parents["tissue_mask"])[1] / TISSUE)
    polygons = _polygons(bench, order.parents.get(ANNOTATIONS))
    info = bench.slide.info
    locations = locate(mask, info, order.spec, annotations=polygons, slide_key=bench.slide_id)
    read = plan_read(locations, info.level_downsamples)
    save_locations(order.folder / LOCATIONS, locations)
    preview = draw_grid(bench.overview(OVERVIEW_MPP).rgb, locations, width_px0=info.width_px0)
    if polygons is not None:
        preview = draw_outlines(
            preview, polygons, width_px0=info.width_px0, height_px0=info.height_px0
        )
    (order.folder / PREVIEW).write_bytes(preview_jpeg(preview))
    return {
        "n_patches": len(locations),
        "n_by_label": _by_label(locations),
        "patch_px": locations.patch_px,
        "side_px0": locations.side_px0,
        "mpp": locations.mpp,
        "asked_level": locations.level,
        "level": read.level,
        "is_upsampled": read.is_upsampled,
        **bench.reader_facts(),
    }


def _polygons(bench: Bench, drawn: Address | None) -> Sequence[AnnotationPolygon] | None:
    """What was drawn on the slide; None where the recipe names no annotations."""
    if drawn is None:
        return None
    polygons = _kept_polygons(bench, drawn)
    return outline_mask(_mask_of(bench, drawn)) if polygons is None else polygons


def _by_label(locations: PatchLocations) -> dict[str, int]:
    """Patches of each label, of those without any too; "" is no label."""
    codes = locations.label_codes
    if codes is None:
        return {locations.labels[0]: len(locations)}
    counts = Counter(codes.tolist())
    return {label: counts[code] for code, label in enumerate(locations.labels)}


def make_patch_set(bench: Bench, order: Order) -> Facts:
    """Keep the patches as images."""
    locations = load_patches(bench, order.parents["patch_locations"])
    facts = write_patches(bench, order, locations)
    sheet = lay_contact_sheet(bench, order, locations)
    (order.folder / PREVIEW).write_bytes(preview_jpeg(sheet))
    return {**facts, **bench.reader_facts()}


MAKERS: dict[str, Callable[[Bench, Order], Facts]] = {
    "tissue_mask": make_tissue_mask,
    "patch_locations": make_patch_locations,
    "patch_set": make_patch_set,
    "slide_embedding": make_slide_embedding,
}
"""One for every section of the recipe that is made slide by slide, but the features: those that
share a reading are made together."""
