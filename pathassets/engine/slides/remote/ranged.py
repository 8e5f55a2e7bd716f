"""A file with holes -> an open slide, of which the tiles that are read are fetched, and no others.

    structure, a few tiles, the coarsest level ─▶ fetched ─▶ opened as any file: by OpenSlide, and
                                                             compared with it
    locations ─▶ their tiles ─▶ fetched together ─▶ read

So nothing is believed of such a slide that is not looked at of every slide, and it is the tile
reader that says which tiles are damaged. A slide of which OpenSlide would read pixels (another
codec, tiles that it draws in place of missing ones, one that both readers read otherwise) is
fetched whole: it reads what it likes, and takes a hole for black.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pathassets.adapters.objects.remote_slides import RemoteSlide
from pathassets.adapters.tiff.layout import TiffLayout, read_layout, read_structure
from pathassets.adapters.tiff.levels import TiffLevel
from pathassets.adapters.tiff.tiles import TiffTiles
from pathassets.core.slides.tiles import TileGrid, TileSource, find_touches
from pathassets.engine.slides.open import OpenedSlide, open_slide
from pathassets.engine.slides.pixel_check import COMPARED_PX, compared_at
from pathassets.engine.slides.remote.holes import PRESENT, HoledFile, HoledSource, make_holes
from pathassets.engine.slides.scratch import HOLES, NoRoom, PendingCopy, Scratch
from pathassets.engine.slides.scratch_copy import Borrowed, sign
from pathassets.errors import SlideError

SUFFIXES = frozenset({".svs", ".tif", ".tiff"})
"""Names of files that may be tiled TIFFs; others are fetched whole without a look."""
LEAST_BYTES = 64 * 2**20
"""A smaller slide comes whole by two requests, where an opening by parts takes 18 one after the
other (benchmarks/ranges.py), and more of a slide of more levels."""
MOST_SHARE = 0.5
"""Of a slide of which more would be fetched, all is: that is at most twice as much, by requests of
8 MB and none smaller, and its SHA-256 is known then."""


def can_be_ranged(slide: RemoteSlide) -> bool:
    """Whether it is worth a look if a slide can be read by parts."""
    (first, *others) = slide.members
    is_one = not others and first.etag is not None  # or two requests could be of two versions
    is_large = slide.size_bytes >= LEAST_BYTES
    return is_one and is_large and slide.file.suffix.lower() in SUFFIXES


def hold_holes(slide: RemoteSlide, fingerprint: str, scratch: Scratch) -> HeldHoles | NoRoom:
    """Take the file with holes of a slide that looks as registered, or make it.

    Raises:
        StoreError: the scratch folder cannot be read or written.
    """

    def fill(begun: PendingCopy) -> str:
        sign(begun.handle, scratch.batch, [slide.file.name])
        make_holes(begun.part, slide)
        return name

    name = f"{fingerprint}-{slide.size_bytes}{HOLES}"
    held = scratch.take(name, slide.size_bytes, fill)
    if isinstance(held, NoRoom):
        return held
    source = HoledSource(
        slide=slide, fingerprint=fingerprint, file=held.path, present=held.folder / PRESENT
    )
    return HeldHoles(source, held)


class HeldHoles(NamedTuple):
    """A file with holes that nobody removes as long as it is not given back."""

    source: HoledSource
    held: Borrowed


def open_ranged(source: HoledSource, mpp: float | None) -> OpenedSlide:
    """Open a slide by what is needed of it; one that needs more is fetched whole, and verified.

    Raises:
        SlideUnreadable: it is damaged, or no slide.
        SlideChanged: it was overwritten, or is not what was registered.
        StoreError: its storage does not give it.
        ResourcesShort: the scratch disk is full.
    """
    file = HoledFile(source)
    try:
        slide = _open_by_parts(file, mpp)
        if slide is not None:
            return slide
        file.fetch_all()
        file.close()
        return open_slide(source.file, mpp=mpp)
    except BaseException:
        file.close()
        raise


def _open_by_parts(file: HoledFile, mpp: float | None) -> OpenedSlide | None:
    """The slide, its tiles fetched as they are read; None where it must be whole for that."""
    path = file.source.file
    try:
        layout = read_layout(path, fill=file.need)
        if layout.directory or not layout.levels:
            return None
        read_structure(path, fill=file.need)
        _fetch_what_opening_reads(file, layout)
        slide = open_slide(path, mpp=mpp)
    except SlideError as error:
        if error.path != str(path):
            raise  # of the object: it is gone, or another
        return None
    levels = [layout.level_of(*size_px) for size_px in slide.info.level_sizes_px]
    is_by_tiles = all(isinstance(slide.tiles(n), TiffTiles) for n in range(len(levels)))
    if slide.info.fallback or not is_by_tiles:
        slide.close()
        return None
    return slide.through(
        [
            RangedTiles(file, level, slide.tiles(number))
            for number, level in enumerate(levels)
            if level is not None
        ],
        file,
    )


def _fetch_what_opening_reads(file: HoledFile, layout: TiffLayout) -> None:
    """The coarsest level, of which OpenSlide takes a hash, and the tiles that are compared."""
    whole = layout.levels[0].grid
    coarsest = min(layout.levels, key=lambda level: level.grid.width_px * level.grid.height_px)
    starts, n_bytes = [coarsest.offsets], [coarsest.n_bytes]
    for level in layout.levels:
        grid = level.grid
        downsample = (whole.width_px / grid.width_px + whole.height_px / grid.height_px) / 2
        corners = np.array(compared_at(grid, level.n_bytes, downsample)).reshape(-1, 2)
        tiles = find_touches(grid, corners[:, 0], corners[:, 1], COMPARED_PX).tiles
        starts.append(level.offsets[tiles])
        n_bytes.append(level.n_bytes[tiles])
    file.fetch(np.concatenate(starts), np.concatenate(n_bytes))


class RangedTiles:
    """One level, in the shape of `core.slides.tiles.TileSource`, whose tiles are fetched."""

    def __init__(self, file: HoledFile, level: TiffLevel, stored: TileSource) -> None:
        self.grid: TileGrid = stored.grid
        self.can_shrink: bool = stored.can_shrink
        self._file = file
        self._stored = stored
        self._level = level
        self._starts: list[int] = level.offsets.tolist()
        self._n_bytes: list[int] = level.n_bytes.tolist()

    def read(self, tile: int, *, shrink: int = 1, out: np.ndarray | None = None) -> np.ndarray:
        """As `TiffTiles.read`, once it was fetched.

        Raises:
            TileDamaged: it is missing, cannot be decoded, or not be believed.
            SlideChanged: the object was overwritten, or is gone.
            StoreError: its storage does not give it.
        """
        start = self._starts[tile]
        self._file.need(start, start + self._n_bytes[tile])
        return self._stored.read(tile, shrink=shrink, out=out)

    def expect(self, tiles: np.ndarray) -> None:
        """Fetch tiles that will be read soon; all of the slide, where they are most of it.

        Raises:
            SlideChanged: the object was overwritten, or is gone.
            StoreError: its storage does not give it.
            ResourcesShort: the scratch disk is full.
        """
        starts, n_bytes = self._level.offsets[tiles], self._level.n_bytes[tiles]
        if self._file.n_bytes_with(starts, n_bytes) > MOST_SHARE * self._file.size_bytes:
            self._file.fetch_all()
        else:
            self._file.fetch(starts, n_bytes)
