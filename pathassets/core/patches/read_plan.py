"""PatchLocations -> how their pixels are read: which level, which tiles in which order.

    location px0 ──▶ square in level px ──▶ square in raster px ──▶ patch
                                            (the level, or the level
                                             shrunk tile by tile)

A raster is what tiles are decoded to: the level itself; the level shrunk by 2, 4 or 8 in the JPEG
decoder (`fast`); or the level shrunk by areas, where squares and tiles lie on whole pixels of the
result, so that shrinking first gives the very bytes of shrinking last, for a quarter of the moving.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from pydantic.dataclasses import dataclass as spec_dataclass

from pathassets.core import display
from pathassets.core.locations.locations import PatchLocations
from pathassets.core.slides.bad_tiles import BadTilePolicy
from pathassets.core.slides.resolution import choose_level, shrink_of
from pathassets.core.slides.slide import SlideInfo
from pathassets.core.slides.tiles import TileGrid, TileSource, TileTouches, find_touches
from pathassets.core.spec import STRICT

CODE_VERSION = "3"
"""Part of the identity of whatever is made from patch pixels."""


@spec_dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class ReadSpec(BadTilePolicy):
    """How patch pixels are read, and what becomes of patches that cannot be read whole."""

    fast: bool = False
    """Let the JPEG decoder shrink by 2, 4 or 8, where it can; else areas are averaged exactly."""

    def __repr__(self) -> str:
        return display.spec_line(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchRead:
    """How the pixels of one set of equal patches are read."""

    level: int
    side_px: int
    """Side of the square that is read, in pixels of the level."""
    patch_px: int
    """Side of the patch it becomes."""
    is_upsampled: bool
    """Whether the slide has fewer pixels than the patch asks for, beyond the tolerance."""
    shrink: int
    """How far the decoder may shrink by itself, with `fast`."""


def plan_read(
    locations: PatchLocations, level_downsamples: tuple[float, ...], *, fast: bool = False
) -> PatchRead:
    """Choose the level asked for, or the coarsest that has all the detail asked for."""
    if locations.level is not None:
        return PatchRead(
            level=locations.level, side_px=locations.patch_px, patch_px=locations.patch_px,
            is_upsampled=False, shrink=1,
        )  # fmt: skip
    choice = choose_level(level_downsamples, locations.side_px0 / locations.patch_px)
    return PatchRead(
        level=choice.level,
        side_px=max(1, round(locations.side_px0 / level_downsamples[choice.level])),
        patch_px=locations.patch_px,
        is_upsampled=choice.is_upsampled,
        shrink=shrink_of(choice.scale) if fast else 1,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Raster:
    """What the tiles of a level are decoded to, and where the squares lie on it."""

    grid: TileGrid
    """The level's tiles, in raster pixels."""
    width_px: int
    """Raster pixels that are of the level alone; what tiles have beyond is never looked at."""
    height_px: int
    decode_shrink: int
    """How far the decoder shrinks a tile."""
    area_shrink: int
    """How far a decoded tile is shrunk by areas."""
    x_px: np.ndarray
    """int64 (n,): left edges of the squares, in raster pixels."""
    y_px: np.ndarray
    side_px: int
    """Side of the squares in raster pixels; patches of another side are resampled from them."""

    @property
    def is_cut(self) -> np.ndarray:
        """Which squares, bool (n,), reach beyond the level."""
        return np.asarray(
            (self.x_px < 0)
            | (self.y_px < 0)
            | (self.x_px + self.side_px > self.width_px)
            | (self.y_px + self.side_px > self.height_px)
        )

    def near_together(self) -> np.ndarray:
        """int64 (n,): an order of the squares in which neighbours follow each other, in rows."""
        row = self.y_px // max(self.side_px, self.grid.tile_height_px)
        return np.lexsort((self.y_px, self.x_px, row))


