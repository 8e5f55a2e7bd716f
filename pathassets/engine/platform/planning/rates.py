"""Runs that are over -> rates: what steps of slides took here, what they wrote, and how runs went.

    runs on this machine and device ─▶ their steps ─┬▶ seconds, by entry and kind of slide
                                                    ├▶ bytes, by entry
                                                    ├▶ patches of a square millimetre
                                                    └▶ paces: time to start, work side by side

A kind of slide is its codec and its resolution to the next power of two. Slides that a run began
with count for its start, where there are others: an encoder is loaded with them.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from pathassets.catalog.planning.records import BatchRecord, MeasuredStep, SlideSize
from pathassets.core.rates import Rate, Seen, fit_rate
from pathassets.core.recipe import Entry, Key
from pathassets.core.stages import FEATURES
from pathassets.engine.platform.planning.machine import CPU, device_here, machine_of
from pathassets.engine.platform.planning.paces import Paces, SideBySide, WorkOf, by_line, fit_paces
from pathassets.engine.platform.platform import Platform

MIN_SLIDES = 3
"""From which on there is a rate: two say nothing of how slides differ that a third does not."""
MAX_STEPS = 600
"""Of an entry that are looked at, the newest: their runs, whole."""
MAX_RUNS = 20
LOCATIONS = "patch_locations"
BY_AREA = frozenset({"tissue_mask", LOCATIONS})
"""Stages whose work goes by the slide's area; that of all others goes by patches."""

IsAlike = Callable[[MeasuredStep], bool]
Kind = tuple[str, int]
"""Codec, and the power of two that is next to the micrometres per level-0 pixel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where runs work."""

    machine: str
    device: str
    n_workers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What runs took at a place."""

    place: Place
    """Where; its workers are those that were measured with."""
    n_runs: int
    paces: Paces
    seconds: Mapping[tuple[Key, Kind], Rate]
    written: Mapping[Key, Rate]
    """Bytes."""
    patches: Mapping[Key, Rate]
    """Of an entry of locations, by square millimetres of slide."""
    patches_of_tissue: Mapping[Key, Rate]
    """The same, by square millimetres of tissue."""
    elsewhere: Mapping[Key, tuple[str, ...]]
    """Other devices or machines where an entry was made, of those that was not made here."""


def place_here(platform: Platform) -> Place:
    """Where a run of this process would work."""
    settings = platform.settings
    return Place(
        machine=machine_of(settings), device=device_here(settings), n_workers=settings.n_workers
    )


def kind_of(slide: SlideSize) -> Kind:
    """What kind of slide it is, of one that has a resolution.

    >>> sizes = [SlideSize(slide_id="a", codec="jpeg", area_px0=1, mpp=m, size_bytes=1)
    ...     for m in (0.2271, 0.4965, 0.5032)]
    >>> [kind_of(size) for size in sizes]
    [('jpeg', -2), ('jpeg', -1), ('jpeg', -1)]
    """
    return slide.codec, round(math.log2(slide.mpp or 1.0))


def area_mm2(slide: SlideSize) -> float:
    """Area of a slide; nothing of one without resolution."""
    return slide.area_px0 * (slide.mpp or 0.0) ** 2 / 1e6


def measure(platform: Platform, entries: Sequence[Entry], place: Place) -> Measured:
    """Look up what runs took that made these entries here, in four queries."""
    catalog, of_recipe = platform.catalog, platform.recipe.per_slide
    keys = [entry.key for entry in entries]
    n_made = catalog.n_made_by_batch(keys)
    batches = catalog.batches()
    here, measured_at = _of_place(batches, n_made, place)
    runs = {run.run_id: run for run in _newest(here, n_made)}
    steps = catalog.measured_steps(list(runs))
    is_as_now = _alike(platform, entries)
    usable = [step for step in steps if is_as_now(step)]
    seconds = _seconds(usable, 2 * place.n_workers)
    tissue = {(s.run_id, s.slide.slide_id): s.facts["tissue_mm2"] for s in usable
              if s.key[0] == "tissue_mask" and "tissue_mm2" in s.facts}  # fmt: skip
    return Measured(
        place=measured_at, n_runs=len(runs), seconds=seconds,
        paces=fit_paces(
            runs, steps, _work_of(seconds), [one.key for one in of_recipe if by_line(one)],
            side_by_side(measured_at),
        ),
        written=_rates((s.key, Seen(units=units_of(s), value=s.size_bytes)) for s in usable),
        patches=_rates(
            (s.key, Seen(units=area_mm2(s.slide), value=s.facts["n_patches"]))
            for s in usable if s.key[0] == LOCATIONS
        ),
        patches_of_tissue=_rates(
            (s.key, Seen(units=tissue[s.run_id, s.slide.slide_id], value=s.facts["n_patches"]))
            for s in usable if s.key[0] == LOCATIONS and (s.run_id, s.slide.slide_id) in tissue
        ),
        elsewhere=_elsewhere(batches, n_made, place),
    )  # fmt: skip


def _of_place(
    batches: Iterable[BatchRecord], n_made: Mapping[Key, Mapping[str, int]], place: Place
) -> tuple[list[BatchRecord], Place]:
    """Runs here, with as many workers; where none made anything, with the number used last."""
    made = {run_id for runs in n_made.values() for run_id in runs}
    here = [
        one for one in batches
        if one.run_id in made and (one.machine, one.device) == (place.machine, place.device)
    ]  # fmt: skip
    counts = [one.n_workers for one in here]
    n_workers = place.n_workers if place.n_workers in counts or not counts else counts[0]
    chosen = [one for one in here if one.n_workers == n_workers]
    return chosen, Place(machine=place.machine, device=place.device, n_workers=n_workers)


def _newest(
    batches: Sequence[BatchRecord], n_made: Mapping[Key, Mapping[str, int]]
) -> list[BatchRecord]:
    """Those that made enough of each entry, the newest first."""
    chosen: set[str] = set()
    for runs in n_made.values():
        n_steps = n_runs = 0
        for one in batches:
            if one.run_id in runs and n_steps < MAX_STEPS and n_runs < MAX_RUNS:
                n_steps, n_runs = n_steps + runs[one.run_id], n_runs + 1
                chosen.add(one.run_id)
    return [one for one in batches if one.run_id in chosen]


def _elsewhere(
    batches: Iterable[BatchRecord], n_made: Mapping[Key, Mapping[str, int]], place: Place
) -> dict[Key, tuple[str, ...]]:
    places = {one.run_id: (one.machine, one.device) for one in batches}
    found: dict[Key, tuple[str, ...]] = {}
    for key, runs in n_made.items():
        others = {places[run_id] for run_id in runs if run_id in places}
        if (place.machine, place.device) not in others:
            found[key] = tuple(sorted(f"{device} of {machine}" for machine, device in others))
    return found


def _alike(platform: Platform, entries: Iterable[Entry]) -> IsAlike:
    """Whether a step was made as the recipe would make it now: other parameters take other time."""
    specs = {entry.key: entry.parameters for entry in entries}
    mpps = {
        entry.key: platform.recipe.entry(entry.parent).spec.mpp
        for entry in entries
        if entry.stage.name == FEATURES and entry.parent is not None
    }

    def is_alike(step: MeasuredStep) -> bool:
        mpp = mpps.get(step.key)
        has_mpp = mpp is None or step.facts.get("patch_mpp") == mpp
        return specs.get(step.key) == step.spec and has_mpp and step.slide.mpp is not None

    return is_alike


def units_of(step: MeasuredStep) -> float:
    """How large a step's work was: square millimetres of slide, or patches."""
    if step.key[0] in BY_AREA:
        return area_mm2(step.slide)
    return float(step.facts.get("n_patches", 0))


