"""Path -> open slide: which reader reads what, and why.

    path ─▶ OpenSlide: facts, levels ─▶ a tiled TIFF? ─▶ tiles of each level, matched by size
                                                              │
                      a few seeded regions of both compared ◀─┘
                      equal ─▶ tiles are read directly, at a sixth of the cost or less
                      not   ─▶ OpenSlide reads all; `info.fallback` says why

OpenSlide stays the judge of what a slide is: its levels, its vendor, its resolution. The tile
reader only decodes, and sees what OpenSlide passes over: decoder warnings and damaged tables.
"""

from __future__ import annotations

import os
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Literal, Self

import numpy as np

from pathassets.adapters.annotations.ndpa import NdpaFrame
from pathassets.adapters.annotations.reader import read_annotations
from pathassets.adapters.openslide.members import find_slides
from pathassets.adapters.openslide.reader import DENSE_VENDORS, OpenSlideReader, OpenSlideTiles
from pathassets.adapters.tiff.layout import TiffLayout, read_layout
from pathassets.adapters.tiled_tiff import TiledTiff, open_tiles
from pathassets.core import shown
from pathassets.core.annotations import Annotations
from pathassets.core.regions import WHITE, Rgb, read_box, read_region
from pathassets.core.slide import SlideInfo, audit_mpp, check_mpp
from pathassets.core.spec import seed_of
from pathassets.core.tiles import TileDamaged, TileGrid, TileSource
from pathassets.engine.holes import MendedTiles, find_holes
from pathassets.engine.slide_look import picture_of
from pathassets.errors import SlideUnreadable, SpecError, TileUnreadable

Backend = Literal["auto", "openslide", "tiles"]

READER = f"tiles, simplejpeg {version('simplejpeg')}, imagecodecs {version('imagecodecs')}"
N_COMPARED = 3
"""Regions of each level that both readers read when a slide is opened."""
COMPARED_PX = 64
"""Side of such a region: across the corner of four tiles it costs 1 ms."""
DRAWN_VENDOR = "aperio"
"""Whose missing tiles OpenSlide draws from the next finer level."""
NDPA_SUFFIX = ".ndpa"
LOSSY_DIFFERENCE = {"jpeg2000": 1}
"""Steps of 255 by which two right decoders of a codec may differ; 0 for all others."""


