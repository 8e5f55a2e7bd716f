"""Pixels -> SVS, and tiles -> pixels as a second opinion: the door to tifffile.

Writes small pyramids the way an Aperio scanner does, for the demo and for tests: one tiled
directory a level, the scanner's facts in the image description, where OpenSlide looks for them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tifffile
from numpy.typing import NDArray

from pathassets.adapters.tiff.levels import TiffLayout, TiffLevel
from pathassets.core.slides.slide import SlideInfo
from pathassets.core.slides.tiles import TileDamaged
from pathassets.errors import SlideUnreadable, SpecError

Pixels = NDArray[np.uint8]

TILE_STEP_PX = 16
"""A tile's side is a multiple of it. Source: TIFF 6.0, section 15, TileWidth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PyramidSpec:
    """How a slide is laid out on disk, and what it says about itself."""

    mpp: float | None = 0.5
    """Micrometres per pixel of level 0, written as it is, however odd; None writes none."""
    objective: float | None = 20.0
    """Magnification of the objective; None writes none."""
    tile_px: int = 256
    """Side of a tile; a multiple of 16."""
    quality: int = 80
    """JPEG quality, 1..100, at 4:2:0."""
    lossless: bool = False
    """Write the pixels as they are (deflate, RGB) in place of JPEG."""
    factor: int = 4
    """Downsample from one level to the next; what does not fill a pixel is cut, as Aperio does."""
    n_levels: int = 2

    def __post_init__(self) -> None:
        if self.tile_px < 1 or self.tile_px % TILE_STEP_PX:
            raise SpecError(f"tile_px: {self.tile_px} is not a multiple of {TILE_STEP_PX}")
        if self.factor < 2 or self.n_levels < 1:  # noqa: PLR2004
            raise SpecError(f"pyramid: {self.n_levels} levels by a factor of {self.factor}")
        if not 1 <= self.quality <= 100:  # noqa: PLR2004
            raise SpecError(f"quality: {self.quality} is not in 1..100")


def write_pyramid(path: Path, level0: Pixels, spec: PyramidSpec) -> None:
    """Write `level0`, (y, x, 3), and its downsampled levels to `path`: 10 ms a megapixel.

    The same pixels and spec give the same bytes: no date, no software, no file name inside.

    Raises:
        SpecError: `level0` is not 8-bit RGB, or too small for so many levels.
    """
    if level0.dtype != np.uint8 or level0.ndim != 3 or level0.shape[2] != 3:  # noqa: PLR2004
        raise SpecError(f"level 0: {level0.dtype} {level0.shape} is not (y, x, 3) of 8 bits")
    if min(level0.shape[:2]) < spec.factor ** (spec.n_levels - 1):
        raise SpecError(f"level 0: {level0.shape} is too small for {spec.n_levels} levels")
    with tifffile.TiffWriter(path) as file:
        level = level0
        for index in range(spec.n_levels):
            level = _shrink(level, spec.factor) if index else level
            file.write(
                _tiles(level, spec.tile_px),
                shape=level.shape,
                dtype=level.dtype,
                tile=(spec.tile_px, spec.tile_px),
                description=_describe(level0, level, spec),
                metadata=None,
                software=False,
                maxworkers=1,
                **_codec(spec),
            )


def corrupt_tile(path: Path, level: int, tile_index: int) -> None:
    """Overwrite one tile's bytes with zeros in place, as an interrupted copy leaves them.

    The file opens and every other tile can be read; to read this one is an error. `tile_index`
    counts along the rows of the level's grid of tiles.

    Raises:
        SlideUnreadable: `path` is no TIFF.
        SpecError: it has no such tile.
    """
    try:
        with tifffile.TiffFile(path) as file:
            whole = (page for page in file.pages if isinstance(page, tifffile.TiffPage))
            pages = [page for page in whole if page.is_tiled]
            extents = [list(zip(p.dataoffsets, p.databytecounts, strict=True)) for p in pages]
    except tifffile.TiffFileError as error:
        raise SlideUnreadable(path, f"not a TIFF file ({error})") from error
    if not 0 <= level < len(extents) or not 0 <= tile_index < len(extents[level]):
        raise SpecError(f"{path}: no tile {tile_index} on level {level}")
    offset_bytes, n_bytes = extents[level][tile_index]
    with path.open("r+b") as file:
        file.seek(offset_bytes)
        file.write(bytes(n_bytes))


