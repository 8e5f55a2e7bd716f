"""Overview + mask or grid -> a small picture a person can judge."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import cv2
import numpy as np

from pathassets.core.annotations.annotations import AnnotationPolygon
from pathassets.core.locations.locations import PatchLocations
from pathassets.core.tissue.tissue_mask import TissueMask

PREVIEW_PX = 256
"""Longer side of a preview."""
FAR_PX = 30_000
"""OpenCV's lines go wrong from 2^15 pixels on: over 100 times the width of a preview."""
GREEN = (0, 150, 60)
BLUE = (20, 60, 200)
RED = (220, 40, 30)
Colour = tuple[int, int, int]
PALETTE: tuple[Colour, ...] = (
    (0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167),
    (86, 180, 233), (230, 159, 0), (240, 228, 66), (0, 0, 0),
)  # fmt: skip
"""Colours that people tell apart whatever colours they see.

Source: Okabe & Ito 2008, in Wong 2011, doi:10.1038/nmeth.1618
"""


def shrink_to(overview: np.ndarray, longest_px: int = PREVIEW_PX) -> np.ndarray:
    """Bring RGB uint8 (y, x, 3) to at most `longest_px` on its longer side."""
    height_px, width_px = overview.shape[:2]
    factor = max(height_px, width_px) / longest_px
    if factor <= 1:
        return overview.copy()
    size = (max(1, round(width_px / factor)), max(1, round(height_px / factor)))
    return np.asarray(cv2.resize(overview, size, interpolation=cv2.INTER_AREA))


def draw_mask(overview: np.ndarray, mask: TissueMask) -> np.ndarray:
    """Draw the outline of the tissue and of its holes on a small copy of the overview."""
    preview = shrink_to(overview)
    tissue = cv2.resize(
        mask.tissue.astype(np.uint8),
        (preview.shape[1], preview.shape[0]),
        interpolation=cv2.INTER_AREA,
    )
    outlines, _ = cv2.findContours(tissue, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    cv2.drawContours(preview, outlines, -1, GREEN, 1, cv2.LINE_AA)
    return preview


def draw_grid(overview: np.ndarray, locations: PatchLocations, *, width_px0: int) -> np.ndarray:
    """Draw every patch's outline on a small copy of the overview of a slide `width_px0` wide.

    Each in the colour of its label, where there is more than one.
    """
    preview = shrink_to(overview)
    x_scale = preview.shape[1] / width_px0
    # The preview's narrow side is rounded to whole pixels, so its two scales differ.
    y_scale = overview.shape[1] / width_px0 * preview.shape[0] / overview.shape[0]
    boxes_px = locations.boxes_px0 * np.array([x_scale, y_scale, x_scale, y_scale])
    colours = patch_colours(locations)
    for (x0, y0, x1, y1), colour in zip(
        boxes_px.round().astype(int).tolist(), colours, strict=True
    ):
        cv2.rectangle(preview, (x0, y0), (max(x0, x1 - 1), max(y0, y1 - 1)), colour, 1)
    return preview


def draw_outlines(
    preview: np.ndarray,
    polygons: Sequence[AnnotationPolygon],
    *,
    width_px0: int,
    height_px0: int,
) -> np.ndarray:
    """Draw annotations, holes included, on a small copy of a picture of a whole slide.

    Each in the colour of its label; one label, or none, is red.
    """
    small = shrink_to(preview)
    x_scale, y_scale = small.shape[1] / width_px0, small.shape[0] / height_px0
    colour_of = label_colours([polygon.label for polygon in polygons])
    for polygon in polygons:
        rings_px = [
            _as_pixels(ring_px0 * (x_scale, y_scale))
            for ring_px0 in (polygon.points, *polygon.holes)
        ]
        colour = colour_of.get(polygon.label, RED)
        cv2.polylines(small, rings_px, isClosed=True, color=colour)
    return small


def label_colours(labels: Iterable[str]) -> dict[str, Colour]:
    """Colours of labels by their order in the alphabet; empty where there is but one.

    With more labels than colours, some share one.
    """
    names = sorted(set(labels))
    if len(names) <= 1:
        return {}
    return {name: PALETTE[i % len(PALETTE)] for i, name in enumerate(names)}


def patch_colours(locations: PatchLocations) -> list[Colour]:
    """Colour of each patch: that of its label, or blue where all have one."""
    if locations.label_codes is None or len(set(locations.labels)) <= 1:
        return [BLUE] * len(locations)
    colour_of = label_colours(locations.labels)
    return [colour_of[locations.labels[code]] for code in locations.label_codes.tolist()]


def _as_pixels(ring_px: np.ndarray) -> np.ndarray:
    """Pixels that corners lie in; those absurdly far beyond the picture are brought nearer."""
    return np.asarray(np.floor(np.clip(ring_px, -FAR_PX, FAR_PX)).astype(np.int32))
