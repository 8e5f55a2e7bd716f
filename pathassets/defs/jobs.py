"""Jobs: the batch over slides, the datasets, the re-run of scattered slides, scrubbing.

https://docs.dagster.io/guides/build/jobs
"""

import dagster as dg
from pydantic import Field

from pathassets.core.recipe import Recipe
from pathassets.defs.assets.batch import POOL, run_slides
from pathassets.defs.dagster_internals import AssetJob
from pathassets.defs.text import bullets
from pathassets.engine.platform.merged_slides import ids_of_today
from pathassets.engine.platform.platform import Platform
from pathassets.engine.platform.upkeep.scrub import SHARE, scrub

PROCESS_SLIDES = "process_slides"
BUILD_DATASETS = "build_datasets"
REPAIR_SLIDES = "repair_slides"
SCRUB = "scrub"


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

    slide_ids: list[str]
    """Partition keys; they need not be neighbours."""
    assets: list[str] = Field(default_factory=list)
    """Such as `features/colour_stats`; all per-slide assets of the recipe where none is named."""


@dg.op(pool=POOL)
def repair_chosen_slides(
    context: dg.OpExecutionContext, config: SlidesConfig, platform: dg.ResourceParam[Platform]
) -> None:
    """Work on slides that are no neighbours: the same work and events as the batch asset."""
    keys = {(a.partition("/")[0], a.partition("/")[2]) for a in config.assets}
    entries = [platform.recipe.entry(key) for key in sorted(keys)] or platform.recipe.per_slide
    ordered = [e for e in platform.recipe.per_slide if e in entries]
    run_slides(context, platform, ids_of_today(platform.catalog, config.slide_ids), ordered)


@dg.job(name=REPAIR_SLIDES, description="Re-run scattered slides, such as the failed ones.")
def repair_slides() -> None:
    """Re-run scattered slides: Dagster's backfills take ranges, failures are scattered."""
    repair_chosen_slides()


class ScrubConfig(dg.Config):
    """How much to read."""

    share: float = SHARE
    """Of all artifacts."""
    minutes: float = Field(default=120.0, gt=0)


@dg.op
def read_oldest(config: ScrubConfig, platform: dg.ResourceParam[Platform]) -> None:
    """Read again the bytes of those artifacts that nobody read for longest."""
    done = scrub(platform, share=config.share, minutes=config.minutes)
    damaged = [f"{address}: {damage}" for address, damage in done.damaged]
    if damaged:
        raise dg.Failure(bullets(damaged), allow_retries=False)


@dg.job(name=SCRUB, description="Read a share of all artifacts again; what is damaged is told.")
def scrub_artifacts() -> None:
    """Read a share of all artifacts again."""
    read_oldest()
