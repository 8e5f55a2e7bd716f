"""Schedules, all off until switched on: datasets rebuilt, bytes read again, garbage removed.

https://docs.dagster.io/guides/automate/schedules
"""

import dagster as dg

from pathassets.defs.dagster_internals import AssetJob
from pathassets.defs.jobs import GarbageConfig, collect_garbage, scrub_artifacts
from pathassets.engine.platform.upkeep.clearing.garbage import OLDER_THAN_DAYS

NIGHTLY = "0 2 * * *"
AFTER_DATASETS = "0 3 * * *"
SUNDAYS = "0 5 * * 0"
OFF = dg.DefaultScheduleStatus.STOPPED
"""A schedule that nobody switched on surprises people: what it does is done while they are away."""


def build_nightly_schedule(build_datasets: AssetJob) -> dg.ScheduleDefinition:
    """Make the schedule of the dataset job."""
    return dg.ScheduleDefinition(
        name="nightly_datasets",
        job=build_datasets,
        cron_schedule=NIGHTLY,
        default_status=OFF,
        description="Rebuilds the datasets at 02:00; an unchanged cohort gives the same version.",
    )


nightly_scrub = dg.ScheduleDefinition(
    name="nightly_scrub",
    job=scrub_artifacts,
    cron_schedule=AFTER_DATASETS,
    default_status=OFF,
    description="Reads a share of all artifacts again at 03:00, those first that were not read for "
    "longest; what is damaged fails the run, and is made anew by the next one.",
)

weekly_gc = dg.ScheduleDefinition(
    name="weekly_gc",
    job=collect_garbage,
    cron_schedule=SUNDAYS,
    run_config=dg.RunConfig({"look_for_garbage": GarbageConfig(remove=True)}),
    default_status=OFF,
    description="REMOVES, on Sundays at 05:00, artifacts older than "
    f"{OLDER_THAN_DAYS:g} days that no recipe, dataset, release or person needs: for good. The job "
    "gc, started by hand, counts them and removes nothing.",
)
