"""What each station does for one slide: read its parents, compute, write files into a folder.

    tissue_mask       overview of the slide, or a drawing  ─▶ tissue.zarr, tissue.geojson
    patch_locations   tissue.zarr, a drawing               ─▶ locations.parquet
    patch_set         locations.parquet, patch pixels      ─▶ images or a packed store, their table
    features          locations.parquet, patch pixels      ─▶ features.zarr

All but the features come with a preview.jpg. A station returns facts.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import lru_cache

from pathassets.adapters.annotations.reader import read_annotations
from pathassets.adapters.opencv import preview_jpeg
from pathassets.adapters.parquet import load_locations, save_locations
from pathassets.adapters.zarr import FeatureWriter, load_mask, save_mask
from pathassets.core.address import Address
from pathassets.core.annotations import AnnotationPolygon, to_geojson
from pathassets.core.encoder import CARDS, Encoder, EncoderCard
from pathassets.core.features import encode_patches
from pathassets.core.ledger import Ledger
from pathassets.core.locations import PatchLocations, locate
from pathassets.core.outlines import outline_mask
from pathassets.core.overlay import draw_grid, draw_mask, draw_outlines
from pathassets.core.patches import plan_read
from pathassets.core.recipe import ANNOTATIONS
from pathassets.core.regions import BoxPx
from pathassets.core.slide import SlideInfo
from pathassets.core.spec import canonical_json
from pathassets.core.tissue import TissueMask, TissueSpec, find_tissue
from pathassets.engine.bench import (
    ORIGINAL,
    POLYGONS,
    PREVIEW,
    Bench,
    Facts,
    Order,
    Overview,
)
from pathassets.engine.devices import lease_device
from pathassets.engine.encoders import open_encoder
from pathassets.engine.masks import as_tissue_mask
from pathassets.engine.patch_reader import read_patches
from pathassets.engine.patch_sets import lay_contact_sheet, write_patches

TISSUE = "tissue.zarr"
OUTLINES = "tissue.geojson"
LOCATIONS = "locations.parquet"
FEATURES = "features.zarr"

OVERVIEW_MPP = 8.0
"""Resolution of the picture under a grid overlay."""


def make_tissue_mask(bench: Bench, order: Order) -> Facts:
    """Find the tissue on the overview, or take it from a drawing."""
    overview = bench.overview(order.spec.mpp)
    drawn = order.parents.get(ANNOTATIONS)
    if drawn is None:
        mask, facts = _find_tissue(bench, order.spec, overview)
    else:
        mask, facts = _drawn_tissue(bench, drawn)
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
        **_reader(bench),
    }


def _find_tissue(bench: Bench, spec: TissueSpec, overview: Overview) -> tuple[TissueMask, Facts]:
    ledger = Ledger(n_tiles=overview.n_tiles)
    for fault in overview.faults:
        ledger.enter(fault, spec, bench.slide.path)
    mask = find_tissue(
        overview.rgb, downsample=overview.downsample, slide_mpp=bench.slide_mpp, spec=spec
    ).without(_boxes_px(overview, bench.slide.info))
    return mask, {"method": spec.method, **ledger.facts()}


def _drawn_tissue(bench: Bench, drawn: Address) -> tuple[TissueMask, Facts]:
    """The mask that a person drew, whatever the overview shows."""
    return _mask_of(bench, drawn), {"method": "drawn", "drawing": str(drawn)}


def _mask_of(bench: Bench, drawn: Address) -> TissueMask:
    artifact, folder = bench.drawing(drawn)
    paths = [file.path for file in artifact.files]
    [path] = [p for p in paths if p == POLYGONS] or [p for p in paths if p.startswith(ORIGINAL)]
    return as_tissue_mask(folder / path, bench.slide)


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


def _reader(bench: Bench) -> Facts:
    """What read the pixels, and why it was not the tile reader where it could have been."""
    info = bench.slide.info
    return {"reader": info.reader, **({"fallback": info.fallback} if info.fallback else {})}


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
        **_reader(bench),
    }


def _polygons(bench: Bench, drawn: Address | None) -> Sequence[AnnotationPolygon] | None:
    """What was drawn on the slide; None where the recipe names no annotations."""
    if drawn is None:
        return None
    artifact, folder = bench.drawing(drawn)
    if any(file.path == POLYGONS for file in artifact.files):
        return read_annotations(folder / POLYGONS).polygons
    return outline_mask(_mask_of(bench, drawn))


def _by_label(locations: PatchLocations) -> dict[str, int]:
    """Patches of each label, of those without any too; "" is no label."""
    codes = locations.label_codes
    if codes is None:
        return {locations.labels[0]: len(locations)}
    counts = Counter(codes.tolist())
    return {label: counts[code] for code, label in enumerate(locations.labels)}


def make_patch_set(bench: Bench, order: Order) -> Facts:
    """Keep the patches as images."""
    locations = _locations(bench, order.parents["patch_locations"])
    facts = write_patches(bench, order, locations)
    sheet = lay_contact_sheet(bench, order, locations)
    (order.folder / PREVIEW).write_bytes(preview_jpeg(sheet))
    return {**facts, **_reader(bench)}


def make_features(bench: Bench, order: Order) -> Facts:
    """Encode every patch, but those that may be skipped."""
    spec = order.spec
    card = CARDS[spec.encoder]
    locations = _locations(bench, order.parents["patch_locations"])
    needs_gpu = card.can_use_gpu and len(locations) > 0
    ledger = Ledger()
    with (
        lease_device(bench.device if needs_gpu else "cpu") as device,
        FeatureWriter(
            order.folder / FEATURES,
            locations.boxes_px0,
            dim=card.dim,
            attributes=_attributes(bench, card, locations),
        ) as writer,
    ):
        if len(locations):
            encoder = _encoder(spec.encoder, device)
            reading = read_patches(
                bench.slide, locations, spec=spec, n_threads=bench.n_threads, ledger=ledger
            )
            with closing(reading) as batches:  # or its threads would read a slide that is closed
                for _, rows in encode_patches(batches, locations, encoder):
                    writer.write(rows)
        writer.leave_out(ledger.skipped)
    return {
        "n_patches": len(locations) - len(ledger.skipped),
        "n_skipped": len(ledger.skipped),
        "skipped": ledger.skipped,
        **ledger.facts(),
        "dim": card.dim,
        "encoder": card.name,
        "weights": card.weights,
        **_reader(bench),
        "device": device.partition(":")[0],  # which of several GPUs it was is chance
    }


def _attributes(bench: Bench, card: EncoderCard, locations: PatchLocations) -> Facts:
    """What a person who has only the Zarr group needs to know."""
    return {
        "slide_id": bench.slide_id,
        "slide_sha256": bench.fingerprint,
        "slide_mpp": bench.slide_mpp,
        "patch_px": locations.patch_px,
        "patch_mpp": locations.mpp,
        "side_px0": locations.side_px0,
        "encoder": card.name,
        "encoder_version": card.version,
        "weights": card.weights,
        "weights_sha256": card.weights_sha256,
        "precision": card.precision,
        "feature_names": list(card.feature_names),
    }


MAKERS: dict[str, Callable[[Bench, Order], Facts]] = {
    "tissue_mask": make_tissue_mask,
    "patch_locations": make_patch_locations,
    "patch_set": make_patch_set,
    "features": make_features,
}
"""One for every section of the recipe that is made slide by slide."""


def _locations(bench: Bench, address: Address) -> PatchLocations:
    artifact, folder = bench.artifact(address)
    facts = artifact.facts
    return load_locations(
        folder / LOCATIONS, side_px0=facts["side_px0"], patch_px=facts["patch_px"],
        mpp=facts["mpp"], level=facts["asked_level"],
    )  # fmt: skip


@lru_cache(maxsize=2)
def _encoder(name: str, device: str) -> Encoder:
    """One open encoder for each name and device in a worker process: loading one costs seconds."""
    if CARDS[name].can_use_gpu:
        from pathassets.adapters.torch import prepare_process  # noqa: PLC0415 - torch takes seconds

        prepare_process(1)  # slides run side by side; more threads fight, and change last bits
    return open_encoder(name, device=device)
