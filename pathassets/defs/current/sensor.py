"""What is missing, stale or failed -> a run of `make_current`; off until switched on.

    open work ─▶ any that was not tried since? ─▶ no run or backfill under way? ─▶ one run

A slide that fails again is not asked for again, until something of it changes or someone else tries
it: a failure counts once, by the number of its attempt. The catalog is asked and no file looked at,
so that a tick costs the same few queries for any cohort.

https://docs.dagster.io/guides/automate/sensors
"""

from dataclasses import dataclass, replace
from typing import Self

import dagster as dg

from pathassets.defs.current.job import make_current
from pathassets.defs.follow import is_under_way
from pathassets.engine.platform.platform import Platform
from pathassets.engine.platform.standing.refresh import refresh_wanted
from pathassets.engine.platform.status import OpenWork, open_work

KEEP_CURRENT = "keep_current"
INTERVAL_S = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cursor:
    """What was asked for, in numbers of the catalog's attempts."""

    tried: int = 0
    """Failures up to here were tried once more."""
    asked: int = -1
    """The last attempt when a run was last asked for, which may not have ended."""
    n_untried: int = 0
    """Slides that nothing had been tried of then."""

    @classmethod
    def parse(cls, text: str | None) -> Self:
        match [int(part) for part in (text or "").split(":") if part]:
            case [tried, asked, n_untried]:
                return cls(tried=tried, asked=asked, n_untried=n_untried)
            case _:
                return cls()

    def dump(self) -> str:
        return f"{self.tried}:{self.asked}:{self.n_untried}"


@dg.sensor(
    name=KEEP_CURRENT,
    job=make_current,
    minimum_interval_seconds=INTERVAL_S,
    default_status=dg.DefaultSensorStatus.STOPPED,
    description="Asks for a run of make_current when anything is missing, stale or newly failed "
    "and no run is under way. What fails again is left until something of it changes.",
)
def keep_current(
    context: dg.SensorEvaluationContext, platform: dg.ResourceParam[Platform]
) -> dg.SensorResult:
    """Ask for one run when there is work that was not tried since."""
    was = _Cursor.parse(context.cursor)
    if is_under_way(context.instance):
        return _wait("runs are under way", was)
    platform = platform.readable
    last = platform.catalog.newest_attempt_id(besides="dataset")
    now = was if was.asked < 0 or last == was.asked else replace(was, tried=last, asked=-1)
    keys = [entry.key for entry in platform.recipe.per_slide]
    work = open_work(platform, refresh_wanted(platform), keys, retry=False)
    n_again = _n_failed_since(platform, work, now.tried)
    if not work.untried and not n_again:
        return _wait("nothing is missing, stale or newly failed", now)
    if (last, len(work.untried)) == (now.asked, now.n_untried):
        return _wait("the run that was asked for tried nothing: its page says why", now)
    request = dg.RunRequest(run_key=f"{KEEP_CURRENT}:{last}:{len(work.untried)}")
    asked = replace(now, asked=last, n_untried=len(work.untried))
    return dg.SensorResult(run_requests=[request], cursor=asked.dump())


def _n_failed_since(platform: Platform, work: OpenWork, tried: int) -> int:
    """How many slides failed that were not tried again since."""
    numbers = platform.catalog.last_tried(work.failed) if work.failed else {}
    return sum(number > tried for number in numbers.values())


def _wait(why: str, cursor: _Cursor) -> dg.SensorResult:
    return dg.SensorResult(skip_reason=why, cursor=cursor.dump())
