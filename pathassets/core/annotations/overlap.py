"""Outlines + squares -> how much of each square lies within an outline, exactly.

An area is a sum over its edges. With the area on an edge's left, and y pointing up:

    area within a box = Σ over edges  -∫ clamp(y(x) - y0, 0, y1 - y0) dx     x in [x0, x1] of it

An edge far above the box counts as much as one in it. So each outline's bounds are laid out in
cells, no smaller than a square, and of what lies above a cell only its top is kept: whether its
upper left corner is inside, and where edges cross its top. A square then meets at most four cells,
and of an outline of 20,000 corners the few edges there: shapely would walk along all of them.

Of slides y points down. The sums do not care: "top" is where y is larger, here and here alone.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import shapely

from pathassets.core.frames import whole_px0

BLOCK_PAIRS = 2**18
"""Pairs of squares and edges that are worked on at once: 2 MB for each column of them."""


_Measure = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""(columns of a table, boxes) -> a number for each pair of them."""


class _Edges(NamedTuple):
    """Edges with their area on the left of (x0, y0) -> (x1, y1)."""

    area: np.ndarray
    x0: np.ndarray
    y0: np.ndarray
    x1: np.ndarray
    y1: np.ndarray

    def at(self, places: np.ndarray) -> _Edges:
        return _Edges(*(column[places] for column in self))


class _CellTable(NamedTuple):
    """Numbers sorted by cell: those of cell c are `columns[:, starts[c]:starts[c + 1]]`."""

    starts: np.ndarray
    columns: np.ndarray


class _Axis(NamedTuple):
    """Cells of each area along one axis."""

    low: np.ndarray
    """Where the first begins; all before it counts to it."""
    step: np.ndarray
    n: np.ndarray

    def line(self, area: np.ndarray, i: np.ndarray) -> np.ndarray:
        """Where the i-th cell begins; the first and the one after the last go on for ever."""
        line = self.low[area] + i * self.step[area]
        line = np.where(i <= 0, -np.inf, line)
        return np.where(i >= self.n[area], np.inf, line)

    def lines_below(self, area: np.ndarray, at: np.ndarray, *, or_at: bool = False) -> np.ndarray:
        """How many lines between cells are below a place, or at it: the cell that it lies in."""
        is_passed = np.less_equal if or_at else np.less
        i = ((at - self.low[area]) / self.step[area]).clip(0, self.n[area] - 1).astype(np.int64)
        i -= ~is_passed(self.line(area, i), at)
        i += is_passed(self.line(area, i + 1), at)
        return np.asarray(i)


