"""Runs that are over -> how long runs take by the work in them, and what the next will take.

    steps of a run ─▶ work of lines, work of workers ─┬▶ pace of runs in which lines encoded
                                                      └▶ pace of runs in which none did
    work to do ─▶ of lines, of workers ─▶ each by its pace ─▶ the longer of the two

A device line takes one slide after the other. What workers do meanwhile is done beside it, most of
it while encoders are still loaded: it counts where it would take longer than the line.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from pathassets.catalog.planning.records import BatchRecord, MeasuredStep
from pathassets.core.rates import Estimate, Pace, RunSeen, fit_pace, stretch
from pathassets.core.recipe import Entry, Key
from pathassets.engine.stages.registry import SLIDE_STAGES

WorkOf = Callable[[MeasuredStep], float]
"""Seconds of work that a step is, as rates have it."""
Steps = Sequence[MeasuredStep]


@dataclass(frozen=True, slots=True, kw_only=True)
class SideBySide:
    """How many slides are worked on at a time."""

    n_workers: int
    n_lines: int
    """On CPUs as many as workers; how many GPUs there are nobody noted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToDo:
    """Work to be done, of lines or of workers."""

    seconds: Estimate
    slides_s: Collection[float]
    """Of each slide, in the order in which they are taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Paces:
    """How long runs take, by who works."""

    lines: Pace | None
    """By the work of lines, of runs in which they did any."""
    workers: Pace | None
    """By the work of workers, of runs in which they did all. Where none such was seen, they are
    taken to start as late as lines, and to be held up by nothing then."""
    side_by_side: SideBySide
    """How many slides were worked on at a time."""

    def wall(self, lines: ToDo, workers: ToDo, n_runs: int) -> Wall | None:
        """How long so many runs take in a row with so much work; None where no run was seen."""
        found = [
            Wall(
                pace=pace, by_lines=by_lines,
                seconds=pace.wall(work.seconds.times(stretch(work.slides_s, n)), n_runs),
            )
            for pace, work, n, by_lines in (
                (self.workers, workers, self.side_by_side.n_workers, False),
                (self.lines, lines, self.side_by_side.n_lines, True),
            )
            if pace is not None and (work.seconds.value or not by_lines)
        ]  # fmt: skip
        return max(found, key=lambda one: one.seconds.value, default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wall:
    """What runs will take, and what says so."""

    seconds: Estimate
    pace: Pace
    by_lines: bool


def by_line(entry: Entry) -> bool:
    """Whether a device line makes an entry."""
    return SLIDE_STAGES[entry.stage.name].needs_device(entry.spec)


def fit_paces(
    runs: Mapping[str, BatchRecord], steps: Iterable[MeasuredStep], work_of: WorkOf,
    lines: Iterable[Key], side: SideBySide,
) -> Paces:  # fmt: skip
    """Tell how long runs took by the work in them; `lines`: entries that lines make."""
    made_by_lines = frozenset(lines)
    of_run: defaultdict[str, dict[str, list[MeasuredStep]]] = defaultdict(dict)
    for step in steps:
        of_run[step.run_id].setdefault(step.slide.slide_id, []).append(step)
    with_lines, without = [], []
    for run_id, slides in of_run.items():
        of_lines = [[s for s in some if s.key in made_by_lines] for some in slides.values()]
        if any(of_lines):
            works_s = [sum(map(work_of, some)) for some in of_lines]
            with_lines.append(_run_seen(runs[run_id], [*slides.values()], works_s, side.n_lines))
        else:
            works_s = [sum(map(work_of, some)) for some in slides.values()]
            without.append(_run_seen(runs[run_id], [*slides.values()], works_s, side.n_workers))
    of_lines_pace, of_workers = fit_pace(with_lines), fit_pace(without)
    if of_workers is None and of_lines_pace is not None:
        of_workers = replace(of_lines_pace, a_second=1 / side.n_workers)
    return Paces(lines=of_lines_pace, workers=of_workers, side_by_side=side)


def _run_seen(
    run: BatchRecord, slides: Sequence[Steps], works_s: Sequence[float], n_side_by_side: int
) -> RunSeen:
    """When a run began to encode, and how long its slides were worked on from then on.

    Where that is not known, when its first slide was done stands for it: slides whose patches share
    a batch are done together, so that it may come late.
    """
    first_at = slides[0][0].at
    ended_at = run.ended_at or first_at
    if run.encoding_at is not None:
        first_at = run.encoding_at
        works_s = [0.0, *works_s]
    return RunSeen(
        first_s=(first_at - run.began_at).total_seconds(), first_work_s=works_s[0],
        rest_s=(ended_at - first_at).total_seconds(),
        rest_work_s=sum(works_s[1:]) * stretch(works_s[1:], n_side_by_side),
    )  # fmt: skip
