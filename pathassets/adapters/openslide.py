"""OpenSlide -> Slide: every format it knows, and the only door to it.

OpenSlide's handle is poisoned by its first error (every later read raises), so a handle is reopened
after one. Associated images (label, macro: patient data) are never touched here.
"""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np
import openslide

from pathassets.adapters.files import unreadable
from pathassets.core.slide import MppSource, SlideInfo, audit_mpp
from pathassets.errors import SlideUnreadable, TileUnreadable

logger = logging.getLogger(__name__)

READER = f"openslide {openslide.__library_version__}"

SUFFIXES = frozenset(
    f".{name}"
    for name in (
        *("svs", "tif", "tiff", "ndpi", "vms", "vmu", "scn", "mrxs", "svslide", "bif", "dcm"),
        *("czi", "isyntax"),
    )
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
        try:
            self.info = _info(path, self._handle)
        except SlideUnreadable:
            self._handle.close()
            raise

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
            on_slide = absent[self._inside(x_px0, y_px0, level)]
            if self.info.vendor in DENSE_VENDORS and on_slide.any():
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
        fresh = _open(self.path)  # first: where it fails, the old handle stays and goes on raising
        self._handle.close()
        self._handle = fresh


def _open(path: Path) -> openslide.OpenSlide:
    _require_file(path)
    try:
        return openslide.OpenSlide(path)
    except openslide.OpenSlideUnsupportedFormatError as error:
        raise SlideUnreadable(
            path, "is not a slide that OpenSlide knows", remedy=_OPEN_REMEDY, reason="not_a_slide"
        ) from error
    except openslide.OpenSlideError as error:
        raise SlideUnreadable(path, f"cannot be opened: {error}", remedy=_OPEN_REMEDY) from error


def _require_file(path: Path) -> None:
    """Look before OpenSlide does: a named pipe would hold it for ever."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise SlideUnreadable(
                path, "is not a regular file", remedy="Name a slide file", reason="not_a_file"
            )
        with path.open("rb") as file:
            head = file.read(1)
    except OSError as error:
        raise unreadable(path, error) from error
    if not head:
        raise SlideUnreadable(path, "is empty", remedy="Copy it again", reason="empty_file")


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
    """Slides below a folder by the names of their files, sorted; a DICOM series is its first file.

    Hidden files and folders are left out: programs that copy write under hidden names. A pipe or a
    dangling link with a slide's name is listed, so that registering it says what it is. Linked
    folders are not followed, they may lead in circles.
    """
    found = []
    for place, folders, names in os.walk(folder, onerror=_note_unsearched):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(place, name) for name in names if _is_slide_name(name)]
    return first_of_series(sorted(found))


def _note_unsearched(error: OSError) -> None:
    logger.warning("%s: cannot be searched for slides: %s", error.filename, error.strerror)


def _is_slide_name(name: str) -> bool:
    return Path(name).suffix.lower() in SUFFIXES and not name.startswith(".")


def first_of_series(paths: list[Path]) -> list[Path]:
    """Leave out the DICOM files that belong to the slide of an earlier one."""
    others: set[Path] = set()
    kept = []
    for path in paths:
        if path in others:
            continue
        kept.append(path)
        if path.suffix.lower() == ".dcm":
            try:
                others.update(members_of(path))
            except SlideUnreadable:
                continue  # registering it will say why
    return kept


def members_of(path: Path) -> list[Path]:
    """All files that are this slide: MRXS and its folder, VMS and its pictures, a DICOM series.

    Raises:
        SlideUnreadable: the file cannot be opened.
    """
    suffix = path.suffix.lower()
    if suffix == ".mrxs":
        return [path, *sorted(p for p in path.with_suffix("").rglob("*") if p.is_file())]
    if suffix in {".vms", ".vmu"}:
        return [path, *_named_in(path)]
    if suffix == ".dcm":
        return _series_of(path)
    return [path]


def _named_in(index: Path) -> list[Path]:
    """Files that a Hamamatsu index names, in lines such as `ImageFile=a_1.jpg`.

    Source: https://openslide.org/formats/hamamatsu/
    """
    _require_file(index)
    with index.open(encoding="utf-8", errors="replace") as file:
        lines = file.read(_INDEX_CHARS).splitlines()
    names = {line.partition("=")[2].strip() for line in lines}
    return sorted(p for name in names if name and (p := index.parent / name).is_file())


_INDEX_CHARS = 1_000_000
_SERIES = "dicom.SeriesInstanceUID"


def _series_of(path: Path) -> list[Path]:
    with _open(path) as handle:
        series = handle.properties.get(_SERIES)
    try:
        dicom = [p for p in path.parent.iterdir() if p.suffix.lower() == ".dcm" and p.is_file()]
        looks = [(p, p.stat()) for p in sorted(dicom)]
    except OSError as error:
        raise unreadable(path.parent, error) from error
    listing = tuple((p, look.st_size, look.st_mtime_ns) for p, look in looks)
    return sorted({path, *(p for p, s in _series_in(listing) if s == series and s is not None)})


@lru_cache(maxsize=64)
def _series_in(listing: tuple[tuple[Path, int, int], ...]) -> tuple[tuple[Path, str | None], ...]:
    """Series of each DICOM file of a folder, opened once as long as no file there changes.

    OpenSlide opens all of them for each slide, 0.4 ms a file; without this it were n times n.
    """
    found = []
    for path, _, _ in listing:
        try:
            with _open(path) as handle:
                found.append((path, handle.properties.get(_SERIES)))
        except SlideUnreadable:
            continue  # a label image or a damaged neighbour is no part of any slide's pixels
    return tuple(found)
