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
"""Blue ink, likewise; and red's is 1.3 times green's: the bluest
haematoxylin is taken to stay below 1.2, which no slide here could show."""
INK_RATIO_PCT = 130
INK_MAX_RED = 144
"""Red channel of the palest ink: a density of 0.25."""
BLACK_INK = (50, 25)
"""Brightest channel of black ink, of 255, and most by which it is over the darkest.

Measured: the darkest folds and nuclei of four scanned slides and six generated ones are at 57 or
over, and purple.
"""
FAINT_INK = (600, 105)
"""Ink over tissue, which adds to green: least density in red, and percent of green's, where it
touches ink that is told for itself. Measured: tissue as dark, on two overviews that have any, takes
at most 84 percent of green's. The rest of a stroke over dense tissue stays: 14 % of one slide's."""
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
MIN_SHARPNESS = 0.06
"""Energy of the Laplacian over variance of grey below which tissue is out of focus.

Measured on overviews of eight slides, two of them scanned, at 4 to 8 um per pixel: the softest 1 %
of tissue in focus is below 0.08 to 0.27; blurred over two pixels, half of it is below 0.02 to 0.07,
over three below 0.02.
"""
BINOMIAL_SUM = 16
MIN_CONTRAST = 4
"""Variance of grey below which nothing is told: there is only noise."""


def find_ink(rgb: np.ndarray, mpp: float) -> np.ndarray:
    """Find strokes of green, blue and black ink on RGB uint8 (y, x, 3), bool. O(pixels)."""
    red, green, blue = cv2.split(cv2.medianBlur(rgb, 3))
    brightest = cv2.max(cv2.max(red, green), blue)
    # Few pixels of a slide can be ink at all, and those alone are looked at further.
    can_be = (red <= INK_MAX_RED) & (red < green) | (brightest <= BLACK_INK[0])
    min_px = MIN_INK_UM2 / mpp**2
    is_ink, is_faint = np.zeros_like(can_be), np.zeros_like(can_be)
    if np.count_nonzero(can_be) >= min_px:
        is_ink[can_be], is_faint[can_be] = _judged(*(c[can_be] for c in (red, green, blue)))
    return _grown(is_ink, is_ink | is_faint, min_px, INK_RIM_UM / mpp)


def _judged(red: np.ndarray, green: np.ndarray, blue: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which of some pixels are ink, and which are where they touch it."""
    of_red, of_green, of_blue = (OD_OF_LEVEL[c].astype(np.int32) for c in (red, green, blue))
    over, percent = of_red - of_green, of_red * 100
    is_green = (of_red >= GREEN_INK[0]) & (over >= GREEN_INK[1]) & (of_blue >= of_green)
    is_blue = (of_red >= BLUE_INK[0]) & (over >= BLUE_INK[1])
    is_coloured = (is_green | is_blue) & (percent >= of_green * INK_RATIO_PCT)
    brightest = np.maximum(np.maximum(red, green), blue)
    darkest = np.minimum(np.minimum(red, green), blue)
    is_black = (brightest <= BLACK_INK[0]) & (brightest - darkest <= BLACK_INK[1])
    is_faint = (of_red >= FAINT_INK[0]) & (percent >= of_green * FAINT_INK[1])
    return is_coloured | is_black, is_faint


def find_black(rgb: np.ndarray, mpp: float) -> np.ndarray:
    """Find where nothing was scanned on RGB uint8 (y, x, 3), bool. O(pixels)."""
    red, green, blue = cv2.split(rgb)
    is_black = np.asarray(cv2.max(cv2.max(red, green), blue) <= MAX_BLACK)
    return _grown(is_black, is_black, MIN_BLACK_UM2 / mpp**2, BLACK_RIM_UM / mpp)


def find_blur(rgb: np.ndarray, tissue: np.ndarray, mpp: float) -> np.ndarray:
    """Find tissue that is out of focus, bool (y, x). O(pixels).

    Sharpness is the energy of the Laplacian over the variance of grey, both of tissue alone and
    after a smoothing that takes noise away: neither glass nor the strength of a stain has a part
    in it. What is blurred over less than two pixels (as a standard deviation) is not seen: at 8 um
    per pixel only tissue that is far out of focus is, at 1 um what a person would call soft.
    Tissue without contrast is not judged.
    """
    inside = cv2.erode(tissue.view(np.uint8), np.ones((5, 5), np.uint8), borderValue=1)
    binomial = np.array([1, 2, 1], np.float32)
    grey = cv2.sepFilter2D(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), cv2.CV_16S, binomial, binomial)
    edges = cv2.Laplacian(grey, cv2.CV_16S, ksize=1) * inside
    grey = grey * inside
    window = (max(9, 2 * int(SHARPNESS_UM / mpp / 2) + 1),) * 2
    n, total = _summed(inside, window), _summed(grey, window)
    contrast = n * _summed(grey, window, of_squares=True) - total * total
    energy = n * _summed(edges, window, of_squares=True)
    is_judged = contrast >= MIN_CONTRAST * BINOMIAL_SUM**2 * n * n
    return np.asarray(tissue & (n > 0) & is_judged & (energy < MIN_SHARPNESS * contrast))


def _summed(values: np.ndarray, window: tuple[int, int], *, of_squares: bool = False) -> np.ndarray:
    """Sums of whole numbers around each pixel: below 2^53, so exact in any order."""
    total = cv2.sqrBoxFilter if of_squares else cv2.boxFilter
    return np.asarray(
        total(values, cv2.CV_64F, window, normalize=False, borderType=cv2.BORDER_CONSTANT)
    )


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
    if np.count_nonzero(core) < max(min_px, 1):
        return np.zeros_like(core)
    labels, areas_px = _pieces(whole, connectivity=8)
    is_kept = np.bincount(labels[core], minlength=len(areas_px)) >= max(min_px, 1)
    if not is_kept.any():
        return np.zeros_like(core)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * round(rim_px) + 1,) * 2)
    return np.asarray(cv2.dilate(is_kept[labels].astype(np.uint8), kernel), bool)


def _pieces(mask: np.ndarray, *, connectivity: int) -> tuple[np.ndarray, np.ndarray]:
    """Label of every pixel, 0 outside of the mask, and area of every label."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(
        mask.astype(np.uint8), connectivity=connectivity
    )
    return labels, stats[:, cv2.CC_STAT_AREA]
