"""An artifact of a slide -> a bag: its patches and features, its footprint, its tissue."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from pathassets.adapters.annotations.reader import read_annotations
from pathassets.adapters.parquet import load_locations
from pathassets.adapters.store.store import Artifact
from pathassets.adapters.zarr.arrays import FeatureRows, load_embedding
from pathassets.core.address import Address
from pathassets.core.annotations.annotations import AnnotationPolygon
from pathassets.core.datasets.used_patches import used_rows
from pathassets.core.exchange.bags import Bag, Footprint, SlideFacts, SlideVector
from pathassets.core.slides.slide import SlideInfo, stating_mpp
from pathassets.core.stages import FEATURES
from pathassets.engine.datasets.folder import ANEW_REMEDY, ANEW_SAID
from pathassets.engine.platform.exchange.what import Member
from pathassets.engine.platform.plan import slide_paths
from pathassets.engine.platform.platform import Platform
from pathassets.engine.platform.standing.absence import read_present
from pathassets.engine.slides.scratch import scratch_for
from pathassets.engine.slides.source import find_source
from pathassets.engine.stages.features import ROWS
from pathassets.engine.stages.patch_locations import LOCATIONS
from pathassets.engine.stages.recorded_annotation import POLYGONS
from pathassets.engine.stages.slide_embedding import EMBEDDING
from pathassets.engine.stages.tissue_mask import OUTLINES
from pathassets.errors import ArtifactCorrupt, ResourcesShort, SlideError, SpecError, StoreError

PATCH_STAGES = (FEATURES, "patch_locations")
"""Stages whose artifacts are bags."""


def open_bag(platform: Platform, member: Member, facts: SlideFacts) -> Bag:
    """The patches of an artifact that are meant, its bytes checked, with features if it has some.

    Raises:
        StoreError: it is gone or damaged, or other than the dataset names.
        SpecError: it keeps a map of each patch, which no other tool has a place for.
    """
    artifact = read_present(platform, member.address)
    if member.content_sha256 not in {"", artifact.content_sha256}:
        raise ArtifactCorrupt(member.address, ANEW_SAID, remedy=ANEW_REMEDY)
    if member.address.stage == FEATURES:
        bag = _features(platform, artifact, facts)
        bits = member.used_bits
        return bag if bits is None else bag.only(used_rows(bits, len(bag)))
    return _locations(platform, artifact, facts)


def open_vector(platform: Platform, member: Member, facts: SlideFacts) -> SlideVector:
    """The embedding of a slide, its bytes checked, and the features that it was made of.

    Raises:
        StoreError: one of them is gone or damaged.
    """
    store = platform.store
    artifact = read_present(platform, member.address)
    vector, said = load_embedding(store.fetch(artifact.address) / EMBEDDING)
    (features,) = (parent for parent in artifact.parents if parent.stage == FEATURES)
    return SlideVector(
        bag=_features(platform, read_present(platform, features), facts), vector=vector,
        method=str(said["method"]), source=str(artifact.address),
        content_sha256=artifact.content_sha256,
    )  # fmt: skip


def _features(platform: Platform, artifact: Artifact, facts: SlideFacts) -> Bag:
    store = platform.store
    path = store.fetch(artifact.address) / ROWS
    rows = FeatureRows(path)
    if rows.is_map:
        raise SpecError(
            f"{artifact.address}: keeps a map of each patch",
            remedy="Export features whose encoder has another pooling than none",
        )
    said = rows.attributes
    footprint = Footprint(
        patch_px=int(said["patch_px"]), mpp=_patch_mpp(said), side_px0=int(said["side_px0"]),
        overlap_px=said.get("overlap_px"),
    )  # fmt: skip
    locations = _of_stage("patch_locations", artifact.parents)
    if locations is not None and store.has(locations):
        overlap_px = overlap_of(store.read(locations).spec, footprint)
        footprint = replace(footprint, overlap_px=overlap_px)
    bag = Bag(
        slide=replace(facts, mpp=float(said["slide_mpp"])), footprint=footprint,
        boxes_px0=rows.boxes_px0, source=str(artifact.address), n_columns=rows.n_columns,
        chunks=rows.chunks, attributes=said, content_sha256=artifact.content_sha256,
    )  # fmt: skip
    mask = _mask_under(platform, locations)
    if mask is None and said.get("tissue_mask"):
        return replace(bag, tissue_said="without its tissue: the catalog knows its mask no more")
    return _with_tissue(platform, bag, mask)


def _of_stage(stage: str, parents: Iterable[Address]) -> Address | None:
    return next((parent for parent in parents if parent.stage == stage), None)


def _mask_under(platform: Platform, locations: Address | None) -> Address | None:
    """Find the mask that the patches were laid over, be they gone from the store."""
    if locations is None:
        return None
    return _of_stage("tissue_mask", platform.catalog.parents_of(locations))


def _patch_mpp(said: Mapping[str, Any]) -> float:
    """Micrometres per pixel of the patches; of a level's, what follows from their side."""
    stated = said.get("patch_mpp")
    if stated is not None:
        return float(stated)
    return float(said["side_px0"]) * float(said["slide_mpp"]) / float(said["patch_px"])


