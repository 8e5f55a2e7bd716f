"""Pictures -> small JPEG, PNG and WebP bytes, by OpenCV."""

from __future__ import annotations

import cv2
import numpy as np

MAX_BYTES = 12_000
"""12 kB are 16 kB as base64 text in an event."""
_QUALITIES = (90, 80, 70, 60, 50, 40, 30, 20)


def preview_jpeg(rgb: np.ndarray) -> bytes:
    """Encode RGB uint8 (y, x, 3) as JPEG under 12 kB: the best quality that fits, then smaller."""
    bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
    while True:
        for quality in _QUALITIES:
            data = _encode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
            if len(data) <= MAX_BYTES:
                return data
        half = (max(1, bgr.shape[1] // 2), max(1, bgr.shape[0] // 2))
        bgr = cv2.resize(bgr, half, interpolation=cv2.INTER_AREA)


MAX_ICON_BYTES = 700
"""As base64 text in Markdown this stays under 1,000 characters: Dagster's page shows that in place,
and longer text only on a click."""
_ICON_SIDES_PX = (96, 80, 64, 48, 32, 16)
_ICON_QUALITIES = (60, 40, 30, 20)


def icon_webp(jpeg: bytes) -> bytes:
    """Shrink a preview to a WebP icon under 700 bytes: the largest side that fits."""
    bgr = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    if bgr is None:
        raise ValueError("no picture in these bytes")
    for side_px in _ICON_SIDES_PX:
        small = _shrunk(bgr, side_px)
        for quality in _ICON_QUALITIES:
            data = _encode(".webp", small, [cv2.IMWRITE_WEBP_QUALITY, quality])
            if len(data) <= MAX_ICON_BYTES:
                return data
    raise ValueError(f"no icon of {MAX_ICON_BYTES} bytes")  # 16 px of noise take under 400


_WEBP_QUALITIES = (25, 35, 45, 55, 65, 75, 85)
_SMALLER = 0.8
_LOSSLESS = 101
"""OpenCV's quality of WebP from which on nothing is lost."""


def bounded_webp(rgb: np.ndarray, max_bytes: int) -> bytes:
    """Encode RGB uint8 (y, x, 3) as WebP of so many bytes: the best quality that fits.

    Where even the least does not, the picture is made smaller until it does.
    """
    bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
    while True:
        fitting, qualities = b"", [*_WEBP_QUALITIES]
        while qualities:  # by halves: an encoding of 1,000 px takes 50 ms
            middle = len(qualities) // 2
            data = _encode(".webp", bgr, [cv2.IMWRITE_WEBP_QUALITY, qualities[middle]])
            if len(data) <= max_bytes:
                fitting, qualities = data, qualities[middle + 1 :]
            else:
                qualities = qualities[:middle]
        if fitting or max(bgr.shape[:2]) == 1:
            return fitting or data
        bgr = _shrunk(bgr, max(1, round(max(bgr.shape[:2]) * _SMALLER)))


def lossless_webp(rgba: np.ndarray) -> bytes:
    """Encode RGBA uint8 (y, x, 4) as WebP of these very pixels."""
    bgra = cv2.cvtColor(rgba, cv2.COLOR_RGBA2BGRA)
    return _encode(".webp", bgra, [cv2.IMWRITE_WEBP_QUALITY, _LOSSLESS])


def read_jpeg(data: bytes) -> np.ndarray:
    """RGB uint8 (y, x, 3) of one of our own previews."""
    bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if bgr is None:
        raise ValueError("no picture in these bytes")
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB))


def small_png(rgb: np.ndarray, side_px: int) -> bytes:
    """Encode RGB uint8 (y, x, 3) as a PNG whose longest side is `side_px` at most."""
    return _encode(".png", _shrunk(cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), side_px), [])


def _shrunk(bgr: np.ndarray, side_px: int) -> np.ndarray:
    height_px, width_px = bgr.shape[:2]
    scale = min(1.0, side_px / max(height_px, width_px))
    size = max(1, round(width_px * scale)), max(1, round(height_px * scale))
    return np.asarray(cv2.resize(bgr, size, interpolation=cv2.INTER_AREA))


def _encode(suffix: str, bgr: np.ndarray, parameters: list[int]) -> bytes:
    return cv2.imencode(suffix, bgr, parameters)[1].tobytes()
