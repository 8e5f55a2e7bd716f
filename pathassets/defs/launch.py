"""Slides + assets -> runs of the batch asset in this process: what `pathassets run` does.

The very asset that the UI's backfill runs, on the same instance, with the same events. A range of
neighbours is one run; slides between them that are current are taken along to keep it one.
"""

import logging
import socket
import uuid
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import dagster as dg
import psutil

from pathassets.core.recipe import Entry, Key
from pathassets.defs.assets.annotations import report_annotations
from pathassets.defs.assets.batch import POOL
from pathassets.defs.assets.dataset import shown_version
from pathassets.defs.assets.slide import report_slides
from pathassets.defs.events.data_versions import MATERIALIZED
from pathassets.defs.jobs import BUILD_DATASETS, PROCESS_SLIDES, REPAIR_SLIDES, SHARD_SLIDES
from pathassets.defs.partitions import SLIDES, parts, range_tags, slide_order, stretches
from pathassets.defs.recovery import NEVER_AGAIN, fail_dead_runs, process_tags
from pathassets.engine.platform.batch import MAX_SLIDES
from pathassets.engine.platform.platform import Platform
from pathassets.engine.platform.standing.look import look
from pathassets.engine.platform.standing.refresh import refresh_wanted
from pathassets.engine.platform.standing.rows import Cell
from pathassets.engine.platform.status import (
    dataset_cells,
    failed_datasets,
    slides_not_current,
    slides_with_work,
)
from pathassets.errors import CatalogError

NO_CONFIG: Mapping[str, Any] = {}
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
"""Events go to the instance; a terminal gets one line a slide, from the engine's log."""

USER_TAG = "user"
"""What Dagster's page shows as who launched a run."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a person asked for."""

    slide_ids: frozenset[str]
    """Empty for all."""
    entries: tuple[Entry, ...]
    retry: bool = False
    """Whether to try again what fails by the slide's content alone."""
    is_shard: bool = False
    """Whether other processes work on the other slides meanwhile: they are no neighbours."""


def run_slides_here(
    definitions: dg.Definitions, instance: dg.DagsterInstance, platform: Platform, wanted: Wanted
) -> int:
    """Run the batch asset for every slide that needs it; returns how many slides those were.

    The store is looked at first: what would be skipped is to be there.

    Raises:
        CatalogError: a named slide is not registered.
    """
    keys = {e.key for e in wanted.entries if e.stage.scope == "slide"}
    known = _ids_in_order(platform)
    _require_known(known, wanted.slide_ids)
    chosen = wanted.slide_ids or known
    plan_id = refresh_wanted(platform)
    look(platform, plan_id, wanted.slide_ids or None)
    report_annotations(instance, platform, chosen)
    order = slide_order(instance)
    open_work = slides_with_work(platform, plan_id, keys, retry=wanted.retry)
    open_work |= _unreported(instance, platform, plan_id, keys, order)
    needy = open_work.intersection(chosen)
    if wanted.is_shard:
        _execute_scattered(definitions, instance, SHARD_SLIDES, keys, sorted(needy))
        return len(needy)
    current = {*known} - slides_not_current(platform, plan_id, keys)
    for stretch in stretches(order, needy, current):
        for start in range(0, len(stretch), MAX_SLIDES):
            tags = range_tags(stretch[start : start + MAX_SLIDES])
            _execute(definitions, instance, PROCESS_SLIDES, keys, tags)
    return len(needy)


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltHere:
    """What became of the datasets that were due."""

    n_built: int = 0
    kept_back: tuple[Cell, ...] = ()
    """Those of which no version was made: their parts are not apart."""


def build_datasets_here(
    definitions: dg.Definitions, instance: dg.DagsterInstance, platform: Platform, wanted: Wanted
) -> BuiltHere:
    """Build the datasets whose slides would give another version now, a run for each."""
    asked = {e.key for e in wanted.entries if e.stage.scope == "cohort"}
    cells = [
        cell
        for cell in (dataset_cells(platform, refresh_wanted(platform)) if asked else ())
        if cell.key in asked
    ]
    unread = [cell for cell in cells if cell.state == "failed" and not cell.digest]
    due = {
        c.key
        for c in cells
        if c not in unread and (c.state != "current" or shown_version(instance, c.key) != c.digest)
    }
    for key in sorted(due):  # in one run, one that is kept back would end it before the others
        _execute(definitions, instance, BUILD_DATASETS, [key], {})
    kept_back = failed_datasets(platform, due)
    return BuiltHere(n_built=len(due) - len(kept_back), kept_back=(*unread, *kept_back))


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


def _ids_in_order(platform: Platform) -> dict[str, None]:
    """Ids of all slides, in order of registration."""
    return dict.fromkeys(one for page in platform.catalog.slide_pages() for one in page)


def _require_known(known: Container[str], slide_ids: Iterable[str]) -> None:
    unknown = sorted(one for one in slide_ids if one not in known)
    if unknown:
        raise CatalogError(
            f"slide {unknown[0]}: not registered",
            remedy="`pathassets status` lists the slides; `pathassets ingest` registers new ones",
        )


def _green(instance: dg.DagsterInstance, key: dg.AssetKey, slide_ids: list[str]) -> set[str]:
    """Slides of which Dagster shows an asset as made, though a run may be making it again."""
    with dg.partition_loading_context(dynamic_partitions_store=instance):
        states = instance.get_status_by_partition(key, slide_ids, SLIDES) or {}
    green = {s for s, state in states.items() if state == dg.AssetPartitionStatus.MATERIALIZED}
    events = instance.event_log_storage
    again = [s for s, state in states.items() if state == dg.AssetPartitionStatus.IN_PROGRESS]
    for part in parts(again):
        green |= {*events.get_latest_storage_id_by_partition(key, MATERIALIZED, set(part))}
    return green


def _unreported(
    instance: dg.DagsterInstance, platform: Platform, plan_id: int, keys: Iterable[Key],
    order: list[str],
) -> set[str]:  # fmt: skip
    """Slides that have what Dagster does not show as made: a run was killed in between."""
    found: set[str] = set()
    for key in keys:
        not_shown = set(order) - _green(instance, dg.AssetKey([*key]), order)
        if not_shown:
            found |= not_shown & platform.catalog.slides_in(plan_id, [key], ("current",))
    return found
