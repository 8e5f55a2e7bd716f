"""Rectangles of whole-number points -> points no two of which are near, with no room for more.

Darts are thrown in rounds, one into every cell that may still hold a point. Cells are so small that
each holds one at most, so what a dart can touch lies in the 20 cells around it. A dart that touches
no point, and no dart of the same round with a higher priority, is a point. Where darts miss, what
is left of the cell is quartered, and quarters without room are dropped: at the latest, a quarter is
a single place that is covered or taken. When none is left, there is no room for another point.

Priorities and places are hashes of (stream, cell, round): rectangles do not depend on each other.

Source: Ebeida et al. 2012, doi:10.1111/j.1467-8659.2012.03059.x (cells that are quartered);
Wei 2008, doi:10.1145/1360612.1360619 (darts in parallel).
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np

from pathassets.core.draws import below, words_of

GROUP_CELLS = 2**20
"""Cells of rectangles that are filled together: 480 MB."""
_RING = sorted(
    ((x, y) for y in range(-2, 3) for x in range(-2, 3) if 0 < x * x + y * y < 2 * 2 + 2 * 2),
    key=lambda cell: (cell[0] ** 2 + cell[1] ** 2, cell),
)
"""Where cells are, seen from one, that can hold a point nearer than the spacing; nearest first."""


class _Pieces(NamedTuple):
    """What is left of cells, in the order of the cells: [x0, x1) x [y0, y1)."""

    cell: np.ndarray
    x0: np.ndarray
    y0: np.ndarray
    x1: np.ndarray
    y1: np.ndarray

    def at(self, places: np.ndarray) -> _Pieces:
        return _Pieces(*(column[places] for column in self))

    @property
    def n_places(self) -> np.ndarray:
        return np.asarray((self.x1 - self.x0) * (self.y1 - self.y0))


class _Darts(NamedTuple):
    """One for each cell that has something left."""

    cell: np.ndarray
    x: np.ndarray
    y: np.ndarray


def place_disks(
    n: np.ndarray, spacing: np.ndarray, streams: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fill rectangles of `n` (r, 2) whole-number points: which rectangle, x and y, row by row.

    `spacing` (r,) is the least distance, 1 or more; `streams` (r,) are where each draws from.
    """
    step = spacing / np.sqrt(2.0)
    n_cells = np.ceil(n / step[:, None]).astype(np.int64)
    group = (np.cumsum(n_cells.prod(1)) - 1) // GROUP_CELLS
    cuts = np.flatnonzero(np.diff(group, prepend=-1, append=-1))
    parts = []
    for start, stop in pairwise(cuts.tolist()):
        part = slice(start, stop)
        board = _Board(n[part], n_cells[part], spacing[part], streams[part])
        area, x, y = board.fill()
        order = np.lexsort((x, y, area))
        parts.append((area[order] + start, x[order], y[order]))
    if not parts:
        nothing = np.empty(0, np.int64)
        return nothing, nothing, nothing
    area, x, y = (np.concatenate(column) for column in zip(*parts, strict=True))
    return area, x, y