def lay_raster(
    locations: PatchLocations, info: SlideInfo, read: PatchRead, source: TileSource
) -> Raster:
    """Lay the squares of all locations on the raster they are read from."""
    downsample = info.level_downsamples[read.level]
    x_px = np.rint(locations.x_px0 / downsample).astype(np.int64)
    y_px = np.rint(locations.y_px0 / downsample).astype(np.int64)
    grid = source.grid
    decode_shrink = 1
    if source.can_shrink:  # to whole pixels, or tiles would not lie side by side
        decode_shrink = math.gcd(read.shrink, grid.tile_width_px, grid.tile_height_px)
    area_shrink = 1 if decode_shrink > 1 else _area_shrink(read, grid, x_px, y_px)
    raster_grid = _shrunk(grid, decode_shrink * area_shrink)
    side_px = max(1, round(read.side_px / (decode_shrink * area_shrink)))
    width_px, height_px = raster_grid.width_px, raster_grid.height_px
    if decode_shrink > 1:  # in what is left at the edge, the decoder mixes what is beyond it
        width_px = max(1, grid.width_px // decode_shrink)
        height_px = max(1, grid.height_px // decode_shrink)
        x_px = _onto(x_px, read, decode_shrink, grid.width_px)
        y_px = _onto(y_px, read, decode_shrink, grid.height_px)
    return Raster(
        grid=raster_grid, width_px=width_px, height_px=height_px,
        decode_shrink=decode_shrink, area_shrink=area_shrink,
        x_px=x_px // area_shrink, y_px=y_px // area_shrink, side_px=side_px,
    )  # fmt: skip


def _onto(start_px: np.ndarray, read: PatchRead, shrink: int, length_px: int) -> np.ndarray:
    """Starts of squares on a raster shrunk by the decoder; who was inside the level stays so."""
    raster_px = np.rint(start_px / shrink).astype(np.int64)
    last_px = max(0, length_px // shrink - max(1, round(read.side_px / shrink)))
    is_inside = start_px + read.side_px <= length_px
    return np.where(is_inside, np.minimum(raster_px, last_px), raster_px)


def _area_shrink(read: PatchRead, grid: TileGrid, x_px: np.ndarray, y_px: np.ndarray) -> int:
    """The factor by which whole tiles can be shrunk before they are cut, without a difference."""
    factor, rest = divmod(read.side_px, read.patch_px)
    tile_rest = (grid.tile_width_px % factor, grid.tile_height_px % factor) if factor else (0, 0)
    if rest or factor < 2 or any(tile_rest):  # noqa: PLR2004
        return 1
    is_whole = not (x_px % factor).any() and not (y_px % factor).any()
    return factor if is_whole else 1


def _shrunk(grid: TileGrid, shrink: int) -> TileGrid:
    return TileGrid(
        width_px=-(-grid.width_px // shrink),
        height_px=-(-grid.height_px // shrink),
        tile_width_px=grid.tile_width_px // shrink,
        tile_height_px=grid.tile_height_px // shrink,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """The tiles that squares touch, in the order in which they are read.

    Tiles come in the order of the first square that touches them: squares are complete as early as
    can be, so few are begun and not complete, whatever way they run over the slide.
    """

    tiles: np.ndarray
    """int64 (t,)."""
    starts: np.ndarray
    """int64 (t + 1,): squares of the i-th tile are `squares[starts[i]:starts[i + 1]]`."""
    squares: np.ndarray
    """int64 (k,): indices into the raster's squares."""
    n_tiles: np.ndarray
    """int64 (n,): how many tiles each square touches."""
    first: np.ndarray
    """int64 (n,): place in the order of the first tile that each touches; t where it has none."""
    last: np.ndarray
    """int64 (n,): place of the last one, -1 where it has none."""


def order_tiles(touches: TileTouches) -> Pass:
    """Bring the tiles into the order in which they are read. O(touches)."""
    n_tiles, counts = len(touches.tiles), np.diff(touches.starts)
    first_square = touches.squares[touches.starts[:-1]]
    order = np.lexsort((touches.tiles, first_square))
    counts = counts[order]
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    within = np.arange(len(touches.squares)) - np.repeat(starts[:-1], counts)
    squares = touches.squares[np.repeat(touches.starts[:-1][order], counts) + within]
    place = np.repeat(np.arange(n_tiles), counts)
    n = len(touches.n_tiles)
    first, last = np.full(n, n_tiles, np.int64), np.full(n, -1, np.int64)
    np.minimum.at(first, squares, place)
    np.maximum.at(last, squares, place)
    return Pass(
        tiles=touches.tiles[order], starts=starts, squares=squares,
        n_tiles=touches.n_tiles, first=first, last=last,
    )  # fmt: skip


def plan_pass(raster: Raster, squares: slice) -> Pass:
    """Plan to read some consecutive squares of a raster."""
    x_px, y_px = raster.x_px[squares], raster.y_px[squares]
    return order_tiles(find_touches(raster.grid, x_px, y_px, raster.side_px))


def pieces_of(raster: Raster, plan: Pass, tiles: slice, first_square: int) -> np.ndarray:
    """What some tiles of a pass give to the squares they touch, int64 (k, 7).

    A row for each touch, in the order of the pass: square, then the rectangle x0, y0, x1, y1 in
    pixels of the tile, then where its corner x, y lies in the square.
    """
    low, high = plan.starts[tiles.start], plan.starts[tiles.stop]
    squares = plan.squares[low:high]
    counts = np.diff(plan.starts[tiles.start : tiles.stop + 1])
    grid = raster.grid
    row, column = np.divmod(np.repeat(plan.tiles[tiles], counts), grid.n_columns)
    tile_x, tile_y = column * grid.tile_width_px, row * grid.tile_height_px
    x, y = raster.x_px[squares + first_square], raster.y_px[squares + first_square]
    left, top = np.maximum(x, tile_x), np.maximum(y, tile_y)
    right = np.minimum(np.minimum(x + raster.side_px, tile_x + grid.tile_width_px), raster.width_px)
    bottom = np.minimum(
        np.minimum(y + raster.side_px, tile_y + grid.tile_height_px), raster.height_px
    )
    table = [squares, left - tile_x, top - tile_y, right - tile_x, bottom - tile_y,
             left - x, top - y]  # fmt: skip
    return np.stack(table, axis=1)


def most_open(plan: Pass, n_batch: int, *, in_order: bool) -> int:
    """Most batches that are begun and not yet delivered at any time of a pass.

    >>> grid = TileGrid(width_px=1024, height_px=256, tile_width_px=256, tile_height_px=256)
    >>> squares = np.arange(4) * 256
    >>> most_open(order_tiles(find_touches(grid, squares, squares * 0, 256)), 1, in_order=True)
    1
    """
    edges = np.arange(0, len(plan.first), n_batch)
    if not len(edges) or not len(plan.tiles):
        return min(1, len(edges))
    opened = np.minimum.reduceat(plan.first, edges)
    closed = np.maximum.reduceat(plan.last, edges)
    if in_order:
        closed = np.maximum.accumulate(closed)
    change = np.zeros(len(plan.tiles) + 2, np.int64)
    np.add.at(change, np.minimum(opened, len(plan.tiles)), 1)
    np.add.at(change, np.maximum(closed, opened) + 1, -1)
    return int(np.cumsum(change).max())
