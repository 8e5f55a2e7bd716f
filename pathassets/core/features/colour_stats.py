"""Patch -> 25 colour statistics: what a patch looks like, without a model.

Pixels are counted in integers, and only the last formula of a feature is floating point: Python's
own IEEE arithmetic, in one order. No BLAS, and no sum whose order depends on the processor: the
features have the same bytes on any machine.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import cv2
import numpy as np

from pathassets.core.features.encoder import COLOUR_STATS_CARD, EncoderCard, check_batch
from pathassets.errors import EncoderError

Rgb = tuple[float, float, float]

HAEMATOXYLIN_OD: Rgb = (0.650, 0.704, 0.286)
"""Optical density of haematoxylin in red, green and blue.

Source: Ruifrok & Johnston 2001, Quantification of histochemical staining by color deconvolution,
Anal Quant Cytol Histol 23(4):291-299 (PMID 11531144).
"""
EOSIN_OD: Rgb = (0.072, 0.990, 0.105)
"""Likewise of eosin."""

OD_STEPS = 1024
"""Integer steps per unit of optical density; one grey level near white is 1.7 steps."""
WHITE_LEVEL = 255
"""Light that passes clear glass; a level of 0 counts as 1, the darkest that has a density."""
GLASS_LEVEL = 220
"""A pixel is glass when each channel is at least this bright.

Source: the threshold below which Macenko et al. 2009 (doi:10.1109/ISBI.2009.5193250) call a pixel
transparent, an optical density of 0.15 in natural logarithms: 255 exp(-0.15) = 219.5.
"""
MAX_PX = 1 << 24
"""Pixels of a patch (4096 x 4096). int64 is safe: a concentration stays below 4.9 OD, so the cubes
of a patch sum to at most (4.9 * 1024)^3 * 2^24 = 2.1e18, and 9.2e18 fit."""

PERCENTS = (5, 50, 95)


class ColourStats:
    """Colour statistics of patches.

    Per channel, in grey levels: mean, standard deviation, skewness, and three percentiles; per
    stain, in optical density: mean, standard deviation, skewness; and the share of glass. Mean and
    deviation tell stain strength and scanner, skewness tells nuclei on a pale ground from an even
    smear, percentiles tell clipping and fading, and pen shows as a channel or a stain below zero.
    """

    @property
    def card(self) -> EncoderCard:
        """What it is."""
        return COLOUR_STATS_CARD

    @property
    def rows(self) -> int:
        """Patches in one pass: any number costs the same a patch."""
        return 64

    def begin(self, batch: np.ndarray) -> Callable[[], np.ndarray]:
        """Encode at once: there is no device to wait for."""
        features = self.encode(batch)
        return lambda: features

    def encode(self, batch: np.ndarray) -> np.ndarray:
        """Describe RGB uint8 (n, y, x, 3) as float32 (n, 25).

        Raises:
            EncoderError: the batch is no such array, or a patch has over 2^24 pixels.
        """
        check_batch(self.card, batch)
        _, height_px, width_px, _ = batch.shape
        if height_px * width_px > MAX_PX:
            raise EncoderError(
                self.card.name,
                f"takes patches of at most {MAX_PX} pixels, got {width_px} x {height_px} px",
                remedy="Lay smaller patches.",
            )
        rows = [_describe(patch) for patch in batch]
        return np.array(rows, dtype=np.float32).reshape(len(rows), len(self.card.feature_names))


def _describe(patch: np.ndarray) -> list[float]:
    """Compute the features of one patch, in the order of the card's names."""
    channels = [np.ascontiguousarray(patch[..., c]) for c in range(3)]
    features: list[float] = []
    for channel in channels:
        counts = np.bincount(channel.ravel(), minlength=256)
        features += [*find_moments(counts), *find_percentiles(counts)]
    for lut, least in _STAINS:
        counts = np.bincount(_sum_steps(channels, lut).ravel())
        mean, deviation, skewness = find_moments(counts, least)
        features += [mean / OD_STEPS, deviation / OD_STEPS, skewness]
    darkest = np.minimum(np.minimum(channels[0], channels[1]), channels[2])
    return [*features, int(np.count_nonzero(darkest >= GLASS_LEVEL)) / darkest.size]


