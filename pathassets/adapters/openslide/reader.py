"""OpenSlide -> Slide: every format it knows.

Label and macro images are patient data: they are read when asked for by name, and never else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import openslide

from pathassets.adapters.openslide.anchors import REACH_PX, Anchors, point_px0
from pathassets.adapters.openslide.beside import require_plain_beside
from pathassets.adapters.openslide.diagnosis import require_file, why_no_slide
from pathassets.adapters.openslide.equipment import scanner_of, stain_of
from pathassets.adapters.openslide.planes import count_focal_planes
from pathassets.core.slides.slide import MppSource, SlideInfo, audit_mpp
from pathassets.core.slides.tiles import TileDamaged, TileGrid
from pathassets.errors import SlideUnreadable, SpecError

READER = f"openslide {openslide.__library_version__}"

DENSE_VENDORS = frozenset({"aperio", "generic-tiff"})
"""Formats that store every pixel: there, transparent pixels are missing data, not empty glass."""

_MPP_PROPERTIES = (openslide.PROPERTY_NAME_MPP_X, openslide.PROPERTY_NAME_MPP_Y, "aperio.MPP")
_OPEN_REMEDY = "Open it in a viewer such as QuPath; copy the file again from where it was scanned"


class OpenSlideReader:
    """A slide opened by OpenSlide, in the shape of `core.slide.Slide`.

    Any number of threads may read at once. A handle is poisoned by its first error: every later
    read of it raises, also of healthy pixels. So a read that fails is tried again on a handle of
    its own, which says whether these pixels are bad, and all others go on with a fresh one.
    """

    def __init__(self, path: Path) -> None:
        """Open `path`.

        Raises:
            SlideUnreadable: it is missing, no regular file, forbidden, or no slide.
        """
        self.path = str(path)
        self._is_closed = False
        self._handle = open_handle(path)
        try:
            self.info, self._tiles_px = _facts(path, self._handle)
            self._anchors = [Anchors.of(self.info, n) for n in range(self.info.n_levels)]
            self._background = _background(self._handle)
        except SlideUnreadable:
            self._handle.close()
            raise

    def is_exact(self, level: int) -> bool:
        """Whether all pixels of a level are read as they are stored, and none is interpolated."""
        return self._anchors[level].are_near

    def tiles(self, level: int) -> OpenSlideTiles:
        """The level in tiles of the file's own size, where OpenSlide tells it, else 512 px.

        They are larger where each costs the way from an anchor.
        """
        width_px, height_px = self.info.level_sizes_px[level]
        tile_width_px, tile_height_px = self._tiles_px[level]
        if not self._anchors[level].are_all:
            tile_width_px = tile_height_px = REACH_PX
        grid = TileGrid(
            width_px=width_px, height_px=height_px,
            tile_width_px=tile_width_px, tile_height_px=tile_height_px,
        )  # fmt: skip
        return OpenSlideTiles(self, level, grid)

    def read(self, level: int, x_px: int, y_px: int, width_px: int, height_px: int) -> np.ndarray:
        """RGB uint8 (height_px, width_px, 3) of a part of a level, all of it inside.

        Raises:
            TileDamaged: the pixels cannot be decoded, or are not stored.
            SlideUnreadable: the file is gone, or this is closed.
        """
        anchor_x_px, anchor_y_px = self._anchors[level].before(x_px, y_px)
        ahead_x_px, ahead_y_px = x_px - anchor_x_px, y_px - anchor_y_px
        rgba = self._rgba(
            level, anchor_x_px, anchor_y_px, width_px + ahead_x_px, height_px + ahead_y_px
        )[ahead_y_px:, ahead_x_px:]
        rgb = np.ascontiguousarray(rgba[..., :3])
        absent = rgba[..., 3] == 0
        if absent.any():
            if self.info.vendor in DENSE_VENDORS:
                raise TileDamaged("no_pixels", "no pixels are stored for a part of it")
            rgb[absent] = self._background
        return rgb

    def read_stored(
        self, level: int, x_px: int, y_px: int, width_px: int, height_px: int
    ) -> np.ndarray:
        """RGB uint8 (n, 3) of those pixels that are stored at all; they may be interpolated.

        Raises:
            TileDamaged: they cannot be decoded.
            SlideUnreadable: the file is gone, or this is closed.
        """
        rgba = self._rgba(level, x_px, y_px, width_px, height_px)
        return rgba[rgba[..., 3] > 0][:, :3]

    def _rgba(self, level: int, x_px: int, y_px: int, width_px: int, height_px: int) -> np.ndarray:
        """RGBA uint8 of a part of a level, its corner put to the nearest level-0 point."""
        if self._is_closed:
            raise SlideUnreadable(self.path, "it is closed", remedy="Open it again")
        point = point_px0(self.info, level, x_px), point_px0(self.info, level, y_px)
        where = point, level, (width_px, height_px)
        try:
            return np.asarray(self._handle.read_region(*where))
        except openslide.OpenSlideError:
            return self._read_alone(*where)

    def _read_alone(
        self, point_px0: tuple[int, int], level: int, size_px: tuple[int, int]
    ) -> np.ndarray:
        path = Path(self.path)
        # The poisoned handle is closed when the last thread that reads by it lets go of it.
        self._handle = open_handle(path)
        with open_handle(path) as own:
            try:
                return np.asarray(own.read_region(point_px0, level, size_px))
            except openslide.OpenSlideError as error:
                raise TileDamaged("undecodable", str(error)) from error

    @property
    def properties(self) -> dict[str, str]:
        """What the file says of itself, by OpenSlide's names."""
        with open_handle(Path(self.path)) as own:
            return dict(own.properties)

    @property
    def associated_names(self) -> tuple[str, ...]:
        """Names of the images beside the pyramid, such as `label` and `macro`; not their pixels."""
        with open_handle(Path(self.path)) as own:
            return tuple(sorted(own.associated_images))

    def read_associated(self, name: str) -> np.ndarray:
        """RGB uint8 (y, x, 3) of one of them. A label shows who the patient is.

        Raises:
            SpecError: there is none of that name.
            SlideUnreadable: it cannot be decoded.
        """
        with open_handle(Path(self.path)) as own:  # an error would poison the handle of the pyramid
            try:
                return np.asarray(own.associated_images[name].convert("RGB"))
            except KeyError as error:
                known = ", ".join(sorted(own.associated_images)) or "none"
                raise SpecError(
                    f"{self.path}: no associated image {name!r}", remedy=f"It has {known}"
                ) from error
            except openslide.OpenSlideError as error:
                raise SlideUnreadable(
                    self.path, f"its image {name!r} cannot be decoded: {error}", remedy=_OPEN_REMEDY
                ) from error

    def close(self) -> None:
        """Give the file handle back; a second time it does nothing."""
        if not self._is_closed:
            self._is_closed = True
            self._handle.close()


