"""Frames of a slide, and the way from one to the other.

There are three frames, and every number wears its own:

    px0     pixels of level 0, the finest; every stored coordinate
    px      pixels of the raster in hand: a level, a mask, a patch
    um      micrometres on the glass

Of slides with bounds (MIRAX, Leica, Ventana: glass that was not scanned is part of level 0) some
programs count px0 from the corner of the bounds: QuPath does. Such coordinates are brought to level
0 where they come in, and `Frame` says what they were.

`downsample` is always level-0 pixels per pixel here, a float: 2.00050555 is a real slide's. Points
are (x, y); arrays are (y, x, c).
"""

from __future__ import annotations

from typing import Literal

import numpy as np

Frame = Literal["level0", "bounds"]
"""From where level-0 pixels are counted: the corner of level 0, or that of the slide's bounds."""

UM2_PER_MM2 = 1_000_000.0


def mm2_of(n_px: int, downsample: float, slide_mpp: float) -> float:
    """Area on the glass of `n_px` pixels of a raster.

    >>> mm2_of(1_000_000, 2.0, 0.5)
    1.0
    """
    return n_px * (downsample * slide_mpp) ** 2 / UM2_PER_MM2


def whole_px0(place_px0: np.ndarray) -> np.ndarray:
    """The whole pixel that a place on one axis is taken to; places a pixel apart never share one.

    >>> whole_px0(np.array([127.5, 128.03, 128.5])).tolist()
    [128.0, 128.0, 129.0]
    """
    return np.asarray(np.floor(place_px0 + 0.5))
