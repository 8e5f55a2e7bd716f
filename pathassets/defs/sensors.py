"""Sensors: new scans in the inbox, and runs whose process is gone.

    inbox ─▶ still for a while ─▶ job ingest_files ─▶ partition ─▶ job process_slides

The inbox sensor only looks; hashing gigabytes is the job's. It is off until switched on in the UI.

https://docs.dagster.io/guides/automate/sensors
"""

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg

from pathassets.defs.assets.slide import report_slides
from pathassets.defs.dagster_internals import AssetJob
from pathassets.defs.jobs import INGEST_FILES, PROCESS_SLIDES, FilesConfig, ingest_files
from pathassets.defs.partitions import range_of, range_tags, slide_order, stretches
from pathassets.defs.recovery import NEVER_AGAIN, UNFINISHED, fail_dead_runs
from pathassets.engine.platform.batch import MAX_SLIDES
from pathassets.engine.platform.ingestion.inbox import (
    ask_together,
    dump_sightings,
    look_into,
    parse_sightings,
    stable_files,
)
from pathassets.engine.platform.platform import Platform

INTERVAL_S = 10
ASKED_TAG = "pathassets/asked"
"""What a run was requested for. Dagster starts one run for a run key, ever, so what a killed run
should have done is asked for under another."""
MAX_TRIES = 3
MAX_FILES = 500
"""Files that one run registers: a run costs as much as fifty small slides."""


def build_inbox_sensor(process_slides: AssetJob) -> dg.SensorDefinition:
    """Make the inbox sensor: it asks for the ingestion of files and the batch over new slides."""

    @dg.sensor(
        name="inbox",
        jobs=[ingest_files, process_slides],
        minimum_interval_seconds=INTERVAL_S,
        default_status=dg.DefaultSensorStatus.STOPPED,
        description="Registers files of the inbox once they are whole and runs the recipe on them.",
    )
    def inbox(
        context: dg.SensorEvaluationContext, platform: dg.ResourceParam[Platform]
    ) -> dg.SensorResult:
        now_s, settings = time.time(), platform.settings
        known = platform.catalog.looks_below(str(settings.inbox))
        seen = look_into(settings.inbox, parse_sightings(context.cursor), known, now_s=now_s)
        still = stable_files(seen, now_s=now_s, stable_s=settings.inbox_stable_s)
        asked = ask_together(seen, still, MAX_FILES)
        return dg.SensorResult(
            run_requests=[
                *_ingestions(context.instance, {path: asked[path].asked for path in still}),
                *_batches(context.instance, platform),
            ],
            cursor=dump_sightings(asked),
        )

    return inbox


def _ingestions(instance: dg.DagsterInstance, asked: Mapping[str, str]) -> Iterator[dg.RunRequest]:
    """Ingest runs for files whose content is neither registered nor refused, many in each."""
    together: defaultdict[str, list[str]] = defaultdict(list)
    for path, name in asked.items():
        together[name].append(path)
    for name, files in together.items():
        config = dg.RunConfig({"register_files": FilesConfig(files=files)})
        yield from _ask(instance, INGEST_FILES, name, {}, run_config=config)


def _batches(instance: dg.DagsterInstance, platform: Platform) -> Iterator[dg.RunRequest]:
    """Batch runs for slides of the inbox that were never tried and that no unfinished run holds."""
    inbox = platform.settings.inbox
    waiting = {
        slide_id
        for slide_id, paths in platform.catalog.all_paths(platform.catalog.untried()).items()
        if any(inbox in Path(p.path).parents for p in paths)
    }
    if not waiting:
        return
    unsaid = waiting.difference(slide_order(instance))
    if unsaid:  # an ingestion was killed before it said so
        report_slides(instance, platform, unsaid)
    order = slide_order(instance)
    unfinished = instance.get_runs(filters=dg.RunsFilter(statuses=UNFINISHED))
    held = {slide_id for run in unfinished for slide_id in range_of(run.tags, order)}
    for stretch in stretches(order, waiting - held, set()):
        for start in range(0, len(stretch), MAX_SLIDES):
            part = stretch[start : start + MAX_SLIDES]
            asked = f"batch:{part[0]}:{part[-1]}:{len(part)}"
            yield from _ask(instance, PROCESS_SLIDES, asked, range_tags(part))


def _ask(
    instance: dg.DagsterInstance,
    job_name: str,
    asked: str,
    tags: Mapping[str, str],
    **request: Any,
) -> Iterator[dg.RunRequest]:
    """Ask for a run once, and again where it failed to do what it was asked for.

    What a person cancelled stays so.
    """
    failed = [dg.DagsterRunStatus.FAILURE]
    n_tries = instance.get_runs_count(dg.RunsFilter(tags={ASKED_TAG: asked}, statuses=failed))
    if n_tries < MAX_TRIES:
        yield dg.RunRequest(
            run_key=f"{asked}:{n_tries}",
            job_name=job_name,
            tags={ASKED_TAG: asked, **NEVER_AGAIN, **tags},
            **request,
        )


@dg.sensor(
    name="dead_runs",
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Marks runs failed whose process was killed and frees their place in the pool; the "
    "daemon starts them again, twice at most.",
)
def dead_runs(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """Look for runs whose process is gone."""
    failed = fail_dead_runs(context.instance)
    return dg.SkipReason(f"{len(failed)} runs had lost their process")
