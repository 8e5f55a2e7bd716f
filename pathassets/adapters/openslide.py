"""OpenSlide -> Slide: every format it knows, and the only door to it.

OpenSlide's handle is poisoned by its first error (every later read raises), so a handle is reopened
after one. Associated images (label, macro: patient data) are never touched here.
"""

from __future__ import annotations

import stat
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import openslide

from pathassets.core.slide import MppSource, SlideInfo, audit_mpp
from pathassets.errors import SlideUnreadable, TileUnreadable

READER = f"openslide {openslide.__library_version__}"

SUFFIXES = frozenset(
    ".svs .tif .tiff .ndpi .vms .vmu .scn .mrxs .svslide .bif .dcm .czi .isyntax".split()
)
"""File names a folder is searched for."""

DENSE_VENDORS = frozenset({"aperio", "generic-tiff"})
"""Formats that store every pixel: there, transparent pixels are missing data, not empty glass."""

_MPP_PROPERTIES = (openslide.PROPERTY_NAME_MPP_X, openslide.PROPERTY_NAME_MPP_Y, "aperio.MPP")
_OPEN_REMEDY = "Open it in a viewer such as QuPath; copy the file again from where it was scanned"


class OpenSlideSlide:
    """A slide opened by OpenSlide, in the shape of `core.slide.Slide`."""

    def __init__(self, path: Path) -> None:
        """Open `path`.

        Raises:
            SlideUnreadable: it is missing, no regular file, forbidden, or no slide.
        """
        self.path = path
        self._handle = _open(path)
        self.info = _info(path, self._handle)

    def read_level(
        self, x_px0: int, y_px0: int, *, level: int, width_px: int, height_px: int
    ) -> np.ndarray:
        """RGB uint8 (height_px, width_px, 3); beyond the slide's edges the background colour.

        Raises:
            TileUnreadable: the pixels cannot be decoded, or are not stored.
        """
        where = f"level {level}, {width_px} x {height_px} px at level-0 point ({x_px0}, {y_px0})"
        try:
            image = self._handle.read_region((x_px0, y_px0), level, (width_px, height_px))
        except openslide.OpenSlideError as error:
            self._reopen()
            raise TileUnreadable(
                self.path,
                f"cannot decode {where}: {error}",
                remedy="The file is damaged there: copy or scan it again",
            ) from error
        rgba = np.asarray(image)
        rgb = np.ascontiguousarray(rgba[..., :3])
        absent = rgba[..., 3] == 0
        if absent.any():
            if self.info.vendor in DENSE_VENDORS and absent[self._inside(x_px0, y_px0, level)].any():
                raise TileUnreadable(
                    self.path,
                    f"no pixels are stored for part of {where}",
                    remedy="The file is incomplete there: copy or scan it again",
                )
            rgb[absent] = self._background
        return rgb

    def close(self) -> None:
        """Give the file handle back."""
        self._handle.close()

    @property
    def _background(self) -> tuple[int, ...]:
        text = self._handle.properties.get(openslide.PROPERTY_NAME_BACKGROUND_COLOR, "FFFFFF")
        return tuple(bytes.fromhex(text))

    def _inside(self, x_px0: int, y_px0: int, level: int) -> tuple[slice, slice]:
        """Part of a read that lies on the slide, by geometry; edge pixels may be half outside."""
        downsample = self.info.level_downsamples[level]
        width_px, height_px = self.info.level_sizes_px[level]
        x, y = x_px0 / downsample, y_px0 / downsample
        rows = slice(max(0, int(np.ceil(-y))), max(0, int(height_px - y)))
        columns = slice(max(0, int(np.ceil(-x))), max(0, int(width_px - x)))
        return rows, columns

    def _reopen(self) -> None:
        self._handle.close()
        self._handle = _open(self.path)


def _open(path: Path) -> openslide.OpenSlide:
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            raise SlideUnreadable(
                path, "is not a regular file", remedy="Name a slide file", reason="not_a_file"
            )
        with path.open("rb") as file:
            head = file.read(1)
    except FileNotFoundError as error:
        raise SlideUnreadable(
            path,
            "no such file",
            remedy="Put it back, mount its disk, or ingest it where it is now",
            reason="file_missing",
        ) from error
    except PermissionError as error:
        raise SlideUnreadable(
            path, "permission denied", remedy="Grant read permission", reason="no_permission"
        ) from error
    except OSError as error:
        raise SlideUnreadable(path, str(error), remedy=_OPEN_REMEDY) from error
    if not head:
        raise SlideUnreadable(path, "is empty", remedy="Copy it again", reason="empty_file")
    try:
        return openslide.OpenSlide(path)
    except openslide.OpenSlideUnsupportedFormatError as error:
        raise SlideUnreadable(
            path, "is not a slide that OpenSlide knows", remedy=_OPEN_REMEDY, reason="not_a_slide"
        ) from error
    except openslide.OpenSlideError as error:
        raise SlideUnreadable(path, f"cannot be opened: {error}", remedy=_OPEN_REMEDY) from error


def _info(path: Path, handle: openslide.OpenSlide) -> SlideInfo:
    try:
        properties = handle.properties
        power = _power(properties)
        width_px0, height_px0 = handle.dimensions
        return SlideInfo(
            width_px0=width_px0,
            height_px0=height_px0,
            level_downsamples=tuple(float(d) for d in handle.level_downsamples),
            level_sizes_px=tuple(handle.level_dimensions),
            vendor=properties.get(openslide.PROPERTY_NAME_VENDOR, "unknown"),
            reader=READER,
            objective_power=power,
            audit=audit_mpp(_sources(properties), power),
        )
    except openslide.OpenSlideError as error:
        raise SlideUnreadable(path, f"cannot be opened: {error}", remedy=_OPEN_REMEDY) from error


def _sources(properties: Mapping[str, str]) -> tuple[MppSource, ...]:
    return tuple(
        MppSource(source=name, value=properties[name])
        for name in _MPP_PROPERTIES
        if name in properties
    )


def _power(properties: Mapping[str, str]) -> float | None:
    """Objective power as stated; absent where the header has none or no number."""
    try:
        power = float(properties[openslide.PROPERTY_NAME_OBJECTIVE_POWER])
    except (KeyError, ValueError):
        return None
    return power if np.isfinite(power) and power > 0 else None


def find_slides(folder: Path) -> list[Path]:
    """Slide files below a folder by their names, sorted; hidden and half-copied ones left out."""
    return sorted(
        p
        for p in folder.rglob("*")
        if p.suffix.lower() in SUFFIXES and not p.name.startswith(".") and p.is_file()
    )


def members_of(path: Path) -> list[Path]:
    """All files that are this slide, sorted: for MRXS its folder, for DICOM its series.

    Raises:
        SlideUnreadable: the file cannot be opened.
    """
    if path.suffix.lower() == ".mrxs":
        return [path, *sorted(p for p in path.with_suffix("").rglob("*") if p.is_file())]
    if path.suffix.lower() == ".dcm":
        return _series_of(path)
    return [path]


_SERIES = "dicom.SeriesInstanceUID"


def _series_of(path: Path) -> list[Path]:
    with _open(path) as handle:
        series = handle.properties.get(_SERIES)
    found = []
    for sibling in sorted(path.parent.glob("*.dcm")):
        try:
            with _open(sibling) as handle:
                if handle.properties.get(_SERIES) == series:
                    found.append(sibling)
        except SlideUnreadable:
            continue  # a label image or a damaged neighbour is no part of this slide's pixels
    return found
