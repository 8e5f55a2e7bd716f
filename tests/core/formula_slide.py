"""A slide in memory whose pixels follow a formula of level, x and y, so that each can be told."""

import numpy as np

from pathassets.core.slide import MppAudit, SlideInfo

BACKGROUND = 255


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


class FormulaSlide:
    """Keeps the contract of `pathassets.core.slide.Slide`; background beyond its edges."""

    def __init__(
        self, width_px0: int, height_px0: int, level_downsamples: tuple[float, ...] = (1.0,)
    ) -> None:
        sizes = tuple((int(width_px0 / d), int(height_px0 / d)) for d in level_downsamples)
        self.info = SlideInfo(
            width_px0=width_px0,
            height_px0=height_px0,
            level_downsamples=level_downsamples,
            level_sizes_px=sizes,
            vendor="formula",
            reader="formula 1",
            objective_power=None,
            audit=MppAudit(sources=(), mpp=0.5),
        )
        self.reads: list[tuple[int, int, int, int, int]] = []
        self.is_closed = False

    def level(self, level: int) -> np.ndarray:
        """All pixels of a level."""
        width_px, height_px = self.info.level_sizes_px[level]
        y, x = np.mgrid[:height_px, :width_px]
        return pixels_at(level, x, y)

    def read_level(
        self, x_px0: int, y_px0: int, *, level: int, width_px: int, height_px: int
    ) -> np.ndarray:
        self.reads.append((x_px0, y_px0, level, width_px, height_px))
        downsample = self.info.level_downsamples[level]
        level_width_px, level_height_px = self.info.level_sizes_px[level]
        y, x = np.mgrid[:height_px, :width_px]
        x, y = x + round(x_px0 / downsample), y + round(y_px0 / downsample)
        is_inside = (x >= 0) & (y >= 0) & (x < level_width_px) & (y < level_height_px)
        return np.where(is_inside[..., None], pixels_at(level, x, y), np.uint8(BACKGROUND))

    def close(self) -> None:
        self.is_closed = True
