"""Sensors: new scans in the inbox, and runs whose process is gone.

    inbox ─▶ still for a while ─▶ job ingest_files ─▶ partition ─▶ job process_slides

The inbox sensor only looks; hashing gigabytes is the job's. It is off until switched on in the UI.

https://docs.dagster.io/guides/automate/sensors
"""

import time
from pathlib import Path
from typing import Iterator

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from pathassets.defs.jobs import INGEST_FILES, PROCESS_SLIDES, FilesConfig, ingest_files
from pathassets.defs.partitions import SLIDES, stretches
from pathassets.defs.recovery import fail_dead_runs
from pathassets.engine.inbox import dump_sightings, look_into, parse_sightings, stable_files
from pathassets.engine.platform import Platform

INTERVAL_S = 10
RANGE_START = "dagster/asset_partition_range_start"
RANGE_END = "dagster/asset_partition_range_end"


def build_inbox_sensor(process_slides: UnresolvedAssetJobDefinition) -> dg.SensorDefinition:
    """Make the inbox sensor; it asks for the ingestion of files and for the batch over new slides."""

    @dg.sensor(
        name="inbox",
        jobs=[ingest_files, process_slides],
        minimum_interval_seconds=INTERVAL_S,
        default_status=dg.DefaultSensorStatus.STOPPED,
        description="Registers files of the inbox once they are whole, and runs the recipe on them.",
    )
    def inbox(
        context: dg.SensorEvaluationContext, platform: dg.ResourceParam[Platform]
    ) -> dg.SensorResult:
        now_s = time.time()
        settings = platform.settings
        seen = look_into(settings.inbox, parse_sightings(context.cursor), now_s=now_s)
        whole = stable_files(seen, now_s=now_s, stable_s=settings.inbox_stable_s)
        requests = [
            dg.RunRequest(
                run_key=f"{path}:{seen[path].size_bytes}:{seen[path].mtime_ns}",
                job_name=INGEST_FILES,
                run_config=dg.RunConfig({"register_files": FilesConfig(files=[path])}),
            )
            for path in whole
            if _is_new(platform, path, (seen[path].size_bytes, seen[path].mtime_ns))
        ]
        return dg.SensorResult(
            run_requests=[*requests, *_batches(context.instance, platform)],
            cursor=dump_sightings(seen),
        )

    return inbox


def _is_new(platform: Platform, path: str, stamp: tuple[int, int]) -> bool:
    known = platform.catalog.find_path(path)
    return known is None or (known.size_bytes, known.mtime_ns) != stamp


def _batches(instance: dg.DagsterInstance, platform: Platform) -> Iterator[dg.RunRequest]:
    """Batch runs for slides of the inbox that were never tried; a run is asked for once."""
    tried = {subject for _, _, subject in platform.catalog.latest_attempts()}
    inbox = platform.settings.inbox
    waiting = {
        slide_id
        for slide_id, paths in platform.catalog.all_paths().items()
        if slide_id not in tried and any(inbox in Path(p.path).parents for p in paths)
    }
    for stretch in stretches(list(instance.get_dynamic_partitions(str(SLIDES.name))), waiting, set()):
        yield dg.RunRequest(
            run_key=f"batch:{stretch[0]}:{stretch[-1]}:{len(stretch)}",
            job_name=PROCESS_SLIDES,
            tags={RANGE_START: stretch[0], RANGE_END: stretch[-1]},
        )


@dg.sensor(
    name="dead_runs",
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Marks runs failed whose process was killed, and gives their place in the pool back.",
)
def dead_runs(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """Look for runs whose process is gone."""
    failed = fail_dead_runs(context.instance)
    return dg.SkipReason(f"{len(failed)} runs had lost their process")
