"""Pixels -> whether their colours are those of another colour space, which no decoder notices.

Where a file says RGB of planes that are luminance and two of colour, or the other way round, all
pixels are decoded without an error, and are wrong: glass is coral, or magenta.

    planes taken for RGB    all of them are colours when taken for luminance and colour, and the
                            second and third plane hardly change, or are 128 where it is bright
    RGB taken for planes    glass is (255, 120, 255)

Of drawn pictures in 19 stains, fluorescence and bare glass, and of real slides, 11 % of the pixels
or more are no colours when taken for luminance and colour, for white, black and dark dyes are none;
of planes 0.0 % are not.
"""

from __future__ import annotations

import numpy as np

SLACK = 16
"""Steps beyond 0 and 255 that rounding, lossy coding and shared colours lead to."""
MAX_BEYOND_SHARE = 0.005
"""Of planes, share of the pixels that may be no colours all the same."""
QUIET = (0.5, 0.6)
"""Standard deviation of the second and third plane by that of the first: below both in planes."""
MIN_SPREAD = 15.0
"""Standard deviation of the first below which there is no picture to judge by."""
GREY_SLACK, GREY_FROM, MIN_GREY_SHARE = 10, 70, 0.2
"""Grey as planes is (y, 128, 128): how near to it, how far from middle grey, how much of it."""
_MAGENTA_GLASS = (250, 256), (100, 141), (250, 256)
MIN_MAGENTA_SHARE = 0.2


def are_planes(rgb: np.ndarray) -> bool:
    """Whether RGB uint8 (..., 3), some thousand pixels, are luminance and two planes of colour.

    >>> glass, planes = np.full((64, 3), 240, np.uint8), np.full((64, 3), [240, 128, 128], np.uint8)
    >>> are_planes(glass), are_planes(planes)
    (False, True)
    """
    pixels = rgb.reshape(-1, 3).astype(np.float32)
    if beyond_gamut(pixels).mean() > MAX_BEYOND_SHARE:
        return False
    luminance, blue, red = np.moveaxis(pixels, -1, 0)
    spread = pixels.std(axis=0)
    is_quiet = all(spread[i + 1] <= share * spread[0] for i, share in enumerate(QUIET))
    grey = (
        (np.abs(blue - 128) <= GREY_SLACK)
        & (np.abs(red - 128) <= GREY_SLACK)
        & (np.abs(luminance - 128) >= GREY_FROM)
    )
    return bool((is_quiet and spread[0] >= MIN_SPREAD) or grey.mean() >= MIN_GREY_SHARE)


def is_magenta(rgb: np.ndarray) -> bool:
    """Whether the glass of RGB uint8 (..., 3) has the one colour that white planes would be given.

    >>> is_magenta(np.full((64, 3), [255, 121, 255], np.uint8))
    True
    """
    low, high = np.array(_MAGENTA_GLASS).T
    pixels = rgb.reshape(-1, 3)
    return bool(((pixels >= low) & (pixels < high)).all(axis=-1).mean() >= MIN_MAGENTA_SHARE)


def beyond_gamut(planes: np.ndarray, slack: int = SLACK) -> np.ndarray:
    """Which pixels, float (..., 3), are no colours when taken for YCbCr: bool (...).

    White and black taken for YCbCr are far outside of RGB.

    >>> beyond_gamut(np.float32([[255, 255, 255], [0, 0, 0], [240, 128, 128]])).tolist()
    [True, True, False]
    """
    y, blue, red = np.moveaxis(planes, -1, 0)
    blue, red = blue - 128, red - 128
    parts = y + 1.402 * red, y - 0.34414 * blue - 0.71414 * red, y + 1.772 * blue
    low, high = np.minimum.reduce(parts), np.maximum.reduce(parts)
    return np.asarray((low < -slack) | (high > 255 + slack))
