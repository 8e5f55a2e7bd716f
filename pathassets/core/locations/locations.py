"""TissueMask, annotations -> PatchLocations: which squares of the slide become patches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely

from pathassets.core import display
from pathassets.core.annotations.annotations import (
    AnnotationPolygon,
    cut_out_contained,
    outlines_of,
    select_labels,
)
from pathassets.core.draws import streams_of
from pathassets.core.locations.location_spec import LocationSpec
from pathassets.core.locations.sampling import (
    GridSampler,
    PoissonDiskSampler,
    RandomSampler,
    Sampled,
    Sampler,
    sample_areas,
)
from pathassets.core.locations.squares import Areas, Squares
from pathassets.core.slides.resolution import downsample_of
from pathassets.core.slides.slide import SlideInfo
from pathassets.core.spec import digest_of, seed_of
from pathassets.core.tissue.coverage import Coverage
from pathassets.core.tissue.tissue_mask import TissueMask
from pathassets.errors import AnnotationsMissing, SpecError

CODE_VERSION = "3"
QUAD_SEGS = 16
"""Corners in a quarter of a circle where areas grow: shapely's own number has changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchLocations:
    """Squares of one slide, area by area; of a grid, row by row in each."""

    x_px0: np.ndarray
    """int64 (n,): left edges."""
    y_px0: np.ndarray
    """int64 (n,): upper edges."""
    tissue_share: np.ndarray
    """float32 (n,), in [0, 1]."""
    side_px0: int
    """Side of every square, in level-0 pixels."""
    patch_px: int
    """Side of every patch, in pixels at `mpp` or of `level`."""
    mpp: float | None
    """Micrometres per patch pixel; None where a level was asked for and the slide states no mpp."""
    level: int | None = None
    """The stored level whose pixels are the patch's; None where a resolution was asked for."""
    labels: tuple[str, ...] = ("",)
    """Labels of the areas that they were sampled in; "" is no label."""
    label_codes: np.ndarray | None = None
    """int32 (n,): place of each one's label in `labels`; None where all have the first."""

    def __len__(self) -> int:
        return len(self.x_px0)

    def __repr__(self) -> str:
        at = f"{self.patch_px} px", display.resolution(self.level, self.mpp)
        facts = display.count(len(self), "patch"), *at, f"side {self.side_px0} px0"
        return display.line(self, *facts, display.labels(self.labels))

    def _repr_html_(self) -> str:
        """What a notebook shows: the first rows."""
        codes = np.zeros(len(self), int) if self.label_codes is None else self.label_codes
        rows = zip(self.x_px0, self.y_px0, self.tissue_share, codes, strict=True)
        cells = ((x, y, f"{share:.3f}", self.labels[code]) for x, y, share, code in rows)
        return display.table(
            repr(self), ("x_px0", "y_px0", "tissue_share", "label"), cells, len(self)
        )

    @property
    def boxes_px0(self) -> np.ndarray:
        """int64 (n, 4): x0, y0, x1, y1; the last two exclusive."""
        return np.stack(
            [self.x_px0, self.y_px0, self.x_px0 + self.side_px0, self.y_px0 + self.side_px0], axis=1
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _SpecScale:
    """What a spec's lengths are on one slide."""

    spec: LocationSpec
    info: SlideInfo
    slide_key: str

    @property
    def downsample(self) -> float:
        """Level-0 pixels per patch pixel."""
        if self.spec.mpp is not None:
            return self.px0_of_um(self.spec.mpp, "mpp")
        return downsample_of(self.spec.level or 0, "level", self.info.scales)

    @property
    def side_px0(self) -> int:
        return max(1, round(self.spec.patch_px * self.downsample))

    @property
    def mpp(self) -> float | None:
        """Micrometres per patch pixel, where they are known."""
        if self.spec.mpp is not None:
            return self.spec.mpp
        return None if self.info.mpp is None else self.info.mpp * self.downsample

    @property
    def step_px0(self) -> float:
        """Step of the grid.

        Where the stride is no shorter than the patch, it is at least the rounded side: no two
        squares share a pixel. Steps below a pixel are one: both give every position.
        """
        spec, downsample = self.spec, self.downsample
        step_px0 = (spec.stride_px or spec.patch_px) * downsample
        if spec.stride_um is not None:
            step_px0 = self.px0_of_um(spec.stride_um, "stride_um")
        if step_px0 >= spec.patch_px * downsample:
            step_px0 = max(step_px0, self.side_px0)
        return max(1.0, step_px0)

    @property
    def spacing_px0(self) -> float:
        if self.spec.spacing_um is None:
            return float(self.side_px0)
        return max(1.0, self.px0_of_um(self.spec.spacing_um, "spacing_um"))

    def px0_of_um(self, um: float, name: str) -> float:
        """Level-0 pixels of a length on the glass."""
        if self.info.mpp is None:
            raise SpecError(
                f"{self.slide_key}: {name} is in micrometres, and nobody says how many of them a "
                "pixel has",
                remedy="State the slide's mpp, or ask for a level and lengths in pixels",
            )
        return um / self.info.mpp


def locate(
    mask: TissueMask,
    info: SlideInfo,
    spec: LocationSpec,
    *,
    annotations: Sequence[AnnotationPolygon] | None = None,
    slide_key: str,
) -> PatchLocations:
    """Find the squares of a slide that are asked for.

    `slide_key` names the slide in errors, and with the spec decides all draws. Positions of a grid
    are exact level-0 lengths from (0, 0), rounded one by one, so that rounding never adds up.

    Raises:
        AnnotationsMissing: annotations are asked for, and there are none, not even an empty list.
        SpecError: the slide has no such level, or no known mpp; or an area is too small for the
            number of random patches.
    """
    scale = _SpecScale(spec=spec, info=info, slide_key=slide_key)
    seed = seed_of(digest_of(spec), slide_key)
    areas = _areas_of(scale, annotations)
    squares = Squares(
        side_px0=scale.side_px0, laid_side_px0=spec.patch_px * scale.downsample,
        width_px0=info.width_px0, height_px0=info.height_px0, is_within=spec.within_bound,
    )  # fmt: skip
    coverage = Coverage(mask, width_px0=info.width_px0, height_px0=info.height_px0)
    sampled = sample_areas(areas, _sampler_of(scale, areas, mask, seed), squares, coverage)
    kept = _choose(len(sampled.x_px0), spec.max_patches, seed)
    return _as_locations(scale, areas, sampled, kept)


def _areas_of(scale: _SpecScale, annotations: Sequence[AnnotationPolygon] | None) -> Areas:
    spec, slide = scale.spec, shapely.box(0, 0, scale.info.width_px0, scale.info.height_px0)
    if spec.region == "tissue":
        return _areas([slide], ("",), spec, min_area_share=0.0)
    if annotations is None:
        raise AnnotationsMissing(
            scale.slide_key, f"no annotations are recorded, and region {spec.region} needs them",
            remedy="Add its annotations, or an empty file of them where nothing is annotated",
        )  # fmt: skip
    chosen = select_labels(annotations, spec.included_labels, spec.excluded_labels)
    outlines = outlines_of(chosen)
    if spec.region == "annotations" and spec.contained_as_holes:
        outlines = cut_out_contained(outlines)
    if spec.buffer_um:
        buffer_px0 = scale.px0_of_um(spec.buffer_um, "buffer_um")
        outlines = shapely.buffer(outlines, buffer_px0, quad_segs=QUAD_SEGS)
    if spec.region == "outside_annotations":
        outside = slide - shapely.union_all(outlines)
        return _areas([outside], ("",), spec, min_area_share=spec.min_area_share)
    labels = tuple(polygon.label for polygon in chosen)
    return _areas(outlines, labels, spec, min_area_share=spec.min_area_share)


def _areas(
    outlines: Any, labels: tuple[str, ...], spec: LocationSpec, *, min_area_share: float
) -> Areas:
    array = np.empty(len(labels), object)
    array[:] = outlines
    return Areas(
        outlines=array, labels=labels,
        min_tissue_share=np.full(len(labels), spec.min_tissue_share),
        min_area_share=np.full(len(labels), min_area_share),
    )  # fmt: skip


def _sampler_of(scale: _SpecScale, areas: Areas, mask: TissueMask, seed: int) -> Sampler:
    spec, n_areas = scale.spec, len(areas.labels)
    if spec.sampler == "random":
        # Where there can be no patch none is asked for: bare glass is a value, and no error.
        can_hold = ~shapely.is_empty(areas.outlines)
        can_hold &= spec.min_tissue_share == 0 or bool(mask.tissue.any())
        return RandomSampler(n_patches=can_hold * np.int64(spec.n_patches or 0), seed=seed)
    if spec.sampler == "poisson_disk":
        return PoissonDiskSampler(spacing_px0=np.full(n_areas, scale.spacing_px0), seed=seed)
    origin_px0 = np.zeros((n_areas, 2))
    return GridSampler(
        step_px0=np.full(n_areas, scale.step_px0), origin_px0=origin_px0, is_covering=True
    )


def _choose(n: int, most: int | None, seed: int) -> np.ndarray:
    """Places of `most` squares at most, every choice equally likely, in order."""
    if most is None or n <= most:
        return np.arange(n)
    return np.sort(np.argsort(streams_of(seed_of(seed, "max_patches"), n), kind="stable")[:most])


def _as_locations(
    scale: _SpecScale, areas: Areas, sampled: Sampled, kept: np.ndarray
) -> PatchLocations:
    labels = tuple(dict.fromkeys(areas.labels)) or ("",)
    label_codes = None
    if len(labels) > 1:
        code_of = {label: code for code, label in enumerate(labels)}
        codes = np.array([code_of[label] for label in areas.labels], np.int32)
        label_codes = codes[sampled.area[kept]]
    return PatchLocations(
        x_px0=sampled.x_px0[kept], y_px0=sampled.y_px0[kept],
        tissue_share=sampled.tissue_share[kept],
        side_px0=scale.side_px0, patch_px=scale.spec.patch_px,
        mpp=scale.mpp, level=scale.spec.level, labels=labels, label_codes=label_codes,
    )  # fmt: skip
