"""Jobs: the batch over slides, the datasets, the re-run of scattered slides, the inbox, scrubbing.

https://docs.dagster.io/guides/build/jobs
"""

from pathlib import Path

import dagster as dg
from pydantic import Field

from pathassets.core.recipe import Recipe
from pathassets.defs.assets.batch import POOL, run_slides
from pathassets.defs.assets.slide import report_slides
from pathassets.defs.dagster_internals import AssetJob
from pathassets.defs.text import bullets
from pathassets.engine.platform.ingestion.ingest import find_files, ingest
from pathassets.engine.platform.merged_slides import ids_of_today
from pathassets.engine.platform.platform import Platform
from pathassets.engine.platform.upkeep.scrub import SHARE, scrub

PROCESS_SLIDES = "process_slides"
BUILD_DATASETS = "build_datasets"
REPAIR_SLIDES = "repair_slides"
SHARD_SLIDES = "shard_slides"
INGEST_FILES = "ingest_files"
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
    _run_chosen(context, config, platform)


@dg.job(name=REPAIR_SLIDES, description="Re-run scattered slides, such as the failed ones.")
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
    run_slides(context, platform, ids_of_today(platform.catalog, config.slide_ids), ordered)


class FilesConfig(dg.Config):
    """Which files to register."""

    files: list[str]
    """Absolute paths."""


@dg.op
def register_files(
    context: dg.OpExecutionContext, config: FilesConfig, platform: dg.ResourceParam[Platform]
) -> None:
    """Register files as slides and make partitions of them."""
    files = find_files(Path(file) for file in config.files)
    found = list(ingest(platform, files))
    report_slides(context.instance, platform, [one.slide_id for one in found if one.slide_id])
    refused = [str(one.error) for one in found if one.error is not None]
    if refused:
        raise dg.Failure(bullets(refused), allow_retries=False)


@dg.job(name=INGEST_FILES, description="Register files as slides; the inbox sensor asks for it.")
def ingest_files() -> None:
    """Register files as slides."""
    register_files()


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
