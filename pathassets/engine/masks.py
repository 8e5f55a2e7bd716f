"""Slide -> TissueMask: computed, or given in any of the ways that people have one.

a TissueMask ─────────────────▶ checked against the slide
polygons, or a file of them ──▶ drawn, at about 8 um per pixel
a picture (PNG, TIFF) ────────▶ rows are y
an array, .npy, .npz ─────────▶ (x, y): the first axis is the width
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pathassets.adapters.annotations.reader import read_annotations
from pathassets.adapters.rasters import (
    IMAGE_SUFFIXES,
    NUMPY_SUFFIXES,
    load_mask_array,
    load_mask_image,
)
from pathassets.core.annotations import AnnotationPolygon, outlines_of
from pathassets.core.outlines import rasterise
from pathassets.core.regions import read_overview
from pathassets.core.resolution import downsample_of
from pathassets.core.slide import Slide, SlideInfo
from pathassets.core.tissue import TissueMask, TissueSpec, find_tissue
from pathassets.engine.slides import OpenedSlide
from pathassets.errors import SpecError

DRAWN_MPP = 8.0
"""Resolution at which polygons become a mask."""
DRAWN_DOWNSAMPLE = 16.0
"""The same where the slide's micrometres per pixel are not known."""


def tissue_mask_of(slide: Slide, spec: TissueSpec | None = None) -> TissueMask:
    """Find the tissue of an open slide.

    Raises:
        SpecError: the slide's micrometres per pixel are not known.
        TileUnreadable: a tile of the level that is looked at cannot be read.
    """
    spec = spec or TissueSpec()
    asked = downsample_of(spec.mpp, "mpp", slide.info.scales)
    rgb, downsample = read_overview(slide, downsample=asked)
    slide_mpp = spec.mpp / asked
    return find_tissue(rgb, downsample=downsample, slide_mpp=slide_mpp, spec=spec)


def as_tissue_mask(mask_data: Any, slide: Slide) -> TissueMask:
    """Bring whatever was given as a mask into the frame of an open slide.

    That may be a TissueMask, an array, a picture of Pillow's, polygons, or the path of a file.
    Arrays have the width first: [x, y]. A picture or an array has the size of a level, or that of
    the slide divided by any number, to a pixel. On a square slide an array that was laid the other
    way cannot be told from a right one.

    Raises:
        AnnotationError: a file cannot be read.
        SpecError: it does not fit the slide, or is nothing of the kind.
    """
    info = slide.info
    if isinstance(mask_data, TissueMask):
        return _checked(mask_data, slide)
    if isinstance(mask_data, str | Path):
        return _from_file(Path(mask_data), slide)
    if isinstance(mask_data, np.ndarray):
        return _framed(_as_rows(mask_data, slide.path), slide, "array [x, y]")
    if isinstance(mask_data, Sequence) and all(
        isinstance(polygon, AnnotationPolygon) for polygon in mask_data
    ):
        return _drawn(list(mask_data), info)
    if hasattr(mask_data, "mode") and hasattr(mask_data, "getbands"):  # a picture of Pillow's
        return _framed(np.asarray(mask_data.convert("L")) != 0, slide, "picture")
    raise SpecError(
        f"{slide.path}: {type(mask_data).__name__} is no mask",
        remedy="Give a TissueMask, an array, the path of a file, or AnnotationPolygons",
    )


def _from_file(path: Path, slide: Slide) -> TissueMask:
    suffix = path.suffix.lower()
    if suffix in NUMPY_SUFFIXES:
        return _framed(_as_rows(load_mask_array(path), slide.path), slide, f"{path} [x, y]")
    if suffix in IMAGE_SUFFIXES:
        return _framed(load_mask_image(path), slide, str(path))
    read = slide.read_annotations if isinstance(slide, OpenedSlide) else read_annotations
    return _drawn(list(read(path).polygons), slide.info)


def _as_rows(array: np.ndarray, path: str) -> np.ndarray:
    """Bool (y, x) of an array (x, y)."""
    if array.ndim != 2:  # noqa: PLR2004
        raise SpecError(
            f"{path}: a mask of shape {array.shape}", remedy="Give an array of two axes, [x, y]"
        )
    return np.ascontiguousarray(array.T != 0)


def _framed(tissue: np.ndarray, slide: Slide, what: str) -> TissueMask:
    """Find the frame that a mask's size fits: a level's, or the slide's own made smaller."""
    height_px, width_px = tissue.shape
    downsample = _downsample_of(width_px, height_px, slide.info)
    if downsample is None:
        raise _misfit(width_px, height_px, slide, what)
    return TissueMask(tissue=tissue, downsample=downsample, slide_mpp=slide.info.mpp)


def _downsample_of(width_px: int, height_px: int, info: SlideInfo) -> float | None:
    """Level-0 pixels per pixel of a raster of the whole slide; None where it is none."""
    if (width_px, height_px) in info.level_sizes_px:
        return info.level_downsamples[info.level_sizes_px.index((width_px, height_px))]
    if not width_px or not height_px:
        return None
    longest = info.width_px0 >= info.height_px0
    downsample = info.width_px0 / width_px if longest else info.height_px0 / height_px
    off_px = max(
        abs(info.width_px0 / downsample - width_px), abs(info.height_px0 / downsample - height_px)
    )
    return downsample if off_px < 1.0 else None


def _misfit(width_px: int, height_px: int, slide: Slide, what: str) -> SpecError:
    info = slide.info
    remedy = "Give it in the size of a level, or of the slide divided by any number"
    if _downsample_of(height_px, width_px, info) is not None:
        remedy = "Its axes seem to be exchanged: arrays are [x, y], pictures have rows of y"
    return SpecError(
        f"{slide.path}: a mask of {width_px} x {height_px} px ({what}) is not of the shape of a "
        f"slide of {info.width_px0} x {info.height_px0} px",
        remedy=remedy,
    )


def _checked(mask: TissueMask, slide: Slide) -> TissueMask:
    """Refuse a mask that covers another area than the slide, by more than one of its pixels."""
    info = slide.info
    height_px, width_px = mask.tissue.shape
    off_px = max(
        abs(info.width_px0 / mask.downsample - width_px),
        abs(info.height_px0 / mask.downsample - height_px),
    )
    if off_px > 1.0:
        raise _misfit(width_px, height_px, slide, f"downsample {mask.downsample:g}")
    return mask


def _drawn(polygons: list[AnnotationPolygon], info: SlideInfo) -> TissueMask:
    downsample = DRAWN_DOWNSAMPLE if info.mpp is None else DRAWN_MPP / info.mpp
    downsample = max(1.0, min(downsample, float(min(info.width_px0, info.height_px0))))
    shape = max(1, int(info.height_px0 / downsample)), max(1, int(info.width_px0 / downsample))
    return rasterise(outlines_of(polygons), shape=shape, downsample=downsample, slide_mpp=info.mpp)
