"""Trouble at night -> who asked to be told: a scheduled run that failed, a disk nearly full.

    run of a schedule ─▶ failed ─────────▶ sensor `alerts` ─┐
    disks ─▶ free below a share or a size ─▶ `disk_space` ──┴▶ addresses of PATHASSETS_ALERTS

What is told leaves the house: it names no slide, patient or path. Runs that people start are theirs
to look at; a slide that fails in one is told by its partition.

https://docs.dagster.io/guides/automate/sensors/run-status-sensors
"""

from collections.abc import Iterator, Mapping

import dagster as dg
import psutil

from pathassets.adapters.telemetry.apprise import require_known, send
from pathassets.defs.text import quoted
from pathassets.engine.settings import Settings, disks_of, read_settings
from pathassets.errors import SpecError

SCHEDULE_TAG = "dagster/schedule_name"
DISK_INTERVAL_S = 600
LOW_SHARE, LOW_BYTES = 0.05, 50 * 10**9
"""A disk is nearly full that has less than both left: of a small one a twentieth, of a large one
what a night of whole-slide features takes."""


def alert_sensors(settings: Settings) -> list[dg.SensorDefinition]:
    """Make the sensors that tell people, where there is anybody to be told.

    Raises:
        SpecError: an address is none, which the night would show too late.
    """
    require_known(settings.alerts)
    return [alerts, disk_space] if settings.alerts else []


@dg.run_failure_sensor(
    name="alerts",
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Tells the addresses of PATHASSETS_ALERTS of a run of a schedule that failed.",
)
def alerts(context: dg.RunFailureSensorContext) -> None:
    """Tell of a scheduled run that failed."""
    run = context.dagster_run
    schedule = run.tags.get(SCHEDULE_TAG)
    if schedule is not None:
        tell(
            f"pathassets: {schedule} failed",
            f"Job {run.job_name}, run {run.run_id}. What failed, and why: the run's page, or "
            "pathassets status.",
        )


@dg.sensor(
    name="disk_space",
    minimum_interval_seconds=DISK_INTERVAL_S,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Tells the addresses of PATHASSETS_ALERTS of a disk that is nearly full, once.",
)
def disk_space(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """Tell of disks that became nearly full since the last look."""
    low = dict(low_disks(read_settings()))
    told = set((context.cursor or "").split())
    new = {place: said for place, said in low.items() if place not in told}
    if new:
        tell("pathassets: a disk is nearly full", _lines(new))
    context.update_cursor(" ".join(sorted(low)))
    return dg.SkipReason(_lines(low) if low else "no disk is nearly full")


def low_disks(settings: Settings) -> Iterator[tuple[str, str]]:
    """Disks that are nearly full, by what is kept there, and how much is left in words."""
    for place, folder in disks_of(settings).items():
        disk = psutil.disk_usage(str(folder))
        if disk.free < min(LOW_BYTES, LOW_SHARE * disk.total):
            share = disk.free / disk.total
            yield place, f"{disk.free / 10**9:.1f} GB of {disk.total / 10**9:.0f} GB, {share:.1%}"


def tell(title: str, text: str) -> None:
    """Send it.

    Raises:
        Failure: an address did not take it, which the sensor's tick then shows.
    """
    try:
        is_taken = send(read_settings().alerts, title, text)
    except SpecError as error:  # it was one, or apprise was there, when the definitions were loaded
        raise dg.Failure(quoted(str(error))) from error
    if not is_taken:
        raise dg.Failure(
            "an address of PATHASSETS_ALERTS did not take it: look at its key, and at the network"
        )


def _lines(low: Mapping[str, str]) -> str:
    return "\n".join(f"{place}: {said} left" for place, said in sorted(low.items()))
