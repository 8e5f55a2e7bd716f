"""Recipe -> Definitions: everything Dagster knows of this platform."""

import dagster as dg

from pathassets.core.recipe import Recipe
from pathassets.defs.alerts import alert_sensors
from pathassets.defs.assets.annotations import annotation_specs
from pathassets.defs.assets.batch import build_batch_asset
from pathassets.defs.assets.dataset import build_dataset_asset
from pathassets.defs.assets.quarantine import is_empty, quarantine
from pathassets.defs.assets.slide import slide
from pathassets.defs.current.job import make_current
from pathassets.defs.current.sensor import keep_current
from pathassets.defs.dagster_internals import tell_events_as_json
from pathassets.defs.follow import build_follow_sensor
from pathassets.defs.inbox import inbox, ingest_files, process_new_slides
from pathassets.defs.jobs import (
    BUILD_DATASETS,
    build_asset_jobs,
    collect_garbage,
    repair_slides,
    scrub_artifacts,
    shard_slides,
)
from pathassets.defs.page.nightly import WritePage, build_report_schedule
from pathassets.defs.resources import PlatformResource
from pathassets.defs.schedules import build_nightly_schedule, nightly_scrub, weekly_gc
from pathassets.defs.sensors import dead_runs
from pathassets.engine.logs import log_as_told
from pathassets.engine.settings import read_settings


def build_definitions(recipe: Recipe, *, write_page: WritePage | None = None) -> dg.Definitions:
    """Assemble the assets of a recipe and what drives them; a command needs no nightly page."""
    if log_as_told():
        tell_events_as_json()
    jobs = {job.name: job for job in build_asset_jobs(recipe)}
    batch = [build_batch_asset(recipe)] if recipe.per_slide else []
    return dg.Definitions(
        assets=[
            slide,
            quarantine,
            *annotation_specs(recipe),
            *batch,
            *(build_dataset_asset(recipe, entry) for entry in recipe.datasets),
        ],
        asset_checks=[is_empty],
        jobs=[
            *jobs.values(),
            make_current,
            repair_slides,
            shard_slides,
            ingest_files,
            process_new_slides,
            scrub_artifacts,
            collect_garbage,
        ],
        sensors=[
            dead_runs,
            keep_current,
            *alert_sensors(read_settings()),
            inbox,
            *(build_follow_sensor(job) for name, job in jobs.items() if name == BUILD_DATASETS),
        ],
        schedules=[
            *(build_nightly_schedule(job) for name, job in jobs.items() if name == BUILD_DATASETS),
            nightly_scrub,
            *([] if write_page is None else [build_report_schedule(write_page)]),
            weekly_gc,
        ],
        resources={"platform": PlatformResource()},
        executor=dg.in_process_executor,
    )
