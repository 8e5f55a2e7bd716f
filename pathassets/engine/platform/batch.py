"""Slides + entries -> outcomes, one slide after the other as they finish.

    plan ─▶ all there and whole? ─yes─────────────────────────▶ outcome from the store
                │no  ◀── later, what may pass ──────────────────────┤
                ▼                                                   ▼
            worker process ─▶ device line ─▶ worker process ─▶ outcome ─▶ caller (logs its events)
            mask, locations   features       embeddings                        └─▶ catalog

The caller takes an outcome before the catalog does: whatever the catalog knows was reported.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

from pathassets.adapters.store.partial import sweep_partials
from pathassets.adapters.store.store import Artifact
from pathassets.catalog.catalog import Catalog
from pathassets.catalog.records import ArtifactRecord, AttemptRecord, FileRecord
from pathassets.core.address import Address
from pathassets.core.recipe import Entry
from pathassets.engine.platform.batches.again import tried_again
from pathassets.engine.platform.batches.under_way import OnFirst, work_off
from pathassets.engine.platform.ledgers import bad_tiles_met
from pathassets.engine.platform.plan import PlannedSlide, path_record, task_for
from pathassets.engine.platform.planning.machine import device_here, machine_of
from pathassets.engine.platform.platform import Platform
from pathassets.engine.slides.scratch import scratch_for, tell_no_scratch
from pathassets.engine.stages.outcomes import SlideOutcome, SlideTask, StepOutcome
from pathassets.engine.stages.published import Published
from pathassets.engine.stages.segments import SlideInSegments
from pathassets.engine.workers.devices import require_gpu
from pathassets.errors import StorageUnavailable

logger = logging.getLogger(__name__)

MAX_SLIDES = 500
"""Slides in one run at most: a run that is killed is repeated, its finished slides are not."""


def run_batch(  # noqa: PLR0913 - two are for those who want them
    platform: Platform,
    planned: list[PlannedSlide],
    wanted: Iterable[Entry],
    *,
    run_id: str,
    doubted: Iterable[Address] = (),
    tell: Callable[[str], None] = lambda _: None,
) -> Generator[SlideOutcome, None, None]:
    """Make the wanted entries of the planned slides; each outcome is recorded once it was taken.

    What is there is current by its files' presence and sizes. Of what is `doubted`, and of what
    failed last and is there nonetheless, every byte is read; what is damaged is made again.
    Closing it ends the work: workers are stopped, what they had not finished leaves nothing.
    `tell` hears each minute how far each device line is, as the log does.

    Raises:
        StoreError: the store or the scratch folder is not writable.
        CatalogError: an outcome cannot be recorded.
        SpecError: a GPU is asked for, needed, and not there.
    """
    settings = platform.settings
    platform.catalog.begin_batch(
        run_id,
        machine=machine_of(settings),
        device=device_here(settings),
        n_workers=settings.n_workers,
    )
    platform.store.sweep_staging()
    sweep_partials(platform.store)
    entries = list(wanted)
    note_encoding = partial(_note_encoding, platform.catalog, run_id)
    with (
        platform.store.staging(run_id) as staging,
        scratch_for(settings, (path.path for one in planned for path in one.paths)) as scratch,
    ):
        ill = _by_slide((*doubted, *_failed_last(platform.catalog, planned)))
        tasks = [
            replace(
                task_for(platform, one, entries, staging, scratch),
                doubted=frozenset(ill.get(one.slide_id, ())),
            )
            for one in planned
        ]
        is_told = False
        with closing(_outcomes(tasks, platform, tell, note_encoding)) as outcomes:
            for n_done, outcome in enumerate(outcomes, 1):
                yield outcome
                record_outcome(platform.catalog, outcome, run_id)
                _report(outcome, n_done, len(tasks), run_id)
                if outcome.no_scratch and not is_told:
                    tell_no_scratch(outcome.slide_id, outcome.no_scratch)
                    is_told = True
    platform.catalog.end_batch(run_id)


def _note_encoding(catalog: Catalog, run_id: str, since_s: float) -> None:
    catalog.note_encoding(run_id, datetime.now(UTC) - timedelta(seconds=since_s))


def _failed_last(catalog: Catalog, planned: list[PlannedSlide]) -> Iterator[Address]:
    """What of these slides failed when it was last tried."""
    latest = catalog.latest_attempts([one.slide_id for one in planned])
    return (attempt.address for attempt in latest.values() if attempt.state == "failed")


def _by_slide(addresses: Iterable[Address]) -> Mapping[str, set[Address]]:
    found: defaultdict[str, set[Address]] = defaultdict(set)
    for address in addresses:
        found[address.partition_key].add(address)
    return found


def _outcomes(
    tasks: list[SlideTask], platform: Platform, tell: Callable[[str], None], on_first: OnFirst
) -> Generator[SlideOutcome, None, None]:
    """Those that are all there at once, then the others as they are done, at last what passes."""

    def say(text: str) -> None:
        logger.info("%s", text)
        tell(text)

    def work(slide_ids: Collection[str]) -> Generator[SlideOutcome, None, None]:
        some = [task for task in tasks if not slide_ids or task.slide_id in slide_ids]
        return _work(some, platform, tell, on_first)

    yield from tried_again(work, platform.settings.retry_pauses_s, say)


def _work(
    tasks: list[SlideTask], platform: Platform, tell: Callable[[str], None], on_first: OnFirst
) -> Generator[SlideOutcome, None, None]:
    to_do = []
    for task in tasks:
        slide = SlideInSegments(task, _made_already(platform, task))
        if slide.next() is None:
            yield slide.outcome()
        else:
            to_do.append(slide)
    if platform.settings.cluster is None and any(slide.needs_device for slide in to_do):
        require_gpu(platform.settings.device)
    yield from work_off(platform, to_do, tell, on_first)


def _made_already(platform: Platform, task: SlideTask) -> dict[Address, StepOutcome]:
    """What of a slide is made already; nothing where a bucket does not answer: a worker says so."""
    try:
        return Published(platform.store, task.doubted).find_all(task.steps)
    except StorageUnavailable:
        return {}


def record_outcome(catalog: Catalog, outcome: SlideOutcome, run_id: str) -> None:
    """Write into the catalog what exists now, what was tried, and how a verified file looks."""
    for step in outcome.all_steps:
        if step.artifact is not None:
            record = artifact_record(step.artifact, run_id)
            catalog.record_artifact(record, step.artifact.parents)
    catalog.enter_bad_tiles(bad_tiles_met(outcome))
    catalog.record_attempts([_attempt(step, run_id) for step in outcome.all_steps])
    if outcome.verified is not None:
        seen = outcome.verified
        catalog.confirm_path(path_record(seen.path, outcome.slide_id, seen.stamp))


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


def _report(outcome: SlideOutcome, n_done: int, n_slides: int, run_id: str) -> None:
    """One line a slide, for logs; `extra` is for progress bars."""
    failure = outcome.failure
    made = [s for s in outcome.all_steps if s.state == "made"]
    if failure is not None:
        said = f"failed at {'/'.join(failure.step.address.key)}: {failure.message}"
    elif made:
        said = f"made {len(made)} in {sum(s.seconds or 0 for s in made):.1f} s"
    else:
        said = "current"
    level = logging.INFO if failure is None else logging.WARNING
    extra = {
        "n_done": n_done, "n_slides": n_slides, "is_failed": failure is not None,
        "slide_id": outcome.slide_id, "run_id": run_id,
        "made": ["/".join(step.step.address.key) for step in made],
        "asset": "" if failure is None else "/".join(failure.step.address.key),
        "reason": "" if failure is None else failure.reason,
        "seconds": round(sum(step.seconds or 0 for step in made), 3),
    }  # fmt: skip
    logger.log(level, "%d/%d %s %s", n_done, n_slides, outcome.slide_id, said, extra=extra)
