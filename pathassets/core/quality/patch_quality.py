"""Measures of patches, overview, mask -> a table of the patches, and what it says of the slide.

    pixels of each patch ─▶ focus, contrast, colour ─┐
    overview ─▶ ink, folds ─▶ share in each patch ───┼▶ table, a row a patch ─▶ facts of the slide
    mask ─▶ tissue ──────────────────────────────────┘

Rows are in the order of the patch locations, as those of features are.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Annotated, Any

import cv2
import numpy as np
import pandas as pd
from pydantic import Field
from pydantic.dataclasses import dataclass as spec_dataclass

from pathassets.core.frames import mm2_of
from pathassets.core.locations.locations import PatchLocations
from pathassets.core.quality.folds import find_folds
from pathassets.core.quality.patch_measures import MEASURES
from pathassets.core.quality.rules import SlideRules
from pathassets.core.quality.slide_measures import percentile
from pathassets.core.spec import STRICT
from pathassets.core.tissue.coverage import Coverage
from pathassets.core.tissue.quality_control import find_ink
from pathassets.core.tissue.tissue_mask import TissueMask

CODE_VERSION = "1"

COLUMNS = ("x_px0", "y_px0", "is_read", *MEASURES, "tissue_share", "ink_share", "fold_share")
"""Of the table. Shares are of the patch's area; NaN: could not be read, or is glass."""
BLURRED, INKED, FOLDED, FIT = (213, 94, 0), (0, 114, 178), (204, 121, 167), (0, 158, 115)
"""Colours of patches on the picture: Okabe & Ito's, as of labels. Unread ones are black."""
SHOWN_SHARE = 0.1
"""Ink or fold of a patch from which the picture shows it."""


@spec_dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class PatchQualitySpec:
    """What of a slide's quality depends on a choice, and what is expected of it."""

    blurred_below: Annotated[float, Field(ge=0.0)] = 50.0
    """Focus from which a patch does not count as blurred, in grey levels squared.

    Measured at 0.5 um per pixel on two scanned slides: the softest 5 % of the patches have 250 and
    570. Blurred by a Gaussian of 0.5 um (1 pixel) half of them are below 79 and 188; by one of
    1 um (2 pixels) 95 % are below 25 and 35. Another resolution wants another limit.
    """
    checks: SlideRules = field(default_factory=SlideRules)
    """What its check looks at, and what puts a slide into the queue; no byte depends on it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlideView:
    """A slide made small, and what is seen on it: all of one shape, laid over the whole slide."""

    tissue: np.ndarray
    """bool (y, x): of the mask."""
    ink: np.ndarray
    folds: np.ndarray
    mpp: float


def view_slide(overview: np.ndarray, mask: TissueMask, mpp: float) -> SlideView:
    """Look for ink and folds on an overview, RGB uint8 (y, x, 3), of `mpp` um per pixel."""
    size = (overview.shape[1], overview.shape[0])
    tissue = cv2.resize(mask.tissue.view(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
    ink = find_ink(overview, mpp)
    folds = find_folds(overview, tissue & ~ink, mpp)
    return SlideView(tissue=np.asarray(tissue), ink=ink, folds=folds, mpp=mpp)


def patch_table(  # noqa: PLR0913 - what a row is made of
    locations: PatchLocations,
    measures: np.ndarray,
    unread: Collection[int],
    view: SlideView,
    *,
    width_px0: int,
    height_px0: int,
) -> pd.DataFrame:
    """Bring together what is known of each patch; `measures` are (n, len(MEASURES))."""
    is_read = np.ones(len(locations), bool)
    is_read[list(unread)] = False
    shares = {
        name: Coverage.stretched(seen, width_px0=width_px0, height_px0=height_px0).share_of(
            locations.x_px0, locations.y_px0, locations.side_px0
        )
        for name, seen in (("ink_share", view.ink), ("fold_share", view.folds))
    }
    return pd.DataFrame(
        {
            "x_px0": locations.x_px0,
            "y_px0": locations.y_px0,
            "is_read": is_read,
            **dict(zip(MEASURES, measures.T, strict=True)),
            "tissue_share": locations.tissue_share,
            **shares,
        }
    )[list(COLUMNS)]


def slide_facts(
    table: pd.DataFrame, view: SlideView, mask: TissueMask, locations: PatchLocations,
    spec: PatchQualitySpec,
) -> dict[str, Any]:  # fmt: skip
    """What the table says of the slide; None where there is nothing to tell from."""
    focus = table["focus"].dropna().to_numpy(np.float64)
    n_ink = int(np.count_nonzero(view.ink))
    n_unread = int((~table["is_read"]).sum())
    medians = {name: percentile(table[name].to_numpy(), 50) for name in MEASURES if name != "focus"}
    return {
        "n_patches": len(table),
        "n_skipped": n_unread,
        "bad_patch_share": n_unread / max(1, len(table)),
        "patch_mpp": locations.mpp,
        "focus_p05": percentile(focus, 5),
        "focus_median": percentile(focus, 50),
        "focus_p95": percentile(focus, 95),
        "blurred_below": spec.blurred_below,
        "blurred_share": float((focus < spec.blurred_below).mean()) if len(focus) else None,
        **medians,
        "tissue_mm2": mask.tissue_mm2,
        "coverage": coverage_of(mask, locations),
        "ink_mm2": mm2_of(n_ink, 1.0, view.mpp),
        "ink_share": _share(view.ink, view.tissue | view.ink),
        "fold_share": _share(view.folds, view.tissue),
    }


def coverage_of(mask: TissueMask, locations: PatchLocations) -> float | None:
    """Share of the tissue that lies in patches, to whole pixels of the mask."""
    taken = np.zeros(mask.tissue.shape, bool)
    corners = (locations.boxes_px0 / mask.downsample).round().astype(np.int64).clip(0)
    for x0, y0, x1, y1 in corners.tolist():
        taken[y0:y1, x0:x1] = True
    return _share(taken & mask.tissue, mask.tissue) if mask.tissue.any() else None


def _share(part: np.ndarray, whole: np.ndarray) -> float:
    """Of bool (y, x), the one within the other; 0 of nothing."""
    return int(np.count_nonzero(part)) / max(1, int(np.count_nonzero(whole)))


def colours_of_patches(table: pd.DataFrame, spec: PatchQualitySpec) -> np.ndarray:
    """Colours of patches for a picture, RGB uint8 (n, 3): what is wrong with each, the worst."""
    colours = np.full((len(table), 3), FIT, np.uint8)
    colours[(table["focus"] < spec.blurred_below).to_numpy()] = BLURRED
    colours[(table["fold_share"] >= SHOWN_SHARE).to_numpy()] = FOLDED
    colours[(table["ink_share"] >= SHOWN_SHARE).to_numpy()] = INKED
    colours[~table["is_read"].to_numpy(bool)] = 0
    return colours
