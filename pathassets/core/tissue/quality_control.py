"""Overview pixels -> what is no tissue though it is dark or coloured, or cannot be judged.

Ink is told by its colour, against the stains of tissue (densities in red, green and blue):

    blue, by red    it takes 1.3 times as much red light as green, or more. Haematoxylin takes 0.93
                    times as much, eosin 0.07, DAB 0.47, fast red 0.25 (Ruifrok & Johnston 2001,
                    PMID 11531144)
    by blue         blue and violet-blue ink takes at most 0.36 times as much blue as red.
                    Haematoxylin takes 0.40 times as much or more; tissue of three slides 0.47
    navy            it takes more red than green, as the bluest haematoxylin does, but nearly all of
                    it, a density of 0.95, and is even, as no tissue is. Tissue of three slides
                    stays below 0.7 at 8 um per pixel
    green           as blue by red, and more blue than green
    black           it is dark and has no colour; where it is not quite black, it is even

What has the colour of a stain is not told, and stays tissue: red ink (blood, fast red, AEC and
ponceau take the same light), thin navy and grey ink, and what of a stroke lies over dense tissue.
Nor can ink be told from the blue and green dyes of Masson, Giemsa, Alcian blue, toluidine blue or
methyl green, nor black ink from silver: turn it off for those. `benchmarks/ink.py` prints how much
of drawn strokes is found, and how much tissue is lost.
"""

from __future__ import annotations

import cv2
import numpy as np

from pathassets.core.tissue.stain import OD_OF_LEVEL

GREEN_INK = (250, 100)
"""Green ink: least density in red, and least by which red's is over green's; in 1/1000."""
BLUE_INK = (400, 150)
"""Blue ink, likewise; and red's is 1.3 times green's: the bluest
haematoxylin is taken to stay below 1.2, which no slide here could show."""
INK_RATIO_PCT = 130
CLEAR_BLUE = (250, 36, 80)
"""Ink that lets blue through: least density in red, most percent of it in blue, least percent of
green's in red. Measured: tissue of three slides, of red over 0.3, has 47 % or more in blue; the
haematoxylin of vectors in use 40 to 84."""
_CLEAR_BLUE_OF_RED = np.array(
    [
        np.flatnonzero(OD_OF_LEVEL.astype(int) * 100 <= int(red) * CLEAR_BLUE[1])[0]
        for red in OD_OF_LEVEL
    ],
    np.uint8,
)
"""Least blue of such ink by its red, of 255."""
NAVY_INK = (950, 60, 105)
"""Navy, likewise, where it is even."""
INK_MAX_RED = 144
"""Red channel of the palest ink: a density of 0.25."""
EVEN_UM, EVEN_PCT = 40.0, 7
"""Side of the square, and at least 5 pixels, in which the density of even ink varies by so many
percent at most (a standard deviation). Measured: in tissue of a slide, of red over 0.5, 8.9 % at
the least and 27 % in the middle, at 8 um per pixel."""
EVEN_SHARE_PCT = 30
"""Least part of a stroke that is even: its rim is not, half of one of 0.1 mm."""
BLACK_INK = (50, 25)
"""Brightest channel of black ink, of 255, and most by which it is over the darkest.

Measured: the darkest folds and nuclei of four scanned slides and six generated ones are at 57 or
over, and purple.
"""
GREY_BLACK_INK = (100, 18)
"""The same of ink that is even: nuclei full of DAB have no colour either."""
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
    """Find strokes of green, blue, violet-blue and black ink on RGB uint8 (y, x, 3). O(pixels)."""
    red, green, blue = cv2.split(cv2.medianBlur(rgb, 3))
    is_ink, is_faint = _is_black(red, green, blue, *BLACK_INK), np.zeros(red.shape, bool)
    is_if_even = _is_black(red, green, blue, *GREY_BLACK_INK)
    # Few pixels of a slide can be coloured ink, and those alone are looked at further.
    can_be = (red <= INK_MAX_RED) & ((red < green) | (blue >= cv2.LUT(red, _CLEAR_BLUE_OF_RED)))
    min_px = MIN_INK_UM2 / mpp**2
    if np.count_nonzero(can_be) >= min_px:
        densities = (OD_OF_LEVEL[c[can_be]].astype(np.int32) for c in (red, green, blue))
        is_coloured, is_navy, touches = _judge_coloured(*densities)
        is_ink[can_be] |= is_coloured
        is_if_even[can_be] |= is_navy
        is_faint[can_be] |= touches
    if np.count_nonzero(is_if_even) >= min_px:
        is_ink |= _even_pieces(is_if_even, rgb, mpp)
    return _grown(is_ink, is_ink | is_faint, min_px, INK_RIM_UM / mpp)


def _is_black(
    red: np.ndarray, green: np.ndarray, blue: np.ndarray, most: int, most_spread: int
) -> np.ndarray:
    """Which pixels are dark and have no colour."""
    brightest = cv2.max(cv2.max(red, green), blue)
    spread = cv2.subtract(brightest, cv2.min(cv2.min(red, green), blue))
    return np.asarray((brightest <= most) & (spread <= most_spread))


def _judge_coloured(
    red: np.ndarray, green: np.ndarray, blue: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which densities are ink's, which are if it is even, and which are where they touch it."""
    over, percent = red - green, red * 100
    is_green = (red >= GREEN_INK[0]) & (over >= GREEN_INK[1]) & (blue >= green)
    is_blue = (red >= BLUE_INK[0]) & (over >= BLUE_INK[1])
    is_ink = (is_green | is_blue) & (percent >= green * INK_RATIO_PCT)
    least, most_blue, least_red = CLEAR_BLUE
    is_clear = (blue * 100 <= red * most_blue) & (percent >= green * least_red)
    is_ink |= (red >= least) & is_clear
    least, most_blue, least_red = NAVY_INK
    is_navy = (blue * 100 <= red * most_blue) & (percent >= green * least_red)
    is_faint = (red >= FAINT_INK[0]) & (percent >= green * FAINT_INK[1])
    return is_ink, (red >= least) & is_navy, is_faint


def _even_pieces(mask: np.ndarray, rgb: np.ndarray, mpp: float) -> np.ndarray:
    """The pieces of a mask of which enough hardly varies: not their rims."""
    labels, areas_px = _pieces(mask, connectivity=8)
    n_even = np.bincount(labels[mask & _is_even(rgb, mpp)], minlength=len(areas_px))
    return np.asarray(mask & (n_even * 100 >= areas_px * EVEN_SHARE_PCT)[labels])


def _is_even(rgb: np.ndarray, mpp: float) -> np.ndarray:
    """Where the density in red hardly varies, bool (y, x)."""
    density = np.asarray(cv2.LUT(rgb[..., 0], OD_OF_LEVEL))
    window = (max(5, 2 * int(EVEN_UM / mpp / 2) + 1),) * 2
    inside = np.ones(density.shape, np.uint8)
    n, total = _summed(inside, window), _summed(density, window)
    variance = n * _summed(density, window, of_squares=True) - total * total
    return np.asarray(variance * 100**2 <= EVEN_PCT**2 * total * total)


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
