"""Squares on level 0 <-> what other tools say of them: magnifications, levels, micrometres.

A patch of `patch_px` pixels at a resolution covers `side_px0` whole level-0 pixels here. Tools that
say that side by itself get it; those that work it out again get numbers from which it follows, to
the pixel; where none do, what they would read is other pixels, and nothing is written.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pathassets.core.exchange.bags import Footprint

UM_OF_MAGNIFICATION = 10.0
"""Micrometres per pixel times magnification: 20x is 0.5 um. Source: TRIDENT, WSI.py."""
MAX_RELATIVE = 0.005
"""Share by which a level's patch may differ in resolution from the one that was encoded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Magnifications:
    """A footprint as TRIDENT says it: side_px0 = patch_px * level0 / target."""

    target: float
    level0: float


def magnifications_of(footprint: Footprint) -> Magnifications:
    """Say a footprint in magnifications; the side follows from them whole, floored or rounded.

    >>> of = magnifications_of(Footprint(patch_px=256, mpp=0.5, side_px0=467))
    >>> of.target, 256 * of.level0 // of.target
    (20.0, 467.0)
    """
    target = UM_OF_MAGNIFICATION / footprint.mpp
    level0 = footprint.side_px0 * target / footprint.patch_px
    while footprint.patch_px * level0 // target < footprint.side_px0:
        level0 = math.nextafter(level0, math.inf)
    return Magnifications(target=target, level0=level0)


def side_of(patch_px: float, level0: float, target: float) -> float:
    """Side in level-0 pixels of what TRIDENT says in magnifications; inverse of the above."""
    return patch_px * level0 / target


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelPatch:
    """A footprint as CLAM says it: so many pixels of a stored level."""

    level: int
    patch_px: int


def level_patch_of(
    footprint: Footprint, slide_mpp: float, level_downsamples: Sequence[float]
) -> LevelPatch | None:
    """Say a footprint in whole pixels of the coarsest level that can; None where none can.

    The level's pixels are the encoder's, or whole fractions of them, and the side is right to one
    level-0 pixel.

    >>> level_patch_of(Footprint(patch_px=256, mpp=0.5, side_px0=512), 0.25, (1.0, 4.0))
    LevelPatch(level=0, patch_px=512)
    >>> level_patch_of(Footprint(patch_px=256, mpp=0.5, side_px0=467), 0.2738, (1.0, 4.0)) is None
    True
    """
    wanted = footprint.mpp / slide_mpp
    for level, downsample in reversed(list(enumerate(level_downsamples))):
        times = round(wanted / downsample)
        patch_px = footprint.patch_px * times
        if (
            times >= 1
            and abs(times * downsample - wanted) <= MAX_RELATIVE * wanted
            and abs(patch_px * downsample - footprint.side_px0) < 1.0
        ):
            return LevelPatch(level=level, patch_px=patch_px)
    return None


def um_of(boxes_px0: np.ndarray, slide_mpp: float) -> np.ndarray:
    """Upper left corners in micrometres from the slide's corner, float32 (n, 2), as STAMP has them.

    Raises:
        ValueError: another pixel would be read from them.
    """
    corners_um = (boxes_px0[:, :2] * slide_mpp).astype(np.float32)
    if not np.array_equal(px0_of(corners_um, slide_mpp), boxes_px0[:, :2]):
        raise ValueError("a corner in float32 micrometres lies in another level-0 pixel")
    return corners_um


def px0_of(corners_um: np.ndarray, slide_mpp: float) -> np.ndarray:
    """Level-0 pixels, int64 (n, 2), nearest to corners in micrometres."""
    return np.rint(np.asarray(corners_um, np.float64) / slide_mpp).astype(np.int64)


def boxes_of(corners_px0: np.ndarray, side_px0: int) -> np.ndarray:
    """Squares, int64 (n, 4), from their upper left corners (n, 2)."""
    corners_px0 = np.asarray(corners_px0, np.int64).reshape(-1, 2)
    return np.concatenate([corners_px0, corners_px0 + side_px0], axis=1)
