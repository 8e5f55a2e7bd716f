"""An open slide and a request -> its patches: areas, samplers and shares put together.

mask_data ─▶ TissueMask ─▶ areas ─▶ grown ─▶ sampled ─▶ PatchLocations
polygon_data ──────────────▲                    ▲
sizes, ratios, spacings ─▶ level-0 pixels ──────┘
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import shapely

from pathassets.core.locations.locations import PatchLocations
from pathassets.core.locations.sampling import Sampled, sample_areas
from pathassets.core.locations.squares import Areas, Squares
from pathassets.core.slides.resolution import as_level_or_mpp
from pathassets.core.spec import seed_of
from pathassets.core.tissue.coverage import Coverage
from pathassets.core.tissue.tissue_mask import TissueMask
from pathassets.engine.locations.areas import AnnotatedAreas, Region, foreground_bounds, grow
from pathassets.engine.locations.numbers import spread
from pathassets.engine.locations.requests import Sampling, SlideRequest, SlideScale
from pathassets.engine.locations.rows import code_labels
from pathassets.engine.slides.open import OpenedSlide
from pathassets.engine.slides.tissue_mask import as_tissue_mask


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is asked of one slide."""

    kind: str
    """Name of the class that asks."""
    slide: SlideRequest
    region: Region
    sampling: Sampling


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundPatches:
    """What was found on one slide."""

    locations: PatchLocations
    drawn: AnnotatedAreas
    """Areas before they grew or shrank."""
    outlines: np.ndarray
    """object (r,): areas that patches were sampled in, in level-0 pixels."""
    mask_width_px: int
    mask_height_px: int
    mask_downsample: float


def find_patches(request: Request, slide: OpenedSlide) -> FoundPatches:
    """Find the patches of a slide.

    Raises:
        AnnotationError: a file of polygons cannot be read.
        SlideError: the slide's resolution is asked for, and it states none.
        SpecError: the request is impossible for this slide.
    """
    asked, info = request.slide, slide.info
    mask = as_tissue_mask(asked.mask_data, slide)
    scale = SlideScale(
        path=slide.path, info=info, mask_downsample=mask.downsample,
        level_or_mpp=as_level_or_mpp(asked.level_or_mpp),
    )  # fmt: skip
    patch_px = scale.patch_px_of(asked)
    squares = Squares(
        side_px0=max(1, round(patch_px * scale.downsample)),
        laid_side_px0=patch_px * scale.downsample,
        width_px0=info.width_px0, height_px0=info.height_px0, is_within=bool(asked.within_bound),
    )  # fmt: skip
    drawn = request.region.draw(foreground_bounds(mask, info), slide.read_annotations)
    buffers_px0 = scale.lengths_px0(asked.polygon_buffer, asked.polygon_buffer_um, 0.0)
    buffers_px0 = spread("polygon_buffer", buffers_px0, len(drawn.outlines))
    outlines = request.region.finish(
        grow(drawn.outlines, buffers_px0), side_px0=squares.side_px0, path=slide.path
    )
    numbers = request.sampling.numbers(len(outlines), scale, patch_px)
    areas = _areas(asked, outlines, drawn.labels)
    seed = _seed_of(request, squares, areas, np.stack([buffers_px0, numbers]))
    sampled = _sample(request.sampling, areas, numbers, squares, mask=mask, seed=seed)
    height_px, width_px = mask.tissue.shape
    return FoundPatches(
        locations=_locations(sampled, squares.side_px0, patch_px, scale, drawn.labels),
        drawn=drawn, outlines=outlines,
        mask_width_px=width_px, mask_height_px=height_px, mask_downsample=mask.downsample,
    )  # fmt: skip


def _areas(asked: SlideRequest, outlines: np.ndarray, labels: tuple[str, ...]) -> Areas:
    n_areas = len(outlines)
    return Areas(
        outlines=outlines, labels=labels,
        min_tissue_share=spread("foreground_ratio", asked.foreground_ratio, n_areas),
        min_area_share=spread("overlap_ratio", asked.overlap_ratio, n_areas),
    )  # fmt: skip


def _locations(
    sampled: Sampled, side_px0: int, patch_px: int, scale: SlideScale, labels: tuple[str, ...]
) -> PatchLocations:
    names, codes = code_labels(labels)
    return PatchLocations(
        x_px0=sampled.x_px0, y_px0=sampled.y_px0, tissue_share=sampled.tissue_share,
        side_px0=side_px0, patch_px=patch_px, mpp=scale.mpp, level=scale.level,
        labels=names, label_codes=codes[sampled.area],
    )  # fmt: skip


def _sample(  # noqa: PLR0913 - what the sampler takes, and how it is made
    sampling: Sampling, areas: Areas, numbers: np.ndarray, squares: Squares, *,
    mask: TissueMask, seed: int,
) -> Sampled:  # fmt: skip
    """Sample the areas where there can be a patch: bare glass is a value, and no error."""
    can_hold = ~shapely.is_empty(areas.outlines)
    if not mask.tissue.any():
        can_hold &= areas.min_tissue_share <= 0.0
    places = np.flatnonzero(can_hold)
    if not len(places):
        nothing = np.empty(0, np.int64)
        return Sampled(
            x_px0=nothing, y_px0=nothing, tissue_share=np.empty(0, np.float32), area=nothing
        )
    part = Areas(
        outlines=areas.outlines[places], labels=tuple(areas.labels[i] for i in places.tolist()),
        min_tissue_share=areas.min_tissue_share[places],
        min_area_share=areas.min_area_share[places],
    )  # fmt: skip
    coverage = Coverage(mask, width_px0=squares.width_px0, height_px0=squares.height_px0)
    sampled = sample_areas(part, sampling.sampler(numbers[places], seed), squares, coverage)
    return Sampled(
        x_px0=sampled.x_px0, y_px0=sampled.y_px0, tissue_share=sampled.tissue_share,
        area=places[sampled.area],
    )  # fmt: skip


def _seed_of(request: Request, squares: Squares, areas: Areas, numbers: np.ndarray) -> int:
    """Seed of a draw: what is asked, and the slide's file name; not the folder it lies in."""
    shares = np.stack([areas.min_tissue_share, areas.min_area_share])
    return seed_of(
        request.kind, Path(request.slide.wsi_file).name, getattr(request.sampling, "seed", 0),
        squares.side_px0, squares.is_within, shares.tolist(), numbers.tolist(),
    )  # fmt: skip
