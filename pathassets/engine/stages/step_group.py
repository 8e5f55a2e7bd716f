"""Steps that are made together -> the outcome of each.

made already? ─▶ begin a folder for each ─▶ make ─▶ is the slide unchanged? ─▶ publish each
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import replace
from pathlib import Path

from pathassets.adapters.store.partial import Partial, hold_partials
from pathassets.core.address import Address
from pathassets.engine.features.works import SlideEncoded
from pathassets.engine.stages.context import LazyContext
from pathassets.engine.stages.job import Asking, Made, R, StageJob
from pathassets.engine.stages.outcomes import Step, StepOutcome, failed, require_own
from pathassets.engine.stages.published import Published, publish
from pathassets.engine.stages.recorded_annotation import require_recorded
from pathassets.engine.stages.registry import stage_of
from pathassets.errors import SlideError


def make_steps(
    steps: Sequence[Step], context: LazyContext, published: Published, staging: Path
) -> Asking[list[StepOutcome]]:
    """Make what is not there of some steps of one stage, together. Never raises."""
    outcomes, seconds = yield from _clocked(_make_missing(steps, context, published, staging))
    return _share_time(outcomes, seconds)


def _clocked(asking: Asking[R]) -> Asking[tuple[R, float]]:
    """Let work go its way; give its result and for how long it was worked on.

    While its patches are encoded, those of others are, too: of that time counts what the encoding
    thread had to do with this slide, so that the seconds of a line's slides can be added.
    """
    encoded: SlideEncoded | None = None
    seconds = 0.0
    with closing(asking):
        while True:
            began_s = time.perf_counter()
            try:
                work = next(asking) if encoded is None else asking.send(encoded)
            except StopIteration as end:
                return end.value, seconds + time.perf_counter() - began_s
            seconds += time.perf_counter() - began_s
            encoded = yield work
            seconds += encoded.stats.held_s


def _make_missing(
    steps: Sequence[Step], context: LazyContext, published: Published, staging: Path
) -> Asking[list[StepOutcome]]:
    outcomes: dict[Address, StepOutcome] = {}
    try:
        outcomes |= published.find_all(steps)
        wanted = [step for step in steps if step.address not in outcomes]
        if wanted:
            outcomes |= yield from _make(wanted, context, published, staging)
    except Exception as error:  # noqa: BLE001 - the slide boundary (design §5)
        for step in steps:
            outcomes.setdefault(step.address, failed(step, context.named(error)))
    return [outcomes[step.address] for step in steps]


def _share_time(outcomes: list[StepOutcome], seconds: float) -> list[StepOutcome]:
    """Give each step that was worked on what it took, and an equal share of the rest."""
    n_steps = sum(one.state != "current" for one in outcomes)
    share_s = max(0.0, seconds - sum(one.own_s for one in outcomes)) / max(1, n_steps)
    return [
        outcome if outcome.state == "current" else replace(outcome, seconds=outcome.own_s + share_s)
        for outcome in outcomes
    ]


def _make(
    steps: Sequence[Step], context: LazyContext, published: Published, staging: Path
) -> Asking[dict[Address, StepOutcome]]:
    for step in steps:
        require_recorded(step)
        require_own(step)
    context.get()  # before anything is begun: without the slide nothing can be
    with _begin(steps, context, staging) as partials:
        outcomes = published.find_all(steps)  # another process may have made it meanwhile
        jobs = [
            StageJob(step=step, partial=partial)
            for step, partial in zip(steps, partials, strict=True)
            if step.address not in outcomes
        ]
        if jobs:
            results = yield from _run(jobs, context)
            for job, result in zip(jobs, results, strict=True):
                outcomes[job.address] = _publish(job, result, context)
    return outcomes


def _begin(
    steps: Sequence[Step], context: LazyContext, staging: Path
) -> AbstractContextManager[list[Partial]]:
    """Hold a folder for each step: the one that was begun before, or a new one."""
    if stage_of(steps[0]).continues:
        return hold_partials(context.store, [step.address for step in steps])
    return _staged(staging, len(steps))


@contextmanager
def _staged(staging: Path, n: int) -> Iterator[list[Partial]]:
    """New folders, which are gone in the end."""
    partials = [Partial(staging / uuid.uuid4().hex) for _ in range(n)]
    try:
        for partial in partials:
            partial.begin()
        yield partials
    finally:
        for partial in partials:
            partial.remove()


def _run(jobs: Sequence[StageJob], lazy: LazyContext) -> Asking[Sequence[Made | Exception]]:
    """Make the jobs, of a slide that is the same before and after."""
    context = lazy.get()
    results = yield from stage_of(jobs[0].step).make(context, jobs)
    try:
        context.check_unchanged()
    except SlideError:
        for job in jobs:
            job.partial.remove()  # what was read of it may be anything
        raise
    return results


def _publish(job: StageJob, result: Made | Exception, context: LazyContext) -> StepOutcome:
    try:
        if isinstance(result, Exception):
            raise result  # noqa: TRY301 - as if it were raised where it happened
        return publish(context.store, job, result)
    except Exception as error:  # noqa: BLE001 - one that fails stops no other
        outcome = failed(job.step, context.named(error))
        if outcome.is_final:
            job.partial.remove()  # it would end there again
        return outcome
