"""One slide -> what of it is made by a worker, what by a device line, and one outcome of all.

    tissue mask, locations, patch sets ─▶ features ─▶ embeddings without a module
              a worker                     a line              a worker

Each segment is a task of its own. What the segments before it made is behind it: made again there,
where it is found damaged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from pathassets.core.address import Address
from pathassets.engine.stages.outcomes import SlideOutcome, SlideTask, Step, StepOutcome, blocked
from pathassets.engine.stages.registry import group_steps, stage_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """Steps of a slide that follow each other and are made in one place."""

    task: SlideTask
    needs_device: bool


class SlideInSegments:
    """A slide that is worked on, segment by segment."""

    def __init__(self, task: SlideTask, found: Mapping[Address, StepOutcome]) -> None:
        """`found`: what of it is made already."""
        self._task = task
        self._left = _cut(task.steps)
        self._known = dict(found)
        self._parts: list[SlideOutcome] = []

    @property
    def slide_id(self) -> str:
        """Which slide it is."""
        return self._task.slide_id

    @property
    def size_bytes(self) -> int:
        """Of the slide's files, as they were when they were last seen."""
        return max((path.stamp.size_bytes for path in self._task.paths), default=0)

    @property
    def needs_device(self) -> bool:
        """Whether something is left of it that a line makes."""
        return any(
            needs_device and any(step.address not in self._known for step in steps)
            for steps, needs_device in self._left
        )

    def next(self) -> Segment | None:
        """What is to be made next; None where nothing is left that can be."""
        for steps, needs_device in self._left:
            wanted = [step for step in steps if not self._is_settled(step)]
            if any(step.address not in self._known for step in wanted):
                task = replace(self._task, steps=tuple(wanted), behind=self._behind(wanted))
                return Segment(task=task, needs_device=needs_device)
        return None

    def take(self, outcome: SlideOutcome) -> None:
        """Hear what became of the segment that was given last."""
        self._parts.append(outcome)
        own = {step.address for step in self._task.steps}
        self._known |= {
            one.step.address: one for one in outcome.all_steps if one.step.address in own
        }
        if outcome.verified is not None:  # so that the next does not hash it again
            seen = outcome.verified
            paths = (seen if one.path == seen.path else one for one in self._task.paths)
            self._task = replace(self._task, paths=tuple(paths))

    def outcome(self) -> SlideOutcome:
        """What became of the slide, once nothing is left."""
        first = next((part for part in self._parts if part.verified is not None), None)
        return SlideOutcome(
            slide_id=self.slide_id,
            steps=tuple(self._known[step.address] for step in self._task.steps),
            verified=None if first is None else first.verified,
            no_scratch=next((part.no_scratch for part in self._parts if part.no_scratch), ""),
            mended=self._mended(),
        )

    def _mended(self) -> tuple[StepOutcome, ...]:
        """What is behind the slide's steps; of what more than one segment came to, the last."""
        own = {step.address for step in self._task.steps}
        all_mended = (one for part in self._parts for one in part.mended)
        last = {one.step.address: one for one in all_mended}
        return tuple(one for address, one in last.items() if address not in own)

    def _is_settled(self, step: Step) -> bool:
        """Whether nothing is to be tried: it is not made, because a parent of it was not."""
        if step.address in self._known:
            return self._known[step.address].state != "current"
        bad = (self._known[a] for a in step.parents if a in self._known)
        parent = next((one for one in bad if one.state in {"failed", "blocked"}), None)
        if parent is None:
            return False
        self._known[step.address] = blocked(step, parent)
        return True

    def _behind(self, wanted: Sequence[Step]) -> tuple[Step, ...]:
        """What a task goes back to: what is behind the slide's, and what was wanted before it."""
        before: list[Step] = []
        for step in self._task.steps:
            if step.address in {one.address for one in wanted}:
                break
            before.append(step)
        return (*self._task.behind, *before)


def _cut(steps: Sequence[Step]) -> list[tuple[list[Step], bool]]:
    return [
        ([step for group in groups for step in group], needs_device)
        for needs_device, groups in groupby(group_steps(steps), key=_needs_device)
    ]


def _needs_device(group: Sequence[Step]) -> bool:
    return any(stage_of(step).needs_device(step.entry.spec) for step in group)
