"""Outlines that a person or a program drew -> AnnotationPolygon: one area of a slide, labelled.

    an annotation file ─▶ AnnotationPolygon ─▶ outlines: valid shapely areas, one for each,
    (adapters)            as it was drawn      what crosses itself mended, holes cut out

What is done for many polygons is done by arrays of shapely: 100,000 take seconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import shapely
from numpy.typing import ArrayLike

from pathassets.core import display
from pathassets.errors import SpecError

LARGEST_PX0 = 1e9
"""Beyond it lies no slide; areas of larger outlines would run out of a float's digits."""
MIN_CORNERS = 3


@dataclass(frozen=True, init=False, eq=False, repr=False)
class AnnotationPolygon:
    """One area of a slide as it was drawn, with holes and a label.

    Not slotted: `polygon` is made once, when it is first asked for.

    Raises:
        SpecError: corners are fewer than three, not numbers, not finite, or beyond any slide; or
            the label is no text.
    """

    points: np.ndarray
    """float64 (n, 2): x, y of the outline's corners in level-0 pixels, not closed; n >= 3."""
    label: str
    """"" is no label."""
    holes: tuple[np.ndarray, ...]
    """float64 (m, 2) each: outlines of what is cut out of it."""

    def __init__(
        self, *, points: ArrayLike, label: str = "", holes: Sequence[ArrayLike] = ()
    ) -> None:
        object.__setattr__(self, "points", _corners(points, "outline"))
        object.__setattr__(self, "label", _checked_label(label))
        cut = tuple(_corners(hole, f"hole {i}") for i, hole in enumerate(holes, 1))
        object.__setattr__(self, "holes", cut)

    @property
    def points_px0(self) -> np.ndarray:
        """`points`, by the name that tells their frame."""
        return self.points

    @property
    def holes_px0(self) -> tuple[np.ndarray, ...]:
        """`holes`, by the name that tells their frame."""
        return self.holes

    @cached_property
    def polygon(self) -> shapely.Polygon | shapely.MultiPolygon:
        """What it covers: valid, in several parts where it crosses itself, empty without area."""
        outline: shapely.Polygon | shapely.MultiPolygon = _outlines([self])[0]
        return outline

    @property
    def data_dict(self) -> dict[str, Any]:
        """As plain lists, as the readers take them back from JSON."""
        return {
            "points": self.points.tolist(),
            "label": self.label,
            "holes": [hole.tolist() for hole in self.holes],
        }

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, AnnotationPolygon):
            return NotImplemented
        mine, others = (self.points, *self.holes), (other.points, *other.holes)
        return (
            self.label == other.label
            and len(mine) == len(others)
            and all(map(np.array_equal, mine, others))
        )

    def __hash__(self) -> int:
        return hash((self.label, self.points.tobytes(), *(hole.tobytes() for hole in self.holes)))

    def __repr__(self) -> str:
        return (
            f"AnnotationPolygon(label={display.label(self.label)}, {len(self.points)} points, "
            f"{len(self.holes)} holes)"
        )

    def __getstate__(self) -> dict[str, Any]:
        """Without `polygon`: another process makes its own for less than the way there costs."""
        return {"points": self.points, "label": self.label, "holes": self.holes}


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotations:
    """What an annotation file holds."""

    polygons: tuple[AnnotationPolygon, ...]
    """In the order of the file."""
    file_format: str
    """Whose format it is, such as `ImageScope XML`."""
    n_left_out: Mapping[str, int] = field(default_factory=dict)
    """By kind, how many of its elements are no areas: points, lines, areas of nothing."""
    repairs: tuple[str, ...] = ()
    """For each outline that could not be taken as drawn: which, what was wrong, and where."""

    @property
    def n_repaired(self) -> int:
        """How many outlines could not be taken as drawn."""
        return len(self.repairs)


def drop_closing_point(points: np.ndarray) -> np.ndarray:
    """Leave out corners at the end that repeat the first.

    >>> drop_closing_point(np.array([[0, 0], [4, 0], [4, 4], [0, 0]])).tolist()
    [[0, 0], [4, 0], [4, 4]]
    """
    n = len(points)
    while n > 1 and (points[n - 1] == points[0]).all():
        n -= 1
    return points[:n]


def _corners(points: ArrayLike, what: str) -> np.ndarray:
    try:
        array = np.asarray(points)
    except (ValueError, TypeError, OverflowError) as error:
        raise SpecError(f"{what}: its corners are not all pairs of x and y") from error
    if array.size and array.dtype.kind not in "iuf":
        raise SpecError(f"{what}: x and y are not all numbers")
    if not array.size:
        raise SpecError(f"{what}: has no corners, an area has at least {MIN_CORNERS}")
    if array.ndim != 2 or array.shape[1] != 2:  # noqa: PLR2004
        raise SpecError(f"{what}: has shape {array.shape}, not that of pairs of x and y")
    corners = drop_closing_point(array.astype(np.float64) + 0.0)  # -0.0 equals 0.0, not its bytes
    if len(corners) < MIN_CORNERS:
        raise SpecError(f"{what}: has {len(corners)} corners, an area has at least {MIN_CORNERS}")
    if not (np.abs(corners) <= LARGEST_PX0).all():
        worst = corners[~(np.abs(corners) <= LARGEST_PX0)][0]
        raise SpecError(f"{what}: {worst} is no place on a slide, in level-0 pixels")
    corners.setflags(write=False)
    return corners


