"""Resolution and patch size, a mask -> the patches of a slide whose features are asked for.

    slide at the resolution ──▶ corners from (0, 0), row by row ──▶ those that the mask covers
                                x = 0, stride, … < width             │
                                                     px of that resolution, and px0

A patch that overhangs the slide is padded white. Positions are exact multiples of the stride at the
resolution, and each is rounded to a level-0 pixel by itself, so that rounding never adds up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field
from pydantic.dataclasses import dataclass as spec_dataclass

from pathassets.core.locations.locations import PatchLocations
from pathassets.core.slides.resolution import Scales, Unit, downsample_of
from pathassets.core.slides.slide import SlideInfo
from pathassets.core.spec import STRICT, Share
from pathassets.core.tissue.coverage import Coverage
from pathassets.errors import SpecError

CODE_VERSION = "1"

MAX_PATCHES = 100_000_000
"""A slide of 200,000 x 200,000 px has 10 million at a stride of 64; 8 GB of numbers are a slip."""
MAX_SIDE_PX0 = 1_000_000
"""Longest side of a patch on the slide: no scan is larger."""
LEAST_SHARE = 1e-9
"""Of a patch that counts as covered: below it is the rounding of coordinates, 1e-11 at most."""
_BLOCK = 65_536
"""Patches whose coverage is looked up at once: 128 bytes each."""

Side = Annotated[int, Field(ge=1, le=8192)]
Stride = Annotated[int, Field(ge=1, le=65536)]


@spec_dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class GridSpec:
    """A grid of rectangles over a slide, and which of them count."""

    units: Unit
    """What `resolution` is in."""
    resolution: float
    """Micrometres per pixel, objective power, share of level 0, or the number of a level."""
    height_px: Side
    """Of a patch, in pixels of the resolution, as are all lengths here."""
    width_px: Side
    stride_y_px: Stride
    stride_x_px: Stride
    within_bound: bool = False
    """Whether patches that overhang the slide are left out, in place of padded."""
    min_mask_ratio: Share = 0.0
    """A patch counts when the mask covers more than this share of it, or all of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureGrid:
    """The patches of one slide, row by row."""

    locations: PatchLocations
    """Squares of the longer side of a patch: what is read."""
    crop_px: tuple[int, int] | None
    """(height, width) of the upper left part of each square that is the patch; None for all."""
    coordinates: np.ndarray
    """int64 (n, 4): x0, y0, x1, y1 in pixels of the resolution; the last two exclusive."""
    coordinates_px0: np.ndarray
    """int64 (n, 4): the same in level-0 pixels."""
    downsample: float
    """Level-0 pixels per pixel of the resolution."""


def lay_grid(
    spec: GridSpec,
    info: SlideInfo,
    coverage: Coverage | None = None,
    *,
    objective_power: float | None = None,
) -> FeatureGrid:
    """Lay the grid over a slide; without `coverage` all of it counts.

    `objective_power` states the slide's, where the file says none or a wrong one. O(patches).

    Raises:
        SpecError: the slide does not know the resolution asked for, or has no such level; or no
            machine could hold so many patches, or so large ones.
    """
    scales = Scales(
        level_downsamples=info.level_downsamples, mpp=info.mpp,
        objective_power=objective_power or info.objective_power,
    )  # fmt: skip
    downsample = downsample_of(spec.resolution, spec.units, scales)
    columns, rows = _corners(spec, info, downsample)
    x_px, y_px = np.tile(columns, len(rows)), np.repeat(rows, len(columns))
    width_px0 = max(1, round(spec.width_px * downsample))
    height_px0 = max(1, round(spec.height_px * downsample))
    x_px0 = np.rint(x_px * downsample).astype(np.int64)
    y_px0 = np.rint(y_px * downsample).astype(np.int64)
    share = np.ones(len(x_px), np.float32)
    if coverage is not None:
        exact = _shares(coverage, x_px0, y_px0, width_px0, height_px0)
        kept = np.flatnonzero(_counts(exact, spec.min_mask_ratio))
        share = exact[kept].astype(np.float32)
        x_px, y_px, x_px0, y_px0 = (each[kept] for each in (x_px, y_px, x_px0, y_px0))
    patch_px = max(spec.width_px, spec.height_px)
    locations = PatchLocations(
        x_px0=x_px0, y_px0=y_px0, tissue_share=share, patch_px=patch_px,
        side_px0=max(width_px0, height_px0), mpp=_mpp_of(spec, info, downsample),
        level=int(spec.resolution) if spec.units == "level" else None,
    )  # fmt: skip
    is_square = spec.width_px == spec.height_px
    return FeatureGrid(
        locations=locations, crop_px=None if is_square else (spec.height_px, spec.width_px),
        coordinates=_boxes(x_px, y_px, spec.width_px, spec.height_px),
        coordinates_px0=_boxes(x_px0, y_px0, width_px0, height_px0), downsample=downsample,
    )  # fmt: skip


