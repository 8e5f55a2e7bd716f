"""TiffLayout -> pixels of its tiles, each decoded from its own bytes and from nothing else."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from pathassets.adapters.files import unreadable
from pathassets.adapters.imagecodecs import Jp2kTiles, PlainTiles
from pathassets.adapters.simplejpeg import JpegTiles
from pathassets.adapters.tiff.extents import FAULTS
from pathassets.adapters.tiff.layout import TiffLayout, TiffLevel
from pathassets.core.slides.tiles import FaultReason, TileDamaged

_DCT_PX = 8
"""A JPEG block's side: tiles of whole blocks can be decoded at 1/2, 1/4 and 1/8."""
_SHRINKS = frozenset({1, 2, 4, 8})
_MESSAGES: dict[FaultReason, str] = {
    "missing": "it is not stored: its offset or its byte count is 0",
    "beyond_end": "its bytes reach beyond the end of the file",
    "overlapping": "its bytes are also those of something else in the file",
}
Decode = Callable[[bytes, int, np.ndarray | None], np.ndarray]


class TiledTiff:
    """An open tiled TIFF: one descriptor, read by position, for any number of threads at once."""

    def __init__(self, path: Path, layout: TiffLayout) -> None:
        self.path = path
        self.layout = layout
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise unreadable(path, error) from error

    def tiles(self, level: TiffLevel) -> TiffTiles:
        """The tiles of a level of its layout."""
        return TiffTiles(self, level)

    def read_at(self, at_bytes: int, n_bytes: int) -> bytes:
        """At most `n_bytes`, fewer at the end of the file.

        Raises:
            SlideUnreadable: the disk fails, or it is closed.
        """
        try:
            return os.pread(self._fd, n_bytes, at_bytes)
        except OSError as error:
            raise unreadable(self.path, error) from error

    def close(self) -> None:
        """Give the descriptor back; a second time it does nothing."""
        fd, self._fd = self._fd, -1  # its number may be another file's from now on
        if fd >= 0:
            os.close(fd)


def open_tiles(path: Path, layout: TiffLayout) -> TiledTiff:
    """Open a file for reading its tiles.

    Raises:
        SlideUnreadable: it is missing or forbidden.
    """
    return TiledTiff(path, layout)


class TiffTiles:
    """One level, in the shape of `core.tiles.TileSource`.

    Around the decoding of a 256-px JPEG tile (160 us) this costs 4 us, of which the system's read
    is half.
    """

    __slots__ = ("_bad", "_decode", "_n_bytes", "_offsets", "_read_at", "can_shrink", "grid")

    def __init__(self, file: TiledTiff, level: TiffLevel) -> None:
        grid = level.grid
        self.grid = grid
        self.can_shrink = level.codec == "jpeg" and not (
            grid.tile_width_px % _DCT_PX or grid.tile_height_px % _DCT_PX
        )
        self._read_at = file.read_at
        self._decode = _decoder(level)
        # Python's own numbers: to take one out of an array of numpy costs more each time.
        self._offsets: list[int] = level.offsets.tolist()
        self._n_bytes: list[int] = level.n_bytes.tolist()
        bad = np.flatnonzero(level.faults).tolist()
        self._bad: dict[int, FaultReason] = {t: FAULTS[level.faults[t] - 1] for t in bad}

    def read(self, tile: int, *, shrink: int = 1, out: np.ndarray | None = None) -> np.ndarray:
        """RGB uint8 (tile_height_px / shrink, tile_width_px / shrink, 3), whole also at the edges.

        Raises:
            TileDamaged: it is missing, cannot be decoded, or not be believed.
            SlideUnreadable: the disk fails.
        """
        if shrink != 1 and not (self.can_shrink and shrink in _SHRINKS):
            raise ValueError(f"shrink: tiles of this level cannot be read at 1/{shrink}")
        if tile in self._bad:
            raise _damage(self._bad[tile])
        n_bytes = self._n_bytes[tile]
        data = self._read_at(self._offsets[tile], n_bytes)
        if len(data) != n_bytes:
            raise _damage("beyond_end")
        return self._decode(data, shrink, out)


def _decoder(level: TiffLevel) -> Decode:
    grid = level.grid
    size_px = grid.tile_width_px, grid.tile_height_px
    if level.codec == "jpeg":
        return JpegTiles(*size_px, is_rgb=level.is_rgb, tables=level.jpeg_tables).decode
    if level.codec == "jpeg2000":
        return Jp2kTiles(*size_px, is_rgb=level.is_rgb).decode
    return PlainTiles(*size_px, codec=level.codec, predictor=level.predictor).decode


def _damage(reason: FaultReason) -> TileDamaged:
    return TileDamaged(reason, _MESSAGES[reason])
