"""Tiles that are not stored -> tiles that OpenSlide draws in their place.

Aperio's writer leaves some tiles out, and what it stores above such a one, in the coarser levels,
is sometimes of another place: it counts as not stored, too. OpenSlide draws both from the next
finer level; where nothing is stored there either, that is a fault.

Source: openslide-vendor-aperio.c of OpenSlide 4, `propagate_missing_tile`, `render_missing_tile`
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from pathassets.adapters.tiff.extents import FAULTS
from pathassets.adapters.tiff.levels import TiffLevel
from pathassets.core.slides.regions import shrink as shrink_tile
from pathassets.core.slides.tiles import TileGrid, TileSource


def find_missing_tiles(levels: Sequence[TiffLevel | None]) -> list[frozenset[int]]:
    """Tiles of each level, finest first, that are not stored or lie above one that is not.

    A level that is None is not stored as tiles: none of it is missing, and it hands none on.
    """
    missing: list[frozenset[int]] = []
    finer: TileGrid | None = None
    for level in levels:
        own: set[int] = set()
        if level is not None:
            own.update(np.flatnonzero(level.faults == _MISSING).tolist())
            if finer is not None:
                own.update(t for tile in missing[-1] for t in _above(finer, tile, level.grid))
        finer = None if level is None else level.grid
        missing.append(frozenset(own))
    return missing


_MISSING = FAULTS.index("missing") + 1


def _above(finer: TileGrid, tile: int, grid: TileGrid) -> Iterator[int]:
    """Tiles of the coarser `grid` that show a part of what a tile of the finer one does."""
    x_px, y_px = finer.corner_px(tile)
    columns = _steps(x_px, finer.tile_width_px, finer.width_px / grid.width_px, grid.tile_width_px)
    rows = _steps(y_px, finer.tile_height_px, finer.height_px / grid.height_px, grid.tile_height_px)
    for row in rows:
        for column in columns:
            if row < grid.n_rows and column < grid.n_columns:
                yield row * grid.n_columns + column


def _steps(start_px: int, length_px: int, downsample: float, tile_px: int) -> range:
    """Tiles along an axis that a span of the finer level reaches.

    >>> list(_steps(512, 256, 4.0, 256)), list(_steps(1000, 256, 4.0, 256))
    ([0], [0, 1])
    """
    last_px = (start_px + length_px - 1) / downsample
    return range(int(start_px / downsample / tile_px), int(last_px / tile_px) + 1)


class FilledTiles:
    """A level, in the shape of `core.slides.tiles.TileSource`, whose missing tiles are drawn."""

    def __init__(self, stored: TileSource, drawn: TileSource, missing: frozenset[int]) -> None:
        self.grid = stored.grid
        self.can_shrink = stored.can_shrink
        self._stored = stored
        self._drawn = drawn
        self.missing = missing

    def read(self, tile: int, *, shrink: int = 1, out: np.ndarray | None = None) -> np.ndarray:
        """RGB uint8 (tile_height_px / shrink, tile_width_px / shrink, 3), whole also at the edges.

        Raises:
            TileDamaged: it is not stored and cannot be drawn, or cannot be decoded or believed.
        """
        if tile not in self.missing:
            return self._stored.read(tile, shrink=shrink, out=out)
        rgb = shrink_tile(self._drawn.read(tile), shrink)
        if out is None:
            return rgb
        out[:] = rgb
        return out
