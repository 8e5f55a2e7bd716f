"""Overview pixels -> what is no tissue though it is dark or coloured, or cannot be judged.

Ink is told by its colour: it takes more red light than green, and the stains of tissue take more
green than red (haematoxylin 0.93 times as much red as green, eosin 0.07, DAB 0.47, fast red 0.25;
Ruifrok & Johnston 2001, PMID 11531144). Blue ink takes 1.5 times as much. Red ink is not told:
blood, fast red, AEC and ponceau take the same light as it does. Nor can ink be told from the blue
and green dyes of Masson, Giemsa, Alcian blue or methyl green: turn it off for those.
"""

from __future__ import annotations

import cv2
import numpy as np

from pathassets.core.stain import OD_OF_LEVEL

GREEN_INK = (250, 100)
"""Green ink: least density in red, and least by which red's is over green's; in 1/1000."""
BLUE_INK = (400, 150)
"""Blue ink, likewise; and red's is 1.3 times green's: dense haematoxylin stays below 1.2."""
INK_RATIO_PCT = 130
BLACK_INK = (50, 25)
"""Brightest channel of black ink, of 255, and most by which it is over the darkest.

Measured: the darkest folds and nuclei of ten slides are at 57 or over, and purple.
"""
FAINT_INK = (600, 105)
"""Ink over tissue, which adds to green: least density in red, and percent of green's, where it
touches ink that is told for itself. Measured: 97 for the 99th percentile of such dark tissue."""
MIN_INK_UM2 = 6_000.0
"""Least area of a stroke; less is a speck of dye or an error of compression."""
INK_RIM_UM = 24.0
"""How far around a stroke its colour fades."""

MAX_BLACK = 24
"""Brightest channel of where nothing was scanned, of 255: black, and the noise of JPEG."""
MIN_BLACK_UM2 = 20_000.0
"""Least area of black; dark nuclei and folds are smaller."""
BLACK_RIM_UM = 32.0
"""How far around black it mixes with what it borders on."""

SHARPNESS_UM = 200.0
"""Side of the square in which sharpness is measured, and at least 9 pixels."""
MIN_SHARPNESS = 0.1
"""Energy of the Laplacian over variance of grey below which tissue is out of focus."""
MIN_CONTRAST = 4
"""Variance of grey below which nothing is told: there is only noise."""


def find_ink(rgb: np.ndarray, mpp: float) -> np.ndarray:
    """Find strokes of green, blue and black ink on RGB uint8 (y, x, 3), bool. O(pixels)."""
    smooth = cv2.medianBlur(rgb, 3)
    red, green, blue = (OD_OF_LEVEL[smooth[..., i]] for i in range(3))
    over = red - green
    is_green = (red >= GREEN_INK[0]) & (over >= GREEN_INK[1]) & (blue >= green)
    is_blue = (red >= BLUE_INK[0]) & (over >= BLUE_INK[1])
    red_100, green_1 = red.astype(np.int32) * 100, green.astype(np.int32)
    is_coloured = (is_green | is_blue) & (red_100 >= green_1 * INK_RATIO_PCT)
    is_faint = (red >= FAINT_INK[0]) & (red_100 >= green_1 * FAINT_INK[1])
    brightest, darkest = smooth.max(axis=-1), smooth.min(axis=-1)
    is_black = (brightest <= BLACK_INK[0]) & (brightest - darkest <= BLACK_INK[1])
    is_ink = is_coloured | is_black
    return _grown(is_ink, is_ink | is_faint, MIN_INK_UM2 / mpp**2, INK_RIM_UM / mpp)


def find_black(rgb: np.ndarray, mpp: float) -> np.ndarray:
    """Find where nothing was scanned on RGB uint8 (y, x, 3), bool. O(pixels)."""
    is_black = rgb.max(axis=-1) <= MAX_BLACK
    return _grown(is_black, is_black, MIN_BLACK_UM2 / mpp**2, BLACK_RIM_UM / mpp)


def find_blur(rgb: np.ndarray, tissue: np.ndarray, mpp: float) -> np.ndarray:
    """Find tissue that is out of focus, bool (y, x). O(pixels).

    A circle of confusion narrower than two pixels is not seen: at 8 um per pixel only tissue that
    is far out of focus is, at 2 um what a person would call soft. Tissue without contrast is not
    judged. Glass has no part in it.
    """
    inside = cv2.erode(tissue.astype(np.uint8), np.ones((3, 3), np.uint8), borderValue=1)
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    laplacian = cv2.Laplacian(grey, cv2.CV_16S, ksize=1, borderType=cv2.BORDER_REFLECT_101)
    side_px = max(9, 2 * int(SHARPNESS_UM / mpp / 2) + 1)
    n = _summed(inside.astype(np.float64), side_px)
    inner = grey * inside.astype(np.float64)
    contrast = n * _summed(inner * inner, side_px) - _summed(inner, side_px) ** 2
    energy = n * _summed((laplacian * inside.astype(np.float64)) ** 2, side_px)
    is_judged = contrast >= MIN_CONTRAST * n * n
    return np.asarray(tissue & (n > 0) & is_judged & (energy < MIN_SHARPNESS * contrast))


def drop_small(mask: np.ndarray, min_px: float) -> np.ndarray:
    """Clear the pieces of a mask with fewer pixels than `min_px`."""
    labels, areas_px = _pieces(mask, connectivity=8)
    is_kept = areas_px >= min_px
    is_kept[0] = False
    return np.asarray(is_kept[labels])


def fill_small(mask: np.ndarray, min_px: float) -> np.ndarray:
    """Set the holes of a mask with fewer pixels than `min_px`."""
    glass = np.pad(~mask, 1, constant_values=True)  # joins all that reaches the edge
    labels, areas_px = _pieces(glass, connectivity=4)
    is_set = areas_px < min_px
    is_set[0], is_set[labels[0, 0]] = True, False
    return np.asarray(is_set[labels][1:-1, 1:-1])


def _grown(core: np.ndarray, whole: np.ndarray, min_px: float, rim_px: float) -> np.ndarray:
    """Keep the pieces of `whole` with enough of `core` in them, and a rim around them."""
    if not core.any():
        return core
    labels, areas_px = _pieces(whole, connectivity=8)
    is_kept = np.bincount(labels[core], minlength=len(areas_px)) >= max(min_px, 1)
    if not is_kept.any():
        return np.zeros_like(core)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * round(rim_px) + 1,) * 2)
    return np.asarray(cv2.dilate(is_kept[labels].astype(np.uint8), kernel), bool)


def _summed(values: np.ndarray, side_px: int) -> np.ndarray:
    """Sum of whole numbers around each pixel: exact, as all of them stay below 2^53."""
    return np.asarray(
        cv2.boxFilter(
            values, cv2.CV_64F, (side_px, side_px), normalize=False, borderType=cv2.BORDER_CONSTANT
        )
    )


def _pieces(mask: np.ndarray, *, connectivity: int) -> tuple[np.ndarray, np.ndarray]:
    """Label of every pixel, 0 outside of the mask, and area of every label."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(
        mask.astype(np.uint8), connectivity=connectivity
    )
    return labels, stats[:, cv2.CC_STAT_AREA]
