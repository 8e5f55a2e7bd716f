"""A slide in memory whose pixels follow a formula of level, x and y, so that each can be told."""

import threading
from collections import Counter

import numpy as np

from pathassets.core.slides.regions import read_region
from pathassets.core.slides.slide import MppAudit, SlideInfo
from pathassets.core.slides.tiles import TileDamaged, TileGrid

BACKGROUND = 255
JUNK = 77
"""What tiles hold beyond the level: whoever lets it through, shows it."""


def pixels_at(level: int, x_px: np.ndarray, y_px: np.ndarray) -> np.ndarray:
    """RGB of level pixels; no two neighbours are alike, and no value is the background's."""
    return np.stack(
        [
            (7 * x_px + 3 * y_px) % 251,
            (5 * x_px ^ 11 * y_px) % 241,
            (x_px + y_px + 60 * level) % 250,
        ],
        axis=-1,
    ).astype(np.uint8)


class FormulaTiles:
    """Keeps the contract of `pathassets.core.slides.tiles.TileSource`; junk beyond the level."""

    def __init__(self, slide: "FormulaSlide", level: int, grid: TileGrid) -> None:
        self.slide, self.level, self.grid = slide, level, grid
        self.can_shrink = slide.can_shrink

    def read(self, tile: int, *, shrink: int = 1, out: np.ndarray | None = None) -> np.ndarray:
        assert 0 <= tile < self.grid.n_tiles
        assert shrink in ((1, 2, 4, 8) if self.can_shrink else (1,))
        self.slide.note(self.level, tile, shrink)
        if out is not None:
            out[:] = JUNK  # a decoder that gives up leaves what it likes
        if tile in self.slide.damaged.get(self.level, ()):
            raise TileDamaged("undecodable", "the decoder says no")
        height_px, width_px = self.grid.tile_height_px, self.grid.tile_width_px
        left, top = self.grid.corner_px(tile)
        rgb = self.slide.box(
            self.level, (left, top, left + width_px, top + height_px), fill=(JUNK, JUNK, JUNK)
        )
        if shrink > 1:
            assert not height_px % shrink
            assert not width_px % shrink
            blocks = rgb.reshape(height_px // shrink, shrink, width_px // shrink, shrink, 3)
            rgb = (blocks.mean(axis=(1, 3)) + 0.5).astype(np.uint8)
        if out is None:
            return rgb
        assert out.flags.c_contiguous
        assert out.dtype == np.uint8
        assert out.shape == rgb.shape
        out[:] = rgb
        return out


class FormulaSlide:
    """Keeps the contract of `pathassets.core.slides.slide.Slide`."""

    path = "formula.svs"

    def __init__(  # noqa: PLR0913 - what a slide can be; each has a default
        self,
        width_px0: int,
        height_px0: int,
        level_downsamples: tuple[float, ...] = (1.0,),
        *,
        tile_px: tuple[int, int] = (256, 256),
        damaged: dict[int, set[int]] | None = None,
        can_shrink: bool = False,
        mpp: float | None = 0.5,
    ) -> None:
        sizes = tuple(
            (max(1, int(width_px0 / d)), max(1, int(height_px0 / d))) for d in level_downsamples
        )
        self.info = SlideInfo(
            width_px0=width_px0,
            height_px0=height_px0,
            level_downsamples=level_downsamples,
            level_sizes_px=sizes,
            vendor="formula",
            reader="formula 1",
            objective_power=None,
            audit=MppAudit(sources=(), mpp=mpp),
        )
        self.tile_px = tile_px
        self.damaged = damaged or {}
        """Numbers of the tiles of each level that cannot be read."""
        self.can_shrink = can_shrink
        self.reads: list[tuple[int, int, int]] = []
        """Level, tile and shrink of each tile that was decoded."""
        self.is_closed = False
        self._lock = threading.Lock()

    def tiles(self, level: int) -> FormulaTiles:
        (width_px, height_px), tile_px = self.info.level_sizes_px[level], self.tile_px
        grid = TileGrid(
            width_px=width_px, height_px=height_px,
            tile_width_px=tile_px[0], tile_height_px=tile_px[1],
        )  # fmt: skip
        return FormulaTiles(self, level, grid)

    def note(self, level: int, tile: int, shrink: int) -> None:
        with self._lock:
            self.reads.append((level, tile, shrink))

    @property
    def tile_counts(self) -> Counter[int]:
        """How often each tile was decoded, where one level is read."""
        assert len({level for level, *_ in self.reads}) <= 1
        return Counter(tile for _, tile, _ in self.reads)

    def pixels(self, level: int, x_px: np.ndarray, y_px: np.ndarray) -> np.ndarray:
        """RGB of level pixels."""
        return pixels_at(level, x_px, y_px)

    def level(self, level: int) -> np.ndarray:
        """All pixels of a level."""
        return self.box(level, (0, 0, *self.info.level_sizes_px[level]))

    def box(
        self,
        level: int,
        box_px: tuple[int, int, int, int],
        *,
        fill: tuple[int, int, int] = (BACKGROUND,) * 3,
    ) -> np.ndarray:
        """Any box of a level by the formula, without tiles; `fill` beyond the level."""
        width_px, height_px = self.info.level_sizes_px[level]
        y, x = np.mgrid[box_px[1] : box_px[3], box_px[0] : box_px[2]]
        is_inside = (x >= 0) & (y >= 0) & (x < width_px) & (y < height_px)
        rgb = self.pixels(level, x, y)
        rgb[~is_inside] = fill
        return rgb

    def read_region(self, x_px0: int, y_px0: int, **rectangle) -> np.ndarray:
        return read_region(self, x_px0, y_px0, **rectangle)

    def close(self) -> None:
        self.is_closed = True