class OpenedSlide:
    """An open slide, in the shape of `core.slide.Slide`; a `with` block closes it."""

    def __init__(
        self, reader: OpenSlideReader, info: SlideInfo, file: TiledTiff | None = None
    ) -> None:
        self.path = reader.path
        self.info = info
        self._reader = reader
        self._file = file
        self._sources = self._open_sources()

    def _open_sources(self) -> list[TileSource]:
        """The tiles of each level: those of the file where it is known how they are stored."""
        file, reader, sizes_px = self._file, self._reader, self.info.level_sizes_px
        if file is None:
            return [reader.tiles(level) for level in range(len(sizes_px))]
        stored = [file.layout.level_of(*size_px) for size_px in sizes_px]
        has_drawn = self.info.vendor == DRAWN_VENDOR
        holes = find_holes(stored) if has_drawn else [frozenset[int]()] * len(stored)
        sources: list[TileSource] = []
        for number, (level, missing) in enumerate(zip(stored, holes, strict=True)):
            if level is None:
                sources.append(reader.tiles(number))
                continue
            source: TileSource = file.tiles(level)
            if number and missing:
                source = MendedTiles(source, OpenSlideTiles(reader, number, level.grid), missing)
            sources.append(source)
        return sources

    def tiles(self, level: int) -> TileSource:
        """The tiles of a level."""
        return self._sources[level]

    def read_region(  # noqa: PLR0913 - a rectangle in two frames
        self,
        x_px0: int,
        y_px0: int,
        *,
        width_px: int,
        height_px: int,
        level: int | None = None,
        mpp: float | None = None,
        fill: Rgb = WHITE,
    ) -> np.ndarray:
        """RGB uint8 (height_px, width_px, 3), its corner at a level-0 point.

        Of a stored `level`, or at `mpp` micrometres per pixel; of level 0 where neither is given.
        Any size; what lies beyond the slide has the colour `fill`, by geometry alone. The corner is
        taken to the nearest whole pixel of the level that is read.

        Raises:
            SpecError: both are given, there is no such level, or the slide's own mpp is not known.
            TileUnreadable: a tile of it cannot be read.
        """
        return read_region(
            self, x_px0, y_px0, width_px=width_px, height_px=height_px, level=level, mpp=mpp,
            fill=fill,
        )  # fmt: skip

    def read_annotations(self, path: str | Path) -> Annotations:
        """The areas of a file of drawings of this slide; NDPA's, too, which need its frame.

        Raises:
            AnnotationError: it cannot be read, or an element of it is malformed.
            SpecError: it is NDPA, and the slide does not say where it lies on the glass.
        """
        if Path(path).suffix.lower() != NDPA_SUFFIX:
            return read_annotations(path)
        frame = NdpaFrame.of(self.info, self._reader.properties)
        return read_annotations(path, ndpa_frame=frame)

    @property
    def associated_names(self) -> tuple[str, ...]:
        """Names of the images beside the pyramid, such as `label` and `macro`.

        Nothing in pathassets reads their pixels unasked: a label can show a patient's name.
        """
        return self._reader.associated_names

    def read_associated(self, name: str) -> np.ndarray:
        """RGB uint8 (y, x, 3) of one of them.

        Raises:
            SpecError: there is none of that name.
            SlideUnreadable: it cannot be decoded.
        """
        return self._reader.read_associated(name)

    def __repr__(self) -> str:
        return shown.line(self, shown.path(self.path), *self.info.told())

    def _repr_png_(self) -> bytes | None:
        """What a notebook shows: the overview, where it can be read."""
        return picture_of(self)

    def close(self) -> None:
        """Give the file handles back."""
        self._reader.close()
        if self._file is not None:
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_slide(
    path: str | Path, *, mpp: float | None = None, backend: Backend = "auto"
) -> OpenedSlide:
    """Open a slide, or the one slide of a folder (a DICOM series).

    `mpp` states micrometres per level-0 pixel where the file says none, or a wrong one. `auto`
    reads Aperio and other tiled TIFFs tile by tile, after a comparison with OpenSlide, which reads
    all else. `tiles` refuses what would be left to OpenSlide.

    Raises:
        SlideUnreadable: it is missing, damaged, or no slide; `.reason` says which.
        SpecError: `mpp` is impossible, or `backend="tiles"` is for another kind of slide.
    """
    if mpp is not None:
        check_mpp(mpp, subject=str(path))
    place = Path(path)
    # Not Path.is_dir: it raises where the folder above is forbidden, or the name too long.
    reader = OpenSlideReader(_slide_in(place) if os.path.isdir(place) else place)  # noqa: PTH112
    try:
        return _open(reader, replace(reader.info, stated_mpp=mpp), backend)
    except BaseException:
        reader.close()
        raise


def _slide_in(folder: Path) -> Path:
    found = find_slides(folder)
    if len(found) != 1:
        raise SlideUnreadable(
            folder, f"is a folder with {len(found) or 'no'} slides",
            remedy="Name one of its slides" if found else "Name a slide file",
            reason="folder_of_slides" if found else "folder_without_slide",
        )  # fmt: skip
    return found[0]


def _open(reader: OpenSlideReader, info: SlideInfo, backend: Backend) -> OpenedSlide:
    if info.vendor not in DENSE_VENDORS:
        _refuse_tiles(reader, backend, f"OpenSlide calls it {info.vendor}")
        return OpenedSlide(reader, info)
    layout = read_layout(Path(reader.path))
    _require_levels(info, layout, reader.path)
    info = _with_statements(info, layout)
    if backend == "openslide":
        return OpenedSlide(reader, info)
    if layout.level_of(info.width_px0, info.height_px0) is None:
        _refuse_tiles(reader, backend, "its level 0 has a codec it does not know")
        return OpenedSlide(reader, info)
    file = open_tiles(Path(reader.path), layout)
    try:
        slide = OpenedSlide(reader, replace(info, reader=READER), file)
        difference = _difference(slide, reader, layout)
    except BaseException:
        file.close()
        raise
    if not difference:
        return slide
    file.close()
    _refuse_tiles(reader, backend, difference)
    return OpenedSlide(reader, replace(info, fallback=difference))


