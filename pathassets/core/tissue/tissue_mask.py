"""Overview pixels -> TissueMask: where there is something to look at."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Annotated, Self

import cv2
import numpy as np
from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass as spec_dataclass

from pathassets.core import display
from pathassets.core.frames import mm2_of
from pathassets.core.slides.bad_tiles import BadTilePolicy
from pathassets.core.slides.regions import BoxPx
from pathassets.core.spec import STRICT, Mpp
from pathassets.core.tissue.quality_control import (
    drop_small,
    fill_small,
    find_black,
    find_blur,
    find_ink,
)
from pathassets.core.tissue.stain import StainLimits, StainMethod, find_stained
from pathassets.errors import SpecError

CODE_VERSION = "4"

FILTER_PX = 127
"""Widest filter, in pixels at the spec's resolution.

The overview is up to twice as fine, and OpenCV's median filter is at most 255 px wide.
"""


@spec_dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class TissueSpec(BadTilePolicy):
    """How tissue is told from glass."""

    method: StainMethod = "otsu"
    """What is looked at on the smoothed overview.

    otsu: saturation above Otsu's threshold. hsv: saturation above that of the glass by
    `min_saturation`, which finds paler tissue. lab: colour or, less, darkness unlike the glass's,
    for any stain. luminance: optical density above Otsu's threshold, for weakly coloured stains;
    dust and shadows are dark too.
    """
    mpp: Mpp = 8.0
    """Working resolution, um per pixel; the overview may be finer, never coarser."""
    min_saturation: Annotated[int, Field(ge=0, le=255)] = 15
    """Floor of the threshold, of 255: on bare glass Otsu would split the noise."""
    max_glass_saturation: Annotated[int, Field(ge=0, le=255)] = 30
    """Mean saturation below the threshold, of 255, up to which that part is glass.

    Where it is higher there is no glass to tell from, and the floor alone decides: of pieces of
    two slides that are all tissue Otsu would drop 21 to 62 %. Measured: 4 to 10 for the glass of
    four slides, 44 to 114 for the paler part of such pieces.
    """
    min_value: Annotated[int, Field(ge=0, le=255)] = 25
    """hsv alone: brightest channel from which a pixel can be tissue, of 255."""
    max_value: Annotated[int, Field(ge=0, le=255)] = 255
    """hsv alone: the same, up to which it can."""
    smooth_um: Annotated[float, Field(ge=0.0, le=500.0)] = 40.0
    """Width of the median filter before the threshold."""
    close_um: Annotated[float, Field(ge=0.0, le=500.0)] = 32.0
    """Gaps up to this width are closed."""
    min_object_um2: Annotated[float, Field(ge=0.0)] = 20_000.0
    """Smaller pieces are dropped."""
    min_hole_um2: Annotated[float, Field(ge=0.0)] = 10_000.0
    """Smaller holes count as tissue; 0 keeps all holes.

    Glass that reaches the edge of the overview is no hole. Ink and black are never filled.
    """
    exclude_pen: bool = True
    """Whether strokes of green, blue, violet-blue and black pen are no tissue.

    Red ones are not told from blood and red stains, thin navy ones not from haematoxylin, and what
    of a stroke lies over dense tissue stays. False for blue and green stains of tissue (Masson,
    Giemsa, Alcian blue, toluidine blue, methyl green) and for silver, which are of the colour of
    ink.
    """
    exclude_black: bool = True
    """Whether large regions that are nearly black, as where nothing was scanned, are no tissue."""
    exclude_blur: bool = False
    """Whether tissue out of focus is none.

    Measured on 12 overviews of 4 to 8 um per pixel: in focus none of it is dropped; blurred by one
    pixel (a standard deviation of 8 um at 8 um per pixel) 0 to 34 %, by two 42 to 100 %, by three
    96 to 100 %. The limit was set on the same overviews. To see a finer blur give a finer `mpp`.
    """

    def __repr__(self) -> str:
        return display.spec_line(self)

    @model_validator(mode="after")
    def _filters_fit(self) -> Self:
        for name in ("smooth_um", "close_um"):
            if getattr(self, name) > FILTER_PX * self.mpp:
                raise ValueError(
                    f"{name} is over {FILTER_PX} pixels at {self.mpp:g} um per pixel: "
                    f"at most {FILTER_PX * self.mpp:g} um are possible"
                )
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class TissueMask:
    """Which pixels of an overview are tissue."""

    tissue: np.ndarray
    """bool (y, x); pixel (0, 0) has its corner at level-0 point (0, 0)."""
    downsample: float
    """Level-0 pixels per mask pixel."""
    slide_mpp: float | None
    """Micrometres per level-0 pixel; None where the slide states none."""

    def __repr__(self) -> str:
        height_px, width_px = self.tissue.shape
        area = "" if self.slide_mpp is None else f"{self.tissue_mm2:.4g} mm2"
        return display.line(
            self, f"{width_px} x {height_px} px", f"downsample {self.downsample:.5g}",
            f"{self.tissue_share:.1%} tissue", area,
        )  # fmt: skip

    def _repr_svg_(self) -> str | None:
        """What a notebook shows."""
        return display.mask_svg(self.tissue) if self.tissue.size else None

    @property
    def tissue_share(self) -> float:
        """Share of the mask that is tissue, in [0, 1]."""
        return float(self.tissue.mean()) if self.tissue.size else 0.0

    @property
    def tissue_mm2(self) -> float:
        """Area of the tissue on the glass.

        Raises:
            SpecError: the slide's micrometres per pixel are not known.
        """
        if self.slide_mpp is None:
            raise SpecError(
                "tissue: its area needs micrometres per pixel", remedy="Open the slide with mpp=…"
            )
        return mm2_of(int(np.count_nonzero(self.tissue)), self.downsample, self.slide_mpp)

    def without(self, boxes_px: Iterable[BoxPx]) -> Self:
        """The mask with no tissue in some boxes, in its pixels."""
        tissue = self.tissue.copy()
        for x0, y0, x1, y1 in boxes_px:
            tissue[y0:y1, x0:x1] = False
        return replace(self, tissue=tissue)


def find_tissue(
    overview: np.ndarray, *, downsample: float, slide_mpp: float, spec: TissueSpec
) -> TissueMask:
    """Find tissue on an overview, RGB uint8 (y, x, 3). O(overview).

    Source: Otsu 1979, doi:10.1109/TSMC.1979.4310076; saturation as in CLAM (Lu et al. 2021,
    doi:10.1038/s41551-020-00682-w).
    """
    mpp = downsample * slide_mpp
    is_seen = ~_debris(overview, mpp, spec)
    stained = find_stained(overview, is_seen, spec.method, _limits(spec, mpp))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (_odd(spec.close_um / mpp),) * 2)
    closed = np.asarray(cv2.morphologyEx(stained.astype(np.uint8), cv2.MORPH_CLOSE, kernel), bool)
    min_object_px = spec.min_object_um2 / mpp**2
    pieces = drop_small(closed & is_seen, min_object_px)
    tissue = fill_small(pieces, spec.min_hole_um2 / mpp**2) & is_seen
    if spec.exclude_blur:
        is_blurred = drop_small(find_blur(overview, tissue, mpp), min_object_px)
        tissue = drop_small(tissue & ~is_blurred, min_object_px)
    return TissueMask(tissue=tissue, downsample=downsample, slide_mpp=slide_mpp)


def _debris(overview: np.ndarray, mpp: float, spec: TissueSpec) -> np.ndarray:
    """Pixels that are no tissue, whatever their colour."""
    is_debris = np.zeros(overview.shape[:2], bool)
    if spec.exclude_pen:
        is_debris |= find_ink(overview, mpp)
    if spec.exclude_black:
        is_debris |= find_black(overview, mpp)
    return is_debris


def _limits(spec: TissueSpec, mpp: float) -> StainLimits:
    return StainLimits(
        min_saturation=spec.min_saturation, max_glass_saturation=spec.max_glass_saturation,
        min_value=spec.min_value, max_value=spec.max_value, smooth_px=_odd(spec.smooth_um / mpp),
    )  # fmt: skip


def _odd(width_px: float) -> int:
    """The odd whole number nearest to a filter width, at least 1.

    >>> [_odd(w) for w in (0.2, 2.2, 4.0, 5.9)]
    [1, 3, 5, 5]
    """
    return 2 * int(width_px / 2) + 1