def _checked_label(label: object) -> str:
    if not isinstance(label, str):
        raise SpecError(f"label: {label!r} is no text")
    try:
        label.encode()
    except UnicodeEncodeError as error:
        raise SpecError(f"label: {label!r} holds half a character") from error
    return str(label)


# --------------------------------------------------------------------------------- outlines


def outlines_of(polygons: Sequence[AnnotationPolygon]) -> np.ndarray:
    """Areas that the polygons cover, object (n,): valid shapely polygons and multipolygons.

    One for each, in their order; an empty one for what has no area. An outline that crosses itself
    encloses what it winds around, be it twice: a bow-tie has two parts, a loop that a hand drew
    on the way is no hole, and spikes vanish. O(n log n) in the corners.
    """
    todo = [polygon for polygon in polygons if "polygon" not in polygon.__dict__]
    for polygon, outline in zip(todo, _outlines(todo), strict=True):
        polygon.__dict__["polygon"] = outline
    return _array_of([polygon.polygon for polygon in polygons])


def faults_of(polygons: Sequence[AnnotationPolygon]) -> dict[int, str]:
    """Say which polygons cannot be taken as they were drawn, by their place: what, and where."""
    drawn = _drawn(polygons)
    places = np.flatnonzero(~shapely.is_valid(drawn)).tolist()
    return {place: str(shapely.is_valid_reason(drawn[place])) for place in places}


def _array_of(shapes: Sequence[Any]) -> np.ndarray:
    array = np.empty(len(shapes), object)
    array[:] = shapes
    return array


def _drawn(polygons: Sequence[AnnotationPolygon]) -> np.ndarray:
    """Shapely polygons as they were drawn, valid or not."""
    if not polygons:
        return np.empty(0, object)
    rings = [ring for polygon in polygons for ring in (polygon.points, *polygon.holes)]
    n_rings = [1 + len(polygon.holes) for polygon in polygons]
    n_corners = [len(ring) for ring in rings]
    closed: Any = shapely.linearrings(
        np.concatenate(rings), indices=np.repeat(np.arange(len(rings)), n_corners)
    )
    return _polygons(closed, np.repeat(np.arange(len(polygons)), n_rings))


