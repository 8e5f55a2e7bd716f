"""TissueMask <-> polygons: the same area as pixels, and as outlines that people can edit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import shapely

from pathassets.core.annotations.annotations import AnnotationPolygon
from pathassets.core.tissue.tissue_mask import TissueMask

_UPPER_LEFT, _UPPER_RIGHT, _LOWER_LEFT, _LOWER_RIGHT = 1, 2, 4, 8
_ALL = 15
"""Which of the four pixels around a grid point are tissue: the sum is the point's code."""
_SADDLES = {
    _UPPER_RIGHT + _LOWER_LEFT: (_LOWER_LEFT, _UPPER_RIGHT),
    _UPPER_LEFT + _LOWER_RIGHT: (_UPPER_LEFT, _LOWER_RIGHT),
}
"""Where two pixels touch, the point is a corner of each: first of the left one, then the right."""


def _those(*codes: int) -> np.ndarray:
    """Table of all codes: True for these."""
    return np.isin(np.arange(_ALL + 1), codes)


_IS_SADDLE = _those(*_SADDLES)
_IS_CORNER = _IS_SADDLE | _those(1, 2, 4, 7, 8, 11, 13, 14)
_IS_FROM_ABOVE = _those(_UPPER_LEFT, _UPPER_RIGHT, _ALL - _UPPER_LEFT, _ALL - _UPPER_RIGHT)
"""Whether the upright line of a corner lies above it; else it lies below."""
_GOES_LEVEL = _those(_UPPER_LEFT, _LOWER_RIGHT, _ALL - _UPPER_RIGHT, _ALL - _LOWER_LEFT)
"""Whether an outline that keeps the tissue on its right hand leaves a corner on the level line."""
_IS_RIGHT = _those(_UPPER_RIGHT, _LOWER_RIGHT, _ALL - _UPPER_LEFT)
_IS_BELOW = _those(_LOWER_LEFT, _LOWER_RIGHT)
"""On which side of a corner a pixel of its tissue is."""


