"""The job `report`: the cohort page as a file in the home, and the schedule that writes it.

What writes it is given by `definitions`: the page is of another floor.

https://docs.dagster.io/guides/automate/schedules
"""

from collections.abc import Callable

import dagster as dg

from pathassets.defs.schedules import OFF
from pathassets.engine.platform.platform import Platform

REPORT = "report"
AFTER_SCRUB = "0 4 * * *"

WritePage = Callable[[Platform], object]
"""Writes the page of all slides; what it returns says what was written, and where."""


def build_report_schedule(write_page: WritePage) -> dg.ScheduleDefinition:
    """Make the job, and its schedule."""

    @dg.op
    def write_cohort_page(
        context: dg.OpExecutionContext, platform: dg.ResourceParam[Platform]
    ) -> None:
        context.log.info("%s", write_page(platform))

    @dg.job(
        name=REPORT,
        description="Writes the page of all slides into the home, cohort.html, as "
        "`pathassets report` does.",
    )
    def report() -> None:
        write_cohort_page()

    return dg.ScheduleDefinition(
        name="nightly_report",
        job=report,
        cron_schedule=AFTER_SCRUB,
        default_status=OFF,
        description="Writes cohort.html anew into the home at 04:00; until it is whole, the former "
        "page stays.",
    )
