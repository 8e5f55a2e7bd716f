"""Slides + assets -> runs of the batch asset in this process: what `pathassets run` does.

The very asset that the UI's backfill runs, on the same instance, with the same events, over slides
that are neighbours; those between them that are current are taken along. Scattered slides are one
run of the job `repair_slides`, which does the same.
"""

import logging
import socket
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import dagster as dg
import psutil

from pathassets.core.recipe import Key
from pathassets.defs.assets.batch import POOL
from pathassets.defs.assets.dataset import find_due
from pathassets.defs.assets.slide import report_slides
from pathassets.defs.current.choose import Wanted, choose_slides
from pathassets.defs.jobs import BUILD_DATASETS, PROCESS_SLIDES, REPAIR_SLIDES, SHARD_SLIDES
from pathassets.defs.partitions import range_tags, stretches
from pathassets.defs.recovery import NEVER_AGAIN, fail_dead_runs, process_tags
from pathassets.engine.platform.batch import MAX_SLIDES
from pathassets.engine.platform.platform import Platform
from pathassets.engine.platform.standing.refresh import refresh_wanted
from pathassets.engine.platform.standing.rows import Cell
from pathassets.engine.platform.status import dataset_cells, failed_datasets, slides_not_current

NO_CONFIG: Mapping[str, Any] = {}
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
"""Events go to the instance; a terminal gets one line a slide, from the engine's log."""

USER_TAG = "user"
"""What Dagster's page shows as who launched a run."""

logger = logging.getLogger(__name__)


def run_slides_here(
    definitions: dg.Definitions, instance: dg.DagsterInstance, platform: Platform, wanted: Wanted
) -> frozenset[str]:
    """Run the batch asset for every slide that needs it; returns which slides those were.

    The store is looked at first: what would be skipped is to be there.

    Raises:
        CatalogError: a named slide is not registered.
    """
    keys = wanted.slide_keys
    choice = choose_slides(instance, platform, wanted)
    needy = choice.slide_ids
    in_order = [one for one in choice.order if one in needy]
    if wanted.is_shard:
        _execute_scattered(definitions, instance, SHARD_SLIDES, keys, in_order)
        return needy
    current = {*choice.order} - slides_not_current(platform, choice.plan_id, keys)
    current -= platform.catalog.begun_removals().keys()
    found = stretches(choice.order, {*needy}, current)
    if len(found) > 1:
        _execute_scattered(definitions, instance, REPAIR_SLIDES, keys, in_order)
        return needy
    for stretch in found:
        for start in range(0, len(stretch), MAX_SLIDES):
            tags = range_tags(stretch[start : start + MAX_SLIDES])
            _execute(definitions, instance, PROCESS_SLIDES, keys, tags)
    return needy


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltHere:
    """What became of the datasets that were due."""

    n_built: int = 0
    kept_back: tuple[Cell, ...] = ()
    """Those of which no version was made: their parts are not apart."""
    incomplete: tuple[Cell, ...] = ()
    """Those in force without slides of which features are still to be computed."""


def build_datasets_here(
    definitions: dg.Definitions, instance: dg.DagsterInstance, platform: Platform, wanted: Wanted
) -> BuiltHere:
    """Build the datasets whose slides would give another version now, a run for each."""
    due = find_due(instance, platform, wanted.cohort_keys)
    for key in due.keys:  # in one run, one that is kept back would end it before the others
        _execute(definitions, instance, BUILD_DATASETS, [key], {})
    kept_back = failed_datasets(platform, due.keys)
    cells = dataset_cells(platform, refresh_wanted(platform)) if due.keys else due.cells
    return BuiltHere(
        n_built=len(due.keys) - len(kept_back),
        kept_back=(*due.unread, *kept_back),
        incomplete=tuple(c for c in cells if c.key in wanted.cohort_keys and c.n_to_compute),
    )


def report_imported(
    definitions: dg.Definitions, instance: dg.DagsterInstance, platform: Platform, features: str,
    slide_ids: list[str],
) -> None:  # fmt: skip
    """Show features of an entry that were imported for slides, by runs that find them made.

    An event of its own, without a run, could be reported of a check once and never again.
    """
    report_slides(instance, platform, slide_ids)
    key = "features", features
    _execute_scattered(definitions, instance, REPAIR_SLIDES, [key], slide_ids)


def _execute_scattered(
    definitions: dg.Definitions, instance: dg.DagsterInstance, job_name: str, keys: Iterable[Key],
    slide_ids: list[str],
) -> None:  # fmt: skip
    """Run slides that need be no neighbours, by a job whose one op takes their ids."""
    assets = sorted("/".join(key) for key in keys)
    for start in range(0, len(slide_ids), MAX_SLIDES):
        config = {"slide_ids": slide_ids[start : start + MAX_SLIDES], "assets": assets}
        [op] = definitions.resolve_job_def(job_name).graph.node_names()
        chosen = {"ops": {op: {"config": config}}}
        _execute(definitions, instance, job_name, None, {}, chosen)


def _execute(  # noqa: PLR0913, PLR0917 - a job, where, on what, how
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    job_name: str,
    keys: Iterable[Key] | None,
    tags: Mapping[str, str],
    config: Mapping[str, Any] = NO_CONFIG,
) -> None:
    """Run a job in this process, with what went wrong raised as what it is; keys are of assets."""
    run_id = str(uuid.uuid4())
    by = f"{psutil.Process().username()}@{socket.gethostname()}"
    if job_name == PROCESS_SLIDES:
        _tell_if_full(instance)
    try:
        definitions.resolve_job_def(job_name).execute_in_process(
            instance=instance,
            run_id=run_id,
            tags={**tags, **process_tags(run_id), **NEVER_AGAIN, USER_TAG: by},
            asset_selection=None if keys is None else [dg.AssetKey([*key]) for key in keys],
            run_config={**QUIET, **config},
        )
    except dg.Failure:
        pass  # slides failed: the catalog knows which and why
    except dg.DagsterExecutionInterruptedError as error:
        raise KeyboardInterrupt from error
    except dg.DagsterUserCodeExecutionError as error:
        raise error.user_exception from None  # wrapped: the platform could not be opened


def _tell_if_full(instance: dg.DagsterInstance) -> None:
    """Say so when a run has to wait: the pool lets one batch at a time work."""
    pool = instance.event_log_storage.get_concurrency_info(POOL)
    if pool.slot_count and pool.active_slot_count >= pool.slot_count:
        running = ", ".join(sorted(run_id[:8] for run_id in pool.active_run_ids))
        logger.warning("waiting: run %s is working on slides", running)


def recover(instance: dg.DagsterInstance, platform: Platform) -> list[str]:
    """Clean up after killed runs: their state in Dagster, and their unfinished files."""
    platform.store.sweep_staging()
    return fail_dead_runs(instance)
