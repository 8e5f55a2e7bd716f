"""Frames of a slide, and the way from one to the other.

There are three frames, and every number wears its own:

    px0     pixels of level 0, the finest; every stored coordinate
    px      pixels of the raster in hand: a level, a mask, a patch
    um      micrometres on the glass

`downsample` is always level-0 pixels per pixel here, a float: 2.00050555 is a real slide's. Points
are (x, y); arrays are (y, x, c).
"""

from __future__ import annotations

from collections.abc import Sequence

UM2_PER_MM2 = 1_000_000.0

LEVEL_TOLERANCE = 1.005
"""A level counts as fine enough when it is at most half a per cent coarser than asked.

Scanners store 2.0005 where 2 is meant: without it, half resolution would be read from level 0.
"""


def downsample_for(mpp: float, slide_mpp: float) -> float:
    """Level-0 pixels per pixel of a raster at `mpp`.

    >>> downsample_for(1.0, 0.25)
    4.0
    """
    return mpp / slide_mpp


def coarsest_level(level_downsamples: Sequence[float], downsample: float) -> int:
    """Find the coarsest level that is at least as fine as asked; level 0 where none is.

    >>> coarsest_level([1.0, 4.0001, 16.0], 8.0)
    1
    >>> coarsest_level([1.0, 4.0001, 16.0], 4.0)
    1
    >>> coarsest_level([1.0, 4.0], 0.5)
    0
    """
    fine = [i for i, have in enumerate(level_downsamples) if have <= downsample * LEVEL_TOLERANCE]
    return max(fine, key=lambda i: level_downsamples[i], default=0)


def mm2_of(n_px: int, downsample: float, slide_mpp: float) -> float:
    """Area on the glass of `n_px` pixels of a raster.

    >>> mm2_of(1_000_000, 2.0, 0.5)
    1.0
    """
    return n_px * (downsample * slide_mpp) ** 2 / UM2_PER_MM2