def find_moments(counts: np.ndarray, least: int = 0) -> tuple[float, float, float]:
    """Find mean, standard deviation (of the population) and skewness of counted integers.

    `counts[i]` is how often the value `least + i` was seen. The sums are exact, the numerators
    Python integers: each result is a few correctly rounded operations from the truth. A constant
    has a skewness of 0.

    >>> find_moments(np.array([3, 0, 0, 0, 1]))
    (1.0, 1.7320508075688772, 1.1547005383792515)
    >>> find_moments(np.array([0, 0, 5]), least=-2)
    (0.0, 0.0, 0.0)
    """
    values = np.arange(least, least + counts.size, dtype=np.int64)
    weighted = counts * values
    n, s1 = int(counts.sum()), int(weighted.sum())
    s2, s3 = int((weighted * values).sum()), int((weighted * values * values).sum())
    variance_n2 = n * s2 - s1 * s1
    if variance_n2 == 0:
        return s1 / n, 0.0, 0.0
    root = math.sqrt(variance_n2)
    third_n3 = n * n * s3 - 3 * n * s1 * s2 + 2 * s1**3
    return s1 / n, root / n, third_n3 / (variance_n2 * root)


def find_percentiles(counts: np.ndarray) -> list[float]:
    """Find the 5th, 50th and 95th percentile by nearest rank: always a value that was seen.

    >>> find_percentiles(np.array([5, 45, 49, 1]))
    [0.0, 1.0, 2.0]
    """
    cumulated = np.cumsum(counts)
    ranks = [-(-int(cumulated[-1]) * percent // 100) for percent in PERCENTS]
    return [float(i) for i in np.searchsorted(cumulated, ranks)]


def _sum_steps(channels: list[np.ndarray], lut: np.ndarray) -> np.ndarray:
    """Concentration of each pixel in steps above the stain's least, int16 (y, x).

    Added up in place: with three int32 arrays of 256 KB the allocator asks the system each time,
    0.9 CPU-ms per patch of 256 px where this takes 0.2.
    """
    steps: np.ndarray = cv2.LUT(channels[0], lut[0])
    steps += cv2.LUT(channels[1], lut[1])
    steps += cv2.LUT(channels[2], lut[2])
    return steps


def unmix(stain: Rgb, other: Rgb) -> Rgb:
    """Find the weights of red, green and blue density that add up to the stain's concentration.

    It is the stain's column of the inverse of the matrix whose rows are the unit vectors of the
    stain, of the other one, and of the residual at right angles to both (Ruifrok & Johnston 2001).

    >>> unmix((2.0, 0.0, 0.0), (1.0, 1.0, 0.0))
    (1.0, -1.0, 0.0)
    """
    stain, other = _unit(stain), _unit(other)
    across = _cross(other, _cross(stain, other))
    scale = sum(a * b for a, b in zip(stain, across, strict=True))
    return (across[0] / scale, across[1] / scale, across[2] / scale)


def _unit(v: Rgb) -> Rgb:
    length = math.sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2])
    return (v[0] / length, v[1] / length, v[2] / length)


def _cross(a: Rgb, b: Rgb) -> Rgb:
    return (
        a[1] * b[2] - a[2] * b[1],
        a[2] * b[0] - a[0] * b[2],
        a[0] * b[1] - a[1] * b[0],
    )


def _lay_lut(weights: Rgb) -> tuple[np.ndarray, int]:
    """Tabulate weight x optical density in steps: int16 (3, 256) from 0 up, and what 0 stands for.

    log10 may differ by its last bit between machines. The table does not: no entry is nearer to
    a rounding tie than 5e-4 steps (held by a test), and that bit is worth 1e-12.
    """
    density = [-math.log10(max(level, 1) / WHITE_LEVEL) for level in range(256)]
    lut = np.array([[round(OD_STEPS * w * od) for od in density] for w in weights], dtype=np.int16)
    least = lut.min(axis=1)
    return lut - least[:, np.newaxis], int(least.sum())


_STAINS = tuple(
    _lay_lut(unmix(stain, other))
    for stain, other in ((HAEMATOXYLIN_OD, EOSIN_OD), (EOSIN_OD, HAEMATOXYLIN_OD))
)