class OpenSlideTiles:
    """One level as OpenSlide reads it, in the shape of `core.tiles.TileSource`."""

    can_shrink = False

    def __init__(self, reader: OpenSlideReader, level: int, grid: TileGrid) -> None:
        self.grid = grid
        self._reader = reader
        self._level = level

    def read(self, tile: int, *, shrink: int = 1, out: np.ndarray | None = None) -> np.ndarray:
        """RGB uint8 (tile_height_px, tile_width_px, 3); beyond the level it is white.

        Raises:
            TileDamaged: the pixels cannot be decoded, or are not stored.
        """
        del shrink
        grid = self.grid
        x_px, y_px = grid.corner_px(tile)
        width_px = min(grid.tile_width_px, grid.width_px - x_px)
        height_px = min(grid.tile_height_px, grid.height_px - y_px)
        rgb = self._reader.read(self._level, x_px, y_px, width_px, height_px)
        whole = (grid.tile_height_px, grid.tile_width_px, 3)
        if out is None:
            if rgb.shape == whole:
                return rgb
            out = np.empty(whole, np.uint8)
        out[height_px:] = 255
        out[:, width_px:] = 255
        out[:height_px, :width_px] = rgb
        return out


def open_handle(path: Path) -> openslide.OpenSlide:
    """Open a file after a look at what it is.

    Raises:
        SlideUnreadable: it cannot be opened, or is no slide; `.reason` says which.
    """
    require_file(path)  # a named pipe would hold OpenSlide for ever
    require_plain_beside(path)
    try:
        return openslide.OpenSlide(path)
    except openslide.OpenSlideUnsupportedFormatError as error:
        raise why_no_slide(path) from error
    except openslide.OpenSlideError as error:
        raise SlideUnreadable(path, f"cannot be opened: {error}", remedy=_OPEN_REMEDY) from error


