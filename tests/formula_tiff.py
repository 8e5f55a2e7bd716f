"""A slide on disk whose every pixel can be told: 2048 x 1536, downsamples 1, 4 and 16, 0.5 um."""

from pathlib import Path

import numpy as np
import tifffile

WIDTH_PX0, HEIGHT_PX0 = 2048, 1536
DOWNSAMPLES = (1, 4, 16)
MPP = 0.5
TILE_PX = 256


def formula_pixels(level: int, x_px: np.ndarray, y_px: np.ndarray) -> np.ndarray:
    """RGB of pixels of a level, in its own coordinates; nothing of it is white."""
    blue = (((7 * x_px + 13 * y_px) >> 4) & 127) + 64 * level
    return np.stack([(x_px >> 3) & 255, (y_px >> 3) & 255, blue], axis=-1).astype(np.uint8)


def formula_level(level: int) -> np.ndarray:
    """All pixels of a level."""
    y, x = np.mgrid[: HEIGHT_PX0 // DOWNSAMPLES[level], : WIDTH_PX0 // DOWNSAMPLES[level]]
    return formula_pixels(level, x, y)


def formula_box(level: int, x_px: int, y_px: int, width_px: int, height_px: int) -> np.ndarray:
    """Any box of a level; white beyond it."""
    y, x = np.mgrid[y_px : y_px + height_px, x_px : x_px + width_px]
    rgb = formula_pixels(level, x, y)
    scale = DOWNSAMPLES[level]
    is_beyond = (x < 0) | (y < 0) | (x >= WIDTH_PX0 // scale) | (y >= HEIGHT_PX0 // scale)
    rgb[is_beyond] = 255
    return rgb


def write_formula_tiff(path: Path, *, mpp: float | None = MPP) -> Path:
    """Write it as a tiled TIFF, without loss."""
    with tifffile.TiffWriter(path) as file:
        for level, scale in enumerate(DOWNSAMPLES):
            said = {}
            if mpp is not None:
                said = {"resolution": (10_000 / (mpp * scale),) * 2, "resolutionunit": "CENTIMETER"}
            file.write(
                formula_level(level), tile=(TILE_PX, TILE_PX), photometric="rgb",
                compression="deflate", subfiletype=int(level > 0), metadata=None, **said,
            )  # fmt: skip
    return path
