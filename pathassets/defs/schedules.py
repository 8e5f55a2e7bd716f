"""Schedules: datasets are rebuilt every night, and bytes read again where that is switched on.

https://docs.dagster.io/guides/automate/schedules
"""

import dagster as dg

from pathassets.defs.dagster_internals import AssetJob
from pathassets.defs.jobs import scrub_artifacts

NIGHTLY = "0 2 * * *"
AFTER_DATASETS = "0 3 * * *"


def build_nightly_schedule(build_datasets: AssetJob) -> dg.ScheduleDefinition:
    """Make the schedule of the dataset job."""
    return dg.ScheduleDefinition(
        name="nightly_datasets",
        job=build_datasets,
        cron_schedule=NIGHTLY,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Rebuilds the datasets at 02:00; an unchanged cohort gives the same version.",
    )


nightly_scrub = dg.ScheduleDefinition(
    name="nightly_scrub",
    job=scrub_artifacts,
    cron_schedule=AFTER_DATASETS,
    default_status=dg.DefaultScheduleStatus.STOPPED,
    description="Reads a share of all artifacts again at 03:00, those first that were not read for "
    "longest; what is damaged fails the run, and is made anew by the next one.",
)
