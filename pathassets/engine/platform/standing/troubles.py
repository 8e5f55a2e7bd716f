"""What failed and what is damaged, of all slides or of some: the first in words, the rest counted.

cells by their state ─▶ alike ones by asset ─▶ how many, and the first few slides
                     └▶ the others ─▶ the first with their words, the rest by their reasons
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import groupby

from pathassets.catalog.standing.standing import WantedCell
from pathassets.core.recipe import Key
from pathassets.engine.platform.platform import Platform
from pathassets.engine.platform.standing.rows import Cell, SlideStatus, slide_rows
from pathassets.errors import AnnotationsMissing

MAX_TOLD = 20
"""Cells told one by one; of the others, how many there are of each reason."""
N_NAMED = 3
"""Slides that are named of those that lack the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lacking:
    """Slides of which an asset cannot be made for want of what a person is to draw."""

    key: Key
    annotation: str
    """Name under which it is to be drawn."""
    n_slides: int
    first: tuple[str, ...]
    """Ids of the first few."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """Cells of one kind: the first with their words, the others by their reasons."""

    cells: tuple[Cell, ...] = ()
    lacking: tuple[Lacking, ...] = ()
    """Those that lack annotations, several together; they are in neither of the others."""
    rest: Mapping[str, int] = field(default_factory=dict)
    """How many more there are of each reason."""

    @property
    def n_cells(self) -> int:
        """All of them."""
        n_lacking = sum(one.n_slides for one in self.lacking)
        return len(self.cells) + n_lacking + sum(self.rest.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Troubles:
    """What failed, a cell for each slide, and what is damaged."""

    failures: Told = Told()
    damages: Told = Told()


def find_troubles(
    platform: Platform,
    plan_id: int,
    slide_ids: Collection[str] = frozenset(),
    keys: Collection[Key] = frozenset(),
) -> Troubles:
    """What failed and what is damaged, of all slides and assets or of some."""
    meant = _Meant(slide_ids=slide_ids, keys=keys)
    failed = meant.cells_of(platform.catalog.cells_in(plan_id, "failed"))
    damaged = meant.cells_of(platform.catalog.cells_in(plan_id, "damaged"))
    first = _FirstFailures(platform)
    others = _told(platform, first.others(failed), meant.failures_of)
    alone, lacking = first.lacking()
    cells = [cell for row in slide_rows(platform, alone) for cell in meant.failures_of(row)]
    return Troubles(
        failures=replace(others, cells=(*cells, *others.cells), lacking=lacking),
        damages=_told(platform, _of_each(damaged), meant.damages_of),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Meant:
    """Slides and assets that are asked about; all where none are named."""

    slide_ids: Collection[str]
    keys: Collection[Key]

    def cells_of(self, cells: Iterable[WantedCell]) -> Iterator[WantedCell]:
        return (
            cell
            for cell in cells
            if self._has(cell.key) and (not self.slide_ids or cell.slide_id in self.slide_ids)
        )

    def failures_of(self, row: SlideStatus) -> Iterable[Cell]:
        """The first asset that failed."""
        return [c for c in row.cells if c.state == "failed" and self._has(c.key)][:1]

    def damages_of(self, row: SlideStatus) -> Iterable[Cell]:
        return [cell for cell in row.damages if self._has(cell.key)]

    def _has(self, key: Key) -> bool:
        return not self.keys or key in self.keys


class _FirstFailures:
    """The first failure of each slide, in the order of the recipe; those that lack annotations."""

    def __init__(self, platform: Platform) -> None:
        self._order = {entry.key: n for n, entry in enumerate(platform.recipe.per_slide)}
        self._names = {e.key: e.annotation[1] for e in platform.recipe.per_slide if e.annotation}
        self._n_slides: Counter[Key] = Counter()
        self._first: defaultdict[Key, list[str]] = defaultdict(list)

    def others(self, cells: Iterable[WantedCell]) -> Iterator[tuple[str, list[str]]]:
        """Slides that fail for other reasons, with that of each; counts those that do not."""
        for slide_id, found in groupby(cells, key=_slide_id):
            first = min(found, key=lambda cell: self._order.get(cell.key, len(self._order)))
            if first.reason != AnnotationsMissing.reason or first.key not in self._names:
                yield slide_id, [first.reason]
                continue
            self._n_slides[first.key] += 1
            if len(self._first[first.key]) < N_NAMED:
                self._first[first.key].append(slide_id)

    def lacking(self) -> tuple[list[str], tuple[Lacking, ...]]:
        """Slides that lack what no other does, to be told in their own words; and the others."""
        alone = [self._first[key][0] for key, n in self._n_slides.items() if n == 1]
        several = (
            Lacking(key=k, annotation=self._names[k], n_slides=n, first=tuple(self._first[k]))
            for k, n in self._n_slides.items()
            if n > 1
        )
        return alone, tuple(sorted(several, key=lambda one: self._order[one.key]))


def _of_each(cells: Iterable[WantedCell]) -> Iterator[tuple[str, list[str]]]:
    for slide_id, found in groupby(cells, key=_slide_id):
        yield slide_id, [cell.reason for cell in found]


def _slide_id(cell: WantedCell) -> str:
    return cell.slide_id


def _told(
    platform: Platform,
    reasons: Iterable[tuple[str, list[str]]],
    cells_of: Callable[[SlideStatus], Iterable[Cell]],
) -> Told:
    """Read the first slides' cells whole; count the others by their reasons."""
    first: list[str] = []
    rest: Counter[str] = Counter()
    n_first = 0
    for slide_id, said in reasons:
        if n_first < MAX_TOLD:
            first.append(slide_id)
            n_first += len(said)
        else:
            rest.update(said)
    cells = [cell for row in slide_rows(platform, first) for cell in cells_of(row)]
    rest.update(cell.reason for cell in cells[MAX_TOLD:])
    return Told(cells=tuple(cells[:MAX_TOLD]), rest=dict(rest.most_common()))