class _Board:
    """Cells of some rectangles, side by side in one row of memory, two empty ones around each."""

    def __init__(
        self, n: np.ndarray, n_cells: np.ndarray, spacing: np.ndarray, streams: np.ndarray
    ) -> None:
        self._n, self._n_cells, self._spacing = n, n_cells, spacing
        self._width = n_cells[:, 0] + 4
        padded = self._width * (n_cells[:, 1] + 4)
        self._first = np.cumsum(padded) - padded
        n_all = int(padded.sum())
        self._area = np.repeat(np.arange(len(n)), padded)
        local = np.arange(n_all) - self._first[self._area]
        self._stream = words_of(streams[self._area], local)
        self._point = np.full((2, n_all), np.inf)
        self._dart = np.full((2, n_all), np.inf)
        self._priority = np.zeros(n_all, np.uint64)

    def fill(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Throw darts until there is no room: which rectangle, x and y."""
        pieces, n_rounds = self._whole_cells(), 0
        while len(pieces.cell):
            is_first = np.diff(pieces.cell, prepend=-1) > 0
            darts = self._throw(pieces, is_first, n_rounds)
            misses = self._is_near(self._point, darts)
            alive = np.flatnonzero(~misses)
            self._settle(_Darts(*(column[alive] for column in darts)), n_rounds)
            pieces = self._quarter(pieces, misses[np.cumsum(is_first) - 1])
            pieces = pieces.at(np.flatnonzero(~self._is_full(pieces)))
            n_rounds += 1
        cell = np.flatnonzero(np.isfinite(self._point[0]))
        x, y = self._point[:, cell].astype(np.int64)
        return self._area[cell], x, y

    def _whole_cells(self) -> _Pieces:
        """All cells that hold a place. Of two places in one, none is as far as the spacing."""
        counts = self._n_cells.prod(1)
        area = np.repeat(np.arange(len(counts)), counts)
        place = np.arange(len(area)) - np.repeat(np.cumsum(counts) - counts, counts)
        row, column = np.divmod(place, self._n_cells[area, 0])
        step = self._spacing[area] / np.sqrt(2.0)
        edges = [
            np.minimum(np.ceil(i * step).astype(np.int64), self._n[area, axis])
            for axis, i in ((0, column), (1, row), (0, column + 1), (1, row + 1))
        ]
        cell = self._first[area] + (row + 2) * self._width[area] + column + 2
        pieces = _Pieces(cell, *edges)
        return pieces.at(np.flatnonzero((pieces.x0 < pieces.x1) & (pieces.y0 < pieces.y1)))

    def _throw(self, pieces: _Pieces, is_first: np.ndarray, n_rounds: int) -> _Darts:
        """A dart into what is left of each cell, every place of it equally likely."""
        starts = np.flatnonzero(is_first)
        ends = np.cumsum(pieces.n_places)
        before = ends[starts] - pieces.n_places[starts]
        n_left = np.diff(np.append(before, ends[-1]))
        cell = pieces.cell[starts]
        words = words_of(self._stream[cell], np.full(len(cell), 2 * n_rounds))
        place = before + below(words, n_left)
        hit = np.searchsorted(ends, place, side="right")
        piece = pieces.at(hit)
        row, column = np.divmod(place - (ends - pieces.n_places)[hit], piece.x1 - piece.x0)
        return _Darts(cell, piece.x0 + column, piece.y0 + row)

    def _settle(self, darts: _Darts, n_rounds: int) -> None:
        """Make points of darts that touch no other with a higher priority."""
        cell = darts.cell
        self._dart[:, cell] = darts.x, darts.y
        rounds = np.full(len(cell), 2 * n_rounds + 1)
        self._priority[cell] = words_of(self._stream[cell], rounds)
        won = np.flatnonzero(~self._is_near(self._dart, darts, is_rival=True))
        self._point[:, cell[won]] = self._dart[:, cell[won]]
        self._dart[:, cell] = np.inf

    def _is_near(self, table: np.ndarray, darts: _Darts, *, is_rival: bool = False) -> np.ndarray:
        """Which darts touch one of a table, or one of it with a higher priority."""
        spacing2, width = self._of_area(darts.cell)
        is_near = np.zeros(len(darts.cell), bool)
        for x_cells, y_cells in _RING:
            rest = np.flatnonzero(~is_near)
            mine = darts.cell[rest]
            other = mine + (y_cells * width[rest] + x_cells)
            x, y = table[0, other] - darts.x[rest], table[1, other] - darts.y[rest]
            touches = x * x + y * y < spacing2[rest]
            if is_rival:
                tie = (self._priority[other] == self._priority[mine]) & (other > mine)
                touches &= (self._priority[other] > self._priority[mine]) | tie
            is_near[rest[touches]] = True
        return is_near

    def _is_full(self, pieces: _Pieces) -> np.ndarray:
        """Which pieces are of a cell that has its point, or all within the reach of another's."""
        spacing2, width = self._of_area(pieces.cell)
        has_point = np.isfinite(self._point[0])
        is_full = has_point[pieces.cell]
        for x_cells, y_cells in _RING:
            rest = np.flatnonzero(~is_full)
            other = pieces.cell[rest] + (y_cells * width[rest] + x_cells)
            rest, other = rest[has_point[other]], other[has_point[other]]
            x, y = self._point[0, other], self._point[1, other]
            x = np.maximum(x - pieces.x0[rest], pieces.x1[rest] - 1 - x)  # to the farthest place
            y = np.maximum(y - pieces.y0[rest], pieces.y1[rest] - 1 - y)
            is_full[rest[x * x + y * y < spacing2[rest]]] = True
        return np.asarray(is_full)

    def _of_area(self, cell: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Square of the spacing, and cells in a row of memory."""
        area = self._area[cell]
        return self._spacing[area] ** 2, self._width[area]

    def _quarter(self, pieces: _Pieces, is_cut: np.ndarray) -> _Pieces:
        """Cut some pieces in four, in two where they are one place wide, and keep the order."""
        is_cut = is_cut & (pieces.n_places > 1)
        times = np.where(is_cut, 4, 1)
        part = np.arange(times.sum()) - np.repeat(np.cumsum(times) - times, times)
        old = pieces.at(np.repeat(np.arange(len(times)), times))
        is_cut = np.repeat(is_cut, times)
        x = np.where(is_cut, (old.x0 + old.x1) // 2, old.x1)
        y = np.where(is_cut, (old.y0 + old.y1) // 2, old.y1)
        is_right, is_lower = part % 2 == 1, part >= 2  # noqa: PLR2004
        cut = _Pieces(
            old.cell,
            np.where(is_right, x, old.x0), np.where(is_lower, y, old.y0),
            np.where(is_right, old.x1, x), np.where(is_lower, old.y1, y),
        )  # fmt: skip
        return cut.at(np.flatnonzero((cut.x0 < cut.x1) & (cut.y0 < cut.y1)))
