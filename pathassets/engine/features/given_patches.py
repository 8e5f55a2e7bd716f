"""Patches that are there already, as arrays or image files -> batches of pixels.

array (n, y, x, 3) ┐
list of (y, x, 3)  ├─▶ uint8 batches, in order; files are read ahead, by threads
list of files      ┘
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from pathassets.adapters.images.headers import MAX_PATCH_PX, read_npy, require_picture
from pathassets.adapters.named_files import open_named, read_named
from pathassets.adapters.openslide.members import SUFFIXES
from pathassets.adapters.openslide.reader import open_handle
from pathassets.errors import SlideUnreadable, SpecError

N_CHANNELS = 3
OPAQUE = 255
TIFF_SUFFIXES = (".tif", ".tiff")
"""Of slides, and of patches."""
MOST_TILED_PX = 2048
"""Longest side of a TIFF of one level that is taken for a patch although OpenSlide opens it."""


def check_patches(images: object) -> Sequence[Any] | np.ndarray:
    """Refuse what is no list of patches and no array of them.

    Raises:
        TypeError: it is neither a list nor an array.
        SpecError: the array has not the axes (n, y, x, 3).
    """
    if isinstance(images, np.ndarray):
        if images.ndim != 4 or images.shape[3] != N_CHANNELS:  # noqa: PLR2004 - n, y, x, c
            raise SpecError(
                f"images: an array of shape {images.shape}",
                remedy="Give RGB patches (n, y, x, 3), or a list of images",
            )
        return images
    if not isinstance(images, list | tuple):
        raise TypeError(
            f"images: a list or an array of patches is asked for, got {type(images).__name__}"
        )
    return images


def read_batches(
    images: Sequence[Any] | np.ndarray,
    *,
    n_batch: int,
    n_threads: int,
    shape: tuple[int, int] | None = None,
) -> Generator[np.ndarray, None, None]:
    """Yield RGB uint8 (m, y, x, 3) of `n_batch` images each, fewer in the last; in order.

    All have the same (height, width), which is `shape` where that is given. At most three batches
    are in memory.

    Raises:
        SpecError: an image cannot be read, is no RGB of 8 bits, or has another size.
    """
    with ThreadPoolExecutor(n_threads, "image") as pool:
        ahead: deque[Future[np.ndarray]] = deque()
        try:
            for start in range(0, len(images), n_batch):
                stop = min(start + n_batch, len(images))
                while start + len(ahead) < min(stop + n_batch, len(images)):
                    place = start + len(ahead)
                    ahead.append(pool.submit(read_image, images[place], place))
                pixels = [ahead.popleft().result() for _ in range(start, stop)]
                shape = pixels[0].shape[:2] if shape is None else shape
                for place, rgb in enumerate(pixels, start):
                    if rgb.shape[:2] != shape:
                        raise _odd_one(_name_of(images[place], place), rgb, shape)
                yield np.stack(pixels)
        finally:
            pool.shutdown(cancel_futures=True)


def _odd_one(name: str, rgb: np.ndarray, shape: tuple[int, int]) -> SpecError:
    return SpecError(
        f"{name}: is {rgb.shape[0]} x {rgb.shape[1]} px (height, width), "
        f"not {shape[0]} x {shape[1]}",
        remedy="Give patches of one size, that of patch_input_shape where it is given",
    )


def _name_of(image: object, place: int) -> str:
    return str(image) if isinstance(image, str | os.PathLike) else f"image {place}"


def read_image(image: object, place: int = 0) -> np.ndarray:
    """RGB uint8 (y, x, 3) of an array, or of an image file: .npy, .png, .jpg, .tif, .bmp, ….

    Raises:
        SpecError: it cannot be read, or is no RGB of 8 bits.
    """
    name = _name_of(image, place)
    if isinstance(image, np.ndarray):
        return _as_rgb(image, name)
    if not isinstance(image, str | os.PathLike):
        raise SpecError(
            f"{name}: {type(image).__name__} is no image",
            remedy="Give arrays and paths; for slides give patch_mode=False",
        )
    path = Path(image)
    _refuse_slide(path)
    try:
        if path.suffix.lower() == ".npy":
            with open_named(path) as file:  # np.load leaves a damaged file open
                return _as_rgb(read_npy(file, most_px=MAX_PATCH_PX), name)
        data = read_named(path)
        require_picture(data, most_px=MAX_PATCH_PX)
    except (OSError, ValueError, EOFError) as error:
        raise SpecError(
            f"{name}: cannot be read: {error}",
            remedy="Give PNG, JPEG, TIFF, BMP, WebP or .npy; for slides give patch_mode=False",
        ) from error
    return _decode(data, name)


def _refuse_slide(path: Path) -> None:
    """Refuse a slide, which is one patch of the size of its overview to who reads images."""
    suffix = path.suffix.lower()
    is_slide = path.is_dir() or (suffix in SUFFIXES and suffix not in TIFF_SUFFIXES)
    if suffix in TIFF_SUFFIXES and path.is_file():
        with suppress(SlideUnreadable), closing(open_handle(path)) as handle:
            is_slide = handle.level_count > 1 or max(handle.dimensions) > MOST_TILED_PX
    if is_slide:
        raise SpecError(f"{path}: is a slide, not a patch", remedy="Give patch_mode=False")


def _decode(data: bytes, name: str) -> np.ndarray:
    """RGB of an image file, whatever its name says."""
    found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if found is None:
        raise SpecError(f"{name}: is no image that can be read", remedy="Give PNG, JPEG, TIFF, BMP")
    if found.ndim == 2:  # noqa: PLR2004 - grey: y, x
        found = np.repeat(found[:, :, None], N_CHANNELS, axis=2)
    if found.shape[2] > N_CHANNELS:
        if found.dtype == np.uint8 and (found[..., N_CHANNELS] != OPAQUE).any():
            raise SpecError(
                f"{name}: is transparent in places, which have no colour",
                remedy="Lay it on the ground it belongs on, and save it without transparency",
            )
        found = found[..., :N_CHANNELS]
    return _as_rgb(np.ascontiguousarray(found[..., ::-1]), name)


def _as_rgb(array: np.ndarray, name: str) -> np.ndarray:
    """The same as uint8, where it is RGB of 8 bits in any whole numbers."""
    if array.ndim != 3 or array.shape[2] != N_CHANNELS or 0 in array.shape:  # noqa: PLR2004
        raise SpecError(f"{name}: has shape {array.shape}", remedy="Give RGB, (y, x, 3)")
    if array.dtype == np.uint8:
        return array
    is_whole = array.dtype.kind in "iu"
    if not is_whole or array.min() < 0 or array.max() > OPAQUE:
        raise SpecError(
            f"{name}: {array.dtype} values are no RGB of 8 bits",
            remedy="Give uint8, 0 to 255, as pixels were read: the encoder scales and normalises",
        )
    return array.astype(np.uint8)
