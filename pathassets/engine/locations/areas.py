"""Mask and polygons -> the areas of a slide that patches may lie in.

whole image           bounds of the mask's foreground
whole image inverted  those bounds without the polygons
polygon region        each polygon, without the polygons within it
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import shapely

from pathassets.core.annotations.annotations import (
    AnnotationPolygon,
    Annotations,
    cut_out_contained,
    outlines_of,
    select_labels,
)
from pathassets.core.slides.slide import SlideInfo
from pathassets.core.tissue.tissue_mask import TissueMask
from pathassets.engine.locations.numbers import check_flag
from pathassets.engine.locations.rows import as_array
from pathassets.errors import SpecError

logger = logging.getLogger(__name__)

MEASURED_PAIRS = 10_000
"""Pairs of polygons whose overlap is measured: half a second."""
ROUND_CORNER = 16
"""Pieces of a quarter circle at the corners of an area that has grown, as shapely's method has."""


ReadFile = Callable[[str | Path], Annotations]
"""Reads a file of polygons, or a text of JSON, in the frame of the slide."""


class AnnotatedAreas(NamedTuple):
    """Areas before they grow or shrink."""

    outlines: np.ndarray
    """object (r,): shapely polygons in level-0 pixels."""
    labels: tuple[str, ...]


class Region(Protocol):
    """Which areas."""

    def draw(self, bounds: shapely.Geometry, read: ReadFile) -> AnnotatedAreas:
        """The areas of a slide whose foreground has these bounds.

        Raises:
            AnnotationError: a file of polygons cannot be read.
            SpecError: what was given as polygons is none.
        """

    def finish(self, outlines: np.ndarray, *, side_px0: int, path: str) -> np.ndarray:
        """What remains to be done once areas have grown or shrunk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeImage:
    """The bounds of the mask's foreground, as one area."""

    weak_label: str = ""
    """Of all patches."""

    def __post_init__(self) -> None:
        _check_label("weak_label", self.weak_label)

    def draw(self, bounds: shapely.Geometry, read: ReadFile) -> AnnotatedAreas:
        """One area."""
        del read
        return AnnotatedAreas(as_array([bounds]), (self.weak_label,))

    def finish(self, outlines: np.ndarray, *, side_px0: int, path: str) -> np.ndarray:
        """Nothing."""
        del side_px0, path
        return outlines


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeImageInverted:
    """The bounds of the mask's foreground without the polygons, as one area.

    Holes of polygons are not heeded: what they enclose is left out with them.
    """

    polygon_data: Any
    """Polygons to leave out: a list of `AnnotationPolygon`, a file of annotations, or JSON."""
    weak_label: str = ""
    """Of all patches."""
    included_labels: Sequence[str] = ()
    """Labels of the polygons to leave out; all where none is given."""
    excluded_labels: Sequence[str] = ()
    """Labels of polygons that are not left out."""

    def __post_init__(self) -> None:
        _check_label("weak_label", self.weak_label)
        _check_labels(self.included_labels, self.excluded_labels)

    def draw(self, bounds: shapely.Geometry, read: ReadFile) -> AnnotatedAreas:
        """One area."""
        drawn = _read_polygons(self.polygon_data, read)
        polygons = select_labels(drawn, self.included_labels, self.excluded_labels)
        rings = shapely.get_exterior_ring(shapely.get_parts(outlines_of(polygons)))
        filled = shapely.polygons(rings) if len(rings) else rings
        # 1 s for 100,000 nuclei that are apart, where union_all takes 38.
        left = shapely.difference(bounds, shapely.disjoint_subset_union_all(filled))
        return AnnotatedAreas(as_array([left]), (self.weak_label,))

    def finish(self, outlines: np.ndarray, *, side_px0: int, path: str) -> np.ndarray:
        """Nothing."""
        del side_px0, path
        return outlines


