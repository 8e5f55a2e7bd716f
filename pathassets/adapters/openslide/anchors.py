"""Level -> the corners at which OpenSlide gives its pixels as they are stored.

OpenSlide takes the corner of a region as a level-0 point, a whole number. Where a level is not a
whole number of times smaller, that point falls between two pixels of it, and cairo interpolates: up
to 68 of 255 off in 22 % of the pixels of a level 2.002 times smaller. But at some points it falls
so near to a pixel that cairo, which knows 256 steps between two, moves nothing. A region is read
from such a point at its upper left, and cut: its pixels are the stored ones.

    4 times smaller        0 1 2 3 4 5 …               every pixel
    2.002 times smaller    0 1 499 500 501 999 …       some of every 500
    2.00002 times smaller  0 … 192, and none after     beyond reach: interpolated, and said so

Of Leica's slides OpenSlide cuts what is left of a pixel off, and so moves nothing, if the point is
not before its pixel: else it gives the pixel before.

Source: `paint_region` of OpenSlide's vendors; cairo-fixed-private.h, CAIRO_FIXED_FRAC_BITS.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from pathassets.core.slides.slide import SlideInfo

REACH_PX = 1024
"""So far left and above of a region its anchor may be: for a tile of 1024, 16 MB are read."""
CUTTING_VENDORS = frozenset({"leica"})
_STEP = 1 / 520
"""A little less than half the 1/256 of a pixel that cairo counts in, below which it moves nothing.

Measured on noise, over whole tiles: no pixel differs up to 1/512, from there on up to 1 of 255.
"""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Anchors:
    """The anchors of one level, along both axes."""

    are_all: bool
    """Whether each pixel is one; then the tables are empty."""
    x_px: np.ndarray
    """int64 (width,): the last anchor at or before each column."""
    y_px: np.ndarray
    """int64 (height,)."""

    @classmethod
    def of(cls, info: SlideInfo, level: int) -> Self:
        """Those of a level: 1 ms for 100,000 columns, nothing where all are.

        >>> from pathassets.core.slides.slide import MppAudit
        >>> info = SlideInfo(width_px0=9, height_px0=9, level_downsamples=(1.0, 3.25),
        ...     level_sizes_px=((9, 9), (9, 6)), vendor="", reader="", objective_power=None,
        ...     audit=MppAudit(sources=(), mpp=None))
        >>> Anchors.of(info, 1).x_px.tolist()
        [0, 0, 0, 0, 4, 4, 4, 4, 8]
        """
        downsample = info.level_downsamples[level]
        are_all = float(downsample).is_integer() or info.vendor in CUTTING_VENDORS
        width_px, height_px = (0, 0) if are_all else info.level_sizes_px[level]
        return cls(
            are_all=are_all, x_px=_anchors(width_px, downsample),
            y_px=_anchors(height_px, downsample),
        )  # fmt: skip

    @property
    def are_near(self) -> bool:
        """Whether each corner of tiles of `REACH_PX` has one within reach."""
        corners = (a[::REACH_PX] for a in (self.x_px, self.y_px))
        return all((np.arange(len(c)) * REACH_PX - c <= REACH_PX).all() for c in corners)

    def before(self, x_px: int, y_px: int) -> tuple[int, int]:
        """The anchor of a region's corner; that corner, where none is within reach."""
        if self.are_all:
            return x_px, y_px
        anchor_x_px, anchor_y_px = int(self.x_px[x_px]), int(self.y_px[y_px])
        return (
            anchor_x_px if x_px - anchor_x_px <= REACH_PX else x_px,
            anchor_y_px if y_px - anchor_y_px <= REACH_PX else y_px,
        )


def point_px0(info: SlideInfo, level: int, px: int) -> int:
    """The level-0 point, along an axis, at which OpenSlide is asked for a pixel of a level."""
    downsample = info.level_downsamples[level]
    nearest_px0 = round(px * downsample)
    is_before = info.vendor in CUTTING_VENDORS and nearest_px0 / downsample < px
    return nearest_px0 + is_before


def _anchors(length_px: int, downsample: float) -> np.ndarray:
    at_px = np.arange(length_px)
    off_px = np.abs(np.rint(at_px * downsample) / downsample - at_px)
    return np.maximum.accumulate(np.where(off_px < _STEP, at_px, 0))
