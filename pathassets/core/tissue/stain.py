"""Overview pixels -> which of them are stained: four ways, and the glass they are told from.

All but `otsu` measure from the glass of the slide itself, so a tint or a dim lamp is no stain.
Arithmetic is of integers and tables: the result does not depend on the machine.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import cv2
import numpy as np

StainMethod = Literal["otsu", "lab", "hsv", "luminance"]

OD_STEPS = 1000
"""Steps of a table per unit of optical density (decimal)."""
OD_OF_LEVEL = np.array(
    [round(-OD_STEPS * math.log10(max(level, 1) / 255)) for level in range(256)], np.int16
)
"""Optical density of a grey level, in steps; 0 counts as 1, the darkest that has one."""
OD_PCT_OF_LEVEL = (OD_OF_LEVEL // 10).astype(np.uint8)
"""The same in hundredths, as fine as Otsu's 256 bins allow."""
NEUTRAL_LAB = (255, 128, 128)
"""White in OpenCV's 8-bit Lab: L* times 2.55, a* and b* plus 128."""

LEVELS = np.arange(256)
MIN_GLASS_VALUE = 128
"""Brightest channel of glass, at least, of 255: black has no colour either."""
MIN_COLOUR = 8
"""Distance from the glass in L*a*b*, from which a pixel is stained.

Measured: glass of 13 overviews stays below 6; tissue of saturation 41 of 255 is 17 away.
"""
SHADE_SHARE = 8
"""Of how many steps of L, of 255, one counts as a step of colour: a grey veil of 25 % is glass."""
MIN_SHADE = 60
"""Optical density above that of the glass, in steps, from which a pixel is dark: a loss of 13 %.

Of a field lit unevenly the rim may lose 5 %.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class StainLimits:
    """What is stained, in numbers of 255, and how wide the median filter before it is."""

    min_saturation: int
    max_glass_saturation: int
    min_value: int
    max_value: int
    smooth_px: int


def find_stained(
    rgb: np.ndarray, is_seen: np.ndarray, method: StainMethod, limits: StainLimits
) -> np.ndarray:
    """Tell stained pixels of RGB uint8 (y, x, 3) from glass, bool (y, x). O(pixels).

    Only pixels that `is_seen` are judged, and what glass looks like is learned from those alone.
    """
    if not is_seen.any():
        return np.zeros_like(is_seen)
    return np.asarray(_METHODS[method](_Field(rgb, is_seen, limits)) & is_seen)


class _Field:
    """An overview, what may be seen of it, and which part of that is glass."""

    def __init__(self, rgb: np.ndarray, is_seen: np.ndarray, limits: StainLimits) -> None:
        self.rgb, self.limits = rgb, limits
        self._is_seen, self._sees_all = is_seen, bool(is_seen.all())
        _, saturation, value = cv2.split(cv2.cvtColor(rgb, cv2.COLOR_RGB2HSV))
        self.saturation, self.value = self.smooth(saturation), np.asarray(value)

    def smooth(self, channels: np.ndarray) -> np.ndarray:
        """Apply the median filter."""
        return np.asarray(cv2.medianBlur(channels, self.limits.smooth_px))

    def seen(self, channel: np.ndarray) -> np.ndarray:
        """Pixels of a channel that may be seen, in any order."""
        return channel if self._sees_all else channel[self._is_seen]

    @cached_property
    def pale(self) -> np.ndarray:
        """uint8 (y, x): bright, and below Otsu's threshold; all of it, if it is of one colour."""
        seen = self.seen(self.saturation)
        is_pale = self.saturation <= max(otsu_of(seen), int(seen.min()))
        is_pale &= self.value >= MIN_GLASS_VALUE
        return np.asarray(is_pale if self._sees_all else is_pale & self._is_seen).view(np.uint8)

    @cached_property
    def has_glass(self) -> bool:
        """Whether the paler part is as pale as glass: else all of it is tissue."""
        counts = _counts(self.saturation, self.pale)
        n = counts.sum()
        return bool(n) and float(counts @ LEVELS) <= self.limits.max_glass_saturation * float(n)

    def glass(self, channel: np.ndarray, without: int) -> int:
        """Median of a channel on the glass; `without` where there is no glass."""
        if not self.has_glass:
            return without
        counts = _counts(channel, self.pale)
        return int(np.searchsorted(counts.cumsum() * 2, counts.sum()))


def _counts(channel: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """How many pixels of a mask have each level, int64 (256,)."""
    counts = cv2.calcHist([channel], [0], mask, [256], [0, 256])
    return np.asarray(counts).ravel().astype(np.int64)


def otsu_of(levels: np.ndarray) -> int:
    """Otsu's threshold of uint8: what is above it is the brighter class."""
    threshold, _ = cv2.threshold(levels.reshape(1, -1), 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    return int(threshold)


def _by_otsu(field: _Field) -> np.ndarray:
    """Saturation above Otsu's threshold."""
    saturation, floor = field.saturation, field.limits.min_saturation
    seen = field.seen(saturation)
    otsu = otsu_of(seen)
    below = seen[seen <= otsu]
    has_glass = below.size > 0 and float(below.mean()) <= field.limits.max_glass_saturation
    return np.asarray(saturation > (max(otsu, floor) if has_glass else floor))


def _by_hsv(field: _Field) -> np.ndarray:
    """Saturation above the glass's by the floor, value within its window."""
    limits = field.limits
    value = field.smooth(field.value)
    glass = field.glass(field.saturation, without=0)
    is_lit = (value >= limits.min_value) & (value <= limits.max_value)
    return np.asarray(is_lit & (field.saturation > glass + limits.min_saturation))


def _by_lab(field: _Field) -> np.ndarray:
    """Distance of a* and b* from the glass's, and an eighth of how much darker it is."""
    lab = field.smooth(cv2.cvtColor(field.rgb, cv2.COLOR_RGB2LAB))
    light, a, b = (
        lab[..., i].astype(np.int32) - field.glass(lab[..., i], without=NEUTRAL_LAB[i])
        for i in range(3)
    )
    # Of colour + shade / 8 > 8, squared: whole numbers.
    left = np.maximum(MIN_COLOUR * SHADE_SHARE - np.maximum(-light, 0), -1)
    return np.asarray((left < 0) | (SHADE_SHARE**2 * (a * a + b * b) > left * left))


def _by_luminance(field: _Field) -> np.ndarray:
    """Optical density of grey above Otsu's threshold, and above the glass's by the floor."""
    grey = field.smooth(cv2.cvtColor(field.rgb, cv2.COLOR_RGB2GRAY))
    density = np.asarray(cv2.LUT(grey, OD_OF_LEVEL))
    floor = int(OD_OF_LEVEL[field.glass(grey, without=255)]) + MIN_SHADE
    if not field.has_glass:
        return np.asarray(density > floor)
    otsu = otsu_of(cv2.LUT(field.seen(grey), OD_PCT_OF_LEVEL))
    return np.asarray((density > floor) & (cv2.LUT(grey, OD_PCT_OF_LEVEL) > otsu))


_METHODS: dict[StainMethod, Callable[[_Field], np.ndarray]] = {
    "otsu": _by_otsu,
    "hsv": _by_hsv,
    "lab": _by_lab,
    "luminance": _by_luminance,
}
