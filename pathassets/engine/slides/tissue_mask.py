"""Slide -> TissueMask: computed, or given in any of the ways that people have one.

a TissueMask ─────────────────▶ checked against the slide
polygons, or a file of them ──▶ drawn, at about 8 um per pixel
a picture (PNG, TIFF) ────────▶ rows are y
an array, .npy, .npz ─────────▶ (x, y): the first axis is the width
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from pathassets.adapters.annotations.reader import read_annotations
from pathassets.adapters.images.headers import MAX_MASK_PX, require_size
from pathassets.adapters.images.mask_files import (
    IMAGE_SUFFIXES,
    NUMPY_SUFFIXES,
    load_mask_array,
    load_mask_image,
)
from pathassets.core.annotations.annotations import AnnotationPolygon, outlines_of
from pathassets.core.annotations.mask_outlines import rasterise
from pathassets.core.frames import Frame
from pathassets.core.slides.regions import read_overview
from pathassets.core.slides.resolution import downsample_of
from pathassets.core.slides.slide import Slide, SlideInfo
from pathassets.core.tissue.mask_size import Size, areas_of, fitting, is_exchanged
from pathassets.core.tissue.tissue_mask import TissueMask, TissueSpec, find_tissue
from pathassets.engine.slides.bounds import on_level0, unsaid_frame
from pathassets.engine.slides.open import OpenedSlide
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


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedMask:
    """A mask of all of level 0, and what told where it lies."""

    mask: TissueMask
    frame: Frame | None = None
    """Of the area that it was a picture of; None where its own kind says where it lies."""


def as_tissue_mask(mask_data: Any, slide: Slide, *, frame: Frame | None = None) -> TissueMask:
    """Bring whatever was given as a mask into the frame of an open slide.

    That may be a TissueMask, an array, a picture of Pillow's, polygons, or the path of a file.
    Arrays have the width first: [x, y] (`DeepFeatureExtractor` takes [y, x]). A picture or an array
    has the size of a level, or that of the slide divided by any number, to a pixel. On a square
    slide an array that was laid the other way cannot be told from a right one.

    Of a slide that has bounds a picture or an array may show level 0 or the bounds: its size tells.
    Where both have that shape, and of a file of polygons, it must be said: `frame`. A TissueMask
    and AnnotationPolygons are of level 0 always. A mask of the bounds lies where it belongs to half
    of one of its pixels.

    Raises:
        AnnotationError: a file cannot be read.
        SpecError: it does not fit the slide, or `frame`, or is nothing of the kind; or nothing
            tells where it lies.
    """
    return place_mask(mask_data, slide, frame=frame).mask


def place_mask(mask_data: Any, slide: Slide, *, frame: Frame | None = None) -> PlacedMask:
    """The same, and of which area it was a picture.

    Raises:
        AnnotationError, SpecError: as `as_tissue_mask`.
    """
    if isinstance(mask_data, TissueMask):
        return PlacedMask(mask=_checked(mask_data, slide))
    if isinstance(mask_data, str | Path):
        return _from_file(Path(mask_data), slide, frame)
    if isinstance(mask_data, np.ndarray):
        return _framed(_as_rows(mask_data, slide.path), slide, "array [x, y]", frame)
    if isinstance(mask_data, Sequence) and all(
        isinstance(polygon, AnnotationPolygon) for polygon in mask_data
    ):
        return PlacedMask(mask=_drawn(list(mask_data), slide.info))
    if hasattr(mask_data, "mode") and hasattr(mask_data, "getbands"):  # a picture of Pillow's
        return _framed(_picture_rows(mask_data, slide.path), slide, "picture", frame)
    raise SpecError(
        f"{slide.path}: {type(mask_data).__name__} is no mask",
        remedy="Give a TissueMask, an array, the path of a file, or AnnotationPolygons",
    )


def _from_file(path: Path, slide: Slide, frame: Frame | None) -> PlacedMask:
    suffix = path.suffix.lower()
    if suffix in NUMPY_SUFFIXES:
        rows = _as_rows(load_mask_array(path), slide.path)
        return _framed(rows, slide, f"{path} [x, y]", frame)
    if suffix in IMAGE_SUFFIXES:
        return _framed(load_mask_image(path), slide, str(path), frame)
    if isinstance(slide, OpenedSlide):
        drawn = slide.read_annotations(path, frame=frame)
    else:
        drawn = on_level0(read_annotations(path), slide.info, frame, subject=slide.path)
    return PlacedMask(mask=_drawn(list(drawn.polygons), slide.info))


def _as_rows(array: np.ndarray, path: str) -> np.ndarray:
    """Bool (y, x) of an array (x, y)."""
    if array.ndim != 2:  # noqa: PLR2004
        raise SpecError(
            f"{path}: a mask of shape {array.shape}", remedy="Give an array of two axes, [x, y]"
        )
    return np.ascontiguousarray(array.T != 0)


def _picture_rows(picture: Any, path: str) -> np.ndarray:
    """Bool (y, x) of a picture of Pillow's, which may not be decoded yet."""
    width_px, height_px = picture.size
    _require_size(width_px, height_px, path)
    return np.asarray(np.asarray(picture.convert("L")) != 0)


def _require_size(width_px: int, height_px: int, path: str) -> None:
    try:
        require_size(width_px, height_px, most_px=MAX_MASK_PX)
    except ValueError as error:
        raise SpecError(f"{path}: its mask: {error}", remedy="Give a coarser one") from error


