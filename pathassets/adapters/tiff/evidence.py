"""What the tiles say of themselves, against what the directories say of them.

A damaged tag would change all tiles of a level at once, without any of them being damaged. So a few
tiles of each level are asked. A single tile that contradicts is a damaged one, a bad tile.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from pathassets.adapters.imagecodecs import Jp2kTiles
from pathassets.adapters.simplejpeg import JpegTiles
from pathassets.adapters.tiff.directories import TiffBytes, damaged
from pathassets.adapters.tiff.levels import TiffLevel
from pathassets.adapters.tile_headers import (
    TileHeader,
    read_jp2k_header,
    read_jpeg_header,
)
from pathassets.core.slides.colour_space import beyond_gamut
from pathassets.core.slides.tiles import TileDamaged

N_ASKED = 5
"""Tiles of a level, spread over it."""
_HEADER_BYTES = 4096
"""Tables of their own take 600."""


def check_against_tiles(file: TiffBytes, levels: Sequence[TiffLevel]) -> None:
    """Let a layout through that its tiles do not contradict.

    Raises:
        SlideUnreadable: most tiles have another size or other colours than the directories say.
    """
    contradictions = []
    for level in levels:
        found = list(_headers(file, level))
        _require_size(file, level, [header for _, header in found])
        contradictions += [_contradicts(file, level, *each) for each in found]
    if contradictions and 2 * sum(contradictions) > len(contradictions):
        colours = "RGB" if levels[0].is_rgb else "YCbCr"
        raise damaged(file.path, f"its colours are said to be {colours}, its tiles say otherwise")


def _headers(file: TiffBytes, level: TiffLevel) -> Iterator[tuple[int, TileHeader]]:
    """Some tiles of a level that have nothing against them, and what they say."""
    read = {"jpeg": read_jpeg_header, "jpeg2000": read_jp2k_header}.get(level.codec)
    sound = np.flatnonzero(level.faults == 0)
    if read is None or not len(sound):
        return
    some = sound[np.unique(np.linspace(0, len(sound) - 1, N_ASKED).astype(np.int64))]
    for tile in some.tolist():
        n_bytes = min(_HEADER_BYTES, int(level.n_bytes[tile]))
        data = file.read(int(level.offsets[tile]), n_bytes, f"tile {tile}")
        try:
            yield tile, read(data)
        except ValueError:
            continue  # listed among the bad tiles when it is read


def _require_size(file: TiffBytes, level: TiffLevel, headers: Sequence[TileHeader]) -> None:
    grid = level.grid
    others = {
        (h.width_px, h.height_px) for h in headers
        if (h.width_px, h.height_px) != (grid.tile_width_px, grid.tile_height_px)
    }  # fmt: skip
    n_others = sum((h.width_px, h.height_px) in others for h in headers)
    if n_others > 1 and 2 * n_others > len(headers):
        said = f"{grid.tile_width_px} x {grid.tile_height_px}"
        width_px, height_px = min(others)
        raise damaged(
            file.path, f"its tiles are said to be {said} px and are {width_px} x {height_px} px"
        )


def _contradicts(file: TiffBytes, level: TiffLevel, tile: int, header: TileHeader) -> bool:
    """Whether a tile says that its colours are others; RGB is never subsampled."""
    if header.is_subsampled or header.is_rgb is not None:
        is_rgb = bool(header.is_rgb) and not header.is_subsampled
        return is_rgb != level.is_rgb
    return not level.is_rgb and _is_beyond_gamut(file, level, tile)


def _is_beyond_gamut(file: TiffBytes, level: TiffLevel, tile: int) -> bool:
    """Whether a tile makes no colours when taken for YCbCr, as RGB does not.

    White (255, 255, 255) and black taken for YCbCr are far outside of RGB; JPEG's rounding leaves
    true YCbCr within some steps of it.
    """
    grid = level.grid
    size_px = grid.tile_width_px, grid.tile_height_px
    data = file.read(int(level.offsets[tile]), int(level.n_bytes[tile]), f"tile {tile}")
    try:
        if level.codec == "jpeg":
            decoder = JpegTiles(*size_px, is_rgb=True, tables=level.jpeg_tables)
            planes = decoder.decode(data, 1, None)
        else:
            planes = Jp2kTiles(*size_px, is_rgb=True).decode(data, 1, None)
    except TileDamaged:
        return False
    return bool(beyond_gamut(planes.astype(np.float32), _SLACK).mean() > _GAMUT_SHARE)


_SLACK, _GAMUT_SHARE = 32, 0.1
