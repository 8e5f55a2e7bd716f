"""Jobs: the batch over slides, the datasets, scattered slides again, upkeep.

https://docs.dagster.io/guides/build/jobs
"""

from collections.abc import Iterable

import dagster as dg
from pydantic import Field

from pathassets.core.recipe import Entry, Recipe
from pathassets.defs.assets.batch import POOL, run_slides
from pathassets.defs.dagster_internals import AssetJob
from pathassets.defs.text import bullets
from pathassets.engine.platform.merged_slides import ids_of_today
from pathassets.engine.platform.platform import Platform
from pathassets.engine.platform.standing.refresh import refresh_wanted
from pathassets.engine.platform.upkeep.clearing.garbage import (
    MOST_DAYS,
    OLDER_THAN_DAYS,
    find_garbage,
    remove_garbage,
)
from pathassets.engine.platform.upkeep.scrub import MOST_MINUTES, SHARE, scrub

PROCESS_SLIDES = "process_slides"
BUILD_DATASETS = "build_datasets"
REPAIR_SLIDES = "repair_slides"
SHARD_SLIDES = "shard_slides"
SCRUB = "scrub"
GC = "gc"


def build_asset_jobs(recipe: Recipe) -> list[AssetJob]:
    """Jobs over the recipe's assets."""
    jobs = []
    if recipe.per_slide:
        slides = dg.AssetSelection.assets(*([*e.key] for e in recipe.per_slide))
        jobs.append(
            dg.define_asset_job(
                PROCESS_SLIDES,
                selection=slides,
                description="Every per-slide asset of the recipe, for a range of slides.",
            )
        )
    if recipe.datasets:
        datasets = dg.AssetSelection.assets(*([*e.key] for e in recipe.datasets))
        jobs.append(
            dg.define_asset_job(
                BUILD_DATASETS, selection=datasets, description="Every dataset of the recipe."
            )
        )
    return jobs


class SlidesConfig(dg.Config):
    """Which slides to work on, and which assets of them."""

    slide_ids: list[str] = Field(
        default=[],
        description="Partition keys; they need not be neighbours. Where none is named: all slides "
        "that failed, when the run begins.",
    )
    assets: list[str] = Field(
        default=[],
        description="Such as features/colour_stats; all per-slide assets of the recipe where none "
        "is named.",
    )


@dg.op(pool=POOL)
def repair_chosen_slides(
    context: dg.OpExecutionContext, config: SlidesConfig, platform: dg.ResourceParam[Platform]
) -> None:
    """Work on slides that are no neighbours: the same work and events as the batch asset."""
    _run_chosen(context, config, platform)


def failed_slides(platform: Platform, entries: Iterable[Entry]) -> list[str]:
    """All slides of which one of some assets failed, be it by their content alone."""
    able = platform.readable
    keys = [entry.key for entry in entries]
    return sorted(able.catalog.slides_in(refresh_wanted(able), keys, ("failed", "blocked")))


@dg.job(
    name=REPAIR_SLIDES,
    description="Tries again the slides that failed, all or those that the launchpad names; it may "
    "name any others.",
)
def repair_slides() -> None:
    """Re-run scattered slides: Dagster's backfills take ranges, failures are scattered."""
    repair_chosen_slides()


@dg.op
def work_on_shard(
    context: dg.OpExecutionContext, config: SlidesConfig, platform: dg.ResourceParam[Platform]
) -> None:
    """Work on a share of the slides, beside others: no pool lets one wait for the other."""
    _run_chosen(context, config, platform)


@dg.job(
    name=SHARD_SLIDES,
    description="A share of the slides, of a cohort that several machines work on at once: "
    "`pathassets run --shard`.",
)
def shard_slides() -> None:
    """Work on a share of the slides."""
    work_on_shard()


def _run_chosen(context: dg.OpExecutionContext, config: SlidesConfig, platform: Platform) -> None:
    keys = {(a.partition("/")[0], a.partition("/")[2]) for a in config.assets}
    entries = [platform.recipe.entry(key) for key in sorted(keys)] or platform.recipe.per_slide
    ordered = [e for e in platform.recipe.per_slide if e in entries]
    slide_ids = ids_of_today(platform.catalog, config.slide_ids) or failed_slides(platform, ordered)
    run_slides(context, platform, slide_ids, ordered)


class ScrubConfig(dg.Config):
    """How much to read."""

    share: float = Field(default=SHARE, gt=0, le=1)
    """Of all artifacts."""
    minutes: float = Field(default=120.0, gt=0, le=MOST_MINUTES)


@dg.op
def read_oldest(config: ScrubConfig, platform: dg.ResourceParam[Platform]) -> None:
    """Read again the bytes of those artifacts that nobody read for longest."""
    done = scrub(platform, share=config.share, minutes=config.minutes)
    damaged = [f"{address}: {damage}" for address, damage in done.damaged]
    if damaged:
        raise dg.Failure(bullets(damaged), allow_retries=False)


class GarbageConfig(dg.Config):
    """What may go."""

    remove: bool = Field(default=False, description="Remove it; without, it is only counted.")
    older_than_days: float = Field(
        default=OLDER_THAN_DAYS,
        ge=0,
        le=MOST_DAYS,
        description="What was made since is left alone.",
    )


@dg.op
def look_for_garbage(
    context: dg.OpExecutionContext, config: GarbageConfig, platform: dg.ResourceParam[Platform]
) -> None:
    """Count, or remove, artifacts that no recipe, dataset or person needs."""
    work = remove_garbage if config.remove else find_garbage
    found = work(platform, older_than_days=config.older_than_days)
    n, n_bytes = sum(found.n.values()), sum(found.n_bytes.values())
    said = "removed" if config.remove else "could be removed"
    context.log.info("%d artifacts, %.1f MB, %s; %d stay", n, n_bytes / 1e6, said, found.n_kept)


@dg.job(
    name=GC,
    description="Counts the artifacts that no recipe, dataset or person needs; with `remove: true` "
    "it removes them.",
)
def collect_garbage() -> None:
    """Count, or remove, what nobody needs."""
    look_for_garbage()


@dg.job(name=SCRUB, description="Read a share of all artifacts again; what is damaged is told.")
def scrub_artifacts() -> None:
    """Read a share of all artifacts again."""
    read_oldest()
