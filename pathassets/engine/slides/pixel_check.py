"""An open slide -> what speaks against its pixels: a few seeded regions, looked at and compared.

Two readers that agree may both be wrong: where a file calls luminance and colour RGB, each decodes
it so. Therefore its colours are looked at, too, whoever reads them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from pathassets.adapters.tiff.layout import TiffLayout
from pathassets.core.slides.colour_space import are_planes, is_magenta
from pathassets.core.slides.regions import BoxPx, read_box
from pathassets.core.slides.slide import Slide
from pathassets.core.slides.tiles import TileDamaged, TileGrid
from pathassets.core.spec import seed_of
from pathassets.errors import SlideUnreadable, TileUnreadable

ReadBox = Callable[[int, BoxPx], np.ndarray]
"""Of a level and a box of it, RGB uint8 (height, width, 3), or (n, 3) of what is stored there."""

N_COMPARED = 3
"""Regions of each level that both readers read when a slide is opened."""
COMPARED_PX = 64
"""Side of such a region: across the corner of four tiles it costs 1 ms."""
LOSSY_DIFFERENCE = {"jpeg2000": 1}
"""Steps of 255 by which two right decoders of a codec may differ; 0 for all others."""
COLOUR_BOX_PX, COLOUR_STEP = 64, 2
"""Side of a region whose colours are looked at; every second pixel along both axes, so that a level
takes 0.5 ms beside the decoding of some tiles."""
QUARTERS, FEWER_QUARTERS = (0, 1, 2, 3), (0, 3)
"""Where such regions are: in each quarter of the coarsest level, in two of each other."""
MORE_QUARTERS = QUARTERS * 16
"""Where a level is looked at once more that seems to be no picture: a section of one blue dye that
fills all of the few places does so, too, but not the slide."""


def find_difference(
    slide: Slide, layout: TiffLayout, read: ReadBox, *, reader: str, is_exact: bool
) -> str:
    """What the tile reader reads otherwise than another one; empty where they agree.

    Regions that one of them cannot read are left out: they are damage, which reading will tell.
    `is_exact` says that the other one interpolates nowhere.
    """
    for level, size_px in enumerate(slide.info.level_sizes_px):
        tiff_level = layout.level_of(*size_px)
        if tiff_level is None:
            continue
        allowed = LOSSY_DIFFERENCE.get(tiff_level.codec, 0)
        downsample = 1.0 if is_exact else slide.info.level_downsamples[level]
        for x_px, y_px in compared_at(tiff_level.grid, tiff_level.n_bytes, downsample):
            right_px = min(x_px + COMPARED_PX, size_px[0])
            bottom_px = min(y_px + COMPARED_PX, size_px[1])
            box_px = x_px, y_px, right_px, bottom_px
            try:
                ours, theirs = read_box(slide, level, box_px), read(level, box_px)
            except (TileDamaged, TileUnreadable):
                continue
            most = int(np.abs(ours.astype(np.int16) - theirs).max())
            if most > allowed:
                return (
                    f"the tile reader differs from {reader} by {most} of 255 on level {level} "
                    f"at ({x_px}, {y_px})"
                )
    return ""


def compared_at(grid: TileGrid, n_bytes: np.ndarray, downsample: float) -> list[tuple[int, int]]:
    """Corners of the regions that are compared: over the lower right corners of some tiles.

    Tiles with much in them are taken, for on bare glass all decoders agree. OpenSlide interpolates
    where a pixel of the level is not at a whole level-0 point; there only the level's own corner
    can be compared at little cost.
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


def check_colours(slide: Slide, levels: Sequence[int], read: ReadBox) -> tuple[str, ...]:
    """Let a slide through whose colours can be those of a picture; what is odd about them.

    The last of the levels is the coarsest.

    Raises:
        SlideUnreadable: a level's are luminance and colour, taken for RGB (`wrong_colours`).
    """
    odd = []
    for level in levels:
        grid = slide.tiles(level).grid
        quarters = QUARTERS if level == levels[-1] else FEWER_QUARTERS
        pixels = _some_pixels(_colour_boxes(grid, quarters), level, read)
        if not len(pixels):
            continue
        if are_planes(pixels) and are_planes(
            _some_pixels(_colour_boxes(grid, MORE_QUARTERS), level, read)
        ):
            raise SlideUnreadable(
                slide.path,
                f"its colours are no picture's: on level {level} luminance and colour (YCbCr) are "
                "said to be RGB, or to be transformed to RGB by their codec, and are not",
                remedy="Convert it anew, such that its header says how its pixels are stored",
                reason="wrong_colours",
            )
        if is_magenta(pixels):
            odd.append(
                f"the glass of level {level} is magenta, as RGB is that was taken for luminance "
                "and colour (YCbCr): look at it"
            )
    return tuple(odd)


def _some_pixels(boxes: Sequence[BoxPx], level: int, read: ReadBox) -> np.ndarray:
    """RGB uint8 (n, 3) of what can be read of some places of a level."""
    seen = [_NONE]
    for box_px in boxes:
        try:
            rows = read(level, box_px)[::COLOUR_STEP]
        except (TileDamaged, TileUnreadable):
            continue
        seen.append(rows.reshape(-1, 3)[::COLOUR_STEP])
    return np.concatenate(seen)


_NONE = np.empty((0, 3), np.uint8)


def _colour_boxes(grid: TileGrid, quarters: Sequence[int]) -> list[BoxPx]:
    """A box in some quarters of a level, each within one tile."""
    rng = np.random.default_rng(seed_of("colours", grid))
    boxes = []
    for quarter in quarters:
        row, column = divmod(quarter, 2)
        x_px, right_px = _span(rng, column, grid.width_px, grid.tile_width_px)
        y_px, bottom_px = _span(rng, row, grid.height_px, grid.tile_height_px)
        boxes.append((x_px, y_px, right_px, bottom_px))
    return boxes


def _span(rng: np.random.Generator, half: int, length_px: int, tile_px: int) -> tuple[int, int]:
    """From where to where along an axis, drawn in its first or second half."""
    low_px, high_px = half * length_px // 2, max((half + 1) * length_px // 2, 1)
    drawn_px = int(rng.integers(min(low_px, high_px - 1), high_px))
    tile_start_px = drawn_px // tile_px * tile_px
    tile_end_px = min(tile_start_px + tile_px, length_px)
    start_px = max(tile_start_px, min(drawn_px, tile_end_px - COLOUR_BOX_PX))
    return start_px, min(start_px + COLOUR_BOX_PX, tile_end_px)
