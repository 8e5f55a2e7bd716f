"""Squares of a level -> the tiles they touch: so that each tile is decoded once.

A level is cut into tiles of one size, numbered row by row from its upper left; those at the right
and lower edge may reach beyond it. All numbers here are pixels of the level in hand.

    level   ┌────┬────┬──┐       squares 0 and 1 touch tiles
            │ 0 0│1   │2 │         0 ─▶ 0, 3
            │┌──┐│    │  │         1 ─▶ 1, 2
            ├┤0 ├┼────┼──┤
            │└──┘│4   │5 │
            └────┴────┴──┘
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np

FaultReason = Literal["undecodable", "missing", "beyond_end", "overlapping", "no_pixels"]
"""Why a tile is not to be trusted; the same words for all readers.

    undecodable   the decoder refuses its bytes, or warns
    missing       its byte count or its offset is 0
    beyond_end    its bytes reach beyond the end of the file
    overlapping   it shares bytes with another tile
    no_pixels     OpenSlide reads it, as transparent: nothing is stored there
"""


class TileDamaged(ValueError):
    """A tile's bytes are not what a healthy writer leaves; which tile it is, the catcher knows."""

    def __init__(self, reason: FaultReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class TileFault:
    """One entry of a slide's bad tiles: pixels that cannot be read, or not be believed."""

    level: int
    tile: int | None
    """Number of the tile in its level; None where the reader does not know tiles."""
    x_px: int
    """Left edge of what is lost, in pixels of the level."""
    y_px: int
    width_px: int
    height_px: int
    reason: FaultReason
    message: str

    def facts(self) -> dict[str, Any]:
        """What an artifact, and the catalog, keep of it."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    def __str__(self) -> str:
        what = "block" if self.tile is None else f"tile {self.tile}"
        return (
            f"level {self.level}, {what} at ({self.x_px}, {self.y_px}), "
            f"{self.width_px} x {self.height_px} px: {self.message}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TileGrid:
    """How a level is cut into tiles."""

    width_px: int
    height_px: int
    tile_width_px: int
    tile_height_px: int

    @property
    def n_columns(self) -> int:
        """Tiles in a row."""
        return -(-self.width_px // self.tile_width_px)

    @property
    def n_rows(self) -> int:
        """Tiles in a column."""
        return -(-self.height_px // self.tile_height_px)

    @property
    def n_tiles(self) -> int:
        """Tiles of the level."""
        return self.n_columns * self.n_rows

    def corner_px(self, tile: int) -> tuple[int, int]:
        """Upper left corner (x, y) of a tile.

        >>> grid = TileGrid(width_px=500, height_px=300, tile_width_px=240, tile_height_px=240)
        >>> grid.corner_px(4)
        (240, 240)
        """
        row, column = divmod(tile, self.n_columns)
        return column * self.tile_width_px, row * self.tile_height_px

    def fault(self, level: int, tile: int, damage: TileDamaged) -> TileFault:
        """What is listed of a tile that was found damaged."""
        x_px, y_px = self.corner_px(tile)
        return TileFault(
            level=level,
            tile=tile,
            x_px=x_px,
            y_px=y_px,
            width_px=min(self.tile_width_px, self.width_px - x_px),
            height_px=min(self.tile_height_px, self.height_px - y_px),
            reason=damage.reason,
            message=str(damage),
        )


class TileSource(Protocol):
    """The tiles of one level, for any number of threads at once."""

    @property
    def grid(self) -> TileGrid:
        """How the level is cut."""

    @property
    def can_shrink(self) -> bool:
        """Whether tiles can be decoded at 1/2, 1/4 and 1/8 of their size, for less than whole."""

    def read(self, tile: int, *, shrink: int = 1, out: np.ndarray | None = None) -> np.ndarray:
        """RGB uint8 (tile_height_px / shrink, tile_width_px / shrink, 3), whole also at the edges.

        `shrink` is 1, 2, 4 or 8, and 1 where `can_shrink` is false. Written into `out` where that
        is given: C-contiguous, of that very shape.

        Raises:
            TileDamaged: it is missing, cannot be decoded, or not be believed.
        """


@runtime_checkable
class FetchedTiles(Protocol):
    """The tiles of a level that lie elsewhere, and come sooner together than one by one."""

    def expect(self, tiles: np.ndarray) -> None:
        """Hear which tiles will be read soon, int64 (n,)."""


def expect_tiles(source: TileSource, tiles: np.ndarray) -> None:
    """Tell a level which of its tiles will be read soon, if that is worth anything to it."""
    if isinstance(source, FetchedTiles):
        source.expect(tiles)


@dataclass(frozen=True, slots=True, kw_only=True)
class TileTouches:
    """Which squares touch which tiles, as a sparse table sorted by tile."""

    tiles: np.ndarray
    """int64 (t,): the tiles that are touched, ascending."""
    starts: np.ndarray
    """int64 (t + 1,): squares of tile i are `squares[starts[i]:starts[i + 1]]`."""
    squares: np.ndarray
    """int64 (k,): indices of squares, ascending within a tile."""
    n_tiles: np.ndarray
    """int64 (n,): how many tiles each square touches; 0 for one beside the level."""


def find_touches(grid: TileGrid, x_px: np.ndarray, y_px: np.ndarray, side_px: int) -> TileTouches:
    """Find the tiles that each square (x, y, side) touches, parts beyond the level left out.

    O(squares + touches), without a Python loop.

    >>> grid = TileGrid(width_px=512, height_px=512, tile_width_px=256, tile_height_px=256)
    >>> found = find_touches(grid, np.array([0, 128]), np.array([0, 0]), 256)
    >>> found.tiles.tolist(), found.starts.tolist(), found.squares.tolist()
    ([0, 1], [0, 2, 3], [0, 1, 1])
    """
    column0, n_columns = _spans(x_px, side_px, grid.width_px, grid.tile_width_px)
    row0, n_rows = _spans(y_px, side_px, grid.height_px, grid.tile_height_px)
    n_tiles = n_columns * n_rows
    squares = np.repeat(np.arange(len(x_px), dtype=np.int64), n_tiles)
    first = np.repeat(np.cumsum(n_tiles) - n_tiles, n_tiles)
    nth = np.arange(len(squares), dtype=np.int64) - first
    row, column = np.divmod(nth, np.maximum(n_columns, 1)[squares])
    tile = (row0[squares] + row) * grid.n_columns + column0[squares] + column
    order = np.argsort(tile, kind="stable")
    tiles, starts = np.unique(tile[order], return_index=True)
    return TileTouches(
        tiles=tiles,
        starts=np.append(starts, len(order)).astype(np.int64),
        squares=squares[order],
        n_tiles=n_tiles,
    )


def _spans(
    start_px: np.ndarray, side_px: int, length_px: int, tile_px: int
) -> tuple[np.ndarray, np.ndarray]:
    """First tile and number of tiles along one axis, of the part inside [0, length)."""
    low = np.clip(start_px, 0, length_px)
    high = np.clip(start_px + side_px, 0, length_px)
    first = low // tile_px
    count = np.where(high > low, (high - 1) // tile_px - first + 1, 0)
    return first.astype(np.int64), count.astype(np.int64)