def _require_levels(info: SlideInfo, layout: TiffLayout, path: str) -> None:
    """Refuse a slide that OpenSlide does not see all of.

    At a directory that libtiff refuses its list of levels ends, without a word. Of other TIFFs than
    Aperio's it takes not all levels, healthy as they are.
    """
    if info.vendor == "aperio" and info.n_levels < len(layout.levels):
        raise SlideUnreadable(
            path, f"its structure is damaged: OpenSlide sees {info.n_levels} of its "
            f"{len(layout.levels)} levels",
            remedy="Copy the file again from where it was scanned; if it stays so, export it anew",
            reason="damaged_structure",
        )  # fmt: skip


def _refuse_tiles(reader: OpenSlideReader, backend: Backend, why: str) -> None:
    if backend == "tiles":
        raise SpecError(
            f"{reader.path}: the tile reader cannot read it: {why}", remedy='Use backend="auto"'
        )


def _with_statements(info: SlideInfo, layout: TiffLayout) -> SlideInfo:
    """Hear what the TIFF says of its resolution and OpenSlide does not read, such as OME-XML."""
    if not layout.mpp_statements:
        return info
    sources = (*layout.mpp_statements, *info.audit.sources)
    return replace(info, audit=audit_mpp(sources, info.objective_power))


def _difference(slide: OpenedSlide, reader: OpenSlideReader, layout: TiffLayout) -> str:
    """What the tile reader reads otherwise than OpenSlide; empty where they agree.

    Regions that one of them cannot read are left out: they are damage, which reading will tell.
    """
    for level, size_px in enumerate(slide.info.level_sizes_px):
        tiff_level = layout.level_of(*size_px)
        if tiff_level is None:
            continue
        allowed = LOSSY_DIFFERENCE.get(tiff_level.codec, 0)
        downsample = slide.info.level_downsamples[level]
        for x_px, y_px in _compared_at(tiff_level.grid, tiff_level.n_bytes, downsample):
            right_px = min(x_px + COMPARED_PX, size_px[0])
            bottom_px = min(y_px + COMPARED_PX, size_px[1])
            try:
                ours = read_box(slide, level, (x_px, y_px, right_px, bottom_px))
                theirs = reader.read(level, x_px, y_px, right_px - x_px, bottom_px - y_px)
            except (TileDamaged, TileUnreadable):
                continue
            most = int(np.abs(ours.astype(np.int16) - theirs).max())
            if most > allowed:
                return (
                    f"the tile reader differs from OpenSlide by {most} of 255 on level {level} "
                    f"at ({x_px}, {y_px})"
                )
    return ""


def _compared_at(grid: TileGrid, n_bytes: np.ndarray, downsample: float) -> list[tuple[int, int]]:
    """Corners of the regions that are compared: over the lower right corners of some tiles.

    Tiles with much in them are taken, for on bare glass all decoders agree. OpenSlide interpolates
    where a pixel of the level is not at a whole level-0 point; there only the level's own corner
    can be compared.
    """
    if not float(downsample).is_integer():
        return [(0, 0)]
    rng = np.random.default_rng(seed_of("compare", grid, int(n_bytes.sum())))
    full = np.argsort(n_bytes, kind="stable")[-max(1, len(n_bytes) // 4) :]
    tiles = rng.choice(full, size=min(N_COMPARED, len(full)), replace=False)
    corners = []
    for tile in tiles.tolist():
        x_px, y_px = grid.corner_px(tile)
        half_px = COMPARED_PX // 2
        corners.append(
            (
                max(0, min(x_px + grid.tile_width_px - half_px, grid.width_px - COMPARED_PX)),
                max(0, min(y_px + grid.tile_height_px - half_px, grid.height_px - COMPARED_PX)),
            )
        )
    return corners
