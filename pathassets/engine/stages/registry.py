"""The stages that are made of a slide, in the order of the chain: what each needs and makes.

The recipe's side of a stage, its spec and its code version, is in `core/stages.py`. What works on a
slide goes through these values and knows none of them by name.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from pathassets.core.stages import ANNOTATIONS, FEATURES, PATCH_QUALITY, SLIDE
from pathassets.engine.patches import writer
from pathassets.engine.stages import features, patch_locations, patch_set, slide_embedding
from pathassets.engine.stages import tissue_mask as tissue
from pathassets.engine.stages.context import SlideContext
from pathassets.engine.stages.job import PREVIEW, Asking, Facts, Made, StageJob
from pathassets.engine.stages.outcomes import Step
from pathassets.engine.stages.quality import patch_quality

MakeOne = Callable[[SlideContext, StageJob], Facts]
"""Write one job's files, and tell the facts; what it raises ends the step."""
MakeAll = Callable[[SlideContext, Sequence[StageJob]], Asking[Sequence[Made | Exception]]]
"""The same for jobs that are made together: for each in order what was made, or why it was not."""


def _one_by_one(make: MakeOne) -> MakeAll:
    """Make all jobs by what makes one."""

    def make_all(context: SlideContext, jobs: Sequence[StageJob]) -> Asking[list[Made | Exception]]:
        yield from ()  # it asks for nothing
        return [Made(facts=make(context, job)) for job in jobs]

    return make_all


def _alone(step: Step) -> Hashable:
    """A group of its own for every step."""
    return step.address


@dataclass(frozen=True, slots=True, kw_only=True)
class SlideStage:
    """How one stage is made of a slide."""

    name: str
    """In the recipe."""
    needs: tuple[str, ...]
    """What its steps are made from: the stage before it, and annotations where some are named."""
    makes: tuple[str, ...]
    """Files and folders that each of its artifacts has."""
    make: MakeAll
    grouped_by: Callable[[Step], Hashable] = _alone
    """Steps that follow each other and are alike in this are made together."""
    continues: bool = False
    """Whether what was begun survives a kill, and is gone on with."""
    needs_device: Callable[[Any], bool] = lambda _spec: False
    """Whether an entry with that spec is computed on a line: on a GPU, where there is one."""


SLIDE_STAGES = {
    stage.name: stage
    for stage in (
        SlideStage(
            name="tissue_mask",
            needs=(SLIDE, ANNOTATIONS),
            makes=(tissue.MASK, tissue.OUTLINES, PREVIEW),
            make=_one_by_one(tissue.make_tissue_mask),
        ),
        SlideStage(
            name="patch_locations",
            needs=("tissue_mask", ANNOTATIONS),
            makes=(patch_locations.LOCATIONS, PREVIEW),
            make=_one_by_one(patch_locations.make_patch_locations),
        ),
        SlideStage(
            name="patch_set",
            needs=("patch_locations",),
            makes=(writer.TABLE, writer.TEXT, PREVIEW),
            make=_one_by_one(patch_set.make_patch_set),
        ),
        SlideStage(
            name=PATCH_QUALITY,
            needs=("patch_locations",),
            makes=(patch_quality.QUALITY, PREVIEW),
            make=_one_by_one(patch_quality.make_patch_quality),
        ),
        SlideStage(
            name=FEATURES,
            needs=("patch_locations",),
            makes=(features.ROWS, PREVIEW),
            make=features.make_features,
            grouped_by=features.shared_reading,
            continues=True,
            needs_device=features.needs_device,
        ),
        SlideStage(
            name="slide_embedding",
            needs=(FEATURES,),
            makes=(slide_embedding.EMBEDDING,),
            make=_one_by_one(slide_embedding.make_slide_embedding),
            needs_device=lambda spec: spec.has_module,
        ),
    )
}
"""One for every stage of the recipe that is made slide by slide."""


def stage_of(step: Step) -> SlideStage:
    """How a step is made."""
    return SLIDE_STAGES[step.entry.stage.name]


def group_steps(steps: Iterable[Step]) -> Iterator[list[Step]]:
    """Steps that are made together, in the order of the first."""
    for _, group in groupby(steps, key=lambda step: stage_of(step).grouped_by(step)):
        yield list(group)
