"""Directory -> TiffLevel: its grid, and where the bytes of its tiles are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pathassets.adapters.tiff.directories import damaged
from pathassets.adapters.tiff.fields import (
    BYTE_COUNTS,
    HEIGHT,
    JPEG_TABLES,
    MAX_TILE_PX,
    MAX_TILE_SIDE_PX,
    OFFSETS,
    TILE_HEIGHT,
    TILE_WIDTH,
    WIDTH,
    Codec,
    Fields,
    PixelFormat,
)
from pathassets.adapters.tile_headers import are_tables
from pathassets.core.slides.slide import MppSource
from pathassets.core.slides.tiles import TileGrid


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TiffLevel:
    """One level of a tiled TIFF, 8-bit RGB or YCbCr, its samples side by side."""

    grid: TileGrid
    directory_bytes: int
    """Where in the file its directory begins."""
    offsets: np.ndarray
    """int64 (n_tiles,): where in the file each tile begins, in bytes."""
    n_bytes: np.ndarray
    """int64 (n_tiles,)."""
    codec: Codec
    is_rgb: bool
    """Whether the components that the codec holds are RGB; else they are YCbCr."""
    jpeg_tables: bytes
    """Tables that all JPEG tiles share, as a JPEG without image; empty where there are none."""
    predictor: int
    """2 where each sample is stored as its difference to the one at its left, else 1."""
    faults: np.ndarray
    """uint8 (n_tiles,): what the table alone says against each tile, see `extents`."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TiffLayout:
    """The structure of a tiled TIFF, without its pixels."""

    size_bytes: int
    levels: tuple[TiffLevel, ...]
    """In file order; those that only SubIFDs name, as OME-TIFF has them, come last."""
    directory: int
    """Number of level 0 in the main chain. OpenSlide takes 0, be that the slide or its label."""
    mpp_statements: tuple[MppSource, ...]
    """What its OME-XML says about the size of a pixel, in micrometres."""
    tiff_statements: tuple[MppSource, ...]
    """What the resolution of that directory amounts to, where it is not OpenSlide that reads it."""
    notes: tuple[str, ...]
    """What else there is in the file, and is not read."""

    @property
    def has_level0(self) -> bool:
        """Whether level 0 is stored as tiles that can be read, and no other level has its size."""
        grids = [level.grid for level in self.levels[:1]]
        return any(self.level_of(g.width_px, g.height_px) is not None for g in grids)

    def level_of(self, width_px: int, height_px: int) -> TiffLevel | None:
        """The level of that size; None where there is none, or more than one."""
        found = [
            level for level in self.levels
            if (level.grid.width_px, level.grid.height_px) == (width_px, height_px)
        ]  # fmt: skip
        return found[0] if len(found) == 1 else None

    def codec_of(self, width_px: int, height_px: int) -> str:
        """Codec of the level of that size; empty where it is not known."""
        level = self.level_of(width_px, height_px)
        return "" if level is None else level.codec


def read_level(fields: Fields, pixels: PixelFormat, codec: Codec) -> TiffLevel:
    """Read a level of which it is known how it stores its pixels.

    Raises:
        SlideUnreadable: its tables do not fit its size, or lie beyond the end of the file.
    """
    grid = read_grid(fields)
    _require_tables_of(fields, grid.n_tiles)
    tables = fields.raw(JPEG_TABLES) if codec == "jpeg" else b""
    if tables and not are_tables(tables):
        raise damaged(fields.file.path, f"{fields} shares JPEG tables that are none")
    return TiffLevel(
        grid=grid,
        directory_bytes=fields.directory.start_bytes,
        offsets=fields.table(OFFSETS),
        n_bytes=fields.table(BYTE_COUNTS),
        codec=codec,
        is_rgb=pixels.is_rgb,
        jpeg_tables=tables,
        predictor=pixels.predictor,
        faults=np.zeros(grid.n_tiles, np.uint8),
    )


def read_grid(fields: Fields) -> TileGrid:
    """How the image is cut.

    Raises:
        SlideUnreadable: it has no size, or tiles beyond 64 megapixels, which no slide has.
    """
    sides_px = [fields.number(tag) for tag in (WIDTH, HEIGHT, TILE_WIDTH, TILE_HEIGHT)]
    width_px, height_px, tile_width_px, tile_height_px = sides_px
    if (
        min(sides_px) < 1
        or max(tile_width_px, tile_height_px) > MAX_TILE_SIDE_PX
        or tile_width_px * tile_height_px > MAX_TILE_PX
    ):
        raise damaged(
            fields.file.path,
            f"{fields} has {width_px} x {height_px} px "
            f"in tiles of {tile_width_px} x {tile_height_px} px",
        )
    return TileGrid(
        width_px=width_px,
        height_px=height_px,
        tile_width_px=tile_width_px,
        tile_height_px=tile_height_px,
    )


def _require_tables_of(fields: Fields, n_tiles: int) -> None:
    """Before the tables are read: a damaged count may ask for any number of bytes."""
    for tag, what in ((OFFSETS, "offsets"), (BYTE_COUNTS, "byte counts")):
        count = fields.directory.entries[tag].count
        if count != n_tiles:
            raise damaged(
                fields.file.path, f"{fields} needs {n_tiles} tiles and has the {what} of {count}"
            )