def _codec(spec: PyramidSpec) -> dict[str, Any]:
    """Name the codec; tifffile turns RGB into the YCbCr 4:2:0 of JPEG, and tags it so."""
    if spec.lossless:
        return {"photometric": "rgb", "compression": "adobe_deflate"}
    jpeg = {"compression": "jpeg", "compressionargs": {"level": spec.quality}}
    return {"photometric": "rgb", "subsampling": (2, 2)} | jpeg


def _describe(level0: Pixels, level: Pixels, spec: PyramidSpec) -> str:
    """Say what OpenSlide's Aperio reader asks for: the first word, AppMag and MPP.

    Source: https://openslide.org/formats/aperio/
    """
    (height, width), (here_y, here_x) = level0.shape[:2], level.shape[:2]
    scaled = "" if level is level0 else f" -> {here_x}x{here_y}"
    codec = "RGB" if spec.lossless else f"JPEG/RGB Q={spec.quality}"
    tile = f"({spec.tile_px}x{spec.tile_px})"
    lines = f"Aperio Image Library (synthetic)\r\n{width}x{height} [0,0 {width}x{height}] {tile}"
    facts = {"AppMag": spec.objective, "MPP": spec.mpp}
    said = [f"{key} = {value:.10g}" for key, value in facts.items() if value is not None]
    return "|".join([f"{lines}{scaled} {codec}", *said])


def _shrink(level: Pixels, factor: int) -> Pixels:
    height, width = level.shape[0] // factor, level.shape[1] // factor
    whole = level[: height * factor, : width * factor]
    return np.asarray(cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def _tiles(level: Pixels, tile_px: int) -> Iterator[Pixels]:
    """Tiles in file order; those over the edge repeat it, as black would ring into the picture."""
    height, width = level.shape[:2]
    down, right = -height % tile_px, -width % tile_px
    whole = np.pad(level, ((0, down), (0, right), (0, 0)), mode="edge")
    for y in range(0, height, tile_px):
        for x in range(0, width, tile_px):
            yield np.ascontiguousarray(whole[y : y + tile_px, x : x + tile_px])


class TifffileSlide:
    """A tiled TIFF as tifffile reads it, in the shape of `core.slide.Slide`."""

    def __init__(self, path: Path, info: SlideInfo, layout: TiffLayout) -> None:
        self.path = str(path)
        self.info = info
        self._levels = [layout.level_of(*size_px) for size_px in info.level_sizes_px]

    def tiles(self, level: int) -> TifffileTiles:
        """The tiles of a level that the layout has once.

        Raises:
            SpecError: it has none of that size, or several.
        """
        stored = self._levels[level]
        if stored is None:
            raise SpecError(f"{self.path}: level {level} is not stored as one level of tiles")
        return TifffileTiles(Path(self.path), stored)

    def close(self) -> None:
        """Do nothing: no file is held open."""


class TifffileTiles:
    """A level of a tiled TIFF as tifffile decodes it, in the shape of `core.tiles.TileSource`.

    A second opinion of a few tiles, where OpenSlide cannot give one: each read opens the file.
    """

    can_shrink = False

    def __init__(self, path: Path, level: TiffLevel) -> None:
        self.grid = level.grid
        self._path = path
        self._directory_bytes = level.directory_bytes

    def read(self, tile: int, *, shrink: int = 1, out: np.ndarray | None = None) -> np.ndarray:
        """RGB uint8 (tile_height_px, tile_width_px, 3).

        Raises:
            TileDamaged: tifffile cannot decode it, or to no RGB of that size.
        """
        del shrink
        try:
            with tifffile.TiffFile(self._path) as file:
                file.filehandle.seek(self._directory_bytes)
                page = tifffile.TiffPage(file, (0,))
                file.filehandle.seek(page.dataoffsets[tile])
                data = file.filehandle.read(page.databytecounts[tile])
                pixels, _, _ = page.decode(data, tile, jpegtables=page.jpegtables)
        except (tifffile.TiffFileError, RuntimeError, ValueError, IndexError) as error:
            raise TileDamaged("undecodable", f"tifffile cannot decode it: {error}") from error
        if pixels is None or pixels[0].shape != (
            self.grid.tile_height_px,
            self.grid.tile_width_px,
            3,
        ):
            raise TileDamaged("undecodable", "tifffile decodes it to another size")
        if out is None:
            return np.asarray(pixels[0])
        out[:] = pixels[0]
        return out
