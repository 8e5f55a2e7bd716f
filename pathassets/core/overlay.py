"""Overview + mask or grid -> a small picture a person can judge."""

from __future__ import annotations

import cv2
import numpy as np

from pathassets.core.locations import PatchLocations
from pathassets.core.tissue import TissueMask

PREVIEW_PX = 256
"""Longer side of a preview."""
GREEN = (0, 150, 60)
BLUE = (20, 60, 200)


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
    """Draw every patch's outline on a small copy of the overview of a slide `width_px0` wide."""
    preview = shrink_to(overview)
    x_scale = preview.shape[1] / width_px0
    # The preview's narrow side is rounded to whole pixels, so its two scales differ.
    y_scale = overview.shape[1] / width_px0 * preview.shape[0] / overview.shape[0]
    boxes_px = locations.boxes_px0 * np.array([x_scale, y_scale, x_scale, y_scale])
    for x0, y0, x1, y1 in boxes_px.round().astype(int).tolist():
        cv2.rectangle(preview, (x0, y0), (max(x0, x1 - 1), max(y0, y1 - 1)), BLUE, 1)
    return preview
