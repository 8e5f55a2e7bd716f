"""Areas of a slide -> squares in them: grids, random draws, Poisson disks, given points.

    areas ─▶ candidates (by the sampler) ─▶ tissue share ─▶ share inside the area ─▶ kept
             area by area, in order          of each square   of each square

All is done for all areas and squares at once, by arrays: 100,000 areas take seconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import shapely

from pathassets.core.draws import below, streams_of, words_of
from pathassets.core.locations.poisson_disk import place_disks
from pathassets.core.locations.squares import BLOCK, ROUNDED_PX0, Areas, Judge, KeptSquares, Squares
from pathassets.core.tissue.coverage import Coverage
from pathassets.errors import SpecError

MOST_DISKS = 2**21
"""Squares that Poisson disks may give in one area: 3 GB and 40 s."""
DISKS_PER_SPACING = 0.7
"""Points in an area of one spacing squared, when there is no room for another."""
EVERYWHERE_PX0 = 1e12
"""Beyond it lies no slide."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GridSampler:
    """A grid in each area."""

    step_px0: np.ndarray
    """float64 (r,): step along both axes; rounded position by position, so it never adds up."""
    origin_px0: np.ndarray | None = None
    """float64 (r, 2): x, y of a node of each area's grid, which runs both ways from there; None
    where each begins at the upper left of its area's bounds."""
    is_covering: bool = False
    """Whether squares that begin before an area's bounds and reach into them are tried too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RandomSampler:
    """Uniform draws in each area until it has its number of different squares.

    All squares with enough tissue, and enough of them within the area, are equally likely.
    """

    n_patches: np.ndarray
    """int64 (r,)."""
    seed: int
    max_tries: int = 100
    """Draws for each square wanted, after which an area counts as too small."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoissonDiskSampler:
    """Squares in each area with no two upper left corners nearer than `spacing`.

    They fill the area's bounds: there is no room for another. Then those without enough tissue, or
    without enough within the area, are left out. In rows.
    """

    spacing_px0: np.ndarray
    """float64 (r,)."""
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PointSampler:
    """Given upper left corners, each tried in every area."""

    x_px0: np.ndarray
    """int64 (n,)."""
    y_px0: np.ndarray


Sampler = GridSampler | RandomSampler | PoissonDiskSampler | PointSampler


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampled:
    """Squares that were found, area by area in the order of the areas; exact repeats left out."""

    x_px0: np.ndarray
    """int64 (n,): left edges; negative where one reaches beyond the slide."""
    y_px0: np.ndarray
    tissue_share: np.ndarray
    """float32 (n,)."""
    area: np.ndarray
    """int64 (n,): which of the areas each was found in."""


def sample_areas(areas: Areas, sampler: Sampler, squares: Squares, coverage: Coverage) -> Sampled:
    """Find squares in each area.

    What is found in an area depends on nothing of the other areas but their number before it.
    O(candidates + corners of outlines); memory is that of the outlines and of what is kept.

    Raises:
        SpecError: an area is too small for the number of random squares, or a step or spacing is
            below one level-0 pixel.
    """
    judge = Judge(areas, squares, coverage)
    if isinstance(sampler, GridSampler):
        found = _grid(sampler, judge)
    elif isinstance(sampler, RandomSampler):
        found = _random(sampler, judge)
    elif isinstance(sampler, PoissonDiskSampler):
        found = _poisson(sampler, judge)
    else:
        found = _points(sampler, judge)
    code_of = {label: code for code, label in enumerate(areas.labels)}
    labels = np.array([code_of[label] for label in areas.labels], np.int64)
    found = found.without_repeats(labels[found.area])
    return Sampled(
        x_px0=found.x_px0, y_px0=found.y_px0,
        tissue_share=found.tissue_share, area=found.area,
    )  # fmt: skip