class Overlap:
    """Outlines, prepared so that the share of any square in one of them costs little.

    O(corners + cells crossed), about 200 bytes a corner.
    """

    def __init__(self, outlines: np.ndarray, *, side_px0: int) -> None:
        self._side_px0 = side_px0
        self._bounds = shapely.bounds(outlines)
        width, height = (self._bounds[:, 2:] - self._bounds[:, :2]).T
        self._is_box = shapely.area(outlines) == width * height
        edges = _edges_of(outlines)
        n_edges = np.bincount(edges.area, minlength=len(outlines))
        self._x = _axis(self._bounds[:, 0], width, side_px0, n_edges)
        self._y = _axis(self._bounds[:, 1], height, side_px0, n_edges)
        counts = self._x.n * self._y.n
        self._first_cell = np.cumsum(counts) - counts
        n_cells = int(counts.sum())
        edges = edges.at(np.flatnonzero(~self._is_box[edges.area]))
        self._crossings, self._corner = self._cross(edges, n_cells)
        self._edges = self._lay(edges, n_cells)

    def share_of(
        self, area: np.ndarray, x_px0: np.ndarray, y_px0: np.ndarray, side_px0: float | None = None,
        *, on_bounds: bool = False,
    ) -> np.ndarray:  # fmt: skip
        """Share of each square that lies within its area, float64 (n,) in [0, 1].

        `side_px0` may be shorter than the side that all was prepared for. `on_bounds` takes edges
        that have the same whole pixel as a side of the area's bounds to be on it.
        """
        side = self._side_px0 if side_px0 is None else side_px0
        corner = np.stack([x_px0, y_px0], axis=1).astype(np.float64)
        bounds = self._bounds[area]
        low, high = corner, corner + side
        if on_bounds:
            low, high = (_on_bounds(edge, bounds) for edge in (low, high))
        inside, box = np.empty(len(area)), self._is_box[area]
        sides = np.minimum(high, bounds[:, 2:]) - np.maximum(low, bounds[:, :2])
        inside[box] = sides[box].clip(0.0).prod(1)
        inside[~box] = self._inside(area[~box], low[~box], high[~box])
        return np.asarray((inside / (high - low).prod(1)).clip(0.0, 1.0))

    def _inside(self, area: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """Area of each square within its outline: the sum over the cells that it meets."""
        total = np.zeros(len(area))
        (left, top), (right, bottom) = low.T, high.T
        column, row = self._x.lines_below(area, left), self._y.lines_below(area, top)
        for down in (0, 1):
            for across in (0, 1):
                i, j = column + across, row + down
                x0 = np.maximum(left, self._x.line(area, i))
                x1 = np.minimum(right, self._x.line(area, i + 1))
                y0 = np.maximum(top, self._y.line(area, j))
                y1 = np.minimum(bottom, self._y.line(area, j + 1))
                is_met = (x0 < x1) & (y0 < y1) & (i < self._x.n[area]) & (j < self._y.n[area])
                met = np.flatnonzero(is_met)
                cell = self._cell(area[met], i[met], j[met])
                boxes = np.stack([x0[met], y0[met], x1[met], y1[met]])
                total[met] += self._inside_cell(cell, boxes)
        return total

    def _cell(self, area: np.ndarray, column: np.ndarray, row: np.ndarray) -> np.ndarray:
        return np.asarray(self._first_cell[area] + row * self._x.n[area] + column)

    def _inside_cell(self, cell: np.ndarray, boxes: np.ndarray) -> np.ndarray:
        """Area of the outline within boxes, float64 (4, n) x0, y0, x1, y1, each within its cell."""
        x0, y0, x1, y1 = boxes
        top = self._corner[cell] * (x1 - x0)
        top += _sum_pairs(self._crossings, cell, boxes, _length_after)
        return np.asarray(top * (y1 - y0) + _sum_pairs(self._edges, cell, boxes, _area_above))

    def _cross(self, edges: _Edges, n_cells: int) -> tuple[_CellTable, np.ndarray]:
        """Where edges cross the tops of cells, with +1 where the area begins, and -1 where it ends.

        And whether each cell's upper left corner is inside: 1, or 0. A top belongs to the cell
        below it: an edge that begins on it has crossed it, one that ends on it has not.
        """
        low, high = np.minimum(edges.y0, edges.y1), np.maximum(edges.y0, edges.y1)
        first = self._y.lines_below(edges.area, low)
        place, row = _ranges(first, self._y.lines_below(edges.area, high))
        cut = edges.at(place)
        x = _x_at(cut, self._y.line(cut.area, row + 1))
        sign = np.where(cut.y1 < cut.y0, 1.0, -1.0)
        cell = self._cell(cut.area, self._x.lines_below(cut.area, x), row)
        table = _table(cell, np.stack([x, sign]), n_cells)
        begun = np.cumsum(np.bincount(cell, sign, minlength=n_cells))
        # All crossings of a top add up to nothing, so that each row begins with none.
        return table, np.concatenate([[0.0], begun[:-1]])[:n_cells]

    def _lay(self, edges: _Edges, n_cells: int) -> _CellTable:
        """Cut edges at the tops of cells, and tell each part to the cells that it runs through.

        One that lies on a top is of the cell below.
        """
        low, high = np.minimum(edges.y0, edges.y1), np.maximum(edges.y0, edges.y1)
        last = self._y.lines_below(edges.area, high)
        first = np.minimum(self._y.lines_below(edges.area, low, or_at=True), last)
        place, row = _ranges(first, last + 1)
        part = _between(
            edges.at(place),
            self._y.line(edges.area[place], row),
            self._y.line(edges.area[place], row + 1),
        )
        slanted = np.flatnonzero(part.x0 != part.x1)  # an upright one has nothing below it
        part, row = part.at(slanted), row[slanted]
        left, right = np.minimum(part.x0, part.x1), np.maximum(part.x0, part.x1)
        first = self._x.lines_below(part.area, left)
        place, column = _ranges(first, self._x.lines_below(part.area, right) + 1)
        cell = self._cell(part.area[place], column, row[place])
        return _table(cell, np.stack(part[1:])[:, place], n_cells)


def _on_bounds(edge: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """Edges (n, 2), those on a side of the bounds (n, 4) that have one whole pixel with it."""
    for side in (bounds[:, :2], bounds[:, 2:]):
        edge = np.where(whole_px0(side) == whole_px0(edge), side, edge)
    return edge


def _axis(low: np.ndarray, length: np.ndarray, side_px0: int, n_edges: np.ndarray) -> _Axis:
    """Lay out cells: no smaller than a square, and together no more than there are edges."""
    n = np.minimum(np.nan_to_num(length) // side_px0, np.sqrt(n_edges)).astype(np.int64).clip(1)
    return _Axis(low=low, step=np.maximum(length / n, np.finfo(np.float64).tiny), n=n)


def _edges_of(outlines: np.ndarray) -> _Edges:
    """All edges of some outlines, turned so that their area is on the left."""
    parts, area = shapely.get_parts(outlines, return_index=True)
    rings, part = shapely.get_rings(parts, return_index=True)
    points, ring = shapely.get_coordinates(rings, return_index=True)
    # Seen from a corner of its own: areas of small rings far from (0, 0) would be lost in rounding.
    x, y = (points - points[np.searchsorted(ring, ring)]).T
    begin = np.flatnonzero(ring[:-1] == ring[1:])
    end = begin + 1
    turns = np.bincount(ring[begin], x[begin] * y[end] - x[end] * y[begin], minlength=len(rings))
    is_outer = np.diff(part, prepend=-1) > 0
    is_turned = ((turns > 0) != is_outer)[ring[begin]]
    begin, end = np.where(is_turned, end, begin), np.where(is_turned, begin, end)
    return _Edges(area[part[ring[begin]]], *points[begin].T, *points[end].T)


def _ranges(first: np.ndarray, last: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Whole numbers of each [first, last), and whose they are.

    >>> [a.tolist() for a in _ranges(np.array([3, 0, 7]), np.array([5, 0, 8]))]
    [[0, 0, 2], [3, 4, 7]]
    """
    counts = last - first
    place = np.repeat(np.arange(len(counts)), counts)
    return place, np.arange(len(place)) - np.repeat(np.cumsum(counts) - counts - first, counts)


def _x_at(edges: _Edges, y: np.ndarray) -> np.ndarray:
    """Where edges that are not level pass a height; an end's own x at the end."""
    x = edges.x0 + (y - edges.y0) * ((edges.x1 - edges.x0) / (edges.y1 - edges.y0))
    return np.where(y == edges.y0, edges.x0, np.where(y == edges.y1, edges.x1, x))


def _between(edges: _Edges, low: np.ndarray, high: np.ndarray) -> _Edges:
    """The parts of edges between two heights."""
    y0, y1 = edges.y0.clip(low, high), edges.y1.clip(low, high)
    x0, x1 = edges.x0.copy(), edges.x1.copy()
    for x, y, old in ((x0, y0, edges.y0), (x1, y1, edges.y1)):
        cut = np.flatnonzero((y != old) & (edges.y0 != edges.y1))
        x[cut] = _x_at(edges.at(cut), y[cut])
    return _Edges(edges.area, x0, y0, x1, y1)


def _table(cell: np.ndarray, columns: np.ndarray, n_cells: int) -> _CellTable:
    counts = np.bincount(cell, minlength=n_cells)
    return _CellTable(
        starts=np.concatenate([[0], np.cumsum(counts)]),
        columns=columns[:, np.argsort(cell, kind="stable")],
    )


def _sum_pairs(
    table: _CellTable, cell: np.ndarray, boxes: np.ndarray, measure: _Measure
) -> np.ndarray:
    """For each box the sum of a measure over all that its cell has."""
    first, last = table.starts[cell], table.starts[cell + 1]
    ends = np.cumsum(last - first)
    cuts = np.searchsorted(ends, np.arange(0, ends[-1] if len(ends) else 0, BLOCK_PAIRS), "right")
    cuts = np.append(np.unique(cuts), len(cell))
    total = np.zeros(len(cell))
    for start, stop in pairwise(cuts.tolist()):
        place, entry = _ranges(first[start:stop], last[start:stop])
        measured = measure(table.columns[:, entry], boxes[:, start:stop][:, place])
        total[start:stop] = np.bincount(place, measured, minlength=stop - start)
    return total


def _length_after(columns: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Length of a box's top that is behind a crossing."""
    x, sign = columns
    return np.asarray(sign * (boxes[2] - x.clip(boxes[0], boxes[2])))


def _area_above(columns: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """What an edge has below it within a box; negative where its area is above it."""
    ax, ay, bx, by = columns
    x0, y0, x1, y1 = boxes
    start, stop = ax.clip(x0, x1), bx.clip(x0, x1)
    slope, height = (by - ay) / (bx - ax), y1 - y0
    at_start, at_stop = ay + (start - ax) * slope - y0, by + (stop - bx) * slope - y0
    low, high = np.minimum(at_start, at_stop), np.maximum(at_start, at_stop)
    in_low, in_high = low.clip(0.0, height), high.clip(0.0, height)
    # The mean of what is clamped: a slope within the box, and a level beyond it.
    rise = high - low
    is_level = rise == 0.0
    inside = (in_high - in_low) * (in_high + in_low) / 2 + height * (high - low.clip(height)).clip(
        0
    )
    mean = np.where(is_level, in_low, inside / np.where(is_level, 1.0, rise))
    return np.asarray((start - stop) * mean)
