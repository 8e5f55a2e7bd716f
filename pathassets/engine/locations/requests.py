"""What users ask of patch locations -> squares and samplers in level-0 pixels.

The names are those of the users' documents. What may be a list has one entry for each area: for
each polygon that is left after filtering by label, or for the one area of a whole image.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from pathassets.core.annotations.annotations import LARGEST_PX0
from pathassets.core.locations.sampling import (
    GridSampler,
    PointSampler,
    PoissonDiskSampler,
    RandomSampler,
    Sampler,
)
from pathassets.core.slides.resolution import LevelOrMpp, as_level_or_mpp, downsample_of, unit_of
from pathassets.core.slides.slide import SlideInfo, resolution_error
from pathassets.engine.locations.numbers import (
    ANY,
    COUNT,
    LENGTH,
    SHARE,
    SIDE,
    PerArea,
    Range,
    check_flag,
    refuse_twins,
    spread,
)
from pathassets.errors import SlideError, SpecError

PATCH_SIZE_PX = 256
POISSON_SPACING_PX = 50.0
"""Mask pixels."""
STRIDE = Range(low=0.0, high=5.0, is_open=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class SlideRequest:
    """What all location classes are asked."""

    wsi_file: str | Path
    mask_data: Any
    """A `TissueMask`, an image file, polygons or their file, or an array or its .npy file: those
    are indexed [x, y] here, so their shape is (width, height)."""
    patch_size: int | None = None
    """Side of a patch in pixels at `level_or_mpp`; 256 where no size is given."""
    level_or_mpp: LevelOrMpp = 0
    """An int is a level, a float micrometres per pixel."""
    foreground_ratio: PerArea = 0.95
    """Least share of a patch that is foreground of the mask; may be a list."""
    overlap_ratio: PerArea = 0.95
    """Least share of a patch that lies within its area; may be a list."""
    polygon_buffer: PerArea | None = None
    """MASK pixels by which areas grow, or shrink where below 0; may be a list; 0 where none."""
    patch_size_um: float | None = None
    """In place of `patch_size`: taken to the nearest whole pixel at `level_or_mpp`."""
    polygon_buffer_um: PerArea | None = None
    """In place of `polygon_buffer`."""
    within_bound: bool = False
    """Whether patches that reach beyond the slide are left out."""
    slide_mpp: float | None = None
    """Micrometres per level-0 pixel, where the file says none, or a wrong one."""

    def __post_init__(self) -> None:
        if not isinstance(self.wsi_file, str | os.PathLike):
            raise SpecError(f"wsi_file: {self.wsi_file!r} is no path", remedy="Give one")
        as_level_or_mpp(self.level_or_mpp)
        check_flag("within_bound", self.within_bound)
        refuse_twins(self, "patch_size", "patch_size_um")
        refuse_twins(self, "polygon_buffer", "polygon_buffer_um")
        SHARE.check_all("foreground_ratio", self.foreground_ratio)
        SHARE.check_all("overlap_ratio", self.overlap_ratio)
        optional = {
            "patch_size": SIDE, "patch_size_um": LENGTH, "slide_mpp": LENGTH,
        }  # fmt: skip
        for name, numbers in optional.items():
            if getattr(self, name) is not None:
                numbers.check(name, getattr(self, name))
        for name in ("polygon_buffer", "polygon_buffer_um"):
            if getattr(self, name) is not None:
                ANY.check_all(name, getattr(self, name))


@dataclass(frozen=True, slots=True, kw_only=True)
class SlideScale:
    """A slide's resolution, its mask's, and that of the patches that are asked for."""

    path: str
    info: SlideInfo
    mask_downsample: float
    """Level-0 pixels per mask pixel."""
    level_or_mpp: LevelOrMpp

    @property
    def downsample(self) -> float:
        """Level-0 pixels per patch pixel."""
        value = self.level_or_mpp
        if unit_of(value) == "mpp":
            self.px0_of_um(1.0)
        return downsample_of(value, unit_of(value), self.info.scales)

    @property
    def level(self) -> int | None:
        """The level that was asked for; None where a resolution was."""
        value = self.level_or_mpp
        return None if isinstance(value, float) else value

    @property
    def mpp(self) -> float | None:
        """Micrometres per patch pixel; None for a level of a slide that states none."""
        if isinstance(self.level_or_mpp, float):
            return self.level_or_mpp
        return None if self.info.mpp is None else self.downsample * self.info.mpp

    def px0_of_um(self, um: float) -> float:
        """Level-0 pixels of a length on the glass.

        Raises:
            SlideError: the file does not say what its pixels measure, and nobody stated it.
        """
        if self.info.mpp is None:
            raise _no_mpp(self.path, self.info)
        return um / self.info.mpp

    def patch_px_of(self, request: SlideRequest) -> int:
        """Side of a patch in its own pixels, 1 or more."""
        if request.patch_size_um is not None:
            return max(1, round(self.px0_of_um(request.patch_size_um) / self.downsample))
        return PATCH_SIZE_PX if request.patch_size is None else int(request.patch_size)

    def lengths_px0(self, px: PerArea | None, um: PerArea | None, default_px: float) -> np.ndarray:
        """A length in mask pixels or in micrometres, or a list of them; float64, () or (k,)."""
        if um is not None:
            return np.asarray(um, np.float64) * self.px0_of_um(1.0)
        return np.asarray(default_px if px is None else px, np.float64) * self.mask_downsample


def _no_mpp(path: str, info: SlideInfo) -> SlideError:
    kind = type(resolution_error(path, info.audit.reason, info.audit.fact))
    return kind(
        path, info.audit.fact,
        remedy="State it: slide_mpp=…; or ask for a level, and for sizes in pixels",
    )  # fmt: skip


class Sampling(Protocol):
    """How squares are found in areas."""

    def numbers(self, n_areas: int, scale: SlideScale, patch_px: int) -> np.ndarray:
        """What is asked of each area, float64 (n_areas,), lengths in level-0 pixels.

        Raises:
            SpecError: a list has another length, or a step is below one level-0 pixel.
        """

    def sampler(self, numbers: np.ndarray, seed: int) -> Sampler:
        """The sampler for some areas, with what is asked of each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """A grid from the upper left of each area's bounds, row by row."""

    patch_stride: PerArea = 1.0
    """Step of the grid in sides of a patch, up to 5; may be a list."""

    def __post_init__(self) -> None:
        STRIDE.check_all("patch_stride", self.patch_stride)

    def numbers(self, n_areas: int, scale: SlideScale, patch_px: int) -> np.ndarray:
        """Steps in level-0 pixels."""
        strides = spread("patch_stride", self.patch_stride, n_areas)
        return _one_px0("patch_stride", strides * patch_px * scale.downsample)

    def sampler(self, numbers: np.ndarray, seed: int) -> Sampler:
        """The sampler for some areas."""
        del seed
        return GridSampler(step_px0=numbers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Random:
    """A number of patches in each area, drawn uniformly; they may overlap."""

    num_patches: int | Sequence[int] | np.ndarray
    """For each area; may be a list. More than 100 draws for each are refused as impossible."""
    seed: int = 0
    """The draw depends on it, on the other parameters, and on the slide's file name; on nothing
    else, so it is the same in a pool of any size."""

    def __post_init__(self) -> None:
        COUNT.check_all("num_patches", self.num_patches)
        COUNT.check("seed", self.seed)

    def numbers(self, n_areas: int, scale: SlideScale, patch_px: int) -> np.ndarray:
        """Numbers of patches."""
        del scale, patch_px
        return spread("num_patches", self.num_patches, n_areas)

    def sampler(self, numbers: np.ndarray, seed: int) -> Sampler:
        """The sampler for some areas."""
        return RandomSampler(n_patches=numbers.astype(np.int64), seed=seed)


@dataclass(frozen=True, slots=True, kw_only=True)
class PoissonDisk:
    """As many patches as fit in each area with no two corners nearer than a spacing."""

    poisson_spacing: PerArea | None = None
    """MASK pixels between upper left corners; may be a list; 50 where none is given."""
    poisson_spacing_um: PerArea | None = None
    """In place of `poisson_spacing`."""
    seed: int = 0
    """As for random patches."""

    def __post_init__(self) -> None:
        refuse_twins(self, "poisson_spacing", "poisson_spacing_um")
        for name in ("poisson_spacing", "poisson_spacing_um"):
            if getattr(self, name) is not None:
                LENGTH.check_all(name, getattr(self, name))
        COUNT.check("seed", self.seed)

    def numbers(self, n_areas: int, scale: SlideScale, patch_px: int) -> np.ndarray:
        """Spacings in level-0 pixels."""
        del patch_px
        spacings_px0 = scale.lengths_px0(
            self.poisson_spacing, self.poisson_spacing_um, POISSON_SPACING_PX
        )
        return _one_px0("poisson_spacing", spread("poisson_spacing", spacings_px0, n_areas))

    def sampler(self, numbers: np.ndarray, seed: int) -> Sampler:
        """The sampler for some areas."""
        return PoissonDiskSampler(spacing_px0=numbers, seed=seed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Custom:
    """Given corners, each tried in every area."""

    points: Sequence[tuple[float, float]] | np.ndarray
    """(x, y) of upper left corners in level-0 pixels, taken to the nearest whole one."""

    def __post_init__(self) -> None:
        _corners_px0(self.points)

    def numbers(self, n_areas: int, scale: SlideScale, patch_px: int) -> np.ndarray:
        """Nothing is asked of an area."""
        del scale, patch_px
        return np.zeros(n_areas)

    def sampler(self, numbers: np.ndarray, seed: int) -> Sampler:
        """The sampler for some areas."""
        del numbers, seed
        x_px0, y_px0 = _corners_px0(self.points)
        return PointSampler(x_px0=x_px0, y_px0=y_px0)


def _corners_px0(points: Any) -> np.ndarray:
    """Corners as int64 (2, n)."""
    try:
        array = np.array(points, np.float64)
    except (TypeError, ValueError) as error:
        raise _no_points() from error
    if not array.size:
        array = array.reshape(0, 2)
    if array.ndim != 2 or array.shape[1] != 2 or not (np.abs(array) <= LARGEST_PX0).all():  # noqa: PLR2004
        raise _no_points()
    return np.ascontiguousarray(np.rint(array).astype(np.int64).T)


def _one_px0(name: str, lengths_px0: np.ndarray) -> np.ndarray:
    """Refuse steps below one level-0 pixel, a rounding error apart."""
    if (lengths_px0 < 1.0 - 1e-9).any():
        raise SpecError(
            f"{name}: {lengths_px0.min():.3g} level-0 pixels are less than one",
            remedy="Give a greater one",
        )
    return lengths_px0


def _no_points() -> SpecError:
    return SpecError("points: not a list of (x, y)", remedy="Give corners in level-0 pixels")
