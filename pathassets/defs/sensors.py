"""The sensor that looks for runs whose process is gone; that of the inbox is in `inbox`.

https://docs.dagster.io/guides/automate/sensors
"""

import dagster as dg

from pathassets.core.text import counted
from pathassets.defs.recovery import fail_dead_runs


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
    return dg.SkipReason(
        f"{counted(len(failed), 'run')} had lost {'its' if len(failed) == 1 else 'their'} process"
    )
