"""One slide -> the outcome of each of its steps: what a worker process does.

    SlideTask ─▶ step 1 ─▶ steps 2, 3 ─▶ …  parents before children; some are made together
                   │          │   │
                   made / current / failed / blocked

What a step is made from is read with its hashes compared: where it is gone or damaged, it is made
again first, and the step then. Nothing is raised out of here: an outcome is a value, and one bad
slide is one bad row.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path

from pathassets.core.address import Address
from pathassets.engine.features.encoding import encode_slides
from pathassets.engine.features.works import EncodingHow, SlideEncoded
from pathassets.engine.settings import threads_of_worker
from pathassets.engine.stages.context import LazyContext, MachineShare
from pathassets.engine.stages.job import Asking, R
from pathassets.engine.stages.outcomes import (
    SlideOutcome,
    SlideTask,
    Step,
    StepOutcome,
    blocked,
    failed,
)
from pathassets.engine.stages.published import Published
from pathassets.engine.stages.registry import group_steps
from pathassets.engine.stages.step_group import make_steps
from pathassets.engine.stores import store_of_task
from pathassets.errors import ArtifactCorrupt, ArtifactMissing


def run_slide(task: SlideTask) -> SlideOutcome:
    """Work through the steps of one slide by itself, on the CPU. Never raises."""
    share = MachineShare(n_threads=threads_of_worker())
    return _alone(work_through(task, share), EncodingHow(n_threads=share.n_threads))


def _alone(asking: Asking[R], how: EncodingHow) -> R:
    """Drive work by itself: each time that it asks, its patches are encoded while it waits."""
    encoded: SlideEncoded | None = None
    while True:
        try:
            work = next(asking) if encoded is None else asking.send(encoded)
        except StopIteration as end:
            result: R = end.value
            return result
        [encoded] = encode_slides([work], how)


def work_through(task: SlideTask, share: MachineShare) -> Asking[SlideOutcome]:
    """Work through the steps of one slide; whoever drives it encodes its patches. Never raises."""
    with closing(LazyContext(task, share)) as context:
        run = _SlideRun(task, context)
        for steps in group_steps(task.steps):
            yield from run.make(steps)
        source = context.source
        return SlideOutcome(
            slide_id=task.slide_id,
            steps=run.of(task.steps),
            mended=run.of(task.behind),
            verified=None if source is None else source.verified,
            no_scratch="" if source is None else source.no_scratch,
        )


class _SlideRun:
    """The steps of one slide, and what became of each so far."""

    def __init__(self, task: SlideTask, context: LazyContext) -> None:
        self._staging = Path(task.staging)
        self._context = context
        self._published = Published(context.store, task.doubted)
        self._known = {step.address: step for step in (*task.behind, *task.steps)}
        self._outcomes: dict[Address, StepOutcome] = {}

    def of(self, steps: Iterable[Step]) -> tuple[StepOutcome, ...]:
        """Outcomes of those steps that were come to."""
        return tuple(self._outcomes[s.address] for s in steps if s.address in self._outcomes)

    def make(self, steps: Sequence[Step]) -> Asking[None]:
        """Make steps that are made together, and once more when that mended their parents."""
        yield from self._try(steps)
        lacking = [outcome.step for outcome in self.of(steps) if _lacks_files(outcome)]
        if lacking and (yield from self._mend_ancestors(lacking[0])):
            yield from self._try(lacking)

    def _try(self, steps: Sequence[Step]) -> Asking[None]:
        parent = _failed_parent(steps[0], self._outcomes.values())
        if parent is not None:
            outcomes = [self._published.find(step) or blocked(step, parent) for step in steps]
        else:
            outcomes = yield from make_steps(steps, self._context, self._published, self._staging)
        self._outcomes |= {outcome.step.address: outcome for outcome in outcomes}

    def _mend_ancestors(self, step: Step) -> Asking[bool]:
        """Make again what a step goes back to and is not whole; whether there was any.

        Not its parents alone: the quality of patches reads the mask that they were laid on, too.
        """
        store = self._context.store
        damaged = [a for a in self._ancestors(step) if not store.is_intact(a.address)]
        for ancestor in damaged:
            self._published.doubt(ancestor.address)
            yield from self.make([ancestor])
        return bool(damaged)

    def _ancestors(self, step: Step) -> list[Step]:
        """Steps that a step goes back to, parents first."""
        own = [self._known[address] for address in step.parents if address in self._known]
        found = [ancestor for parent in own for ancestor in (*self._ancestors(parent), parent)]
        return list({one.address: one for one in found}.values())


def _lacks_files(outcome: StepOutcome) -> bool:
    """Whether a step failed for what it is made from, or its own files, are not whole."""
    return outcome.reason in {ArtifactMissing.reason, ArtifactCorrupt.reason}


def _failed_parent(step: Step, outcomes: Iterable[StepOutcome]) -> StepOutcome | None:
    bad = (o for o in outcomes if o.state in {"failed", "blocked"})
    return next((o for o in bad if o.step.address in step.parents), None)


def failed_outcome(task: SlideTask, error: Exception) -> SlideOutcome:
    """Outcome of a slide whose worker gave none: steps that were published are not lost."""
    published = Published(store_of_task(task.store_root, task.store_work), task.doubted)
    outcomes: list[StepOutcome] = []
    for step in task.steps:
        failure = next((o for o in outcomes if o.state == "failed"), None)
        if (found := published.find(step)) is not None:
            outcomes.append(found)
        elif failure is not None:
            outcomes.append(blocked(step, failure))
        else:
            outcomes.append(failed(step, error))
    return SlideOutcome(slide_id=task.slide_id, steps=tuple(outcomes))
