"""Folder, file -> the slides in it, and all files that are one slide."""

from __future__ import annotations

import logging
import os
from functools import lru_cache
from pathlib import Path

from pathassets.adapters.files import FileStamp, stamp_of, unreadable
from pathassets.adapters.openslide.diagnosis import require_file
from pathassets.adapters.openslide.reader import open_handle
from pathassets.errors import SlideUnreadable

logger = logging.getLogger(__name__)

SUFFIXES = frozenset(
    f".{name}"
    for name in (
        *("svs", "tif", "tiff", "ndpi", "vms", "vmu", "scn", "mrxs", "svslide", "bif", "dcm"),
        *("czi", "isyntax"),
    )
)
"""File names a folder is searched for."""
OF_SEVERAL = frozenset({".mrxs", ".vms", ".vmu", ".dcm"})
"""Those of which a slide is more than one file."""


def find_slides(folder: Path) -> list[Path]:
    """Slides below a folder by the names of their files, sorted; a DICOM series is its first file.

    Hidden files and folders are left out: programs that copy write under hidden names. A pipe or a
    dangling link with a slide's name is listed, so that registering it says what it is. Linked
    folders are not followed, they may lead in circles; that they are left out is logged.
    """
    found = []
    for place, folders, names in os.walk(folder, onerror=_note_unsearched):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in folders:
            if (link := Path(place, name)).is_symlink():
                logger.warning("%s: is a link to a folder, and not searched: name it itself", link)
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


def slide_stamp(path: Path) -> FileStamp:
    """How a slide looks: all of its files, or one alone that is no slide, as opening it will say.

    Raises:
        SlideUnreadable: a file is missing or forbidden.
    """
    try:
        members = members_of(path)
    except SlideUnreadable:
        members = [path]
    return stamp_of(members)


def _named_in(index: Path) -> list[Path]:
    """Files that a Hamamatsu index names, in lines such as `ImageFile=a_1.jpg`.

    Source: https://openslide.org/formats/hamamatsu/
    """
    require_file(index)
    with index.open(encoding="utf-8", errors="replace") as file:
        names = names_in_index(file.read(_INDEX_CHARS))
    return sorted(p for name in names if (p := index.parent / name).is_file())


def names_in_index(text: str) -> set[str]:
    """Names that a Hamamatsu index gives its files."""
    return {line.partition("=")[2].strip() for line in text.splitlines()} - {""}


_INDEX_CHARS = 1_000_000
_SERIES = "dicom.SeriesInstanceUID"


def _series_of(path: Path) -> list[Path]:
    with open_handle(path) as handle:
        series = handle.properties.get(_SERIES)
    try:
        dicom = [p for p in path.parent.iterdir() if p.suffix.lower() == ".dcm" and p.is_file()]
        looks = [(p, p.stat()) for p in sorted(dicom)]
    except OSError as error:
        raise unreadable(path.parent, error) from error
    listing = tuple((p, look.st_size, look.st_mtime_ns) for p, look in looks)
    return sorted({path, *(p for p, s in _series_in(listing) if s == series and s is not None)})


@lru_cache(maxsize=1_024)
def _series_in(listing: tuple[tuple[Path, int, int], ...]) -> tuple[tuple[Path, str | None], ...]:
    """Series of each DICOM file of a folder, opened once as long as no file there changes.

    OpenSlide opens all of them for each slide, 0.4 ms a file; without this it were n times n.
    """
    found = []
    for path, _, _ in listing:
        try:
            with open_handle(path) as handle:
                found.append((path, handle.properties.get(_SERIES)))
        except SlideUnreadable:
            continue  # a label image or a damaged neighbour is no part of any slide's pixels
    return tuple(found)