def _blocks(counts: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Candidates block by block: whose each is, and its place among those of its owner."""
    ends = np.cumsum(counts)
    n = int(ends[-1]) if len(ends) else 0
    for start in range(0, n, BLOCK):
        candidate = np.arange(start, min(start + BLOCK, n))
        owner = np.searchsorted(ends, candidate, side="right")
        yield owner, candidate - (ends - counts)[owner]


def _grid(sampler: GridSampler, judge: Judge) -> KeptSquares:
    step = sampler.step_px0
    _require_a_pixel(step, "step", judge)
    low, high = judge.bounds[:, :2], judge.bounds[:, 2:]
    origin = low if sampler.origin_px0 is None else sampler.origin_px0
    reach = judge.squares.side_px0 if sampler.is_covering else 0
    first = _first_node(origin, step[:, None], np.nextafter(low - reach, np.inf) if reach else low)
    n = (_first_node(origin, step[:, None], high) - first).clip(0)
    n[np.isnan(low)] = 0
    found = []
    for area, place in _blocks(n.prod(1)):
        row, column = np.divmod(place, n[area, 0])
        x, y = (
            origin[area, axis] + (first[area, axis] + i) * step[area]
            for axis, i in ((0, column), (1, row))
        )
        found.append(judge.keep(area, x, y))
    return KeptSquares.joined(found)


def _first_node(origin: np.ndarray, step: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Number of the first node of grids, origin + i * step, that is not before a place."""
    i = np.nan_to_num(np.ceil((at - origin) / step))
    i -= origin + (i - 1) * step >= at  # by the sums that make positions, not by the quotient
    i += origin + i * step < at
    return np.asarray(i.astype(np.int64))


def _random(sampler: RandomSampler, judge: Judge) -> KeptSquares:
    """Draw in rounds for all areas at once.

    What an area gets are the first squares of its stream that may stay, so the size of the rounds
    decides nothing. A square that was drawn before is drawn for nothing.
    """
    first, n = judge.corners()
    streams = streams_of(sampler.seed, len(first))
    wanted = sampler.n_patches.clip(0)
    most = np.where(n.all(1), sampler.max_tries * wanted, 0)
    drawn, found = np.zeros_like(wanted), KeptSquares.joined([])
    n_short = wanted
    while n_short.any():
        _require_tries(drawn, most, wanted, n_short, judge)
        now = np.where(n_short > 0, np.minimum(drawn + 2 * wanted, most - drawn), 0)
        parts = [found]
        for area, place in _blocks(now):
            counter = 2 * (drawn[area] + place)
            x, y = (
                first[area, axis] + below(words_of(streams[area], counter + axis), n[area, axis])
                for axis in (0, 1)
            )
            parts.append(judge.keep(area, x, y))
        drawn = drawn + now
        found = KeptSquares.joined(parts)
        found = found.without_repeats(found.area)
        n_short = (wanted - np.bincount(found.area, minlength=len(wanted))).clip(0)
    found = found.at(np.argsort(found.area, kind="stable"))
    place = np.arange(len(found.area)) - np.searchsorted(found.area, found.area)
    return found.at(np.flatnonzero(place < wanted[found.area]))


def _require_tries(
    drawn: np.ndarray, most: np.ndarray, wanted: np.ndarray, n_short: np.ndarray, judge: Judge
) -> None:
    spent = np.flatnonzero((n_short > 0) & (drawn >= most))
    if not len(spent):
        return
    at = int(spent[0])
    raise SpecError(
        f"{judge.name_of(at)}: {wanted[at] - n_short[at]} of {wanted[at]} random squares of "
        f"{judge.squares.side_px0} level-0 pixels were found in {drawn[at]} draws",
        remedy="Ask for fewer or smaller squares, or for less tissue or area in each",
    )


def _poisson(sampler: PoissonDiskSampler, judge: Judge) -> KeptSquares:
    _require_a_pixel(sampler.spacing_px0, "spacing", judge)
    first, n = judge.corners()
    n_disks = n.prod(1, dtype=np.float64) * DISKS_PER_SPACING / sampler.spacing_px0**2
    if (n_disks > MOST_DISKS).any():
        at = int(n_disks.argmax())
        raise SpecError(
            f"{judge.name_of(at)}: a spacing of {sampler.spacing_px0[at]:g} level-0 pixels "
            f"gives about {n_disks[at]:.0f} squares",
            remedy=f"Choose a larger spacing: at most {MOST_DISKS} are laid in one area",
        )
    streams = streams_of(sampler.seed, len(first))
    area, x, y = place_disks(n, sampler.spacing_px0, streams)
    return judge.keep_all(area, x + first[area, 0], y + first[area, 1])


def _points(sampler: PointSampler, judge: Judge) -> KeptSquares:
    """Try each point in every area: only in those that its square meets, where that is asked."""
    side = judge.squares.side_px0
    alone = judge.coverage.exact_share_of(sampler.x_px0, sampler.y_px0, side)
    least = judge.areas.min_tissue_share.min(initial=1.0)
    tried = np.flatnonzero(alone >= least - ROUNDED_PX0 / side)
    x, y = sampler.x_px0[tried], sampler.y_px0[tried]
    places = np.flatnonzero(~np.isnan(judge.bounds[:, 0]))
    is_anywhere = judge.areas.min_area_share[places] <= 0
    everything = np.array([-EVERYWHERE_PX0, -EVERYWHERE_PX0, EVERYWHERE_PX0, EVERYWHERE_PX0])
    bounds = np.where(is_anywhere[:, None], everything, judge.bounds[places])
    tree = shapely.STRtree(np.asarray(shapely.box(*bounds.T)))
    point, area = tree.query(shapely.box(x, y, x + side, y + side))
    order = np.lexsort((point, area))
    point, area = point[order], places[area[order]]
    return judge.keep_all(area, x[point], y[point])


def _require_a_pixel(length_px0: np.ndarray, what: str, judge: Judge) -> None:
    bad = np.flatnonzero(~((length_px0 >= 1.0) & (length_px0 < np.inf)))
    if len(bad):
        at = int(bad[0])
        raise SpecError(
            f"{judge.name_of(at)}: a {what} of {length_px0[at]:g} level-0 pixels",
            remedy=f"Choose a {what} of one level-0 pixel or more",
        )
