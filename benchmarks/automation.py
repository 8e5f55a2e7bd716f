"""What Dagster's declarative automation costs over 10,000 slides, beside the sensor `keep_current`.

A home is filled as by `benchmarks/catalog.py`, one slide in twenty without features. Each way of
asking is a process of its own and ticks three times: at first, with nothing changed, and after one
slide got another resolution.

    eager, on_missing   an `AutomationCondition` on every asset of a slide, as the daemon evaluates
    keep_current        the sensor of this package

Then what a `FreshnessPolicy` can tell of partitions, and what a check `is_current` would cost.

    .venv/bin/python benchmarks/automation.py [--slides 10000]
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from catalog import fill
from events import describe_machine, home_of

LACKS_EVERY = 20
N_CHECKS = 200


def drop_some_features(home: Path) -> None:
    """Forget features of one slide in twenty: in the catalog and in Dagster."""
    pick = f"SELECT slide_id FROM slide WHERE substr(fingerprint, 1, 8) IN ({_picked(home)})"  # noqa: S608 - our own words
    with closing(sqlite3.connect(home / "store" / "catalog.sqlite")) as catalog, catalog:
        ids = [row[0] for row in catalog.execute(pick)]
        marks = ",".join("?" for _ in ids)
        for table in ("latest_attempt", "attempt", "artifact"):
            of_them = f"stage = 'features' AND partition_key IN ({marks})"
            catalog.execute(f"DELETE FROM {table} WHERE {of_them}", ids)  # noqa: S608 - the same
    index_db = home / ".dagster" / "history" / "runs" / "index.db"
    with closing(sqlite3.connect(index_db)) as index, index:
        of_them = f"asset_key LIKE '%features%' AND partition IN ({marks})"
        index.execute(
            f"DELETE FROM asset_event_tags WHERE event_id IN (SELECT id FROM event_logs WHERE {of_them})",  # noqa: S608, E501 - the same
            ids,
        )
        index.execute(f"DELETE FROM event_logs WHERE {of_them}", ids)  # noqa: S608 - the same
    print(f"  {len(ids)} slides lack features", flush=True)


def _picked(home: Path) -> str:
    with closing(sqlite3.connect(home / "store" / "catalog.sqlite")) as catalog:
        found = [row[0] for row in catalog.execute("SELECT substr(fingerprint, 1, 8) FROM slide")]
    return ",".join(f"'{one}'" for one in sorted(found)[::LACKS_EVERY])


@contextmanager
def opened() -> Iterator[tuple[Any, Any, Any]]:
    """Platform, instance and definitions of the home."""
    from pathassets.defs.build import build_definitions  # noqa: PLC0415 - counted as imports
    from pathassets.defs.instance import open_instance  # noqa: PLC0415
    from pathassets.engine.platform.platform import open_platform  # noqa: PLC0415
    from pathassets.engine.settings import read_settings  # noqa: PLC0415

    settings = read_settings()
    with open_platform(settings) as platform, open_instance(settings) as instance:
        yield platform, instance, build_definitions(platform.recipe)


def restate_one(platform: Any, instance: Any, n: int) -> None:
    """Give the slide of a number another resolution, as `pathassets mpp set` does."""
    from pathassets.defs.assets.slide import report_slides  # noqa: PLC0415 - counted as imports
    from pathassets.defs.partitions import slide_order  # noqa: PLC0415

    slide_id = slide_order(instance)[n]
    platform.catalog.override_mpp(slide_id, 0.4, who="a script", why="to see what follows")
    report_slides(instance, platform, [slide_id])


def tick_thrice(tick: Callable[[], str], change: Callable[[], None]) -> None:
    """Print what three ticks cost: at first, with nothing changed, after a change."""
    for what in ("at first", "nothing changed", "one slide restated"):
        if what.startswith("one"):
            change()
        before_s, began_s = time.process_time(), time.perf_counter()
        said = tick()
        cpu_s, wall_s = time.process_time() - before_s, time.perf_counter() - began_s
        peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(
            f"    {what:20}{cpu_s:8.2f} CPU-s{wall_s:8.1f} s{peak_mb:7.0f} MB  {said}", flush=True
        )


def by_condition(name: str) -> None:
    """Tick with an automation condition on all assets that Dagster can run."""
    import dagster as dg  # noqa: PLC0415 - counted as an import
    from dagster_shared.serdes import serialize_value  # noqa: PLC0415

    from pathassets.defs.partitions import slide_order, stretches  # noqa: PLC0415

    condition = getattr(dg.AutomationCondition, name)()
    with opened() as (platform, instance, definitions):
        graph = definitions.resolve_asset_graph()
        keys = sorted(graph.materializable_asset_keys)
        conditioned = definitions.map_asset_specs(
            func=lambda spec: (
                spec.replace_attributes(automation_condition=condition)
                if spec.key in keys
                else spec
            )
        )
        cursor = None

        def tick() -> str:
            nonlocal cursor
            result = dg.evaluate_automation_conditions(conditioned, instance, cursor=cursor)
            cursor = result.cursor
            asked = {
                one
                for key in keys
                for one in result.get_requested_partitions(key)
                if one is not None
            }
            n_runs = len(stretches(slide_order(instance), asked, set()))
            n_mb = len(serialize_value(cursor)) / 1e6
            return f"{result.total_requested} partitions in {n_runs} ranges, cursor {n_mb:.2f} MB"

        tick_thrice(tick, lambda: restate_one(platform, instance, len(name)))


def by_sensor() -> None:
    """Tick with the sensor of this package."""
    import dagster as dg  # noqa: PLC0415 - counted as an import

    from pathassets.defs.current.sensor import keep_current  # noqa: PLC0415

    with opened() as (platform, instance, definitions):
        cursor = None

        def tick() -> str:
            nonlocal cursor
            context = dg.build_sensor_context(
                instance, cursor=cursor, resources={"platform": platform}, definitions=definitions
            )
            data = keep_current.evaluate_tick(context)
            cursor = data.cursor
            return f"{len(data.run_requests or ())} runs, cursor {len(cursor or '')} characters"

        tick_thrice(tick, lambda: restate_one(platform, instance, 42))


def by_policy() -> None:
    """Ask a freshness policy of a day of 10,000 partitions, of which one was made now."""
    import asyncio  # noqa: PLC0415 - here alone

    import dagster as dg  # noqa: PLC0415 - counted as an import
    from dagster._core.definitions.freshness_evaluator import (  # noqa: PLC0415
        FRESHNESS_EVALUATORS_BY_POLICY_TYPE,
    )
    from dagster._core.loader import LoadingContextForTest  # noqa: PLC0415

    from pathassets.defs.partitions import slide_order  # noqa: PLC0415

    policy = dg.FreshnessPolicy.time_window(fail_window=timedelta(days=1))
    key = dg.AssetKey(["features", "colours"])
    with opened() as (_, instance, definitions):
        told = definitions.map_asset_specs(
            func=lambda spec: (
                spec.replace_attributes(freshness_policy=policy) if spec.key == key else spec
            )
        )
        node = told.resolve_asset_graph().get(key)
        made = dg.AssetMaterialization(key, partition=slide_order(instance)[8])
        instance.report_runless_asset_event(made)
        evaluator = FRESHNESS_EVALUATORS_BY_POLICY_TYPE[type(policy)]()
        before_s = time.process_time()
        state = asyncio.run(evaluator.evaluate_freshness(LoadingContextForTest(instance), node))
        cpu_s = time.process_time() - before_s
        print(f"    for all partitions the state of the newest event: {state} ({cpu_s:.2f} CPU-s)")


def by_check() -> None:
    """Report a check for slides, one by one and as a run would."""
    import dagster as dg  # noqa: PLC0415 - counted as an import

    from pathassets.defs.dagster_internals import fast_events  # noqa: PLC0415
    from pathassets.defs.partitions import slide_order  # noqa: PLC0415

    key = dg.AssetKey(["features", "colours"])
    with opened() as (_, instance, _), fast_events(instance):
        slide_ids = slide_order(instance)[:N_CHECKS]
        before_s = time.process_time()
        for slide_id in slide_ids:
            said = dg.AssetCheckEvaluation(
                asset_key=key, check_name="is_current", passed=False, partition=slide_id,
                description="mpp: 0.5 → 0.4, by Ann",
            )  # fmt: skip
            instance.report_runless_asset_event(said)
        each_ms = 1e3 * (time.process_time() - before_s) / len(slide_ids)
        print(f"    a check of one asset of one slide: {each_ms:.1f} CPU-ms")


WAYS: dict[str, Callable[[], None]] = {
    "eager": lambda: by_condition("eager"),
    "on_missing": lambda: by_condition("on_missing"),
    "keep_current": by_sensor,
    "FreshnessPolicy": by_policy,
    "is_current": by_check,
}


def main() -> int:
    """Fill a home, ask it in every way, tidy up; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--slides", type=int, default=10_000)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.way:
        WAYS[args.way]()
        return 0
    print(describe_machine(), flush=True)
    folder = Path(tempfile.mkdtemp(prefix="pathassets-automation-"))
    try:
        with home_of(folder / "home"):
            fill(folder, args.slides, has_dagster=True)
            drop_some_features(folder / "home")
            for way in WAYS:
                print(f"  {way}", flush=True)
                command = [sys.executable, __file__, "--way", way]
                subprocess.run(command, check=True, env={**os.environ})  # noqa: S603 - our own
    finally:
        shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
