"""TIFF -> TiffLayout: which of its directories are levels, and where each tile's bytes are.

For slides that OpenSlide reads as `aperio` or `generic-tiff`, and by the same rules: level 0 is the
first directory, but where OME-XML says that another is the slide; further levels are Aperio's tiled
ones, elsewhere those marked as of reduced resolution. Other vendors' TIFFs (Hamamatsu, Leica,
Philips, …) are built otherwise and would be called damaged. Not a byte of a label's or macro's
pixels is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from pathassets.adapters.tiff.directories import (
    Directory,
    Fill,
    TiffBytes,
    damaged,
    open_tiff,
    read_directories,
    read_directory,
    truncated,
)
from pathassets.adapters.tiff.evidence import check_against_tiles
from pathassets.adapters.tiff.extents import any_shared, fault_codes, is_cut
from pathassets.adapters.tiff.fields import (
    APERIO,
    BYTE_COUNTS,
    DESCRIPTION,
    OFFSETS,
    STRIP_BYTE_COUNTS,
    STRIP_OFFSETS,
    SUB_DIRECTORIES,
    Fields,
    PixelFormat,
)
from pathassets.adapters.tiff.levels import TiffLayout, TiffLevel, read_grid, read_level
from pathassets.adapters.tiff.slide_image import MAX_TEXT_BYTES, find_slide_image
from pathassets.errors import SlideUnreadable

__all__ = ["TiffLayout", "TiffLevel", "read_layout"]

MAX_SUB_DIRECTORIES = 64
FIT_SHARE, FIT_PX = 0.01, 1.0
"""How far a level may be off the shape of level 0: what is cut when sizes are halved in turn."""


def read_layout(path: Path, fill: Fill | None = None) -> TiffLayout:
    """Read the structure of a tiled TIFF: 11 ms for 46,000 tiles, all checks included.

    `fill` is called before anything is read of a file with holes.

    Raises:
        SlideUnreadable: no TIFF (`not_a_slide`), no tiles (`striped_tiff`), other pixels than 8-bit
            RGB (`not_8bit_rgb`), `truncated`, contradicting itself (`damaged_structure`), or of
            several images, any of which may be the slide (`slide_image_unclear`).
    """
    with open_tiff(path, fill) as file:
        directories = read_directories(file)
        fields = [Fields(file, d) for d in directories]
        chosen = find_slide_image(path, fields)
        first = fields[chosen.directory]
        if not first.is_tiled:
            _require_whole(file, _strips(file, directories))
            raise _striped(first)
        pixels = first.pixels()
        images = _pyramid(fields, first)
        levels = _read_levels(images, pixels)
        if levels:
            levels = _check(file, directories, images, levels)
        stack = [f"of its {pixels.depth} planes the first is read"] if pixels.depth > 1 else []
        return TiffLayout(
            size_bytes=file.size_bytes,
            levels=tuple(levels),
            directory=chosen.directory,
            mpp_statements=chosen.mpp_statements,
            tiff_statements=first.mpp_statements() if chosen.directory else (),
            notes=(*chosen.notes, *stack),
        )


def read_structure(path: Path, fill: Fill) -> None:
    """Have all filled in of a TIFF that is no pixel, for those who read more of it than we do.

    Raises:
        SlideUnreadable: it is none, or damaged.
    """
    with open_tiff(path, fill) as file:
        for directory in read_directories(file):
            for entry in directory.entries.values():
                if entry.is_apart and entry.at_bytes + entry.n_bytes <= file.size_bytes:
                    fill(entry.at_bytes, entry.at_bytes + entry.n_bytes)


def _striped(image: Fields) -> SlideUnreadable:
    return SlideUnreadable(
        image.file.path,
        "is a TIFF stored in strips, not in tiles",
        remedy=image.remedy(),
        reason="striped_tiff",
    )


def _pyramid(fields: Sequence[Fields], first: Fields) -> list[Fields]:
    """The directories that are levels, those of the main chain first.

    Which images those of the main chain are levels of is known where the first one is the slide.
    """
    levels = [first]
    if first is fields[0]:
        is_aperio = first.text(DESCRIPTION, MAX_TEXT_BYTES).startswith(APERIO)
        levels += [i for i in fields[1:] if i.is_tiled and (is_aperio or i.is_reduced)]
    return [*levels, *_sub_images(first.file, first)]


def _sub_images(file: TiffBytes, first: Fields) -> list[Fields]:
    """Levels that the first directory names as its own, as OME-TIFF does."""
    entry = first.directory.entries.get(SUB_DIRECTORIES)
    if entry is None:
        return []
    if entry.count > MAX_SUB_DIRECTORIES:
        raise damaged(file.path, f"{first} names {entry.count} directories below it")
    images = [
        Fields(file, read_directory(file, number, at_bytes)[0])
        for number, at_bytes in enumerate(first.table(SUB_DIRECTORIES).tolist())
    ]
    return [i for i in images if i.is_tiled and i.is_reduced]


def _read_levels(images: Sequence[Fields], pixels: PixelFormat) -> list[TiffLevel]:
    """The levels, all stored in the same way; none where that is left to OpenSlide."""
    first = images[0]
    for image in images[1:]:
        if image.pixels() != pixels:
            raise damaged(
                image.file.path,
                f"{image} does not store pixels as {first} does: {image.pixels()}; {pixels}",
            )
    codec = pixels.codec
    if codec is None:
        _require_stack(first, pixels)
        return []
    levels = [read_level(image, pixels, codec) for image in images]
    for level in levels[1:]:
        _require_fit(first.file, levels[0], level)
    return levels


def _require_stack(image: Fields, pixels: PixelFormat) -> None:
    """Planes kept apart need as many tiles each; else the tag that says so is damaged."""
    if pixels.planar == 1 and pixels.depth == 1:
        return
    n_tiles = read_grid(image).n_tiles * pixels.depth * (1 if pixels.planar == 1 else 3)
    if image.directory.entries[OFFSETS].count != n_tiles:
        raise damaged(image.file.path, f"{image} does not have the {n_tiles} tiles of its planes")


def _require_fit(file: TiffBytes, level0: TiffLevel, level: TiffLevel) -> None:
    """Width and height must be shrunk alike: within a pixel of the level, or a per cent."""
    whole, part = level0.grid, level.grid
    by_x, by_y = whole.width_px / part.width_px, whole.height_px / part.height_px
    is_like = abs(by_x - by_y) <= FIT_SHARE * max(by_x, by_y)
    off_px = min(
        abs(whole.width_px / by_y - part.width_px), abs(whole.height_px / by_x - part.height_px)
    )
    if min(by_x, by_y) < 1 or not (is_like or off_px <= FIT_PX):
        raise damaged(
            file.path,
            f"a level of {part.width_px} x {part.height_px} px does not fit level 0 "
            f"of {whole.width_px} x {whole.height_px} px",
        )


def _check(
    file: TiffBytes,
    directories: Sequence[Directory],
    images: Sequence[Fields],
    levels: Sequence[TiffLevel],
) -> list[TiffLevel]:
    """Hold what the directories say against the file; the levels with their faults filled in."""
    offsets = np.concatenate([level.offsets for level in levels])
    n_bytes = np.concatenate([level.n_bytes for level in levels])
    strips = _strips(file, directories)
    tables, rest = _structure(file, directories, images)
    if any_shared(tables, np.concatenate([tables, rest]), n_own=1):
        raise damaged(file.path, "a table of tiles shares bytes with another part of the file")
    _require_whole(file, np.concatenate([_extents(offsets, n_bytes), strips]))
    others = np.concatenate([strips, rest])
    codes = fault_codes(offsets, n_bytes, file.size_bytes, others)
    sound = codes == 0
    if any_shared(tables, _extents(offsets[sound], n_bytes[sound]), n_own=0):
        raise damaged(file.path, "a table of tiles shares bytes with a tile")
    parts = np.split(codes, np.cumsum([len(level.offsets) for level in levels])[:-1])
    checked = [replace(level, faults=part) for level, part in zip(levels, parts, strict=True)]
    for level in checked:
        _require_unshifted(file, level)
    check_against_tiles(file, checked)
    return checked


def _require_unshifted(file: TiffBytes, level: TiffLevel) -> None:
    """Refuse a table of plain tiles whose first or last entry is none.

    Plain tiles are all of one length: read from a table begun an entry early or late, each would
    pass for its neighbour, and only the entry at the table's end gives that away.
    """
    ends = [0, -1]
    is_odd = (level.faults[ends] > 0) & (level.n_bytes[ends] > 0)
    if level.codec == "none" and len(level.faults) > 1 and is_odd.any():
        raise damaged(file.path, "its table of tiles begins or ends with an entry that is none")


def _extents(offsets: np.ndarray, n_bytes: np.ndarray) -> np.ndarray:
    """int64 (n, 2): from where to where, for those that are stored at all."""
    stored = (offsets > 0) & (n_bytes > 0)
    return np.stack([offsets[stored], offsets[stored] + n_bytes[stored]], axis=1)


def _require_whole(file: TiffBytes, extents: np.ndarray) -> None:
    if len(extents) and is_cut(extents[:, 0], extents[:, 1], file.size_bytes):
        raise truncated(
            file.path, f"it has {file.size_bytes} bytes and should have {extents[:, 1].max()}"
        )


def _strips(file: TiffBytes, directories: Sequence[Directory]) -> np.ndarray:
    """Extents of all that is stored in strips, such as Aperio's thumbnail, label and macro."""
    found = [np.empty((0, 2), np.int64)]
    for image in (Fields(file, d) for d in directories):
        offsets, n_bytes = image.table(STRIP_OFFSETS), image.table(STRIP_BYTE_COUNTS)
        if len(offsets) == len(n_bytes):  # nothing of it is read: its damage is not the slide's
            found.append(_extents(offsets, n_bytes))
    return np.concatenate(found)


def _structure(
    file: TiffBytes, directories: Sequence[Directory], images: Sequence[Fields]
) -> tuple[np.ndarray, np.ndarray]:
    """Extents of the levels' tables, and of all else that is neither tile nor strip."""
    tables: list[tuple[int, int]] = []
    rest = [(0, 16 if file.is_big else 8)]
    everything = {d.start_bytes: d for d in [*directories, *(i.directory for i in images)]}
    at_levels = {image.directory.start_bytes for image in images}
    for start, directory in everything.items():
        rest.append((start, directory.end_bytes))
        for tag, entry in directory.entries.items():
            end = entry.at_bytes + entry.n_bytes
            if entry.is_apart and end <= file.size_bytes:
                is_table = start in at_levels and tag in {OFFSETS, BYTE_COUNTS}
                (tables if is_table else rest).append((entry.at_bytes, end))
    return _rows(tables), _rows(rest)


def _rows(extents: Sequence[tuple[int, int]]) -> np.ndarray:
    return np.array(extents, np.int64).reshape(-1, 2)
