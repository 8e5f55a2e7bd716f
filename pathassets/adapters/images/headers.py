"""Head of a stranger's picture or array -> how large it is, before any of it is decoded.

124 kB of PNG can hold 32,000 x 32,000 pixels, and 280 kB of `.npz` 24,000 x 12,000. All that a
person gives is measured here first; errors are ValueErrors, which the caller translates.
"""

from __future__ import annotations

import io
import math
import struct
import tokenize
from collections.abc import Callable
from typing import BinaryIO

import numpy as np
import tifffile
from numpy.lib import format as npy
from PIL.BmpImagePlugin import BmpImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

MAX_MASK_PX = 1 << 28
"""Pixels of the largest mask, 16,384 x 16,384: at 8 um per pixel glass of 131 mm. Four channels of
16 bits take 2 GB."""
MAX_PATCH_PX = 1 << 26
"""Pixels of the largest patch, 8,192 x 8,192."""
MAX_CHANNELS = 4
MAX_PIXEL_BYTES = 8
"""Of all channels of a pixel: four of 16 bits, or one number of any kind."""
TIFF_HEADS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

# Pillow's readers by the first bytes. `Image.open` would warn of large pictures, and not of masks
# alone: warnings are the process's. These read the head, too, and no pixels.
_READERS: dict[bytes, Callable[[BinaryIO], ImageFile]] = {
    b"\x89PNG\r\n\x1a\n": PngImageFile,
    b"\xff\xd8\xff": JpegImageFile,
    b"BM": BmpImageFile,
    b"RIFF": WebPImageFile,
}
_UNREADABLE = (
    OSError, SyntaxError, ValueError, TypeError, KeyError, IndexError, ArithmeticError, EOFError,
    RuntimeError, struct.error, tokenize.TokenError, tifffile.TiffFileError, MemoryError,
)  # fmt: skip


def require_size(width_px: int, height_px: int, *, most_px: int) -> None:
    """Refuse what has more pixels than `most_px`.

    Raises:
        ValueError: it has.
    """
    if width_px * height_px > most_px:
        raise ValueError(
            f"it is {width_px} x {height_px}: {width_px * height_px:,} pixels, over {most_px:,}"
        )


def require_picture(data: bytes, *, most_px: int) -> None:
    """Refuse a PNG, JPEG, BMP, WebP or TIFF with more pixels than `most_px`, and all other kinds.

    Raises:
        ValueError: it has, is of another kind, or its head is damaged.
    """
    try:
        size_px = _tiff_size(data) if data[:4] in TIFF_HEADS else _size(data)
    except _UNREADABLE as error:
        raise ValueError(f"it is damaged, or no picture: {error}") from error
    if size_px is None:
        raise ValueError("it is no picture in PNG, JPEG, TIFF, BMP or WebP")
    require_size(*size_px, most_px=most_px)


def _size(data: bytes) -> tuple[int, int] | None:
    """(width, height) of a picture; None where it is of no known kind."""
    for head, reader in _READERS.items():
        if data.startswith(head):
            with reader(io.BytesIO(data)) as picture:
                return picture.size
    return None


def _tiff_size(data: bytes) -> tuple[int, int]:
    """(width, height) of the larger of a TIFF's first picture and one of its tiles."""
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page = file.pages.first
        return max(page.imagewidth, page.tilewidth), max(page.imagelength, page.tilelength)


def read_npy(file: BinaryIO, *, most_px: int) -> np.ndarray:
    """Read an array of NumPy's format, once its head says that it is one of numbers, small enough.

    Raises:
        ValueError: it holds objects or texts, is too large, or is damaged.
    """
    start = file.tell()
    try:
        major, _ = npy.read_magic(file)
        read_head = npy.read_array_header_1_0 if major == 1 else npy.read_array_header_2_0
        shape, _, dtype = read_head(file)
    except _UNREADABLE as error:
        raise ValueError(f"it is damaged, or no array: {error}") from error
    if dtype.kind not in "biuf":
        raise ValueError(f"its shape is {shape} of {dtype}, not of numbers")
    n_bytes = math.prod(shape) * dtype.itemsize
    if math.prod(shape[:2]) > most_px or n_bytes > most_px * MAX_PIXEL_BYTES:
        raise ValueError(
            f"its shape is {shape} of {dtype}: {math.prod(shape):,} numbers, over {most_px:,}"
        )
    file.seek(start)
    return np.asarray(npy.read_array(file, allow_pickle=False))
