"""Slides that failed for what passes -> tried again, each time after a longer pause.

    work ─▶ outcome ─▶ failed by a full disk, a silent share, a lost worker?
                         │no              │yes
                         ▼                ▼
                       caller      pause ─▶ work, at last the caller gets what came of it then

All others are done first. What the slide's content decides is never tried again: it would fail the
same way. A worker that is lost once may have been killed by the system for another's memory; one
that is lost with the same slide again was killed by it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Generator, Sequence
from contextlib import closing
from dataclasses import replace

from pathassets.engine.stages.outcomes import SlideOutcome, StepOutcome
from pathassets.errors import WorkerLost

Work = Callable[[Collection[str]], Generator[SlideOutcome, None, None]]
"""Works on slides of these ids; on all where there are none."""
MAX_LOST = 1
"""How often a slide whose worker was lost is tried again."""


def tried_again(
    work: Work,
    pauses_s: Sequence[float],
    tell: Callable[[str], None],
    sleep: Callable[[float], None] = time.sleep,
) -> Generator[SlideOutcome, None, None]:
    """Yield what became of each slide, once it is done or nothing is left to be hoped for.

    `pauses_s` says how long to wait before each further try, and so how many there are; `tell`
    hears of each.
    """
    waiting: dict[str, SlideOutcome] = {}
    for n_before, pause_s in enumerate((*pauses_s, None)):
        last, waiting = waiting, {}
        with closing(work(last)) as outcomes:
            for outcome in outcomes:
                whole = with_made(outcome, last.get(outcome.slide_id))
                if pause_s is not None and _is_hoped_for(whole, n_before):
                    waiting[whole.slide_id] = whole
                else:
                    yield whole
        if not waiting or pause_s is None:
            return
        tell(_line_of(waiting, pause_s))
        sleep(pause_s)


def _is_hoped_for(outcome: SlideOutcome, n_before: int) -> bool:
    """Whether every failure of a slide may pass, after so many tries before this one."""
    failures = [one for one in outcome.all_steps if one.state == "failed"]
    return bool(failures) and all(
        one.is_passing and (one.reason != WorkerLost.reason or n_before < MAX_LOST)
        for one in failures
    )


def with_made(outcome: SlideOutcome, before: SlideOutcome | None) -> SlideOutcome:
    """An outcome that tells what an earlier try had made, which this one only found."""
    if before is None:
        return outcome
    made = {one.step.address: one for one in before.all_steps if one.state == "made"}

    def first(one: StepOutcome) -> StepOutcome:
        return made.get(one.step.address, one) if one.state == "current" else one

    known = {one.step.address for one in outcome.all_steps}
    mended = [one for one in before.mended if one.step.address not in known]
    return replace(
        outcome,
        steps=tuple(map(first, outcome.steps)),
        mended=(*mended, *map(first, outcome.mended)),
        verified=outcome.verified or before.verified,
    )


def _line_of(waiting: dict[str, SlideOutcome], pause_s: float) -> str:
    failures = (outcome.failure for outcome in waiting.values())
    reasons = sorted({one.reason for one in failures if one is not None})
    return (
        f"{len(waiting)} to be tried again in {pause_s:g} s, for what may pass: "
        f"{', '.join(reasons)}"
    )
