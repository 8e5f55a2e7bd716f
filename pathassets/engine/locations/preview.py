"""A slide's overview with its patches and areas drawn on it, as a file that a person can judge."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import shapely

from pathassets.core.slides.regions import Rgb, read_overview, read_region
from pathassets.engine.slides.open import OpenedSlide
from pathassets.errors import SpecError

PREVIEW_PX = 4096
"""Longest side of a preview of which no size was asked for."""
LAST_LEVEL = 99
"""A greater number is a size in pixels and no level."""
COLOURS: dict[str, Rgb] = {
    "aqua": (0, 255, 255), "black": (0, 0, 0), "blue": (0, 0, 255), "brown": (165, 42, 42),
    "cyan": (0, 255, 255), "fuchsia": (255, 0, 255), "gold": (255, 215, 0),
    "gray": (128, 128, 128), "green": (0, 128, 0), "grey": (128, 128, 128),
    "lime": (0, 255, 0), "magenta": (255, 0, 255), "maroon": (128, 0, 0), "navy": (0, 0, 128),
    "olive": (128, 128, 0), "orange": (255, 165, 0), "pink": (255, 192, 203),
    "purple": (128, 0, 128), "red": (255, 0, 0), "silver": (192, 192, 192),
    "teal": (0, 128, 128), "violet": (238, 130, 238), "white": (255, 255, 255),
    "yellow": (255, 255, 0),
}  # fmt: skip
"""Source: CSS Color Module Level 4, section 6.1, those that are used."""

Colour = str | tuple[int, int, int]
"""A name, "#rrggbb", or red, green and blue of 255."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Strokes:
    """Closed lines of one colour."""

    rings_px0: Sequence[np.ndarray]
    """float64 (k, 2) each: x, y."""
    colour: Colour
    thickness: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pens:
    """The colour of each thing that is drawn; None leaves it out."""

    patch: Colour | None
    bounds: Colour | None
    polygon: Colour | None
    hole: Colour | None
    moved: Colour | None
    """Of areas that are not as they were drawn: that grew, shrank or were cut."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """What there is to draw, in level-0 pixels."""

    boxes_px0: np.ndarray
    """int64 (n, 4): of patches."""
    drawn: np.ndarray
    """object (r,): areas as they were drawn."""
    outlines: np.ndarray
    """object (r,): the same as patches were sampled in them."""

    def strokes(self, pens: Pens, thickness: int) -> list[Strokes]:
        """The lines of it, those that come later over the others."""
        outer, holes = rings_of(self.drawn)
        is_moved = [a is not b for a, b in zip(self.drawn, self.outlines, strict=True)]
        moved_outer, moved_holes = rings_of(self.outlines[np.array(is_moved, bool)])
        bounds = shapely.bounds(self.outlines[~shapely.is_empty(self.outlines)])
        every = [
            (_boxes(self.boxes_px0), pens.patch),
            (_boxes(bounds), pens.bounds),
            (outer, pens.polygon),
            (holes, pens.hole),
            (moved_outer + moved_holes, pens.moved),
        ]
        return [
            Strokes(rings_px0=rings, colour=colour, thickness=thickness)
            for rings, colour in every
            if colour is not None
        ]

    def markers(self, downsample: float, colour: Colour, thickness: int) -> Strokes:
        """A small square at the corner of each patch, of twice the thickness of lines or more."""
        side_px0 = 2 * thickness * downsample
        boxes_px0 = self.boxes_px0.astype(np.float64)
        width_px = (boxes_px0[:1, 2] - boxes_px0[:1, 0]).sum() / downsample
        boxes_px0[:, 2:] = boxes_px0[:, :2] + side_px0
        return Strokes(
            rings_px0=_boxes(boxes_px0), colour=colour,
            thickness=max(2 * thickness, round(0.05 * width_px)),
        )  # fmt: skip


def draw_preview(slide: OpenedSlide, downsample: float, strokes: Sequence[Strokes]) -> np.ndarray:
    """RGB uint8 (y, x, 3): the slide about `downsample` times smaller, and the lines over it."""
    rgb, scale = _overview(slide, downsample)
    for stroke in strokes:
        lines = [np.rint(ring / scale).astype(np.int32) for ring in stroke.rings_px0]
        cv2.polylines(
            rgb, lines, isClosed=True, color=rgb_of(stroke.colour), thickness=stroke.thickness
        )
    return rgb


def _overview(slide: OpenedSlide, downsample: float) -> tuple[np.ndarray, float]:
    """All of the slide; a stored level as it is where one is meant."""
    info = slide.info
    if downsample in info.level_downsamples:
        level = info.level_downsamples.index(downsample)
        width_px, height_px = info.level_sizes_px[level]
        rgb = read_region(slide, 0, 0, width_px=width_px, height_px=height_px, level=level)
        return np.ascontiguousarray(rgb), downsample
    rgb, scale = read_overview(slide, downsample=downsample)
    return np.ascontiguousarray(rgb), scale


def preview_downsample(
    slide: OpenedSlide, level_or_minsize: int | None, mask_downsample: float
) -> float:
    """Downsample of a preview: of a level, of the coarsest level that is large enough, of the mask.

    Raises:
        SpecError: there is no such level.
    """
    info = slide.info
    if level_or_minsize is None:
        return max(mask_downsample, max(info.width_px0, info.height_px0) / PREVIEW_PX)
    level = int(level_or_minsize)
    if level > LAST_LEVEL:
        large = [i for i, size in enumerate(info.level_sizes_px) if min(size) >= level]
        level = max(large, default=0)
    if not 0 <= level < info.n_levels:
        raise SpecError(
            f"level_or_minsize: no level {level}",
            remedy=f"The slide has levels 0 to {info.n_levels - 1}; above 99 it is a size",
        )
    return info.level_downsamples[level]


def rings_of(outlines: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Outer rings of areas, and rings of their holes: float64 (k, 2) each."""
    parts = shapely.get_parts(outlines)
    rings, place = shapely.get_rings(parts, return_index=True)
    is_outer = np.diff(place, prepend=-1) > 0  # a polygon's first ring
    return _points(rings[is_outer]), _points(rings[~is_outer])


