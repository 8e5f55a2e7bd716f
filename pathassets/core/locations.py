"""TissueMask -> PatchLocations: which squares of the slide become patches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field
from pydantic.dataclasses import dataclass as spec_dataclass

from pathassets.core.resolution import downsample_for
from pathassets.core.spec import STRICT, Mpp, Share
from pathassets.core.tissue import TissueMask

CODE_VERSION = "1"


@spec_dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class GridSpec:
    """A plain grid of square patches over the tissue."""

    patch_px: Annotated[int, Field(ge=1, le=8192)] = 256
    """Side of a patch, in pixels at `mpp`."""
    mpp: Mpp = 0.5
    """Resolution of the patches, um per pixel."""
    stride_px: Annotated[int, Field(ge=1, le=65536)] | None = None
    """Step of the grid in pixels at `mpp`; the patch side where none is given."""
    min_tissue_share: Share = 0.5
    """A patch is kept when at least this share of it is tissue."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchLocations:
    """Squares of one slide, row by row from its upper left."""

    x_px0: np.ndarray
    """int64 (n,): left edges."""
    y_px0: np.ndarray
    """int64 (n,): upper edges."""
    tissue_share: np.ndarray
    """float32 (n,), in [0, 1]."""
    side_px0: int
    """Side of every square, in level-0 pixels."""
    patch_px: int
    """Side of every patch, in pixels at `mpp`."""
    mpp: float

    def __len__(self) -> int:
        return len(self.x_px0)

    @property
    def boxes_px0(self) -> np.ndarray:
        """int64 (n, 4): x0, y0, x1, y1; the last two exclusive."""
        return np.stack(
            [self.x_px0, self.y_px0, self.x_px0 + self.side_px0, self.y_px0 + self.side_px0], axis=1
        )


def lay_grid(
    mask: TissueMask, *, width_px0: int, height_px0: int, spec: GridSpec
) -> PatchLocations:
    """Lay a grid from (0, 0) and keep the squares inside the slide with enough tissue.

    Steps are taken in exact level-0 lengths and rounded one by one, so that rounding never adds up.
    Where the stride is no shorter than the patch, a step is at least the rounded side: no two
    squares share a pixel. O(mask + squares).
    """
    downsample = downsample_for(spec.mpp, mask.slide_mpp)
    side_px0 = max(1, round(spec.patch_px * downsample))
    stride_px = spec.stride_px or spec.patch_px
    step_px0 = stride_px * downsample
    if stride_px >= spec.patch_px:
        step_px0 = max(step_px0, side_px0)
    x_px0, y_px0 = np.meshgrid(
        _steps(width_px0 - side_px0, step_px0), _steps(height_px0 - side_px0, step_px0)
    )
    x_px0, y_px0 = x_px0.ravel(), y_px0.ravel()
    share = tissue_share_of(mask, x_px0, y_px0, side_px0)
    kept = share >= spec.min_tissue_share
    return PatchLocations(
        x_px0=x_px0[kept], y_px0=y_px0[kept], tissue_share=share[kept],
        side_px0=side_px0, patch_px=spec.patch_px, mpp=spec.mpp,
    )  # fmt: skip


def _steps(last_px0: int, step_px0: float) -> np.ndarray:
    """Whole-number positions 0, step, 2 step … up to and including `last_px0`.

    A step below one pixel repeats no position.

    >>> _steps(10, 2.5).tolist()
    [0, 2, 5, 8, 10]
    >>> _steps(-1, 2.5).tolist()
    []
    """
    if last_px0 < 0:
        return np.empty(0, np.int64)
    n = int((last_px0 + 0.5) / step_px0) + 1
    steps = np.unique(np.rint(np.arange(n) * step_px0).astype(np.int64))
    return steps[steps <= last_px0]


def tissue_share_of(
    mask: TissueMask, x_px0: np.ndarray, y_px0: np.ndarray, side_px0: int
) -> np.ndarray:
    """Share of each square that is tissue, float32 (n,); exact for parts of mask pixels.

    A summed-area table interpolated between its nodes integrates a mask of constant pixels exactly.

    A mask is a whole number of pixels, and the slide goes on for up to one more to the right and
    below. Its last column and row stand for that strip: otherwise a patch at the edge, all tissue,
    would seem to lack some, and more the smaller it is.
    """
    table = np.zeros((mask.tissue.shape[0] + 1, mask.tissue.shape[1] + 1), np.int64)
    table[1:, 1:] = mask.tissue.cumsum(0, dtype=np.int64).cumsum(1)
    x0, y0 = x_px0 / mask.downsample, y_px0 / mask.downsample
    side_px = side_px0 / mask.downsample
    x1, y1 = x0 + side_px, y0 + side_px
    corners = [(y1, x1, 1), (y0, x1, -1), (y1, x0, -1), (y0, x0, 1)]
    nodes, rests = zip(*(_at(table, y, x, sign) for y, x, sign in corners), strict=True)
    inside = np.sum(nodes, axis=0) + np.sum(rests, axis=0)
    return np.asarray((inside / side_px**2).clip(0.0, 1.0), np.float32)


def _at(
    table: np.ndarray, y_px: np.ndarray, x_px: np.ndarray, sign: int
) -> tuple[np.ndarray, np.ndarray]:
    """Interpolate a summed-area table: the node above and to the left, int64, and the rest.

    Beyond the last node the last cell's slopes go on. The sums of nodes are exact, and large: a
    patch much smaller than a mask pixel would be lost in the rounding of a float of that size.
    """
    y = np.minimum(y_px.astype(np.int64), table.shape[0] - 2)
    x = np.minimum(x_px.astype(np.int64), table.shape[1] - 2)
    fy, fx = y_px - y, x_px - x
    node = table[y, x]
    right, below = table[y, x + 1] - node, table[y + 1, x] - node
    cell = table[y + 1, x + 1] - node - right - below
    return sign * node, sign * (fx * right + fy * below + fx * fy * cell)
