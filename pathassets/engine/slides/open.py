"""Path -> open slide: which reader reads what, and why.

    path ─▶ OpenSlide: facts, levels ─▶ a tiled TIFF? ─▶ tiles of each level, matched by size
                                                              │
                      a few seeded regions of both compared ◀─┘
                      equal ─▶ tiles are read directly, at a sixth of the cost or less
                      not   ─▶ OpenSlide reads all; `info.fallback` says why

OpenSlide stays the judge of what a slide is: its levels, its vendor, its resolution. The tile
reader only decodes, and sees what OpenSlide passes over: decoder warnings and damaged tables.
But OpenSlide takes the first image of a TIFF for the slide, be it the label. Where OME-XML says
which one it is, and that is another, the tiles are read without OpenSlide, after a comparison with
tifffile.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Literal, Protocol, Self

import numpy as np

from pathassets.adapters.annotations.ndpa import NdpaFrame
from pathassets.adapters.annotations.reader import parse_annotations, read_annotations
from pathassets.adapters.openslide.members import find_slides
from pathassets.adapters.openslide.reader import DENSE_VENDORS, OpenSlideReader, OpenSlideTiles
from pathassets.adapters.tiff.alone import NoOpenSlide, facts_of
from pathassets.adapters.tiff.layout import TiffLayout, read_layout
from pathassets.adapters.tiff.remedies import alone
from pathassets.adapters.tiff.tiles import TiledTiff, open_tiles
from pathassets.core import display
from pathassets.core.annotations.annotations import Annotations
from pathassets.core.frames import Frame
from pathassets.core.slides.regions import WHITE, BoxPx, Rgb, read_box, read_region
from pathassets.core.slides.slide import SlideInfo, audit_mpp, check_mpp
from pathassets.core.slides.tiles import TileSource
from pathassets.engine.slides.bounds import on_level0
from pathassets.engine.slides.missing_tiles import FilledTiles, find_missing_tiles
from pathassets.engine.slides.notebook_preview import picture_of
from pathassets.engine.slides.pixel_check import ReadBox, check_colours, find_difference
from pathassets.errors import SlideUnreadable, SpecError

Backend = Literal["auto", "openslide", "tiles"]

READER = f"tiles, simplejpeg {version('simplejpeg')}, imagecodecs {version('imagecodecs')}"
DRAWN_VENDOR = "aperio"
"""Whose missing tiles OpenSlide draws from the next finer level."""
NDPA_SUFFIX = ".ndpa"


class Closing(Protocol):
    """What is closed with a slide."""

    def close(self) -> None:
        """Give back what it holds; a second time it does nothing."""


class OpenedSlide:
    """An open slide, in the shape of `core.slide.Slide`; a `with` block closes it."""

    def __init__(
        self,
        reader: OpenSlideReader | NoOpenSlide,
        info: SlideInfo,
        file: TiledTiff | None = None,
    ) -> None:
        self.path = reader.path
        self.info = info
        self._reader = reader
        self._file = file
        self._through: Closing | None = None
        self._sources = self._open_sources()

    def _open_sources(self) -> list[TileSource]:
        """The tiles of each level: those of the file where it is known how they are stored."""
        file, reader, sizes_px = self._file, self._reader, self.info.level_sizes_px
        if file is None:
            return [reader.tiles(level) for level in range(len(sizes_px))]
        stored = [file.layout.level_of(*size_px) for size_px in sizes_px]
        has_drawn = self.info.vendor == DRAWN_VENDOR
        missing_tiles = (
            find_missing_tiles(stored) if has_drawn else [frozenset[int]()] * len(stored)
        )
        sources: list[TileSource] = []
        for number, (level, missing) in enumerate(zip(stored, missing_tiles, strict=True)):
            if level is None:
                sources.append(reader.tiles(number))
                continue
            source: TileSource = file.tiles(level)
            if number and missing and isinstance(reader, OpenSlideReader):
                source = FilledTiles(source, OpenSlideTiles(reader, number, level.grid), missing)
            sources.append(source)
        return sources

    def drawn_tiles(self, level: int) -> tuple[int, ...]:
        """Tiles of a level that the file does not store, and that are drawn from a finer one."""
        source = self._sources[level]
        return tuple(sorted(source.missing)) if isinstance(source, FilledTiles) else ()

    def noting(self, notes: Iterable[str]) -> Self:
        """Take further notes of it, when it is opened."""
        self.info = replace(self.info, notes=(*self.info.notes, *notes))
        return self

    def tiles(self, level: int) -> TileSource:
        """The tiles of a level."""
        return self._sources[level]

    def through(self, sources: list[TileSource], file: Closing) -> Self:
        """Read its tiles by way of others, of a file that is closed with it."""
        self._sources, self._through = sources, file
        return self

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

    def read_annotations(self, path: str | Path, *, frame: Frame | None = None) -> Annotations:
        """The areas of an annotation file of this slide, or of a text of JSON, in level-0 pixels.

        Of a slide that has bounds it must be said from where the program that wrote them counts:
        `frame="bounds"` for QuPath, `"level0"` for programs that show all of level 0. NDPA's
        lie on the glass, and need no word.

        Raises:
            AnnotationError: it cannot be read, or an element of it is malformed.
            SpecError: the frame is not said; or it is NDPA, and the slide does not say where it
                lies on the glass.
        """
        if isinstance(path, str) and path.lstrip()[:1] in {"[", "{"}:
            return on_level0(parse_annotations(path), self.info, frame, subject=self.path)
        if Path(path).suffix.lower() != NDPA_SUFFIX:
            return on_level0(read_annotations(path), self.info, frame, subject=self.path)
        on_glass = NdpaFrame.of(self.info, self._reader.properties)
        return read_annotations(path, ndpa_frame=on_glass)

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
        return display.line(self, display.path(self.path), *self.info.summary())

    def _repr_png_(self) -> bytes | None:
        """What a notebook shows: the overview, where it can be read."""
        return picture_of(self)

    def close(self) -> None:
        """Give the file handles back."""
        self._reader.close()
        for file in (self._file, self._through):
            if file is not None:
                file.close()

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
    place = _slide_in(place) if os.path.isdir(place) else place  # noqa: PTH112
    try:
        reader = OpenSlideReader(place)
    except SlideUnreadable as error:
        return _open_alone(place, _layout_beyond(place, error), mpp, backend)
    try:
        return _open(reader, replace(reader.info, stated_mpp=mpp), backend)
    except BaseException:
        reader.close()
        raise


def _layout_beyond(path: Path, error: SlideUnreadable) -> TiffLayout:
    """Structure of a TIFF whose first image no reader knows, and whose slide is another one.

    Raises:
        SlideUnreadable: it is none; what OpenSlide said of the file.
    """
    if error.reason != "not_a_slide":
        raise error
    try:
        layout = read_layout(path)
    except SlideUnreadable:
        raise error from None
    if not layout.directory:
        raise error
    return layout


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
        return _left_to(reader, info)
    layout = read_layout(Path(reader.path))
    if layout.directory:
        reader.close()
        return _open_alone(Path(reader.path), layout, info.stated_mpp, backend)
    _require_levels(info, layout, reader.path)
    codec = layout.codec_of(info.width_px0, info.height_px0)
    info = replace(_with_statements(info, layout), codec=codec)
    if backend == "openslide":
        return _left_to(reader, info)
    if layout.level_of(info.width_px0, info.height_px0) is None:
        _refuse_tiles(reader, backend, "its level 0 has a codec it does not know")
        return _left_to(reader, info)
    file = open_tiles(Path(reader.path), layout)
    try:
        slide = OpenedSlide(reader, replace(info, reader=READER), file)
        difference = find_difference(
            slide, layout, _reading(reader.read), reader="OpenSlide", is_exact=False
        )
        if not difference:
            return _with_colours(slide)
    except BaseException:
        file.close()
        raise
    file.close()
    _refuse_tiles(reader, backend, difference)
    return _left_to(reader, replace(info, fallback=difference))


def _left_to(reader: OpenSlideReader, info: SlideInfo) -> OpenedSlide:
    """The slide as OpenSlide reads it, with a note where that is not as it is stored."""
    notes = [
        f"OpenSlide interpolates level {level}: it is {info.level_downsamples[level]:.10g} times "
        "smaller than level 0, which is no whole number"
        for level in range(info.n_levels)
        if not reader.is_exact(level)
    ]
    slide = OpenedSlide(reader, replace(info, notes=(*info.notes, *notes)))
    odd = check_colours(slide, range(info.n_levels), _reading(reader.read_stored))
    return slide.noting(odd)


def _with_colours(slide: OpenedSlide) -> OpenedSlide:
    """Let a tiled TIFF through whose colours are a picture's; all levels say the same of them."""
    coarsest = slide.info.n_levels - 1
    odd = check_colours(slide, [coarsest], lambda level, box_px: read_box(slide, level, box_px))
    return slide.noting(odd)


