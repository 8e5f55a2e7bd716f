"""Slides that were run -> the datasets built from them, whoever ran them and however it ended.

Dagster itself stops at a failed run: after one bad slide, a backfill leaves out what is made from
all slides. A dataset is made from those that are done. So a sensor looks whether anything was tried
since it last looked, waits until no run and no backfill is under way, and asks for the datasets
that would be another version now.

https://docs.dagster.io/guides/automate/sensors
"""

from dataclasses import dataclass
from typing import Self

import dagster as dg

from pathassets.core.recipe import Key
from pathassets.defs.assets.dataset import due_datasets
from pathassets.defs.dagster_internals import AssetJob, is_backfilling
from pathassets.defs.recovery import UNFINISHED
from pathassets.engine.platform.platform import Platform

INTERVAL_S = 15
FOLLOW = "datasets_follow"
MAX_LOOKED = 50_000
"""Slides of which a tick works out what a dataset would be: 0.2 ms each, half of it for a look at
the features, which a slow disk makes half a millisecond. Dagster gives a tick a minute. Of more the
run finds out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cursor:
    """How far the sensor has come, in numbers of the catalog's attempts."""

    done: int = 0
    """Up to here datasets follow."""
    seen: int = 0
    """The last one when it was first seen that no run is under way; 0 while one is. Whoever made it
    may be about to go on, or to build the datasets himself: so once more is waited."""

    @classmethod
    def parse(cls, text: str | None) -> Self:
        done, _, seen = (text or "").partition(":")
        return cls(done=int(done), seen=int(seen)) if seen else cls()

    def dump(self) -> str:
        return f"{self.done}:{self.seen}"


def build_follow_sensor(build_datasets: AssetJob) -> dg.SensorDefinition:
    """Make the sensor that asks for the dataset job; looking when nothing was done is one query."""

    @dg.sensor(
        name=FOLLOW,
        job=build_datasets,
        minimum_interval_seconds=INTERVAL_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Builds the datasets of what is done once slides were run and no run is under "
        "way, be it that some slides failed. A dataset that would be the same is left alone.",
    )
    def datasets_follow(
        context: dg.SensorEvaluationContext, platform: dg.ResourceParam[Platform]
    ) -> dg.SensorResult:
        was = _Cursor.parse(context.cursor)
        last = platform.catalog.newest_attempt_id(besides="dataset")
        if last == was.done:
            return _wait("nothing was run since", was)
        if is_under_way(context.instance):
            return _wait("runs are under way", _Cursor(done=was.done))
        if last != was.seen:
            return _wait("runs have just ended", _Cursor(done=was.done, seen=last))
        now = _Cursor(done=last, seen=last)
        due = _due(context.instance, platform)
        if not due:
            return _wait("every dataset would be the same", now)
        request = dg.RunRequest(
            run_key=f"{FOLLOW}:{last}", asset_selection=[dg.AssetKey([*key]) for key in due]
        )
        return dg.SensorResult(run_requests=[request], cursor=now.dump())

    return datasets_follow


def _wait(why: str, cursor: _Cursor) -> dg.SensorResult:
    return dg.SensorResult(skip_reason=why, cursor=cursor.dump())


def _due(instance: dg.DagsterInstance, platform: Platform) -> list[Key]:
    if platform.catalog.n_slides() > MAX_LOOKED:
        return [entry.key for entry in platform.readable.recipe.datasets]
    return due_datasets(instance, platform)


def is_under_way(instance: dg.DagsterInstance) -> bool:
    """Whether a run or a backfill has not ended: it may make more that goes into a dataset."""
    unfinished = dg.RunsFilter(statuses=UNFINISHED)
    return bool(instance.get_run_ids(unfinished, limit=1)) or is_backfilling(instance)
