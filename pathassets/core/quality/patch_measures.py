"""Pixels of a patch -> how sharp it is, and what colour its tissue has.

    focus      variance of the Laplacian of grey, on tissue alone (Pech-Pacheco et al. 2000,
               doi:10.1109/ICPR.2000.903548), in grey levels squared at the patch's resolution
    contrast   standard deviation of grey, on tissue alone
    od_*       mean optical density of tissue in red, green and blue
    stains     the same as amounts of haematoxylin and eosin (Ruifrok & Johnston 2001)

Focus compares patches of one resolution and one kind of tissue: it grows with pixel size, stain and
compression noise, and an even patch (mucus, fat, smooth stroma) has little of it however sharp it
is. A patch with little contrast and little focus is even; with contrast and without focus, blurred.

Pixels are counted in integers: the numbers are the same on any machine.
"""

from __future__ import annotations

import cv2
import numpy as np

from pathassets.core.features.colour_stats import EOSIN_OD, GLASS_LEVEL, HAEMATOXYLIN_OD, unmix
from pathassets.core.tissue.stain import OD_OF_LEVEL, OD_STEPS

MEASURES = (
    "focus",
    "contrast",
    "od_red",
    "od_green",
    "od_blue",
    "haematoxylin",
    "eosin",
    "glass_share",
)
"""What is measured of a patch's pixels, in this order."""
MIN_TISSUE_SHARE = 0.02
"""Part of a patch that is not glass, below which there is nothing to measure but its edge."""
_STAINS = np.array([unmix(HAEMATOXYLIN_OD, EOSIN_OD), unmix(EOSIN_OD, HAEMATOXYLIN_OD)])


def measure(batch: np.ndarray) -> np.ndarray:
    """Measure RGB uint8 (n, y, x, 3): float32 (n, len(MEASURES)). O(pixels).

    All but `glass_share` are NaN where a patch is as good as glass.
    """
    rows = [_measure_one(patch) for patch in batch]
    return np.array(rows, np.float32).reshape(len(rows), len(MEASURES))


def _measure_one(patch: np.ndarray) -> list[float]:
    channels = cv2.split(patch)
    darkest = cv2.min(cv2.min(channels[0], channels[1]), channels[2])
    tissue = np.less(darkest, GLASS_LEVEL).view(np.uint8)
    n_px = cv2.countNonZero(tissue)
    glass_share = 1 - n_px / tissue.size
    if n_px < MIN_TISSUE_SHARE * tissue.size:
        return [*[np.nan] * (len(MEASURES) - 1), glass_share]
    grey = cv2.cvtColor(patch, cv2.COLOR_RGB2GRAY)
    edges = cv2.Laplacian(grey, cv2.CV_16S, ksize=1)
    density = np.array([_density(channel, tissue, n_px) for channel in channels])
    stains = (_STAINS * density).sum(axis=1)
    focus, contrast = _variance(edges, tissue, n_px), _variance(grey, tissue, n_px) ** 0.5
    return [focus, contrast, *density.tolist(), *stains.tolist(), glass_share]


def _variance(values: np.ndarray, tissue: np.ndarray, n_px: int) -> float:
    """Variance of whole numbers where there is tissue; the sums are exact."""
    total = round(cv2.mean(values, tissue)[0] * n_px)
    of_squares = round(cv2.norm(values, cv2.NORM_L2SQR, tissue))
    return (n_px * of_squares - total * total) / n_px**2


def _density(channel: np.ndarray, tissue: np.ndarray, n_px: int) -> float:
    """Mean optical density of a channel where there is tissue."""
    counts = cv2.calcHist([channel], [0], tissue, [256], [0, 256]).ravel().astype(np.int64)
    return int(counts @ OD_OF_LEVEL.astype(np.int64)) / n_px / OD_STEPS
