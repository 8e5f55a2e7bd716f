"""Slides with the levels that a scanner writes, of tissue that is repeated, no two files alike."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import tifffile
from read import QUALITY, paint_tissue

TILE_PX = 256
SHRINKS = (1, 4, 16)
"""Level-0 pixels per pixel of each level, as Aperio has them."""

Sides = tuple[tuple[int, int], ...]
"""Width and height of slides, by turns."""


class Slides:
    """Slides in a folder, which are written as they are asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._tissue = paint_tissue()

    def some(self, n: int, sides_px: Sides) -> list[str]:
        """Paths of `n` slides of these sides, by turns."""
        return [self._one(number, *sides_px[number % len(sides_px)]) for number in range(n)]

    def _one(self, number: int, width_px: int, height_px: int) -> str:
        first = self._folder / f"{width_px}x{height_px}.svs"
        if not first.exists():
            write_pyramid_slide(first, self._tissue, width_px, height_px)
        path = self._folder / f"{width_px}x{height_px}_{number}.svs"
        if not path.exists():
            shutil.copyfile(first, path)
            with path.open("ab") as file:  # behind all tiles: another file, and the same pixels
                file.write(b"%16d" % number)
        return str(path)


def write_pyramid_slide(path: Path, tissue: np.ndarray, width_px: int, height_px: int) -> None:
    """Write a slide of JPEG tiles, 4:2:0, at 0.25 um per pixel, as Aperio does."""
    said = f"Aperio Image Library\r\n{width_px}x{height_px}|AppMag = 40|MPP = 0.25"
    with tifffile.TiffWriter(path, bigtiff=True) as file:
        for shrink in SHRINKS:
            shape = -(-height_px // shrink), -(-width_px // shrink), 3
            file.write(
                _jpegs(_level(tissue, width_px, height_px, shrink)),
                shape=shape, dtype=np.uint8, tile=(TILE_PX, TILE_PX), photometric="ycbcr",
                subsampling=(2, 2), compression="jpeg", metadata=None, description=said,
            )  # fmt: skip


def _level(tissue: np.ndarray, width_px: int, height_px: int, shrink: int) -> np.ndarray:
    """RGB uint8 (y, x, 3), whole tiles: the tissue again and again, each row of them moved on."""
    side_px = 2880 // shrink
    piece = cv2.resize(tissue[:2880, :2880], (side_px, side_px), interpolation=cv2.INTER_AREA)
    n_down, n_across = -(-height_px // 2880) + 1, -(-width_px // 2880) + 1
    rows = [np.roll(np.tile(piece, (1, n_across, 1)), row * side_px // 3, 1) for row in
            range(n_down)]  # fmt: skip
    height, width = (-(-side // (TILE_PX * shrink)) * TILE_PX for side in (height_px, width_px))
    whole = np.concatenate(rows)
    return np.pad(whole, ((0, max(0, height - len(whole))), (0, max(0, width - whole.shape[1])),
                          (0, 0)), mode="wrap")[:height, :width]  # fmt: skip


def _jpegs(level: np.ndarray) -> Iterator[bytes]:
    """Tile by tile, row by row."""
    encode = [cv2.IMWRITE_JPEG_QUALITY, QUALITY]
    for y in range(0, level.shape[0], TILE_PX):
        for x in range(0, level.shape[1], TILE_PX):
            tile = level[y : y + TILE_PX, x : x + TILE_PX, ::-1]
            yield bytes(cv2.imencode(".jpg", tile, encode)[1])
