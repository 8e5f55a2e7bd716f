"""Slides + assets -> runs of the batch asset in this process: what `pathassets run` does.

The very asset that the UI's backfill runs, on the same instance, with the same events. A range of
neighbours is one run; slides between them that are current are taken along to keep it one.
"""

from dataclasses import dataclass
from typing import Iterable

import dagster as dg
from dagster._core.storage.partition_status_cache import get_and_update_asset_status_cache_value

from pathassets.core.recipe import Entry, Key
from pathassets.defs.batch import MAX_SLIDES
from pathassets.defs.jobs import BUILD_DATASETS, PROCESS_SLIDES
from pathassets.defs.partitions import SLIDES, stretches
from pathassets.defs.recovery import fail_dead_runs, process_tags
from pathassets.defs.sensors import RANGE_END, RANGE_START
from pathassets.defs.slides import report_slides
from pathassets.engine.platform import Platform
from pathassets.engine.status import CohortStatus, SlideStatus, cohort_status, needs_work
from pathassets.errors import CatalogError, SpecError

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
"""Events go to the instance; a terminal gets one line a slide, from the engine's log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a person asked for."""

    slide_ids: frozenset[str]
    """Empty for all."""
    entries: tuple[Entry, ...]
    retry: bool = False
    """Whether to try again what fails by the slide's content alone."""


def choose_entries(platform: Platform, select: Iterable[str]) -> tuple[Entry, ...]:
    """Entries that names stand for: a section, or section/name; all where none is named.

    Raises:
        SpecError: the recipe has no such section or entry.
    """
    chosen: set[Key] = set()
    for text in select:
        section, _, name = text.partition("/")
        keys = {
            e.key for e in platform.recipe.entries if e.section.name == section and name in {"", e.name}
        }
        if not keys:
            known = ", ".join("/".join(e.key) for e in platform.recipe.entries)
            raise SpecError(f"--select {text}: the recipe has no such entry", remedy=f"It has {known}")
        chosen |= keys
    return tuple(e for e in platform.recipe.entries if not chosen or e.key in chosen)


def run_slides_here(
    definitions: dg.Definitions, instance: dg.DagsterInstance, platform: Platform, wanted: Wanted
) -> int:
    """Run the batch asset for every slide that needs it; returns how many slides those were.

    Raises:
        CatalogError: a named slide is not registered.
    """
    entries = [e for e in wanted.entries if e.section.is_per_slide]
    status = cohort_status(platform)
    chosen = [s for s in status.slides if _is_chosen(s, wanted.slide_ids)]
    _require_known(status, wanted.slide_ids)
    report_slides(instance, platform, [s.planned.slide_id for s in chosen])
    keys = {e.key for e in entries}
    not_shown = _not_shown(instance, keys)
    needy = {
        s.planned.slide_id
        for s in chosen
        if needs_work(s, keys, retry=wanted.retry) or _is_unreported(s, keys, not_shown)
    }
    current = {
        s.planned.slide_id
        for s in status.slides
        if all(c.state == "current" for c in s.cells if c.key in keys)
    }
    order = list(instance.get_dynamic_partitions(str(SLIDES.name)))
    if not needy or not keys:
        return 0
    job = definitions.resolve_job_def(PROCESS_SLIDES)
    for stretch in stretches(order, needy, current):
        for start in range(0, len(stretch), MAX_SLIDES):
            part = stretch[start : start + MAX_SLIDES]
            job.execute_in_process(
                instance=instance,
                tags={RANGE_START: part[0], RANGE_END: part[-1], **process_tags()},
                asset_selection=[dg.AssetKey([*key]) for key in keys],
                run_config=QUIET,
                raise_on_error=False,
            )
    return len(needy)


def build_datasets_here(
    definitions: dg.Definitions, instance: dg.DagsterInstance, platform: Platform, wanted: Wanted
) -> int:
    """Build the datasets whose slides would give another version now; returns how many."""
    asked = {e.key for e in wanted.entries if not e.section.is_per_slide}
    due = [c.key for c in cohort_status(platform).datasets if c.key in asked and c.state != "current"]
    if due:
        definitions.resolve_job_def(BUILD_DATASETS).execute_in_process(
            instance=instance,
            tags=process_tags(),
            asset_selection=[dg.AssetKey([*key]) for key in due],
            run_config=QUIET,
        )
    return len(due)


def recover(instance: dg.DagsterInstance, platform: Platform) -> list[str]:
    """Clean up after killed runs: their state in Dagster, and their unfinished files."""
    platform.store.sweep_staging()
    return fail_dead_runs(instance)


def _is_chosen(status: SlideStatus, slide_ids: frozenset[str]) -> bool:
    return not slide_ids or status.planned.slide_id in slide_ids


def _require_known(status: CohortStatus, slide_ids: frozenset[str]) -> None:
    unknown = sorted(slide_ids - {s.planned.slide_id for s in status.slides})
    if unknown:
        raise CatalogError(
            f"slide {unknown[0]}: not registered",
            remedy="`pathassets status` lists the slides; `pathassets ingest` registers new ones",
        )


def _not_shown(instance: dg.DagsterInstance, keys: set[Key]) -> dict[Key, set[str]]:
    """Slides that Dagster does not show as made, though the catalog may: a run was killed."""
    order = set(instance.get_dynamic_partitions(str(SLIDES.name)))
    return {key: order - _green(instance, dg.AssetKey([*key])) for key in keys}


def _green(instance: dg.DagsterInstance, key: dg.AssetKey) -> set[str]:
    with dg.partition_loading_context(dynamic_partitions_store=instance):
        cache = get_and_update_asset_status_cache_value(instance, key, SLIDES)
        if cache is None:
            return set()
        made = cache.deserialize_materialized_partition_subsets(SLIDES)
        failed = cache.deserialize_failed_partition_subsets(SLIDES)
        return set(made.get_partition_keys()) - set(failed.get_partition_keys())


def _is_unreported(
    status: SlideStatus, keys: set[Key], not_shown: dict[Key, set[str]]
) -> bool:
    slide_id = status.planned.slide_id
    return any(c.state == "current" and c.key in keys and slide_id in not_shown[c.key]
               for c in status.cells)  # fmt: skip
