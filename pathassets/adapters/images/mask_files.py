"""Mask files that other programs write -> bool arrays: PNG, TIFF, BMP and NumPy's own."""

from __future__ import annotations

import io
import math
import struct
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import BinaryIO, cast

import cv2
import numpy as np
import tifffile

from pathassets.adapters.images.headers import (
    MAX_CHANNELS,
    MAX_MASK_PX,
    MAX_PIXEL_BYTES,
    TIFF_HEADS,
    read_npy,
    require_picture,
    require_size,
)
from pathassets.adapters.named_files import open_named, read_named
from pathassets.errors import AnnotationError

NUMPY_SUFFIXES = {".npy", ".npz"}
IMAGE_SUFFIXES = {".png", ".tif", ".tiff", ".bmp"}
ARRAY_NAME = "data"
"""Which array of an `.npz` file is the mask."""
ALPHA_CHANNELS = {2, 4}
"""How many channels a picture has of which the last is its opacity."""
_LOSSY = {
    tifffile.COMPRESSION.OJPEG,
    tifffile.COMPRESSION.JPEG,
    tifffile.COMPRESSION.APERIO_JP2000_YCBC,
    tifffile.COMPRESSION.APERIO_JP2000_RGB,
}
_UNREADABLE = (
    cv2.error, tifffile.TiffFileError, zipfile.BadZipFile, zlib.error, struct.error,
    tokenize.TokenError, SyntaxError, ValueError, TypeError, KeyError, IndexError, ArithmeticError,
    RuntimeError, EOFError, MemoryError,
)  # fmt: skip
"""What the decoders raise at damage: found by reading 4,000 damaged files."""


def load_mask_image(path: Path) -> np.ndarray:
    """Read a picture of a mask: bool (y, x).

    A pixel is in the mask when any of its colours is not 0 and it is not fully transparent. Of a
    TIFF with pictures of several sizes the largest is the mask; of a pyramid the finest level of at
    most `MAX_MASK_PX` pixels.

    Raises:
        AnnotationError: it is missing, damaged, no picture, too large, compressed with loss, has
            several pages, or shows different colours and none of them is 0.
    """
    try:
        data = read_named(path)
        pixels = _tiff_pixels(data) if data[:4] in TIFF_HEADS else _pixels(data)
    except OSError as error:
        raise _unreadable(path, error.strerror or str(error)) from error
    except _UNREADABLE as error:
        raise _unreadable(path, str(error)) from error
    is_in = _is_not_zero(pixels)
    if is_in.all() and pixels.size and (pixels != pixels[:1, :1]).any():
        raise AnnotationError(
            path, "is drawn in several colours, none of which is 0",
            remedy="Give 0 where there is no tissue (a mask of all of a slide has one value)",
        )  # fmt: skip
    return is_in


def _is_not_zero(pixels: np.ndarray) -> np.ndarray:
    """Which of grey (y, x) or of coloured (y, x, c) pixels are in the mask."""
    if pixels.ndim == 2:  # noqa: PLR2004
        return np.asarray(pixels != 0)
    has_alpha = pixels.shape[-1] in ALPHA_CHANNELS
    is_in = (pixels[..., :-1] if has_alpha else pixels).any(axis=-1)
    return np.asarray(is_in & (pixels[..., -1] != 0) if has_alpha else is_in)


def _pixels(data: bytes) -> np.ndarray:
    """Pixels of a PNG or BMP, (y, x) or (y, x, c)."""
    if not data.startswith((b"\x89PNG", b"BM")):
        raise ValueError("it is no picture in PNG, TIFF or BMP")
    require_picture(data, most_px=MAX_MASK_PX)
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise ValueError("it is damaged, or no picture")
    return np.asarray(pixels)


def _tiff_pixels(data: bytes) -> np.ndarray:
    """Pixels of a TIFF, as they are shown: (y, x) or (y, x, c)."""
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        if not file.series:
            raise ValueError("it has no picture")
        series = max(file.series, key=lambda one: math.prod(_size_of(one)))
        within = (one for one in series.levels if math.prod(_size_of(one)) <= MAX_MASK_PX)
        level = next(within, series)
        require_size(*_size_of(level), most_px=MAX_MASK_PX)
        if not set(level.axes) <= set("YXS"):
            raise ValueError(f"it has several pages, {level.shape} of {level.axes}")
        page = level.keyframe
        require_size(page.tilewidth, page.tilelength, most_px=MAX_MASK_PX)
        if page.samplesperpixel > MAX_CHANNELS:
            raise ValueError(f"it has {page.samplesperpixel} channels")
        if page.samplesperpixel * page.bitspersample > 8 * MAX_PIXEL_BYTES:
            raise ValueError(f"it has {page.samplesperpixel} channels of {page.bitspersample} bits")
        if page.compression in _LOSSY:
            raise ValueError("it is compressed with loss, which changes what is 0")
        pixels = np.moveaxis(level.asarray(), level.axes.find("S"), -1)
        if page.photometric == tifffile.PHOTOMETRIC.MINISWHITE:
            return np.asarray(pixels != (1 << page.bitspersample) - 1)
        if page.photometric == tifffile.PHOTOMETRIC.PALETTE and page.colormap is not None:
            return np.asarray(np.moveaxis(page.colormap, 0, -1)[pixels])
        return np.asarray(pixels)


def _size_of(series: tifffile.TiffPageSeries) -> tuple[int, int]:
    """(width, height)."""
    sizes = dict(zip(series.axes, series.shape, strict=True))
    return int(sizes.get("X", 1)), int(sizes.get("Y", 1))


def load_mask_array(path: Path) -> np.ndarray:
    """Read an array of NumPy's, of two axes, as it is stored; of an `.npz` file the one `data`.

    Raises:
        AnnotationError: it is missing, damaged, holds objects, or not two axes.
    """
    try:
        with open_named(path) as file:  # np.load leaves a damaged file open
            array = _archived(file) if zipfile.is_zipfile(file) else _stored(file)
    except OSError as error:
        raise _unreadable(path, error.strerror or str(error)) from error
    except _UNREADABLE as error:
        raise _unreadable(path, str(error)) from error
    if array.ndim != 2 or array.dtype.kind not in "biuf":  # noqa: PLR2004
        raise _unreadable(path, f"its shape is {array.shape} of {array.dtype}, not two axes")
    return array


def _stored(file: BinaryIO) -> np.ndarray:
    file.seek(0)
    return read_npy(file, most_px=MAX_MASK_PX)


def _archived(file: BinaryIO) -> np.ndarray:
    """The array of an `.npz` file that is the mask; of the others nothing is read."""
    with zipfile.ZipFile(file) as archive:
        name = f"{ARRAY_NAME}.npy"
        if name not in archive.namelist():
            raise ValueError(f"it has no array {ARRAY_NAME!r}")
        with archive.open(name) as member:
            return read_npy(cast("BinaryIO", member), most_px=MAX_MASK_PX)


def _unreadable(path: Path, fact: str) -> AnnotationError:
    return AnnotationError(
        path,
        f"is no mask that can be read: {fact}",
        remedy="Give a PNG or TIFF of one page, or an array of two axes as .npy or .npz, of "
        f"{MAX_MASK_PX:,} pixels or fewer",
    )
