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

from pathassets.core.recipe import ANNOTATIONS, Entry, Key
from pathassets.defs.assets.batch import MAX_SLIDES, POOL
from pathassets.defs.assets.dataset import find_due
from pathassets.defs.assets.slide import report_slides
from pathassets.defs.current.choose import Wanted, choose_slides
from pathassets.defs.jobs import BUILD_DATASETS, PROCESS_SLIDES, REPAIR_SLIDES
from pathassets.defs.partitions import range_tags, stretches
from pathassets.defs.recovery import NEVER_AGAIN, fail_dead_runs, process_tags
from pathassets.engine.platform.platform import Platform
from pathassets.engine.platform.standing.refresh import refresh_wanted
from pathassets.engine.platform.standing.rows import Cell
from pathassets.engine.platform.status import dataset_cells, failed_datasets, slides_not_current
from pathassets.errors import SpecError, did_you_mean

NO_CONFIG: Mapping[str, Any] = {}
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
"""Events go to the instance; a terminal gets one line a slide, from the engine's log."""

USER_TAG = "user"
"""What Dagster's page shows as who launched a run."""

logger = logging.getLogger(__name__)


def choose_entries(platform: Platform, select: Iterable[str]) -> tuple[Entry, ...]:
    """Entries that names stand for: a stage, or stage/name; all where none is named.

    Raises:
        SpecError: the recipe has no such stage or entry, or nothing of it can be made.
    """
    makeable = [*platform.recipe.per_slide, *platform.recipe.datasets]
    chosen: set[Key] = set()
    for text in select:
        stage, _, name = text.partition("/")
        keys = {e.key for e in makeable if e.stage.name == stage and name in {"", e.name}}
        if not keys:
            if stage == ANNOTATIONS:
                raise SpecError(
                    f"--select {text}: annotations are recorded, not made",
                    remedy="Record some: pathassets annotations set",
                )
            raise SpecError(
                f"--select {text}: the recipe has no such entry",
                remedy=did_you_mean(text, ("/".join(e.key) for e in makeable), "It has"),
            )
        chosen |= keys
    return tuple(e for e in makeable if not chosen or e.key in chosen)


def run_slides_here(
    definitions: dg.Definitions, instance: dg.DagsterInstance, platform: Platform, wanted: Wanted
) -> int:
    """Run the batch asset for every slide that needs it; returns how many slides those were.

    The store is looked at first: what would be skipped is to be there.

    Raises:
        CatalogError: a named slide is not registered.
    """
    keys = wanted.slide_keys
    choice = choose_slides(instance, platform, wanted)
    needy = {*choice.slide_ids}
    current = {*choice.order} - slides_not_current(platform, choice.plan_id, keys)
    found = stretches(choice.order, needy, current)
    if len(found) > 1:
        names = ["/".join(key) for key in sorted(keys)]
        _repair(definitions, instance, [one for one in choice.order if one in needy], names)
        return len(needy)
    for stretch in found:
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
    cells = dataset_cells(platform, refresh_wanted(platform)) if wanted.cohort_keys else ()
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
    _repair(definitions, instance, slide_ids, [f"features/{features}"])


def _repair(
    definitions: dg.Definitions, instance: dg.DagsterInstance, slide_ids: list[str],
    assets: list[str],
) -> None:  # fmt: skip
    """Run slides that are no neighbours, so many in one run."""
    for start in range(0, len(slide_ids), MAX_SLIDES):
        config = {"slide_ids": slide_ids[start : start + MAX_SLIDES], "assets": assets}
        chosen = {"ops": {"repair_chosen_slides": {"config": config}}}
        _execute(definitions, instance, REPAIR_SLIDES, None, {}, chosen)


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
