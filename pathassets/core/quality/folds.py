"""Overview and mask -> folds of the tissue: where light passed it twice.

Two layers have twice the density of one. So what is much denser than nearly all tissue of the slide
is taken for a fold, where there is enough of it in one piece. Kothari, Phan & Wang 2013 (J Pathol
Inform 4:22) tell folds by saturation less intensity: what is dark and coloured, as here; densities
add up, so that one factor does for any stain.

What it cannot tell: keratin, thick edges, dense infiltrates and clots are as dark, in a slide of
pale tissue; a fold of pale tissue is not darker than the dense tissue beside it.
"""

from __future__ import annotations

import cv2
import numpy as np

from pathassets.core.tissue.quality_control import drop_small
from pathassets.core.tissue.stain import OD_OF_LEVEL

FOLD_PCT = 140
"""Density of a fold, in percent of that of dense tissue. Two layers have 200, their rims less.

Measured at 8 um per pixel on two scanned slides: of a band of 0.1 mm through which light passes
twice it finds 53 and 72 %. Of a slide of dark epidermis and keratin, without a fold, it takes 3 %;
of the other 0.7 %, which are its folded rims. `benchmarks/quality.py` prints them.
"""
DENSE_PERCENTILE = 75
"""Of all tissue of the slide: what dense tissue is."""
MIN_FOLD_UM2 = 4_000.0
"""Least area of a fold; nuclei and vessels are smaller."""
SMOOTH_UM = 48.0
"""Width of the median filter that takes nuclei away."""


def find_folds(rgb: np.ndarray, tissue: np.ndarray, mpp: float) -> np.ndarray:
    """Find folds on RGB uint8 (y, x, 3), in tissue alone, bool (y, x). O(pixels)."""
    if not tissue.any():
        return np.zeros_like(tissue)
    smooth = cv2.medianBlur(rgb, max(3, 2 * int(SMOOTH_UM / mpp / 2) + 1))
    density = OD_OF_LEVEL.astype(np.int32)[smooth].sum(axis=2)
    rank = np.sort(density[tissue], kind="stable")
    dense = int(rank[len(rank) * DENSE_PERCENTILE // 100])
    return drop_small(tissue & (density * 100 >= dense * FOLD_PCT), MIN_FOLD_UM2 / mpp**2)
