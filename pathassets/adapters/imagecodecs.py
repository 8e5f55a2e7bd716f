"""JPEG 2000, deflate, LZW and plain tiles -> RGB: the door to imagecodecs."""

from __future__ import annotations

from typing import Literal

import imagecodecs
import numpy as np

from pathassets.adapters.tile_headers import is_jp2k_sound, read_jp2k_header
from pathassets.core.slides.tiles import TileDamaged

_FIX = 16
"""Fraction bits of libjpeg's conversion, which OpenSlide has taken over."""
_CHROMA = np.arange(256) - 128


def _scaled(factor: float, half: int) -> np.ndarray:
    return round(factor * (1 << _FIX)) * _CHROMA + half


_HALF = 1 << (_FIX - 1)
_RED_OF_CR = (_scaled(1.402, _HALF) >> _FIX).astype(np.int16)
_BLUE_OF_CB = (_scaled(1.772, _HALF) >> _FIX).astype(np.int16)
_GREEN_OF_CB = _scaled(-0.34414, _HALF).astype(np.int32)
_GREEN_OF_CR = _scaled(-0.71414, 0).astype(np.int32)


class Jp2kTiles:
    """Decodes JPEG 2000 tiles of one size, for any number of threads at once."""

    __slots__ = ("_is_rgb", "_shape")

    def __init__(self, width_px: int, height_px: int, *, is_rgb: bool) -> None:
        self._shape = height_px, width_px, 3
        self._is_rgb = is_rgb

    def decode(self, data: bytes, shrink: int, out: np.ndarray | None) -> np.ndarray:
        """RGB uint8 (height_px, width_px, 3); with `is_rgb`, what the tile holds, unchanged.

        Raises:
            TileDamaged: it cannot be decoded, or has another size or depth.
        """
        del shrink
        try:
            header, is_sound = read_jp2k_header(data), is_jp2k_sound(data)
        except ValueError as error:
            raise TileDamaged("undecodable", f"its JPEG 2000 has {error}") from error
        size_px = header.width_px, header.height_px
        if size_px != (self._shape[1], self._shape[0]):  # before memory is taken for it
            raise TileDamaged(
                "undecodable", f"its JPEG 2000 has {size_px[0]} x {size_px[1]} px, not the tile's"
            )
        if not is_sound:
            raise TileDamaged("undecodable", "its JPEG 2000 holds bytes that no encoder writes")
        try:
            pixels = imagecodecs.jpeg2k_decode(data)
        except (RuntimeError, ValueError) as error:
            raise TileDamaged("undecodable", f"its JPEG 2000 is damaged: {error}") from error
        if pixels.shape != self._shape or pixels.dtype != np.uint8:
            raise TileDamaged("undecodable", f"its JPEG 2000 has {pixels.dtype} {pixels.shape}")
        # Where the colours have fewer samples, the codec has made RGB of them already.
        if not self._is_rgb and not header.is_subsampled:
            pixels = rgb_of_ycbcr(pixels)
        return _put(pixels, out)


def rgb_of_ycbcr(planes: np.ndarray) -> np.ndarray:
    """RGB uint8 of YCbCr uint8, (y, x, 3), by the whole-number arithmetic of libjpeg.

    >>> rgb_of_ycbcr(np.array([[[235, 128, 128], [76, 85, 255]]], np.uint8)).tolist()
    [[[235, 235, 235], [254, 0, 0]]]
    """
    luma, cb, cr = (planes[..., i] for i in range(3))
    rgb = np.empty(planes.shape, np.int16)
    np.add(luma, _RED_OF_CR[cr], out=rgb[..., 0])
    green = (_GREEN_OF_CB[cb] + _GREEN_OF_CR[cr]) >> _FIX
    np.add(luma, green.astype(np.int16), out=rgb[..., 1])
    np.add(luma, _BLUE_OF_CB[cb], out=rgb[..., 2])
    return np.clip(rgb, 0, 255).astype(np.uint8)


class PlainTiles:
    """Decodes lossless tiles of one size, for any number of threads at once."""

    __slots__ = ("_codec", "_is_delta", "_n_bytes", "_shape")

    def __init__(
        self, width_px: int, height_px: int, *, codec: Literal["deflate", "lzw", "none"],
        predictor: int = 1,
    ) -> None:  # fmt: skip
        self._shape = height_px, width_px, 3
        self._n_bytes = height_px * width_px * 3
        self._codec = codec
        self._is_delta = predictor == 2  # noqa: PLR2004  (TIFF's number of the horizontal one)

    def decode(self, data: bytes, shrink: int, out: np.ndarray | None) -> np.ndarray:
        """RGB uint8 (height_px, width_px, 3).

        Raises:
            TileDamaged: it cannot be decoded, or is longer or shorter than the tile.
        """
        del shrink
        raw = self._raw(data)
        if len(raw) != self._n_bytes:
            raise TileDamaged(
                "undecodable", f"it decodes to {len(raw)} bytes or more, not to {self._n_bytes}"
            )
        pixels = np.frombuffer(raw, np.uint8).reshape(self._shape)
        if self._is_delta:
            pixels = imagecodecs.delta_decode(pixels, axis=-2)
        return _put(pixels, out)

    def _raw(self, data: bytes) -> bytes:
        one_more = self._n_bytes + 1  # so that a tile that is too long is seen
        try:
            if self._codec == "deflate":
                return bytes(imagecodecs.deflate_decode(data, out=one_more))
            if self._codec == "lzw":
                return bytes(imagecodecs.lzw_decode(data, out=one_more))
        except (RuntimeError, ValueError) as error:
            raise TileDamaged("undecodable", f"its {self._codec} is damaged: {error}") from error
        return data


def _put(pixels: np.ndarray, out: np.ndarray | None) -> np.ndarray:
    """The pixels in `out`, or in an array that may be written to."""
    if out is None:
        return pixels if pixels.flags.writeable else pixels.copy()
    if out.shape != pixels.shape:
        raise ValueError(f"out: {out.shape} is not the tile's {pixels.shape}")
    out[...] = pixels
    return out
