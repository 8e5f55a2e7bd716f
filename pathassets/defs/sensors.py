"""Sensors: new scans in the inbox, and runs whose process is gone.

    inbox ─▶ still for a while ─▶ job ingest_files ─▶ partition ─▶ job process_slides

The inbox sensor only looks; hashing gigabytes is the job's. It is off until switched on in the UI.

https://docs.dagster.io/guides/automate/sensors
"""

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg

from pathassets.catalog.records import PathRecord
from pathassets.defs.assets.batch import MAX_SLIDES
from pathassets.defs.assets.slide import report_slides
from pathassets.defs.dagster_internals import AssetJob
from pathassets.defs.jobs import INGEST_FILES, PROCESS_SLIDES, FilesConfig, ingest_files
from pathassets.defs.partitions import range_of, range_tags, slide_order, stretches
from pathassets.defs.recovery import NEVER_AGAIN, UNFINISHED, fail_dead_runs
from pathassets.engine.platform.ingestion.inbox import (
    Sightings,
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

KnownPaths = Mapping[str, list[PathRecord]]
"""Files of every slide, by slide id."""


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
        now_s = time.time()
        settings = platform.settings
        seen = look_into(settings.inbox, parse_sightings(context.cursor), now_s=now_s)
        still = stable_files(seen, now_s=now_s, stable_s=settings.inbox_stable_s)
        whole = {path: seen[path] for path in still}
        known = platform.catalog.all_paths()
        return dg.SensorResult(
            run_requests=[
                *_ingestions(context.instance, platform, whole, known),
                *_batches(context.instance, platform, known),
            ],
            cursor=dump_sightings(seen),
        )

    return inbox


def _ingestions(
    instance: dg.DagsterInstance, platform: Platform, whole: Sightings, known: KnownPaths
) -> Iterator[dg.RunRequest]:
    """Ingest runs for files whose content is neither registered nor refused."""
    stamps = {(p.path, p.size_bytes, p.mtime_ns) for paths in known.values() for p in paths}
    stamps |= {(r.path, r.size_bytes, r.mtime_ns) for r in platform.catalog.rejected_files()}
    for path, sight in whole.items():
        stamp = (path, sight.size_bytes, sight.mtime_ns)
        if stamp not in stamps:
            config = dg.RunConfig({"register_files": FilesConfig(files=[path])})
            asked = ":".join(map(str, stamp))
            yield from _ask(instance, INGEST_FILES, asked, {}, run_config=config)


def _batches(
    instance: dg.DagsterInstance, platform: Platform, known: KnownPaths
) -> Iterator[dg.RunRequest]:
    """Batch runs for slides of the inbox that were never tried and that no unfinished run holds."""
    tried = {slide_id for _, _, slide_id in platform.catalog.latest_attempts()}
    inbox = platform.settings.inbox
    waiting = {
        slide_id
        for slide_id, paths in known.items()
        if slide_id not in tried and any(inbox in Path(p.path).parents for p in paths)
    }
    if not waiting:
        return
    if not waiting.issubset(slide_order(instance)):  # an ingestion was killed before it said so
        report_slides(instance, platform, waiting)
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
