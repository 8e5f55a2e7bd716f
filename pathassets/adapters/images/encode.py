"""Pixels <-> image files: PNG, JPEG, TIFF, WebP, the same bytes for the same pixels.

CPU time and size of 256 x 256 px of stained tissue, on one core:

    jpg    libjpeg-turbo, 4:4:4, quality 90          0.3 ms    23 KiB
    webp   lossless, libwebp's method 0              1.4 ms    78 KiB   (its default: 61 ms, 72 KiB)
    tif    deflate, differences along rows           2.4 ms    93 KiB   (LZW: 1.7 ms, 120 KiB)
    png    level 1, runs of differences              2.6 ms    80 KiB   (default: 3.5 ms, 85 KiB)
    webp   quality 90, 4:2:0                         5.3 ms    15 KiB
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import imagecodecs
import numpy as np

from pathassets.adapters.simplejpeg import encode_jpeg
from pathassets.core.patches.names import check_image_type
from pathassets.core.patches.patch_set import JPEG_QUALITY, check_quality
from pathassets.errors import SpecError

MAX_SIDE_PX = {"jpg": 65_500, "webp": 16_382}
"""Longest side that a format's encoder takes."""
_ADOBE_DEFLATE, _HORIZONTAL = 8, 2
"""Source: TIFF 6.0, sections 14 and Technical Note 2: Compression and Predictor."""
_PNG = [cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE]
_TIFF = [cv2.IMWRITE_TIFF_COMPRESSION, _ADOBE_DEFLATE, cv2.IMWRITE_TIFF_PREDICTOR, _HORIZONTAL]


def encode_image(rgb: np.ndarray, image_type: str, *, quality: int | None = None) -> bytes:
    """Encode RGB uint8 (y, x, 3) as a whole file; from any number of threads at once.

    `quality`, 1 to 100, is JPEG's (90 where None) or WebP's (lossless where None).

    Raises:
        SpecError: there is no such image type, it has no quality, or the image is too large for it.
    """
    kind = {"jpeg": "jpg", "tiff": "tif"}.get(known := check_image_type(image_type), known)
    check_quality(quality, kind)
    longest_px = max(rgb.shape[:2])
    if longest_px > MAX_SIDE_PX.get(kind, longest_px):
        raise SpecError(
            f"image_type: {longest_px} px are more than {image_type} takes",
            remedy="Use png or tif, or smaller patches",
        )
    return _ENCODERS[kind](np.ascontiguousarray(rgb), quality)


def decode_image(data: bytes) -> np.ndarray:
    """RGB uint8 (y, x, 3) of what `encode_image` made.

    Raises:
        ValueError: it is no such image.
    """
    bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    if bgr is None:
        raise ValueError("no image in these bytes")
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)


def _png(rgb: np.ndarray, quality: int | None) -> bytes:
    del quality
    return _by_opencv(".png", rgb, _PNG)


def _tiff(rgb: np.ndarray, quality: int | None) -> bytes:
    del quality
    return _by_opencv(".tif", rgb, _TIFF)


def _jpeg(rgb: np.ndarray, quality: int | None) -> bytes:
    return encode_jpeg(rgb, JPEG_QUALITY if quality is None else quality)


def _webp(rgb: np.ndarray, quality: int | None) -> bytes:
    if quality is None:
        return bytes(imagecodecs.webp_encode(rgb, lossless=True, method=0))
    return bytes(imagecodecs.webp_encode(rgb, level=quality, lossless=False))


def _by_opencv(suffix: str, rgb: np.ndarray, parameters: list[int]) -> bytes:
    return cv2.imencode(suffix, cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), parameters)[1].tobytes()


_ENCODERS: dict[str, Callable[[np.ndarray, int | None], bytes]] = {
    "png": _png,
    "jpg": _jpeg,
    "tif": _tiff,
    "webp": _webp,
}
