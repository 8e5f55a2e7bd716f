"""Candidates -> the squares that may stay: enough tissue, enough of them within their area.

candidates ─▶ whole pixels ─▶ tissue share ─▶ share inside the area ─▶ kept
                                   └─ lacks a sliver? measured again where it was laid
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
import shapely

from pathassets.core.annotations.overlap import Overlap
from pathassets.core.tissue.coverage import Coverage

BLOCK = 2**18
"""Candidates that are judged at once: 100 MB."""
ROUNDING_PX0 = 1e-5
"""How far a square may be beyond what is asked for, and be rounded to it."""
ROUNDED_PX0 = 4.0
"""Most that whole pixels take from a square, in its sides: a place, a length and a line are each
rounded by half a pixel, along two axes."""
SHARE_DECIMALS = (10, 8)
"""To which shares of tissue, and within the area, are rounded: 0.95 of a square is 0.95."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Areas:
    """Where squares may lie, and what is asked of them there."""

    outlines: np.ndarray
    """object (r,): valid shapely polygons or multipolygons in level-0 pixels, holes cut out."""
    labels: tuple[str, ...]
    """One for each outline; "" is no label."""
    min_tissue_share: np.ndarray
    """float64 (r,): share of a square that must be tissue."""
    min_area_share: np.ndarray
    """float64 (r,): share of a square that must lie within its area."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Squares:
    """The squares that are asked for."""

    side_px0: int
    width_px0: int
    """Of the slide."""
    height_px0: int
    laid_side_px0: float | None = None
    """Side before it was taken to whole pixels; `side_px0` where that is what was asked for."""
    is_within: bool = False
    """Whether squares that reach beyond the slide are left out, whatever they hold."""


_Measure = Callable[[np.ndarray, bool], np.ndarray]
"""(places among squares, whether all of them is asked for) -> a share of each."""


class KeptSquares(NamedTuple):
    """Squares that may stay."""

    area: np.ndarray
    x_px0: np.ndarray
    y_px0: np.ndarray
    tissue_share: np.ndarray

    @classmethod
    def joined(cls, parts: list[Self]) -> Self:
        """All of them, in order."""
        nothing = np.empty(0, np.int64)
        parts = [cls(nothing, nothing, nothing, np.empty(0, np.float32)), *parts]
        return cls(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))

    def at(self, places: np.ndarray) -> Self:
        """Those at some places."""
        return type(self)(*(column[places] for column in self))

    def without_repeats(self, owner: np.ndarray) -> Self:
        """The first of each place of each owner, order kept."""
        order = np.lexsort((self.x_px0, self.y_px0, owner))  # stable: of equals the first is first
        sorted_keys = np.stack([owner, self.y_px0, self.x_px0])[:, order]
        is_first = np.ones(len(order), bool)
        is_first[1:] = (sorted_keys[:, 1:] != sorted_keys[:, :-1]).any(axis=0)
        return self.at(np.sort(order[is_first]))


class Judge:
    """Says which squares may stay."""

    def __init__(self, areas: Areas, squares: Squares, coverage: Coverage) -> None:
        self.areas, self.squares, self.coverage = areas, squares, coverage
        self.bounds = shapely.bounds(areas.outlines).reshape(-1, 4)
        """float64 (r, 4): x0, y0, x1, y1; NaN where an area is empty."""
        self._tissue, self._within = (
            share.round(decimals)
            for share, decimals in zip(
                (areas.min_tissue_share, areas.min_area_share), SHARE_DECIMALS, strict=True
            )
        )
        self._overlap: Overlap | None = None
        if (self._within > 0).any():
            self._overlap = Overlap(areas.outlines, side_px0=squares.side_px0)

    def keep(self, area: np.ndarray, x: np.ndarray, y: np.ndarray) -> KeptSquares:
        """Leave out squares with too little tissue, or too little within their area.

        Squares become whole pixels, which costs none its place: one that then lacks a sliver of
        what is asked for stays if it did not where it was laid. Where all of a square is asked for
        lines and bounds are taken to whole pixels, too: of a mask pixel that begins at 128.03 a
        square from 128 on lacks nothing.
        """
        squares, overlap = self.squares, self._overlap
        side = squares.side_px0
        x_px0, y_px0 = (np.rint(place).astype(np.int64) for place in (x, y))
        if squares.is_within:
            fits = (x_px0 >= 0) & (x_px0 + side <= squares.width_px0)
            fits &= (y_px0 >= 0) & (y_px0 + side <= squares.height_px0)
            area, x, y, x_px0, y_px0 = (each[fits] for each in (area, x, y, x_px0, y_px0))
        laid_side = min(float(side), max(1.0, squares.laid_side_px0 or side))

        def tissue_again(at: np.ndarray, is_all: bool) -> np.ndarray:  # noqa: FBT001
            return self.coverage.exact_share_of(x[at], y[at], laid_side, on_lines=is_all)

        share = self.coverage.exact_share_of(x_px0, y_px0, side)
        share, is_tissue = _judged(
            share, self._tissue[area], tissue_again, SHARE_DECIMALS[0], slack=ROUNDED_PX0 / side
        )
        kept = np.flatnonzero(is_tissue)
        found = KeptSquares(area, x_px0, y_px0, share.astype(np.float32)).at(kept)
        if overlap is None:
            return found
        area, x, y = found.area, x[kept], y[kept]

        def within_again(at: np.ndarray, is_all: bool) -> np.ndarray:  # noqa: FBT001
            return overlap.share_of(area[at], x[at], y[at], laid_side, on_bounds=is_all)

        within = overlap.share_of(area, found.x_px0, found.y_px0)
        _, is_inside = _judged(
            within, self._within[area], within_again, SHARE_DECIMALS[1], slack=ROUNDED_PX0 / side
        )
        return found.at(np.flatnonzero(is_inside))

    def keep_all(self, area: np.ndarray, x_px0: np.ndarray, y_px0: np.ndarray) -> KeptSquares:
        """The same for any number, block by block."""
        blocks = (slice(start, start + BLOCK) for start in range(0, len(area), BLOCK))
        return KeptSquares.joined([self.keep(area[b], x_px0[b], y_px0[b]) for b in blocks])

    def corners(self) -> tuple[np.ndarray, np.ndarray]:
        """Where the upper left corner of a square may lie that could stay: first, and how many.

        int64 (r, 2) each, x and y; none where an area is empty, or smaller than what is asked for.
        """
        squares, side = self.squares, self.squares.side_px0
        size = np.array([squares.width_px0, squares.height_px0])
        low, high = self.bounds[:, :2], self.bounds[:, 2:]
        within, tissue = self._within[:, None], self._tissue[:, None]
        first = np.maximum(low - side * (1 - within), -side * (1 - tissue))
        last = np.minimum(high - side * within, size - side * tissue)
        if squares.is_within:
            first, last = np.maximum(first, 0), np.minimum(last, size - side)
        # Where no share is asked for, a square has at least a pixel within the bounds.
        first = np.maximum(np.ceil(first - ROUNDING_PX0), np.floor(low) - side + 1)
        last = np.minimum(np.floor(last + ROUNDING_PX0), np.ceil(high) - 1)
        n = np.nan_to_num(last - first + 1).astype(np.int64).clip(0)
        has_room = (n > 0).all(1)
        has_room &= shapely.area(self.areas.outlines) >= self._within * (side - ROUNDING_PX0) ** 2
        return np.nan_to_num(first).astype(np.int64), n * has_room[:, None]

    def name_of(self, place: int) -> str:
        """What errors call an area."""
        label = self.areas.labels[place]
        of = f"area {place + 1} of {len(self.areas.labels)}"
        return f"{of} ({label!r})" if label else of


def _judged(
    share: np.ndarray, least: np.ndarray, again: _Measure, decimals: int, *, slack: float
) -> tuple[np.ndarray, np.ndarray]:
    """Shares, and which are enough; those that lack up to `slack` are measured again."""
    is_near = (share.round(decimals) < least) & (share >= least - slack)
    for is_all in (False, True):
        at = np.flatnonzero(is_near & ((least >= 1.0) == is_all))
        share[at] = np.maximum(share[at], again(at, is_all))
    return share, share.round(decimals) >= least