def _facts(
    path: Path, handle: openslide.OpenSlide
) -> tuple[SlideInfo, tuple[tuple[int, int], ...]]:
    """What the slide says of itself, and (width, height) of the tiles of each level."""
    try:
        properties = handle.properties
        power = _power(properties)
        width_px0, height_px0 = handle.dimensions
        n_planes = count_focal_planes(path, properties)
        info = SlideInfo(
            width_px0=width_px0,
            height_px0=height_px0,
            level_downsamples=tuple(float(d) for d in handle.level_downsamples),
            level_sizes_px=tuple(handle.level_dimensions),
            vendor=properties.get(openslide.PROPERTY_NAME_VENDOR, "unknown"),
            reader=READER,
            objective_power=power,
            scanner=scanner_of(properties),
            stain=stain_of(properties),
            audit=audit_mpp(_sources(properties), power),
            bounds_px0=bounds_px0_of(properties, width_px0, height_px0),
            notes=(f"of its {n_planes} focal planes one is read",) if n_planes > 1 else (),
        )
        return info, tuple(_tile_px(properties, level) for level in range(handle.level_count))
    except openslide.OpenSlideError as error:
        raise SlideUnreadable(path, f"cannot be opened: {error}", remedy=_OPEN_REMEDY) from error


_BOUNDS = (
    openslide.PROPERTY_NAME_BOUNDS_X, openslide.PROPERTY_NAME_BOUNDS_Y,
    openslide.PROPERTY_NAME_BOUNDS_WIDTH, openslide.PROPERTY_NAME_BOUNDS_HEIGHT,
)  # fmt: skip


def bounds_px0_of(
    properties: Mapping[str, str], width_px0: int, height_px0: int
) -> tuple[int, int, int, int] | None:
    """x0, y0, x1, y1 of what was scanned; None where that is all, or OpenSlide does not say."""
    if not all(name in properties for name in _BOUNDS):
        return None
    x0, y0, width, height = (int(properties[name]) for name in _BOUNDS)
    bounds_px0 = max(0, x0), max(0, y0), min(width_px0, x0 + width), min(height_px0, y0 + height)
    is_area = bounds_px0[0] < bounds_px0[2] and bounds_px0[1] < bounds_px0[3]
    return bounds_px0 if is_area and bounds_px0 != (0, 0, width_px0, height_px0) else None


def _tile_px(properties: Mapping[str, str], level: int) -> tuple[int, int]:
    """(width, height) of a level's tiles, where they are neither tiny nor whole strips."""
    sides = [
        int(properties.get(f"openslide.level[{level}].tile-{s}", 0)) for s in ("width", "height")
    ]
    low, high = _TILE_PX_BOUNDS
    return (sides[0], sides[1]) if all(low <= s <= high for s in sides) else (512, 512)


_TILE_PX_BOUNDS = (128, 2048)


def _background(handle: openslide.OpenSlide) -> tuple[int, ...]:
    text = handle.properties.get(openslide.PROPERTY_NAME_BACKGROUND_COLOR, "FFFFFF")
    return tuple(bytes.fromhex(text))


def _sources(properties: Mapping[str, str]) -> tuple[MppSource, ...]:
    """All that speaks of micrometres per pixel, the vendor's own words first."""
    said = [
        MppSource(source=name, value=properties[name])
        for name in _MPP_PROPERTIES
        if name in properties
    ]
    return (*said, *_tiff_resolution(properties))


_UM_PER_UNIT = {"inch": 25_400.0, "centimeter": 10_000.0}


def _tiff_resolution(properties: Mapping[str, str]) -> Iterator[MppSource]:
    """Micrometres per pixel that the TIFF's resolution amounts to; none without a unit."""
    unit_um = _UM_PER_UNIT.get(properties.get("tiff.ResolutionUnit", ""))
    for name in ("tiff.XResolution", "tiff.YResolution"):
        try:
            per_unit = float(properties[name])
        except (KeyError, ValueError):
            continue
        if unit_um is not None and per_unit > 0:
            yield MppSource(source=name, value=f"{unit_um / per_unit:.6g}")


def _power(properties: Mapping[str, str]) -> float | None:
    """Objective power as stated; absent where the header has none or no number."""
    try:
        power = float(properties[openslide.PROPERTY_NAME_OBJECTIVE_POWER])
    except (KeyError, ValueError):
        return None
    return power if np.isfinite(power) and power > 0 else None