@dataclass(frozen=True, slots=True, kw_only=True)
class PolygonRegion:
    """Each polygon is an area, and its label that of the patches in it."""

    polygon_data: Any
    """A list of `AnnotationPolygon`, a file of annotations, or such JSON as a text; of a slide that
    has bounds the list, as `slide.read_annotations(file, frame=…)` gives it."""
    check_polygons: bool = True
    """Whether polygons that lie within others are cut out of those, and overlaps are logged."""
    included_labels: Sequence[str] = ()
    """Labels of the polygons to take; all where none is given."""
    excluded_labels: Sequence[str] = ()
    """Labels of polygons not to take."""

    def __post_init__(self) -> None:
        check_flag("check_polygons", self.check_polygons)
        _check_labels(self.included_labels, self.excluded_labels)

    def draw(self, bounds: shapely.Geometry, read: ReadFile) -> AnnotatedAreas:
        """An area for each polygon."""
        del bounds
        drawn = _read_polygons(self.polygon_data, read)
        polygons = select_labels(drawn, self.included_labels, self.excluded_labels)
        return AnnotatedAreas(outlines_of(polygons), tuple(polygon.label for polygon in polygons))

    def finish(self, outlines: np.ndarray, *, side_px0: int, path: str) -> np.ndarray:
        """Cut polygons out of those that they lie in."""
        if not self.check_polygons:
            return outlines
        cut = cut_out_contained(outlines)
        if n_pairs := _count_overlaps(cut, side_px0):
            logger.warning(
                "%s: %d or more pairs of polygons overlap by a patch: patches there are in both",
                path, n_pairs,
            )  # fmt: skip
        return cut


def foreground_bounds(mask: TissueMask, info: SlideInfo) -> shapely.Geometry:
    """Box around the foreground in level-0 pixels; empty where there is none.

    The last column and row of a mask stand for all that is left of the slide there, as they do
    where shares of foreground are counted.
    """
    y_px, x_px = (np.flatnonzero(mask.tissue.any(axis=axis)) for axis in (1, 0))
    if not len(x_px):
        return shapely.Polygon()
    height, width = mask.tissue.shape
    right, bottom = int(x_px[-1]) + 1, int(y_px[-1]) + 1
    return shapely.box(
        x_px[0] * mask.downsample,
        y_px[0] * mask.downsample,
        info.width_px0 if right == width else right * mask.downsample,
        info.height_px0 if bottom == height else bottom * mask.downsample,
    )


def grow(outlines: np.ndarray, buffers_px0: np.ndarray) -> np.ndarray:
    """Let areas grow by a length in level-0 pixels, or shrink where it is below 0."""
    is_grown = buffers_px0 != 0
    if not is_grown.any():
        return outlines
    grown = outlines.copy()
    grown[is_grown] = shapely.buffer(
        outlines[is_grown], buffers_px0[is_grown], quad_segs=ROUND_CORNER
    )
    return grown


def _count_overlaps(outlines: np.ndarray, side_px0: int) -> int:
    """Pairs of areas that share the area of a patch or more, of the first that may.

    What their bounds share is looked at first: only few of 100,000 nuclei are left then.
    """
    least = float(side_px0) ** 2
    large = outlines[shapely.area(outlines) >= least]
    first, second = shapely.STRtree(large).query(large)
    first, second = first[first < second], second[first < second]
    bounds = shapely.bounds(large)
    low = np.maximum(bounds[first, :2], bounds[second, :2])
    high = np.minimum(bounds[first, 2:], bounds[second, 2:])
    may_share = np.flatnonzero((high - low).clip(0.0).prod(1) >= least)[:MEASURED_PAIRS]
    shared = shapely.intersection(large[first[may_share]], large[second[may_share]])
    return int((shapely.area(shared) >= least).sum())


def _read_polygons(polygon_data: Any, read: ReadFile) -> Sequence[AnnotationPolygon]:
    if isinstance(polygon_data, str | Path):
        return read(polygon_data).polygons
    if isinstance(polygon_data, Annotations):
        return polygon_data.polygons
    if isinstance(polygon_data, Sequence) and all(
        isinstance(polygon, AnnotationPolygon) for polygon in polygon_data
    ):
        return polygon_data
    raise SpecError(
        f"polygon_data: {type(polygon_data).__name__} is no list of polygons",
        remedy="Give a list of AnnotationPolygon, or a file of annotations",
    )


def _check_labels(included: object, excluded: object) -> None:
    for name, labels in (("included_labels", included), ("excluded_labels", excluded)):
        if isinstance(labels, str) or not isinstance(labels, Sequence):
            raise SpecError(f"{name}: {labels!r} is no list of labels", remedy="Give a list")
        for label in labels:
            _check_label(name, label)
    if included and excluded:
        raise SpecError(
            "included_labels and excluded_labels are both given", remedy="Give one of them"
        )


def _check_label(name: str, label: object) -> None:
    if not isinstance(label, str):
        raise SpecError(f"{name}: {label!r} is no label", remedy="Give a text")
