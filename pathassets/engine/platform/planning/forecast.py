"""Work, rates -> what a run will take: hours, patches, bytes, each with a range.

    slides to do ─▶ their units: patches known, or by area ─▶ seconds of work, by rates
                                                                   └─▶ hours, by the paces of runs

What was never measured is no part of it, and is told.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from pathassets.core.rates import Estimate, Rate
from pathassets.core.recipe import Entry, Key
from pathassets.engine.platform.planning.paces import ToDo, Wall, by_line
from pathassets.engine.platform.planning.rates import (
    BY_AREA,
    LOCATIONS,
    MIN_SLIDES,
    Kind,
    Measured,
    area_mm2,
    kind_of,
)
from pathassets.engine.platform.planning.work import Work
from pathassets.engine.platform.platform import Platform

MASK = "tissue_mask"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """Slides of one kind of which an entry was never made here, or of too few."""

    key: Key
    kind: Kind
    n_slides: int
    first: tuple[str, ...]
    """Ids of as many as would tell."""
    elsewhere: tuple[str, ...]
    """Devices where it was made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryForecast:
    """What one entry will take."""

    key: Key
    n_slides: int
    patches: Estimate | None
    """None of what is not made of patches, or where nobody knows how many there are."""
    work_s: Estimate | None
    """Of workers and lines; of slides of those kinds that were measured. None where none is."""
    slides_s: Mapping[str, float]
    """The same of each of those slides."""
    written_bytes: Estimate | None
    """None where it was never measured."""
    unknown: tuple[Unknown, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What a run will take."""

    work: Work
    entries: tuple[EntryForecast, ...]
    measured: Measured
    n_to_do: int
    """Slides with something to do."""
    n_runs: int
    read_bytes: int
    """At most: the files of those slides."""
    wall: Wall | None
    """From the first run's beginning to the last one's end; without what is unknown. None where no
    run was measured, and where nothing of what is to be done was."""

    @property
    def wall_s(self) -> Estimate | None:
        """The same in seconds."""
        return None if self.wall is None else self.wall.seconds

    @property
    def unknown(self) -> tuple[Unknown, ...]:
        """What was never measured, of all entries."""
        return tuple(one for entry in self.entries for one in entry.unknown)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Units:
    """How large the work on slides is."""

    known: Mapping[str, float]
    """By slide."""
    guessed: Mapping[str, float]
    """Of slides whose patches were not counted yet."""
    doubt: float = 0.0
    """Relative variance of the sum of those."""
    unknown: frozenset[str] = frozenset()
    """Slides of which nobody knows."""

    def of(self, slide_id: str) -> float:
        """Of one slide."""
        return self.known.get(slide_id, 0.0) + self.guessed.get(slide_id, 0.0)

    @property
    def total(self) -> Estimate:
        """Of all slides."""
        guessed = sum(self.guessed.values())
        return Estimate(
            value=sum(self.known.values()) + guessed, variance=self.doubt * guessed**2
        )  # fmt: skip


def forecast(
    platform: Platform, plan_id: int, work: Work, measured: Measured, *, most_slides: int
) -> Forecast:
    """Say what a run will take, of which each Dagster run has at most so many slides."""
    counting = _Counting(platform, plan_id, work, measured)
    entries = [
        _entry(platform.recipe.entry(key), slide_ids, counting, measured)
        for key, slide_ids in work.to_do.items()
    ]
    n_runs = math.ceil(len(work.sizes) / most_slides)
    by_lines = {one.key for one in platform.recipe.per_slide if by_line(one)}
    lines, workers = (
        _to_do([one for one in entries if (one.key in by_lines) is is_of_lines])
        for is_of_lines in (True, False)
    )
    is_told = any(one.slides_s for one in entries) or not any(one.unknown for one in entries)
    return Forecast(
        work=work, entries=tuple(entries), measured=measured, n_to_do=len(work.sizes),
        n_runs=n_runs, read_bytes=sum(size.size_bytes for size in work.sizes.values()),
        wall=measured.paces.wall(lines, workers, n_runs) if is_told else None,
    )  # fmt: skip


def _to_do(entries: Sequence[EntryForecast]) -> ToDo:
    """What is to be done of entries, slide by slide."""
    slides_s: defaultdict[str, float] = defaultdict(float)
    for entry in entries:
        for slide_id, seconds in entry.slides_s.items():
            slides_s[slide_id] += seconds
    work_s = sum((entry.work_s for entry in entries if entry.work_s is not None), Estimate())
    return ToDo(seconds=work_s, slides_s=slides_s.values())


class _Counting:
    """How many units the work on slides has, by the locations that it goes by."""

    def __init__(self, platform: Platform, plan_id: int, work: Work, measured: Measured) -> None:
        self._platform = platform
        self._plan_id = plan_id
        self._measured = measured
        self._facts: dict[tuple[Key, str], Mapping[str, float]] = {}
        self.sizes = work.sizes

    def areas(self, slide_ids: Collection[str]) -> _Units:
        """Square millimetres of slides."""
        return _Units(known={one: area_mm2(self.sizes[one]) for one in slide_ids}, guessed={})

    def patches(self, entry: Entry, slide_ids: Collection[str]) -> _Units:
        """How many patches an entry has or is made of: counted, or by tissue, or by area."""
        key = self._ancestor(entry, LOCATIONS)
        counted = self._current(key, "n_patches")
        known = {one: counted[one] for one in slide_ids if one in counted}
        left = [one for one in slide_ids if one not in counted]
        of_tissue = self._measured.patches_of_tissue.get(key)
        mask = self._ancestor(self._platform.recipe.entry(key), MASK)
        tissue_mm2 = self._current(mask, "tissue_mm2") if left and of_tissue else {}
        by_tissue = {one: tissue_mm2[one] for one in left if one in tissue_mm2}
        by_area = {one: area_mm2(self.sizes[one]) for one in left if one not in by_tissue}
        of_area = self._measured.patches.get(key)
        if of_area is None:
            return _guessed(known, [(of_tissue, by_tissue)], frozenset(by_area))
        return _guessed(known, [(of_tissue, by_tissue), (of_area, by_area)], frozenset())

    def _current(self, key: Key, fact: str) -> Mapping[str, float]:
        if (key, fact) not in self._facts:
            found = self._platform.catalog.current_facts(self._plan_id, key, fact)
            self._facts[key, fact] = found
        return self._facts[key, fact]

    def _ancestor(self, entry: Entry, stage: str) -> Key:
        kin = self._platform.recipe.lineage(entry)
        return next(one.key for one in kin if one.stage.name == stage)


def _guessed(
    known: Mapping[str, float],
    rates: Iterable[tuple[Rate | None, Mapping[str, float]]],
    unknown: frozenset[str],
) -> _Units:
    guessed: dict[str, float] = {}
    total = Estimate()
    for rate, units in rates:
        if rate is not None and units:
            guessed |= {slide_id: rate.value(n) for slide_id, n in units.items()}
            total += rate.sum_of(len(units), sum(units.values()))
    return _Units(known=known, guessed=guessed, doubt=total.relative_variance, unknown=unknown)


def _entry(
    entry: Entry, slide_ids: Sequence[str], counting: _Counting, measured: Measured
) -> EntryForecast:
    patches = None if entry.stage.name == MASK else counting.patches(entry, slide_ids)
    units = patches
    if units is None or entry.stage.name in BY_AREA:
        units = counting.areas(slide_ids)
    of_kind: defaultdict[Kind, list[str]] = defaultdict(list)
    for slide_id in slide_ids:
        of_kind[kind_of(counting.sizes[slide_id])].append(slide_id)
    work_s, slides_s, unknown = _seconds(entry.key, of_kind, units, measured)
    written = None if units.unknown else measured.written.get(entry.key)
    total = None if written is None else written.sum_of(len(slide_ids), units.total.value)
    return EntryForecast(
        key=entry.key, n_slides=len(slide_ids), work_s=work_s, slides_s=slides_s,
        unknown=tuple(unknown),
        patches=None if patches is None or patches.unknown else patches.total,
        written_bytes=total,
    )  # fmt: skip


def _seconds(
    key: Key, of_kind: Mapping[Kind, Sequence[str]], units: _Units, measured: Measured
) -> tuple[Estimate | None, dict[str, float], list[Unknown]]:
    """Work on slides, kind by kind, and those of which there is no telling."""
    work_s, doubted_s = Estimate(), 0.0
    slides_s: dict[str, float] = {}
    unknown: list[Unknown] = []
    for kind, slide_ids in sorted(of_kind.items()):
        rate = measured.seconds.get((key, kind))
        told = [] if rate is None else [one for one in slide_ids if one not in units.unknown]
        if rate is not None:
            work_s += rate.sum_of(len(told), sum(map(units.of, told)))
            slides_s |= {one: rate.value(units.of(one)) for one in told}
            doubted_s += rate.a_unit * sum(units.guessed.get(one, 0.0) for one in told)
        if lacking := sorted({*slide_ids} - {*told}):
            first, elsewhere = tuple(lacking[:MIN_SLIDES]), measured.elsewhere.get(key, ())
            unknown.append(
                Unknown(key=key, kind=kind, n_slides=len(lacking), first=first, elsewhere=elsewhere)
            )
    if unknown and not slides_s:
        return None, slides_s, unknown
    return work_s + Estimate(variance=units.doubt * doubted_s**2), slides_s, unknown