def size_at(spec: GridSpec, info: SlideInfo, downsample: float) -> tuple[int, int]:
    """Width and height of the slide in pixels of the resolution; of a level those it has."""
    if spec.units == "level":
        return info.level_sizes_px[int(spec.resolution)]
    return max(1, round(info.width_px0 / downsample)), max(1, round(info.height_px0 / downsample))


def _corners(spec: GridSpec, info: SlideInfo, downsample: float) -> tuple[np.ndarray, np.ndarray]:
    """Left edges of the columns and upper edges of the rows, int64."""
    width_px, height_px = size_at(spec, info, downsample)
    longest_px0 = max(spec.width_px, spec.height_px) * downsample
    n_columns = -(-width_px // spec.stride_x_px)
    n_rows = -(-height_px // spec.stride_y_px)
    if n_columns * n_rows > MAX_PATCHES or longest_px0 > MAX_SIDE_PX0:
        raise SpecError(
            f"resolution {spec.resolution:g} {spec.units}: the slide has {width_px} x {height_px} "
            f"px there, {n_columns * n_rows:,} patches of {longest_px0:.0f} level-0 px",
            remedy="Look at the resolution and its units, and at the slide's own",
        )
    columns = np.arange(n_columns, dtype=np.int64) * spec.stride_x_px
    rows = np.arange(n_rows, dtype=np.int64) * spec.stride_y_px
    if spec.within_bound:
        columns = columns[columns + spec.width_px <= width_px]
        rows = rows[rows + spec.height_px <= height_px]
    return columns, rows


def _shares(
    coverage: Coverage, x_px0: np.ndarray, y_px0: np.ndarray, width_px0: int, height_px0: int
) -> np.ndarray:
    """Share of each patch that the mask covers, float64 (n,)."""
    shares = np.empty(len(x_px0))
    for start in range(0, len(x_px0), _BLOCK):
        part = slice(start, start + _BLOCK)
        shares[part] = coverage.exact_share_of(x_px0[part], y_px0[part], width_px0, height_px0)
    return shares


def _counts(share: np.ndarray, least: float) -> np.ndarray:
    """Which shares are enough, bool (n,): more than `least`, or all of the patch.

    >>> _counts(np.array([0.0, 1e-6, 0.5, 1.0]), 0.0).tolist()
    [False, True, True, True]
    >>> _counts(np.array([0.5, 0.6, 1.0]), 0.5).tolist(), _counts(np.ones(1), 1.0).tolist()
    ([False, True, True], [True])
    """
    return np.asarray((share > least + LEAST_SHARE) | (share >= 1.0 - LEAST_SHARE))


def _mpp_of(spec: GridSpec, info: SlideInfo, downsample: float) -> float | None:
    """Micrometres per pixel of the resolution, where they are known."""
    if spec.units == "mpp":
        return spec.resolution
    return None if info.mpp is None else info.mpp * downsample


def _boxes(x: np.ndarray, y: np.ndarray, width: int, height: int) -> np.ndarray:
    return np.stack([x, y, x + width, y + height], axis=1)