def _reading(read: Callable[[int, int, int, int, int], np.ndarray]) -> ReadBox:
    """OpenSlide's way to name a region, from that of a box."""

    def read_in(level: int, box_px: BoxPx) -> np.ndarray:
        x0, y0, x1, y1 = box_px
        return read(level, x0, y0, x1 - x0, y1 - y0)

    return read_in


def _open_alone(
    path: Path, layout: TiffLayout, stated_mpp: float | None, backend: Backend
) -> OpenedSlide:
    """Open a slide that is another image of its TIFF than the first, by its tiles alone.

    Raises:
        SlideUnreadable: that takes OpenSlide, or tifffile reads other pixels.
    """
    if backend == "openslide" or not layout.has_level0:
        raise _only_first(path, layout, "only OpenSlide could read it")
    from pathassets.adapters.tifffile import TifffileSlide  # noqa: PLC0415 - rare, takes 60 ms

    info = replace(facts_of(layout, reader=READER), stated_mpp=stated_mpp)
    second = TifffileSlide(path, info, layout)
    file = open_tiles(path, layout)
    try:
        slide = _with_colours(OpenedSlide(NoOpenSlide(str(path)), info, file))
        difference = find_difference(
            slide, layout, lambda level, box_px: read_box(second, level, box_px),
            reader="tifffile", is_exact=True,
        )  # fmt: skip
    except BaseException:
        file.close()
        raise
    if difference:
        file.close()
        raise _only_first(path, layout, difference)
    return slide


def _only_first(path: Path, layout: TiffLayout, why: str) -> SlideUnreadable:
    return SlideUnreadable(
        path,
        f"the slide is its directory {layout.directory}, where OpenSlide takes directory 0: {why}",
        remedy=alone(layout.directory),
        reason="slide_image_unclear",
    )


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
    """Hear what the TIFF says and OpenSlide does not read: OME-XML's resolution, other planes."""
    info = replace(info, notes=(*info.notes, *layout.notes))
    if not layout.mpp_statements:
        return info
    sources = (*layout.mpp_statements, *info.audit.sources)
    return replace(info, audit=audit_mpp(sources, info.objective_power))