def outline_mask(mask: TissueMask) -> list[AnnotationPolygon]:
    """Outline the pieces of a mask along the borders of its pixels, holes included. O(mask).

    Pieces that touch at a corner only are two. Sorted by their upper left corner, row by row, so
    the same mask gives the same list; drawn by `rasterise` they give the very mask.
    """
    corners = _find_corners(mask.tissue)
    rings = list(_rings(corners))
    if not rings:
        return []
    _, pieces = cv2.connectedComponents(mask.tissue.astype(np.uint8), connectivity=4)
    first = corners.tissue[[ring[0] for ring in rings]]
    piece_of = pieces[first[:, 1], first[:, 0]].tolist()
    points_px0 = corners.points * mask.downsample
    outer: dict[int, np.ndarray] = {}
    holes: dict[int, list[np.ndarray]] = {}
    for ring, piece, is_hole in zip(rings, piece_of, _are_holes(corners, rings), strict=True):
        if is_hole:
            holes.setdefault(piece, []).append(points_px0[ring])
        else:
            outer[piece] = points_px0[ring]
    return [
        AnnotationPolygon(points=outer[piece], holes=holes.get(piece, ()))
        for piece in sorted(outer, key=lambda piece: (outer[piece][0, 1], outer[piece][0, 0]))
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Corners:
    """Where outlines turn, row by row; a point where two pixels touch is there twice."""

    points: np.ndarray
    """int64 (n, 2): x, y of the grid point."""
    after: np.ndarray
    """int64 (n,): which corner follows, with the tissue on the right hand."""
    tissue: np.ndarray
    """int64 (n, 2): x, y of a pixel of the tissue that is outlined there."""
    is_double: np.ndarray
    """bool (n,)."""


def _find_corners(tissue: np.ndarray) -> _Corners:
    """Find the corners of all outlines.

    In a row of grid points the first and the second corner are joined by a line, the third and the
    fourth, and so on; likewise in a column.
    """
    padded = np.pad(tissue, 1).view(np.uint8)
    upper, lower = padded[:-1], padded[1:]
    codes = upper[:, :-1] | upper[:, 1:] << 1 | lower[:, :-1] << 2 | lower[:, 1:] << 3
    at = np.flatnonzero(_IS_CORNER[codes])
    is_double = _IS_SADDLE[codes.ravel()[at]]
    at, is_double = (np.repeat(each, 1 + is_double) for each in (at, is_double))
    code = codes.ravel()[at]
    for saddle, left_and_right in _SADDLES.items():
        is_here = code == saddle
        code[is_here] = np.resize(left_and_right, int(is_here.sum()))
    y, x = np.divmod(at, codes.shape[1])
    in_column = np.lexsort((~_IS_FROM_ABOVE[code], y, x))
    upright = np.empty_like(at)
    upright[in_column] = in_column.reshape(-1, 2)[:, ::-1].ravel()
    level = np.arange(len(at)) ^ 1
    return _Corners(
        points=np.stack([x, y], axis=1),
        after=np.where(_GOES_LEVEL[code], level, upright),
        tissue=np.stack([x - 1 + _IS_RIGHT[code], y - 1 + _IS_BELOW[code]], axis=1),
        is_double=is_double,
    )


def _rings(corners: _Corners) -> Iterator[list[int]]:
    """Yield closed rings of corners, each from its uppermost, that do not touch themselves."""
    after, points = corners.after.tolist(), corners.points.tolist()
    double = set(np.flatnonzero(corners.is_double).tolist())
    is_taken = bytearray(len(after))
    for start in range(len(after)):
        if is_taken[start]:
            continue
        ring, corner = [], start
        while not is_taken[corner]:
            is_taken[corner] = 1
            ring.append(corner)
            corner = after[corner]
        yield from [ring] if double.isdisjoint(ring) else _simple_rings(ring, points)


def _simple_rings(ring: list[int], points: list[list[int]]) -> Iterator[list[int]]:
    """Cut a ring where it comes back to a point: each part is a ring of its own."""
    path: list[int] = []
    place: dict[tuple[int, ...], int] = {}
    for corner in ring:
        begin = place.get(tuple(points[corner]))
        if begin is not None:
            yield path[begin:]
            for passed in path[begin:]:
                del place[tuple(points[passed])]
            del path[begin:]
        place[tuple(points[corner])] = len(path)
        path.append(corner)
    yield path


def _are_holes(corners: _Corners, rings: list[list[int]]) -> list[bool]:
    """Whether each ring goes the other way round, told by its signed area."""
    n_corners = np.array([len(ring) for ring in rings])
    begin = np.cumsum(n_corners) - n_corners
    here = np.fromiter((corner for ring in rings for corner in ring), np.int64, n_corners.sum())
    there = np.roll(here, -1)
    there[begin + n_corners - 1] = here[begin]
    (x0, y0), (x1, y1) = corners.points[here].T, corners.points[there].T
    is_left: list[bool] = (np.add.reduceat(x0 * y1 - x1 * y0, begin) < 0).tolist()
    return is_left


def rasterise(
    outlines: Sequence[shapely.Geometry] | np.ndarray,
    *,
    shape: tuple[int, int],
    downsample: float,
    slide_mpp: float | None,
) -> TissueMask:
    """Draw areas in level-0 pixels as a mask of `shape` (height, width).

    A pixel is tissue when its centre lies in any of the areas, on a border to the left or above
    included. O(mask + rows crossed by borders).
    """
    rings = shapely.get_rings(shapely.orient_polygons(shapely.get_parts(np.asarray(outlines))))
    points, ring = shapely.get_coordinates(rings, return_index=True)
    is_edge = ring[1:] == ring[:-1]
    start, stop = points[:-1][is_edge] / downsample, points[1:][is_edge] / downsample
    height_px, width_px = shape
    turns = np.zeros((height_px, width_px + 1), np.int32)
    row, column, sign = _crossings(start, stop, height_px)
    np.add.at(turns, (row, column.clip(0, width_px)), sign)
    tissue = turns[:, :-1].cumsum(axis=1) != 0
    return TissueMask(tissue=tissue, downsample=downsample, slide_mpp=slide_mpp)


def _crossings(
    start: np.ndarray, stop: np.ndarray, height_px: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Row, first column to the right, and direction of each crossing of edges with row centres."""
    is_down = start[:, 1] < stop[:, 1]
    upper = np.where(is_down[:, None], start, stop)
    lower = np.where(is_down[:, None], stop, start)
    first = np.ceil(upper[:, 1] - 0.5).clip(0, height_px).astype(np.int64)
    last = np.ceil(lower[:, 1] - 0.5).clip(0, height_px).astype(np.int64)
    n_rows = last - first
    edge = np.repeat(np.arange(len(n_rows)), n_rows)
    within = np.arange(len(edge)) - np.repeat(np.cumsum(n_rows) - n_rows, n_rows)
    row = first[edge] + within
    slope = (lower[:, 0] - upper[:, 0])[edge] / (lower[:, 1] - upper[:, 1])[edge]
    x = upper[edge, 0] + (row + 0.5 - upper[edge, 1]) * slope
    return row, np.ceil(x - 0.5).astype(np.int64), np.where(is_down, 1, -1)[edge]