def _points(rings: np.ndarray) -> list[np.ndarray]:
    points, place = shapely.get_coordinates(rings, return_index=True)
    return np.split(points, np.flatnonzero(np.diff(place)) + 1) if len(points) else []


def _boxes(bounds_px0: np.ndarray) -> list[np.ndarray]:
    """Rings around boxes, (n, 4): x0, y0, x1, y1."""
    return list(bounds_px0[:, [0, 1, 0, 3, 2, 3, 2, 1]].reshape(-1, 4, 2).astype(np.float64))


def rgb_of(colour: Colour) -> Rgb:
    """Red, green and blue of a colour.

    >>> rgb_of("teal"), rgb_of("#ff8000")
    ((0, 128, 128), (255, 128, 0))

    Raises:
        SpecError: it is none that is known here.
    """
    if isinstance(colour, tuple) and len(colour) == 3:  # noqa: PLR2004
        red, green, blue = (int(part) for part in colour)
        return red, green, blue
    if colour in COLOURS:
        return COLOURS[str(colour)]
    digits = str(colour).removeprefix("#")
    try:
        red, green, blue = bytes.fromhex(digits)
    except ValueError as error:
        raise SpecError(
            f"colour: {colour!r} is not known",
            remedy=f'Give "#rrggbb", (red, green, blue), or one of {", ".join(COLOURS)}',
        ) from error
    return red, green, blue


def save_rgb(path: Path, rgb: np.ndarray) -> None:
    """Write RGB uint8 (y, x, 3) as the kind of image that the name says, whole or not at all.

    Raises:
        SpecError: there is no such kind of image.
        OSError: the folder is missing, full or forbidden.
    """
    try:
        data = cv2.imencode(path.suffix, cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))[1].tobytes()
    except cv2.error as error:
        raise SpecError(
            f"{path}: no image of kind {path.suffix!r} can be written",
            remedy="Name it .png or .jpg",
        ) from error
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(data)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
