"""Tiles -> rectangles of pixels: any region of a level, any overview of a slide.

Where a rectangle reaches beyond the level, it has the fill colour. That is decided by geometry,
never by what the pixels look like.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import cv2
import numpy as np

from pathassets.core.slides.resolution import (
    LevelChoice,
    Scales,
    choose_level,
    coarsest_level,
    downsample_of,
)
from pathassets.core.slides.slide import Slide, tile_error
from pathassets.core.slides.tiles import TileDamaged, TileFault, TileGrid
from pathassets.errors import SpecError

Rgb = tuple[int, int, int]
"""A colour, each part in 0..255."""
BoxPx = tuple[int, int, int, int]
"""x0, y0, x1, y1 in pixels of a level; the last two exclusive."""

WHITE: Rgb = (255, 255, 255)
BLOCK_PX = 2048
"""Side of the blocks an overview is read in."""
MAX_BLOCK_PX = 4096
"""Side up to which a block is made larger so that no tile is cut by it."""


def read_region(  # noqa: PLR0913 - a rectangle in two frames
    slide: Slide, x_px0: int, y_px0: int, *, width_px: int, height_px: int,
    level: int | None = None, mpp: float | None = None, fill: Rgb = WHITE,
) -> np.ndarray:  # fmt: skip
    """RGB uint8 (height_px, width_px, 3) of a level or at a resolution, corner at a level-0 point.

    Level 0 where neither is given. The corner is taken to the nearest whole pixel of the level that
    is read; at a resolution between levels, areas of the next finer one are averaged.

    Raises:
        SpecError: both are given, there is no such level, size or colour, or the slide's own mpp is
            not known.
        TileUnreadable: a tile of it cannot be read.
    """
    if width_px < 1 or height_px < 1:
        raise SpecError(f"region: {width_px} x {height_px} px is no size")
    if len(fill) != len(WHITE) or not all(0 <= part <= WHITE[0] for part in fill):
        raise SpecError(f"region: {fill} is no colour", remedy="Give three numbers of 0 to 255")
    choice = _choice(slide.info.scales, level, mpp)
    downsample = slide.info.level_downsamples[choice.level]
    x_px, y_px = round(x_px0 / downsample), round(y_px0 / downsample)
    right_px, bottom_px = x_px + choice.length_px(width_px), y_px + choice.length_px(height_px)
    region = read_box(slide, choice.level, (x_px, y_px, right_px, bottom_px), fill=fill)
    return resample(region, width_px=width_px, height_px=height_px)


def _choice(scales: Scales, level: int | None, mpp: float | None) -> LevelChoice:
    if level is not None and mpp is not None:
        raise SpecError("region: level and mpp are both given", remedy="Give one of them")
    if mpp is not None:
        return choose_level(scales.level_downsamples, downsample_of(mpp, "mpp", scales))
    downsample_of(level or 0, "level", scales)  # refuses a level that is none
    return LevelChoice(level=level or 0, scale=1.0)


def read_box(
    slide: Slide, level: int, box_px: BoxPx, *,
    fill: Rgb = WHITE, on_fault: Callable[[TileFault], None] | None = None,
) -> np.ndarray:  # fmt: skip
    """RGB uint8 (height, width, 3) of a box of a level.

    Each tile it touches is decoded once. `on_fault` is told of each tile that cannot be read, whose
    place then has the fill colour.

    Raises:
        TileUnreadable: a tile cannot be read, and there is no `on_fault`.
    """
    source = slide.tiles(level)
    x0, y0, x1, y1 = box_px
    region = np.empty((y1 - y0, x1 - x0, 3), np.uint8)
    inside = max(x0, 0), max(y0, 0), min(x1, source.grid.width_px), min(y1, source.grid.height_px)
    if inside != box_px:
        region[:] = fill
    for tile, (left, top, right, bottom) in _pieces(source.grid, inside):
        x_px, y_px = source.grid.corner_px(tile)
        place = region[top - y0 : bottom - y0, left - x0 : right - x0]
        try:
            rgb = source.read(tile)
        except TileDamaged as damage:
            fault = source.grid.fault(level, tile, damage)
            if on_fault is None:
                raise tile_error(slide.path, fault) from damage
            on_fault(fault)
            place[:] = fill
        else:
            place[:] = rgb[top - y_px : bottom - y_px, left - x_px : right - x_px]
    return region


def _pieces(grid: TileGrid, box_px: BoxPx) -> Iterator[tuple[int, BoxPx]]:
    """Tiles that a box inside the level touches, row by row, each with the part that it gives."""
    x0, y0, x1, y1 = box_px
    if x1 <= x0 or y1 <= y0:
        return
    for row in range(y0 // grid.tile_height_px, (y1 - 1) // grid.tile_height_px + 1):
        for column in range(x0 // grid.tile_width_px, (x1 - 1) // grid.tile_width_px + 1):
            x_px, y_px = column * grid.tile_width_px, row * grid.tile_height_px
            right, bottom = x_px + grid.tile_width_px, y_px + grid.tile_height_px
            part = max(x0, x_px), max(y0, y_px), min(x1, right), min(y1, bottom)
            yield row * grid.n_columns + column, part


def resample(
    region: np.ndarray, *, width_px: int, height_px: int, out: np.ndarray | None = None
) -> np.ndarray:
    """Bring a region, uint8 (y, x, 3), to another size, in `out` where that is given.

    Shrinking averages areas, which neither aliases nor blurs; enlarging is bilinear.
    """
    if out is None and region.shape[:2] == (height_px, width_px):
        return region
    shrinks = region.shape[0] >= height_px and region.shape[1] >= width_px
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(region, (width_px, height_px), dst=out, interpolation=how))


def shrink(block: np.ndarray, factor: int, out: np.ndarray | None = None) -> np.ndarray:
    """Average squares of `factor` pixels, uint8 (y, x, 3), rounding to nearest.

    A side shorter than that becomes one pixel. Written into `out` where that is given.
    """
    width_px, height_px = max(1, block.shape[1] // factor), max(1, block.shape[0] // factor)
    return resample(block, width_px=width_px, height_px=height_px, out=out)


def read_overview(
    slide: Slide, *, downsample: float, on_fault: Callable[[TileFault], None] | None = None
) -> tuple[np.ndarray, float]:
    """Read the whole slide at most `downsample` times smaller: RGB (y, x, 3), true downsample.

    The level nearest from above is reduced by a whole number, block by block: memory is bounded by
    the overview and one block of up to 4096 px. Pixels at the right and lower edge that fill no
    overview pixel are left out, but where the slide is narrower than one: that one is the mean of
    what is there. `on_fault` is told of each tile that cannot be read, whose place is white.

    Raises:
        TileUnreadable: the pixels of a block cannot be decoded, and there is no `on_fault`.
    """
    info = slide.info
    level = coarsest_level(info.level_downsamples, downsample)
    level_downsample = info.level_downsamples[level]
    factor = max(1, int(downsample / level_downsample + 1e-6))
    level_width_px, level_height_px = info.level_sizes_px[level]
    width_px, height_px = max(1, level_width_px // factor), max(1, level_height_px // factor)
    overview = np.empty((height_px, width_px, 3), np.uint8)
    grid = slide.tiles(level).grid
    rows, columns = _step(factor, grid.tile_height_px), _step(factor, grid.tile_width_px)
    for y in range(0, height_px, rows):
        for x in range(0, width_px, columns):
            bottom, right = min(y + rows, height_px), min(x + columns, width_px)
            box_px = (
                x * factor, y * factor,
                min(right * factor, level_width_px), min(bottom * factor, level_height_px),
            )  # fmt: skip
            block = read_box(slide, level, box_px, on_fault=on_fault)
            overview[y:bottom, x:right] = shrink(block, factor)
    return overview, level_downsample * factor


def _step(factor: int, tile_px: int) -> int:
    """Overview pixels of one block along an axis; where it can be, a whole number of tiles.

    >>> [_step(*size) for size in ((4, 256), (15, 240), (15, 256), (17, 256), (5000, 256))]
    [512, 128, 256, 120, 1]
    """
    whole_px = math.lcm(factor, tile_px)
    if whole_px > MAX_BLOCK_PX:
        return max(1, BLOCK_PX // factor)
    return whole_px // factor * max(1, BLOCK_PX // whole_px)
