"""JPEG tile -> RGB, RGB -> JPEG: the door to simplejpeg, which is libjpeg-turbo.

A tile of a TIFF is an abbreviated JPEG: its tables may stand once in the TIFF. What its components
are stands in the TIFF too, and decides (real Aperio files say RGB as well as YCbCr), whatever the
tile says. libjpeg is told by an Adobe segment put in front. Its warnings are errors here: OpenSlide
returns a tile with flipped bytes as garbage, silently.
"""

from __future__ import annotations

import numpy as np
import simplejpeg  # type: ignore[import-untyped]

from pathassets.adapters.tile_headers import (
    ADOBE,
    JFIF,
    SOI,
    may_hold_zeros,
    without_colour,
)
from pathassets.core.slides.tiles import TileDamaged

_ADOBE_SEGMENT = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00"
"""But for its last byte, the transform. Source: Adobe technical note 5116."""
_RGB, _YCBCR = b"\0", b"\1"
_ZEROS = bytes(64)
"""No healthy scan has as many in a row, but for some of bare glass; a lost sector has 512."""
_HEADER_BYTES = 1024
"""Where a tile's own word on its colours is looked for; with tables of its own a header has 640."""


class JpegTiles:
    """Decodes JPEG tiles of one size, for any number of threads at once."""

    __slots__ = ("_prefix", "_shapes", "_tables", "_transform")

    def __init__(self, width_px: int, height_px: int, *, is_rgb: bool, tables: bytes = b"") -> None:
        """Prepare for tiles that share `tables`, a JPEG without image as TIFF's JPEGTables is.

        Raises:
            ValueError: the tables are none.
        """
        shared = without_colour(tables)[2:-2] if tables else b""
        self._tables = tables or SOI
        self._transform = _RGB if is_rgb else _YCBCR
        self._prefix = SOI + _ADOBE_SEGMENT + self._transform + shared
        self._shapes = {n: (-(-height_px // n), -(-width_px // n), 3) for n in (1, 2, 4, 8)}

    def decode(self, data: bytes, shrink: int, out: np.ndarray | None) -> np.ndarray:
        """RGB uint8 (height_px / shrink, width_px / shrink, 3), rounded up; shrink 1, 2, 4 or 8.

        With `is_rgb`, what the tile holds, unchanged.

        Raises:
            TileDamaged: the decoder refuses or warns, or the tile has another size.
        """
        shape = self._shapes[shrink]
        if out is None:
            out = np.empty(shape, np.uint8)
        elif out.shape != shape:
            raise ValueError(f"out: {out.shape} is not the tile's {shape}")
        try:
            whole = self._whole(data)
            if shrink == 1:
                rgb = simplejpeg.decode_jpeg(whole, "RGB", buffer=out)
            else:
                rgb = simplejpeg.decode_jpeg(
                    whole, "RGB",
                    min_height=shape[0], min_width=shape[1], min_factor=shrink, buffer=out,
                )  # fmt: skip
        except ValueError as error:
            raise TileDamaged("undecodable", f"its JPEG cannot be decoded: {error}") from error
        if rgb.shape != shape:
            raise TileDamaged(
                "undecodable",
                f"its JPEG has {rgb.shape[1]} x {rgb.shape[0]} px, not {shape[1]} x {shape[0]} px",
            )
        return out

    def _whole(self, data: bytes) -> bytes:
        """The tile as a JPEG of its own."""
        if not data.startswith(SOI):
            raise ValueError("no start-of-image marker")
        if _ZEROS in data and not may_hold_zeros(self._tables, data):
            raise ValueError("a part of it is zeros")
        if self._is_contradicted(data):
            data = without_colour(data)
        return self._prefix + data[2:]

    def _is_contradicted(self, data: bytes) -> bool:
        """Whether libjpeg would take the tile's word on its colours, and it is another one.

        JFIF's segment means YCbCr, whatever else there is; of several of Adobe's the last counts.
        """
        adobe = data.rfind(ADOBE, 0, _HEADER_BYTES)
        if adobe >= 0 and data[adobe + 11 : adobe + 12] != self._transform:
            return True
        return self._transform == _RGB and data.find(JFIF, 0, _HEADER_BYTES) >= 0


def encode_jpeg(rgb: np.ndarray, quality: int) -> bytes:
    """Encode contiguous RGB uint8 (y, x, 3) at 4:4:4: no colour is shared by pixels."""
    data: bytes = simplejpeg.encode_jpeg(rgb, quality, "RGB", "444", fastdct=False)
    return data
