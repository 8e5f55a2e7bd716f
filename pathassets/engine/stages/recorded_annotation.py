"""An annotation that a person recorded -> polygons, or a mask, for what is made from it.

    annotations/<name>   annotations.geojson, or a picture of a mask in original/

A person drew it, so no run can make it again: where it is missing, gone or damaged, the error says
how to record it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pathassets.adapters.annotations.reader import read_annotations
from pathassets.adapters.images.mask_files import IMAGE_SUFFIXES, NUMPY_SUFFIXES
from pathassets.adapters.store.store import Artifact
from pathassets.core.address import Address
from pathassets.core.annotations.annotations import AnnotationPolygon
from pathassets.core.tissue.tissue_mask import TissueMask
from pathassets.engine.slides.bounds import is_offset
from pathassets.engine.slides.tissue_mask import as_tissue_mask
from pathassets.engine.stages.context import SlideContext
from pathassets.engine.stages.outcomes import Step
from pathassets.errors import (
    AnnotationError,
    AnnotationsMissing,
    ArtifactCorrupt,
    ArtifactMissing,
)

ORIGINAL = "original"
"""Folder of an annotation with the file as a person gave it."""
POLYGONS = "annotations.geojson"
"""Of an annotation, what the file draws, in level-0 pixels; there is none where it is a picture."""
MASK_PICTURES = frozenset(IMAGE_SUFFIXES | NUMPY_SUFFIXES)
"""Endings of files that are a mask; all others hold polygons."""


def record_again(slide_id: str, name: str) -> str:
    """Remedy where an annotation is gone."""
    command = f"pathassets annotations set {slide_id} FILE --name {name} --who NAME --why …"
    return f"Record it again: {command}"


def require_recorded(step: Step) -> None:
    """Make sure that the annotations without which a step cannot be made are there.

    Raises:
        AnnotationsMissing: nobody recorded them.
    """
    if step.lacks is None:
        return
    slide_id, key = step.address.partition_key, step.lacks
    raise AnnotationsMissing(
        slide_id,
        f"no {'/'.join(key)} is recorded for it",
        remedy=f"Record it: pathassets annotations set {slide_id} FILE --name {key[1]} --who NAME "
        "--why 'where it is from'; an empty FeatureCollection states that there is nothing",
    )


def read_polygons(context: SlideContext, address: Address) -> Sequence[AnnotationPolygon] | None:
    """What a person drew, in level-0 pixels; None where it is a picture of a mask.

    Raises:
        AnnotationError: the slide has bounds, and it was recorded before anybody was asked whether
            coordinates count from there.
    """
    artifact, folder = _read(context, address)
    if all(file.path != POLYGONS for file in artifact.files):
        return None
    if is_offset(context.slide.info) and not artifact.facts.get("frame"):
        raise AnnotationError(
            address,
            "was recorded without a frame, and the slide has bounds",
            remedy=f"Record it again: pathassets annotations set {address.partition_key} FILE "
            f"--name {address.name} --frame bounds (QuPath) or level0 --who NAME --why …",
        )
    return read_annotations(folder / POLYGONS).polygons


def read_mask(context: SlideContext, address: Address) -> TissueMask:
    """The mask that a person drew, be it as polygons or as a picture."""
    polygons = read_polygons(context, address)
    if polygons is not None:
        return as_tissue_mask(polygons, context.slide)
    artifact, folder = _read(context, address)
    [path] = [file.path for file in artifact.files if file.path.startswith(ORIGINAL)]
    return as_tissue_mask(folder / path, context.slide, frame=artifact.facts.get("frame"))


def _read(context: SlideContext, address: Address) -> tuple[Artifact, Path]:
    """The recorded artifact, its files checked, and its folder."""
    what = f"{'/'.join(address.key)} of {address.partition_key} was recorded, and"
    remedy = record_again(address.partition_key, address.name)
    try:
        return context.artifact(address)
    except ArtifactMissing as error:
        raise ArtifactMissing(error.uri, f"{what} is gone", remedy=remedy) from error
    except ArtifactCorrupt as error:
        raise ArtifactCorrupt(error.uri, f"{what} is damaged", remedy=remedy) from error
