"""Overview and mask -> folds of the tissue: where light passed it twice.

Two layers have twice the density of one, and its colour. So what is much denser than nearly all
tissue of the slide, and no bluer, is taken for a fold, where there is enough of it in one piece.
Kothari, Phan & Wang 2013 (J Pathol Inform 4:22) tell folds by saturation less intensity: what is
dark and coloured. That is nuclei close together, too, and who leaves out folds must not leave out
infiltrates: a fold that is missed costs less than those.

What it cannot tell: keratin, thick edges and clots, which are as dark, in a slide of pale tissue;
a fold of pale tissue, which is not darker than the dense tissue of the slide; one of its bluest.
"""

from __future__ import annotations

import cv2
import numpy as np

from pathassets.core.tissue.quality_control import drop_small
from pathassets.core.tissue.stain import OD_OF_LEVEL

FOLD_PCT = 130
"""Density of a fold, in percent of that of dense tissue. Two layers have 200, their rims less.

Measured at 8 um per pixel on two scanned slides: of a band of 0.1 mm through which light passes
twice it finds 18 and 72 %; without the limit on blue 58 and 84 %, but takes 7 % of the one slide,
which has dark epidermis and no fold, and 18 % of a drawn one with infiltrates. With it, it takes
none of either; of the other slide 0.8 %, its folded rims. `benchmarks/quality.py` prints them.
"""
DENSE_PERCENTILE = 75
"""Of all tissue of the slide: what dense tissue is; and how blue a fold may be."""
MIN_FOLD_UM2 = 4_000.0
"""Least area of a fold; nuclei and vessels are smaller."""
SMOOTH_UM = 48.0
"""Width of the median filter that takes nuclei away."""
_SHARE_STEPS = 1000


def find_folds(rgb: np.ndarray, tissue: np.ndarray, mpp: float) -> np.ndarray:
    """Find folds on RGB uint8 (y, x, 3), in tissue alone, bool (y, x). O(pixels)."""
    if not tissue.any():
        return np.zeros_like(tissue)
    smooth = cv2.medianBlur(rgb, max(3, 2 * int(SMOOTH_UM / mpp / 2) + 1))
    densities = OD_OF_LEVEL.astype(np.int32)[smooth]
    density = densities.sum(axis=2)
    # Blue dyes take red light: its share of the density is the same in one layer and in two.
    red_share = densities[..., 0] * _SHARE_STEPS // np.maximum(density, 1)
    is_dense = density * 100 >= _high(density[tissue]) * FOLD_PCT
    return drop_small(
        tissue & is_dense & (red_share <= _high(red_share[tissue])), MIN_FOLD_UM2 / mpp**2
    )


def _high(values: np.ndarray) -> int:
    """What three quarters of whole numbers do not exceed."""
    return int(np.sort(values, kind="stable")[len(values) * DENSE_PERCENTILE // 100])