def _locations(platform: Platform, artifact: Artifact, facts: SlideFacts) -> Bag:
    said = artifact.facts
    locations = load_locations(
        platform.store.fetch(artifact.address) / LOCATIONS, side_px0=said["side_px0"],
        patch_px=said["patch_px"], mpp=said["mpp"], level=said["asked_level"],
    )  # fmt: skip
    mpp = _patch_mpp({**said, "patch_mpp": said["mpp"], "slide_mpp": facts.mpp})
    footprint = Footprint(patch_px=said["patch_px"], mpp=mpp, side_px0=said["side_px0"])
    mask = _of_stage("tissue_mask", artifact.parents)
    bag = Bag(
        slide=facts,
        footprint=replace(footprint, overlap_px=overlap_of(artifact.spec, footprint)),
        boxes_px0=locations.boxes_px0, source=str(artifact.address),
        content_sha256=artifact.content_sha256,
    )  # fmt: skip
    return _with_tissue(platform, bag, mask)


def overlap_of(spec: Mapping[str, Any], footprint: Footprint) -> float | None:
    """How far neighbours overlap, in the patch's pixels; None where patches are drawn."""
    if spec.get("sampler", "grid") != "grid":
        return None
    if spec.get("stride_um") is not None:
        return round(footprint.patch_px - float(spec["stride_um"]) / footprint.mpp, 6)
    stride_px = spec.get("stride_px")
    return 0.0 if stride_px is None else float(footprint.patch_px - stride_px)


def _with_tissue(platform: Platform, bag: Bag, mask: Address | None) -> Bag:
    """A bag with the outlines of the mask that it was laid over, or why they are not here."""
    if mask is None:
        return bag
    try:
        return replace(bag, tissue=tissue_of(platform, mask))
    except StoreError as error:
        return replace(bag, tissue_said=f"without its tissue: {error}")


def tissue_of(platform: Platform, mask: Address) -> tuple[AnnotationPolygon, ...]:
    """Outlines of a tissue mask, its bytes checked.

    Raises:
        StoreError: it is gone or damaged.
    """
    artifact = read_present(platform, mask)
    return tuple(read_annotations(platform.store.fetch(artifact.address) / OUTLINES).polygons)


def drawn_of(platform: Platform, annotation: Address) -> tuple[AnnotationPolygon, ...]:
    """What a person drew, in level-0 pixels.

    Raises:
        SpecError: it is a picture of a mask.
        StoreError: it is gone or damaged.
    """
    artifact = read_present(platform, annotation)
    if all(file.path != POLYGONS for file in artifact.files):
        raise SpecError(
            f"{annotation}: is a picture of a mask, and draws no polygon",
            remedy="Export the tissue mask that was made from it",
        )
    return tuple(read_annotations(platform.store.fetch(annotation) / POLYGONS).polygons)


def facts_of(member: Member, name: str, info: SlideInfo | None) -> SlideFacts:
    """What formats say of a slide; `info` where it was opened.

    Raises:
        SpecError: its resolution is not known.
    """
    record = member.record
    if member.mpp is None:
        raise SpecError(
            f"{record.slide_id}: its micrometres per pixel are not known",
            remedy=f"State them: {stating_mpp(record.slide_id)}",
        )
    return SlideFacts(
        slide_id=record.slide_id, sha256=record.fingerprint, name=name,
        file_name=member.file_name, width_px0=record.width_px0, height_px0=record.height_px0,
        mpp=member.mpp, level_downsamples=record.level_downsamples,
        level_sizes_px=() if info is None else info.level_sizes_px,
        bounds_px0=None if info is None else info.bounds_px0,
        objective_power=record.objective_power,
    )  # fmt: skip


def look_at(platform: Platform, slide_id: str) -> SlideInfo | None:
    """Facts of a slide that only its file has; None where it is not there or cannot be opened."""
    record, known = platform.catalog.slide(slide_id), platform.catalog.paths(slide_id)
    places = slide_paths(known, platform.settings.verify)
    with scratch_for(platform.settings, (one.path for one in places)) as scratch:
        try:
            source = find_source(slide_id, record.fingerprint, places, scratch)
            with contextlib.closing(source), source.open(None) as slide:
                return slide.info
        except (SlideError, StoreError, ResourcesShort):
            return None