def _seconds(steps: Sequence[MeasuredStep], n_first: int) -> dict[tuple[Key, Kind], Rate]:
    """Seconds by entry and kind of slide, without the slides that runs began with."""
    first = _first_steps(steps, n_first)
    all_seen: defaultdict[tuple[Key, Kind], list[Seen]] = defaultdict(list)
    later: defaultdict[tuple[Key, Kind], list[Seen]] = defaultdict(list)
    for number, step in enumerate(steps):
        place = step.key, kind_of(step.slide)
        seen = Seen(units=units_of(step), value=step.seconds)
        all_seen[place].append(seen)
        if number not in first:
            later[place].append(seen)
    chosen = {
        place: later[place] if len(later[place]) >= MIN_SLIDES else seen
        for place, seen in all_seen.items()
    }
    return {place: fit_rate(seen) for place, seen in chosen.items() if len(seen) >= MIN_SLIDES}


def _first_steps(steps: Sequence[MeasuredStep], n_first: int) -> set[int]:
    """Places of the first steps of each entry in each run, as they were done.

    Twice as many as there are workers: those that a run began with are not always done first.
    """
    n_seen: defaultdict[tuple[str, Key], int] = defaultdict(int)
    first: set[int] = set()
    for number, step in enumerate(steps):
        n_seen[step.run_id, step.key] += 1
        if n_seen[step.run_id, step.key] <= n_first:
            first.add(number)
    return first


def _rates(seen: Iterable[tuple[Key, Seen]]) -> dict[Key, Rate]:
    found: defaultdict[Key, list[Seen]] = defaultdict(list)
    for key, one in seen:
        found[key].append(one)
    return {key: fit_rate(some) for key, some in found.items() if len(some) >= MIN_SLIDES}


def side_by_side(place: Place) -> SideBySide:
    """How many slides are worked on at a time."""
    n_lines = place.n_workers if place.device == CPU else 1
    return SideBySide(n_workers=place.n_workers, n_lines=n_lines)


def _work_of(seconds: Mapping[tuple[Key, Kind], Rate]) -> WorkOf:
    """Work of a step as its rate has it; what it took where there is none."""

    def work_of(step: MeasuredStep) -> float:
        rate = seconds.get((step.key, kind_of(step.slide)))
        return step.seconds if rate is None else rate.value(units_of(step))

    return work_of
