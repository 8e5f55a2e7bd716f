"""Patches as if the whole level had been resampled first: neighbours meet without a seam.

    corner px0 ─▶ pixel of the resampled level ─▶ its span on the level, with fractions
                                                         │
             whole level pixels around it are read ◀─────┘─▶ averaged by exact areas ─▶ patch

Resampling each patch by itself begins at its own corner, so the last column of a patch and the
first of the next weigh the level's pixels differently. Here all begin at the level's corner.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from pathassets.core.slides.regions import WHITE
from pathassets.core.slides.resolution import choose_level
from pathassets.core.slides.slide import SlideInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class SeamlessRead:
    """Which squares of a level are read for patches of the level resampled as a whole."""

    level: int
    scale: float
    """Level pixels per patch pixel."""
    patch_px: int
    x_px: np.ndarray
    """int64 (n,): left edges of the patches, in pixels of the resampled level."""
    y_px: np.ndarray
    level_width_px: int
    level_height_px: int

    @property
    def side_px(self) -> int:
        """Side of the squares that are read, in pixels of the level."""
        return math.ceil(self.patch_px * self.scale) + 1

    @property
    def left_px(self) -> np.ndarray:
        """int64 (n,): left edges of the squares that are read, in pixels of the level."""
        return np.floor(self.x_px * self.scale).astype(np.int64)

    @property
    def top_px(self) -> np.ndarray:
        """int64 (n,): their upper edges."""
        return np.floor(self.y_px * self.scale).astype(np.int64)


def plan_seamless(
    x_px0: np.ndarray, y_px0: np.ndarray, *, patch_px: int, downsample: float, info: SlideInfo
) -> SeamlessRead:
    """Lay patches of `downsample` level-0 pixels per pixel on the coarsest level fine enough."""
    choice = choose_level(info.level_downsamples, downsample)
    width_px, height_px = info.level_sizes_px[choice.level]
    return SeamlessRead(
        level=choice.level, scale=choice.scale, patch_px=patch_px,
        x_px=np.rint(x_px0 / downsample).astype(np.int64),
        y_px=np.rint(y_px0 / downsample).astype(np.int64),
        level_width_px=width_px, level_height_px=height_px,
    )  # fmt: skip


def resample_square(read: SeamlessRead, number: int, square: np.ndarray, out: np.ndarray) -> None:
    """Make one patch, RGB uint8 (patch_px, patch_px, 3), of its square; white beyond the slide.

    `square`, uint8 (side_px, side_px, 3), is changed: what it has beyond the level becomes the
    level's last pixel, so that the slide's edge does not fade into white.
    """
    x_px, y_px = int(read.x_px[number]), int(read.y_px[number])
    left_px, top_px = math.floor(x_px * read.scale), math.floor(y_px * read.scale)
    columns = _inside(left_px, read.side_px, read.level_width_px)
    rows = _inside(top_px, read.side_px, read.level_height_px)
    out[:] = WHITE
    kept_x = _inside(x_px, read.patch_px, max(1, round(read.level_width_px / read.scale)))
    kept_y = _inside(y_px, read.patch_px, max(1, round(read.level_height_px / read.scale)))
    if not all(part.stop > part.start for part in (columns, rows, kept_x, kept_y)):
        return
    _extend(square, rows, columns)
    offset_px = x_px * read.scale - left_px, y_px * read.scale - top_px
    patch = _resample(square, offset_px, read.scale, read.patch_px)
    out[kept_y, kept_x] = patch[kept_y, kept_x]


def _inside(start_px: int, length_px: int, whole_px: int) -> slice:
    """The part of a span that lies within 0 to `whole_px`, counted from the span's start.

    >>> _inside(-3, 10, 100), _inside(95, 10, 100)
    (slice(3, 10, None), slice(0, 5, None))
    """
    stop_px = min(length_px, whole_px - start_px)
    return slice(max(0, -start_px), max(0, stop_px))


def _extend(square: np.ndarray, rows: slice, columns: slice) -> None:
    square[:, : columns.start] = square[:, columns.start : columns.start + 1]
    square[:, columns.stop :] = square[:, columns.stop - 1 : columns.stop]
    square[: rows.start] = square[rows.start]
    square[rows.stop :] = square[rows.stop - 1]


def _resample(
    square: np.ndarray, offset_px: tuple[float, float], scale: float, patch_px: int
) -> np.ndarray:
    """Average the areas of patch pixels, uint8; between pixels of the level where it is coarser."""
    x_px, y_px = offset_px
    if scale < 1.0:
        middle = scale / 2 - 0.5
        way = np.array([[scale, 0.0, x_px + middle], [0.0, scale, y_px + middle]])
        size_px = patch_px, patch_px
        how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        edge = cv2.BORDER_REPLICATE
        return np.asarray(cv2.warpAffine(square, way, size_px, flags=how, borderMode=edge))
    rows = _mean_along_y(square.astype(np.float64), y_px, scale, patch_px)
    both = _mean_along_y(rows.transpose(1, 0, 2), x_px, scale, patch_px).transpose(1, 0, 2)
    return np.asarray(np.rint(both.clip(0.0, 255.0)), np.uint8)


def _mean_along_y(square: np.ndarray, start_px: float, scale: float, n: int) -> np.ndarray:
    """Means over `n` spans of `scale` rows, one after the other from `start_px`. O(square)."""
    sums = np.zeros((len(square) + 1, *square.shape[1:]))
    np.cumsum(square, axis=0, out=sums[1:])
    edges = np.minimum(start_px + np.arange(n + 1) * scale, len(square))
    whole = np.minimum(edges.astype(np.int64), len(square) - 1)
    part = (edges - whole)[:, None, None]
    at_edges = sums[whole] + part * square[whole]
    return np.asarray(np.diff(at_edges, axis=0) / scale)