def _polygons(rings: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Polygons of rings; `place` says of which polygon each is, the first is its outline."""
    if not len(rings):
        return np.empty(0, object)
    made: Any = shapely.polygons(rings, indices=place)
    return np.asarray(made, object)


def _outlines(polygons: Sequence[AnnotationPolygon]) -> np.ndarray:
    outlines = _drawn(polygons)
    for place in np.flatnonzero(~shapely.is_valid(outlines)).tolist():
        outlines[place] = _mended(outlines[place])
    return outlines


def _mended(drawn: shapely.Polygon) -> Any:
    """What an invalid polygon encloses: its outline, mended by itself, less its holes.

    Mended together, a hole that reaches beyond the outline would become an area.
    """
    rings = [shapely.Polygon(ring) for ring in (drawn.exterior, *drawn.interiors)]
    outer, *holes = shapely.make_valid(rings, method="structure", keep_collapsed=False)
    return shapely.difference(outer, shapely.union_all(holes)) if holes else outer


# --------------------------------------------------------------------------- many polygons


def select_labels(
    polygons: Sequence[AnnotationPolygon],
    included: Sequence[str] = (),
    excluded: Sequence[str] = (),
) -> list[AnnotationPolygon]:
    """Polygons with one of the included labels, or with none of the excluded; else all.

    Labels are compared letter by letter; "" stands for polygons without one.

    Raises:
        SpecError: both are given, or one is a text and not a list of them.
    """
    if isinstance(included, str) or isinstance(excluded, str):
        raise SpecError("labels: a text is not a list of labels", remedy="Put it in brackets")
    if len(included) and len(excluded):
        raise SpecError("labels: both included and excluded are given", remedy="Give one of them")
    named = set(included) or set(excluded)
    is_wanted = len(included) > 0
    return [polygon for polygon in polygons if (polygon.label in named) == is_wanted]


def moved(
    polygons: Sequence[AnnotationPolygon], x_px0: float, y_px0: float
) -> tuple[AnnotationPolygon, ...]:
    """The polygons so much further to the right and below.

    >>> moved([AnnotationPolygon(points=[(0, 0), (4, 0), (4, 4)])], 10, 20)[0].points.tolist()
    [[10.0, 20.0], [14.0, 20.0], [14.0, 24.0]]
    """
    by = np.array([x_px0, y_px0], np.float64)
    return tuple(
        AnnotationPolygon(
            points=polygon.points + by, label=polygon.label, holes=[h + by for h in polygon.holes]
        )
        for polygon in polygons
    )


def cut_out_contained(areas: Sequence[AnnotationPolygon] | np.ndarray) -> np.ndarray:
    """Outlines of areas, each a hole in those that it lies within, object (n,), order kept.

    Takes polygons, or outlines that were made of them. Every area stays one of its own. What lies
    within is told by outer borders alone, which may touch, and is cut out with its own holes: what
    a person left out of the inner area he did not mean for the outer one. Areas with the same
    border cut nothing out of each other. An area that others fill completely is left empty.

    Areas that neither touch nor overlap each other become holes as they are: 100,000 in one take a
    second. Else they are united and subtracted: three where they tile it, 30 s where all overlap.
    """
    outlines = areas if isinstance(areas, np.ndarray) else outlines_of(areas)
    filled = _filled(outlines)
    outer, inner = _nearest_pairs(filled)
    result = outlines.copy()
    if not len(outer):
        return result
    containers, group = np.unique(outer, return_inverse=True)
    pierced = _pierced(outlines[containers], filled[inner], group)
    starts = np.searchsorted(group, np.arange(len(containers) + 1))
    for i, container in enumerate(containers.tolist()):
        if pierced[i] is not None:
            result[container] = pierced[i]
            continue
        holes = shapely.disjoint_subset_union_all(filled[inner[starts[i] : starts[i + 1]]])
        result[container] = shapely.difference(outlines[container], holes)
    return result


def _filled(outlines: np.ndarray) -> np.ndarray:
    """The outlines without holes."""
    parts, place = shapely.get_parts(outlines, return_index=True)
    solid = _polygons(shapely.get_exterior_ring(parts), np.arange(len(parts)))
    counts = np.bincount(place, minlength=len(outlines))
    filled = _array_of([shapely.Polygon()] * len(outlines))
    is_alone = counts[place] == 1
    filled[place[is_alone]] = solid[is_alone]
    starts = np.concatenate([[0], np.cumsum(counts)])
    for several in np.flatnonzero(counts > 1).tolist():
        # One part may lie in another's hole, so together they need not be valid.
        filled[several] = shapely.union_all(solid[starts[several] : starts[several + 1]])
    return filled


def _nearest_pairs(filled: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of areas, int64 (k,) each: the outer one contains the inner, none lies between them.

    Of those between them, only the smallest that contains the inner one is looked at: that is
    enough to make nested areas cost no more than others, and a pair too many costs only time.
    """
    n = len(filled)
    outer, inner = shapely.STRtree(filled).query(filled)
    bounds = shapely.bounds(filled)
    is_within = (bounds[outer, :2] <= bounds[inner, :2]).all(1)
    is_within &= (bounds[outer, 2:] >= bounds[inner, 2:]).all(1) & (outer != inner)
    outer, inner = outer[is_within], inner[is_within]
    shapely.prepare(filled[np.unique(outer)])
    contains = shapely.contains(filled[outer], filled[inner])
    outer, inner = outer[contains], inner[contains]
    is_proper = ~np.isin(outer * n + inner, inner * n + outer)
    outer, inner = outer[is_proper], inner[is_proper]
    order = np.lexsort((outer, shapely.area(filled)[outer], inner))
    first, at = np.unique(inner[order], return_index=True)
    smallest = np.full(n, -1)
    smallest[first] = outer[order][at]
    is_nearest = ~np.isin(outer * n + smallest[inner], outer * n + inner)
    outer, inner = outer[is_nearest], inner[is_nearest]
    order = np.lexsort((inner, outer))
    return outer[order], inner[order]


def _rings(outlines: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All rings of all parts, and the place of the outline that each is of."""
    parts, place = shapely.get_parts(outlines, return_index=True)
    rings, part = shapely.get_rings(parts, return_index=True)
    return rings, place[part]


def _pierced(outlines: np.ndarray, holes: np.ndarray, group: np.ndarray) -> list[Any]:
    """Each outline with its holes put in as they are; None where that is not valid.

    `group` says for each hole which outline it is of.
    """
    rings, place = _rings(outlines)
    hole_rings, hole_place = _rings(holes)
    place = np.concatenate([place, group[hole_place]])
    order = np.argsort(place, kind="stable")  # an outline's own outer ring stays its first
    pierced = _polygons(np.concatenate([rings, hole_rings])[order], place[order])
    is_whole = shapely.is_valid(pierced) & (shapely.get_num_geometries(outlines) == 1)
    return [shape if good else None for shape, good in zip(pierced, is_whole, strict=True)]


# ------------------------------------------------------------------------------------ files


def to_geojson(polygons: Sequence[AnnotationPolygon]) -> dict[str, Any]:
    """Say the polygons in QuPath's GeoJSON, in level-0 pixels, as they were drawn.

    Read back, they are equal.
    """
    return {"type": "FeatureCollection", "features": [_feature(polygon) for polygon in polygons]}


def _feature(polygon: AnnotationPolygon) -> dict[str, Any]:
    rings = [ring.tolist() for ring in (polygon.points, *polygon.holes)]
    properties: dict[str, Any] = {"objectType": "annotation"}
    if polygon.label:
        properties["classification"] = {"name": polygon.label}
    return {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [[*ring, ring[0]] for ring in rings]},
        "properties": properties,
    }