def _framed(tissue: np.ndarray, slide: Slide, what: str, stated: Frame | None) -> PlacedMask:
    """Find the area that a mask's size fits, and bring it there.

    All of the slide, as a level or made smaller; or its bounds.
    """
    size, info = Size(tissue.shape[1], tissue.shape[0]), slide.info
    frame = _frame_of(size, slide, what, stated)
    downsample = _downsample_of(size, info, frame)
    mask = TissueMask(tissue=tissue, downsample=downsample, slide_mpp=info.mpp)
    return PlacedMask(mask=_of_level0(mask, slide) if frame == "bounds" else mask, frame=frame)


def _frame_of(size: Size, slide: Slide, what: str, stated: Frame | None) -> Frame:
    frames = fitting(size, slide.info) if 0 not in size else []
    if not frames:
        raise _misfit(size, slide, what)
    if slide.info.bounds_px0 is None:
        return "level0"
    if stated is None:
        if len(frames) > 1:
            raise unsaid_frame(slide.info, subject=slide.path, what=f"pixels ({what})")
        return frames[0]
    if stated not in frames:
        raise SpecError(
            f"{slide.path}: a mask of {size.width} x {size.height} px ({what}) is said to be of "
            f"{_named(stated, slide.info)}, and is of the shape of {_named(frames[0], slide.info)}",
            remedy=f"Say frame {frames[0]}, or look whether it is a mask of this slide",
        )
    return stated


def _named(frame: Frame, info: SlideInfo) -> str:
    area = areas_of(info)[frame]
    name = "the bounds" if frame == "bounds" else "level 0"
    return f"{name}, {area.width} x {area.height} px"


def _downsample_of(size: Size, info: SlideInfo, frame: Frame) -> float:
    """Level-0 pixels per pixel of a raster of an area, told by its longer side."""
    if frame == "level0" and size in info.level_sizes_px:
        return info.level_downsamples[info.level_sizes_px.index(size)]
    area = areas_of(info)[frame]
    return area.width / size.width if area.width >= area.height else area.height / size.height


def _of_level0(mask: TissueMask, slide: Slide) -> TissueMask:
    """A mask of the bounds, laid into one of all of level 0 at the pixel nearest to its corner."""
    info = slide.info
    height_px, width_px = (
        math.ceil(n / mask.downsample) for n in (info.height_px0, info.width_px0)
    )
    _require_size(width_px, height_px, slide.path)
    x_px, y_px = (round(at / mask.downsample) for at in info.origin_px0)
    tissue = np.zeros((height_px, width_px), bool)
    seen = tissue[y_px : y_px + mask.tissue.shape[0], x_px : x_px + mask.tissue.shape[1]]
    seen[:] = mask.tissue[: seen.shape[0], : seen.shape[1]]
    return replace(mask, tissue=tissue)


def _misfit(size: Size, slide: Slide, what: str) -> SpecError:
    if is_exchanged(size, slide.info):
        return exchanged_axes(size, slide, what)
    areas = " or ".join(_named(frame, slide.info) for frame in areas_of(slide.info))
    return SpecError(
        f"{slide.path}: a mask of {size.width} x {size.height} px ({what}) is not of the shape of "
        f"a slide of {areas.removeprefix('level 0, ')}",
        remedy="Give it in the size of a level, or of the slide divided by any number",
    )


def exchanged_axes(size: Size, slide: Slide, what: str) -> SpecError:
    """Build the error that a mask with its axes exchanged is; `what` was given."""
    info = slide.info
    return SpecError(
        f"{slide.path}: a mask of {size.width} x {size.height} px ({what}) is not of the shape of "
        f"a slide of {info.width_px0} x {info.height_px0} px, and is with its axes exchanged",
        remedy="Give it with its axes exchanged (mask.T): the pools and annotations take arrays as "
        "[x, y], DeepFeatureExtractor as [y, x]; rows of a picture are y everywhere",
    )


def place_rows(tissue: np.ndarray, slide: Slide, what: str) -> TissueMask:
    """Bring a mask, bool (y, x), into the frame of a slide by its size.

    Raises:
        SpecError: it does not fit, or nothing tells where it lies.
    """
    return _framed(tissue, slide, what, None).mask


def require_order(tissue: np.ndarray, slide: Slide, what: str) -> None:
    """Refuse a mask, bool (y, x), whose axes are exchanged against the slide's shape.

    Raises:
        SpecError: they are; not on a square slide, where it cannot be told.
    """
    size = Size(tissue.shape[1], tissue.shape[0])
    if is_exchanged(size, slide.info):
        raise exchanged_axes(size, slide, what)


def _checked(mask: TissueMask, slide: Slide) -> TissueMask:
    """Refuse a mask that covers another area than the slide, by more than one of its pixels."""
    info = slide.info
    height_px, width_px = mask.tissue.shape
    off_px = max(
        abs(info.width_px0 / mask.downsample - width_px),
        abs(info.height_px0 / mask.downsample - height_px),
    )
    if off_px > 1.0:
        raise _misfit(Size(width_px, height_px), slide, f"downsample {mask.downsample:g}")
    return mask


def _drawn(polygons: list[AnnotationPolygon], info: SlideInfo) -> TissueMask:
    downsample = DRAWN_DOWNSAMPLE if info.mpp is None else DRAWN_MPP / info.mpp
    downsample = max(1.0, min(downsample, float(min(info.width_px0, info.height_px0))))
    shape = max(1, int(info.height_px0 / downsample)), max(1, int(info.width_px0 / downsample))
    return rasterise(outlines_of(polygons), shape=shape, downsample=downsample, slide_mpp=info.mpp)
