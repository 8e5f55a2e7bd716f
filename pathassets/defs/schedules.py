"""Schedules: datasets are rebuilt every night; where nothing changed, nothing is computed.

https://docs.dagster.io/guides/automate/schedules
"""

import dagster as dg

from pathassets.defs.dagster_internals import AssetJob

NIGHTLY = "0 2 * * *"


def build_nightly_schedule(build_datasets: AssetJob) -> dg.ScheduleDefinition:
    """Make the schedule of the dataset job."""
    return dg.ScheduleDefinition(
        name="nightly_datasets",
        job=build_datasets,
        cron_schedule=NIGHTLY,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Rebuilds the datasets at 02:00; an unchanged cohort gives the same version.",
    )
