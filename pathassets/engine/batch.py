"""Slides + entries -> outcomes, one slide after the other as they finish.

    plan ─▶ all current? ─yes─▶ outcome from the store
                │no
                ▼
            worker process ─▶ outcome ─▶ caller (logs its events) ─▶ catalog

The caller takes an outcome before the catalog does: whatever the catalog knows was reported.
"""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterable
from contextlib import closing

from pathassets.adapters.partial import sweep_partials
from pathassets.adapters.store import Artifact
from pathassets.catalog.records import ArtifactRecord, AttemptRecord, FileRecord
from pathassets.core.recipe import Entry
from pathassets.engine.plan import PlannedSlide, path_record, task_for
from pathassets.engine.platform import Platform
from pathassets.engine.scratch import open_scratch, tell_no_scratch
from pathassets.engine.slide_task import (
    SlideOutcome,
    SlideTask,
    StepOutcome,
    current_outcome,
    failed_outcome,
    run_slide,
)

logger = logging.getLogger(__name__)


def run_batch(
    platform: Platform, planned: list[PlannedSlide], wanted: Iterable[Entry], *, run_id: str
) -> Generator[SlideOutcome, None, None]:
    """Make the wanted entries of the planned slides; each outcome is recorded once it was taken.

    Closing it ends the work: workers are stopped, what they had not finished leaves nothing.

    Raises:
        StoreError: the store or the scratch folder is not writable.
        CatalogError: an outcome cannot be recorded.
    """
    platform.store.sweep_staging()
    sweep_partials(platform.store)
    settings = platform.settings
    entries = list(wanted)
    with (
        platform.store.staging(run_id) as staging,
        open_scratch(settings.scratch, settings.scratch_bytes) as scratch,
    ):
        tasks = [task_for(platform, p, entries, staging, scratch) for p in planned]
        is_told = False
        with closing(_outcomes(platform, tasks)) as outcomes:
            for n_done, outcome in enumerate(outcomes, 1):
                yield outcome
                record_outcome(platform, outcome, run_id)
                _report(outcome, n_done, len(tasks))
                if outcome.no_scratch and not is_told:
                    tell_no_scratch(outcome.slide_id, outcome.no_scratch)
                    is_told = True


def _outcomes(platform: Platform, tasks: list[SlideTask]) -> Generator[SlideOutcome, None, None]:
    to_do = []
    for task in tasks:
        if not all(platform.store.has(step.address) for step in task.steps):
            to_do.append(task)
            continue
        steps = tuple(current_outcome(step, platform.store) for step in task.steps)
        yield SlideOutcome(slide_id=task.slide_id, steps=steps)
    with closing(platform.workers.imap(run_slide, to_do)) as results:
        for task, result in results:
            yield failed_outcome(task, result) if isinstance(result, Exception) else result


def record_outcome(platform: Platform, outcome: SlideOutcome, run_id: str) -> None:
    """Write into the catalog what exists now, what was tried, and how a verified file looks."""
    for step in outcome.steps:
        if step.artifact is not None:
            record = artifact_record(step.artifact, run_id)
            platform.catalog.record_artifact(record, step.artifact.parents)
    platform.catalog.record_attempts([_attempt(step, run_id) for step in outcome.steps])
    if outcome.verified is not None:
        seen = outcome.verified
        platform.catalog.confirm_path(path_record(seen.path, outcome.slide_id, seen.stamp))


def artifact_record(artifact: Artifact, run_id: str) -> ArtifactRecord:
    """The catalog's row for an artifact."""
    return ArtifactRecord(
        address=artifact.address,
        uri=str(artifact.address),
        spec=artifact.spec,
        code_version=artifact.code_version,
        facts=artifact.facts,
        files=tuple(
            FileRecord(path=f.path, size_bytes=f.size_bytes, sha256=f.sha256)
            for f in artifact.files
        ),
        made_by=run_id,
    )


def _attempt(outcome: StepOutcome, run_id: str) -> AttemptRecord:
    return AttemptRecord(
        run_id=run_id,
        address=outcome.step.address,
        state=outcome.state,
        reason=outcome.reason,
        message=outcome.message,
        remedy=outcome.remedy,
        is_final=outcome.is_final,
        seconds=outcome.seconds,
    )


def _report(outcome: SlideOutcome, n_done: int, n_slides: int) -> None:
    """One line a slide, for logs; `extra` is for progress bars."""
    failure = outcome.failure
    made = [s for s in outcome.steps if s.state == "made"]
    if failure is not None:
        said = f"failed at {'/'.join(failure.step.address.key)}: {failure.message}"
    elif made:
        said = f"made {len(made)} in {sum(s.seconds or 0 for s in made):.1f} s"
    else:
        said = "current"
    level = logging.INFO if failure is None else logging.WARNING
    extra = {"n_done": n_done, "n_slides": n_slides, "is_failed": failure is not None}
    logger.log(level, "%d/%d %s %s", n_done, n_slides, outcome.slide_id, said, extra=extra)
