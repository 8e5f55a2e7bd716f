"""The batch asset: one run, many slides, each its own partition with its own outcome.

It holds every per-slide stage of the recipe. The body never yields an output, so Dagster adds no
materialization of its own; each slide's events are logged as it finishes. A partition that was
planned and not materialized in a failed run is shown failed, the others stay green.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import dagster as dg

from pathassets.core.recipe import Entry, Recipe
from pathassets.defs.dagster_internals import fast_events, plan_late
from pathassets.defs.events.checks import check_specs, withdraw_checks
from pathassets.defs.events.data_versions import Provenance, asset_key, code_version
from pathassets.defs.events.slide_events import events_of, failure_of, said_unknown
from pathassets.defs.partitions import SLIDE_KEY, SLIDES, forget_merged
from pathassets.defs.recovery import tried_again
from pathassets.defs.text import bullets, line, quoted
from pathassets.engine.platform.batch import MAX_SLIDES, run_batch
from pathassets.engine.platform.plan import plan_slides
from pathassets.engine.platform.platform import Platform
from pathassets.engine.platform.provenance.openlineage import tell_batch
from pathassets.engine.platform.status import left_out_cells
from pathassets.engine.stages.outcomes import SlideOutcome

POOL = "slides"
OWNER = "team:pathology"

_WORDS = {
    "tissue_mask": ("Where there is tissue on the slide, and where glass.", {"zarr", "opencv"}),
    "patch_locations": ("Squares of the slide that become patches.", {"parquet", "numpy"}),
    "patch_set": ("Images of the patches, as files or packed.", {"parquet", "images"}),
    "patch_quality": (
        "Focus, colour, ink, folds of every patch, and of the slide by them.",
        {"parquet", "opencv"},
    ),
    "features": ("One row of numbers for every patch.", {"zarr"}),
    "slide_embedding": (
        "One vector for the whole slide, of the features of its patches.",
        {"zarr"},
    ),
}


def build_batch_asset(recipe: Recipe) -> dg.AssetsDefinition:
    """Make the batch asset of a recipe."""

    @dg.multi_asset(
        name="slide_batch",
        specs=[_spec(recipe, entry) for entry in recipe.per_slide],
        check_specs=[*check_specs(recipe)],
        partitions_def=SLIDES,
        can_subset=True,
        backfill_policy=dg.BackfillPolicy.multi_run(MAX_SLIDES),
        pool=POOL,
    )
    def slide_batch(
        context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]
    ) -> Iterator[Any]:
        selected = context.selected_asset_keys
        wanted = [e for e in recipe.per_slide if dg.AssetKey([*e.key]) in selected]
        run_slides(context, platform, list(context.partition_keys), wanted)
        yield from ()

    return slide_batch


def run_slides(
    context: dg.OpExecutionContext | dg.AssetExecutionContext,
    platform: Platform,
    slide_ids: list[str],
    wanted: list[Entry],
) -> None:
    """Work on the slides, and fail at last if any failed, or any of the assets cannot be made.

    Raises:
        dagster.Failure: slides failed, or are not in the catalog; weights of an asset are gone.
    """
    failed: list[SlideOutcome] = []
    unknown: list[str] = []
    left_out = left_out_cells(platform, [entry.key for entry in wanted])
    able = [one for one in wanted if one.key not in {cell.key for cell in left_out}]
    for start in range(0, len(slide_ids), MAX_SLIDES):  # more at once would cost memory
        with tried_again(context, platform):
            part = _work_on(context, platform.readable, slide_ids[start : start + MAX_SLIDES], able)
        failed += part[0]
        unknown += part[1]
    if failed or unknown or left_out:
        lines = [said_unknown(platform, slide_id) for slide_id in unknown]
        raise failure_of(failed, lines, len(set(slide_ids)), left_out)


def _work_on(
    context: dg.OpExecutionContext | dg.AssetExecutionContext,
    platform: Platform,
    slide_ids: list[str],
    wanted: list[Entry],
) -> tuple[list[SlideOutcome], list[str]]:
    """Log each slide's events as it finishes; returns what failed, and ids of no slide."""
    run_id = context.run.run_id
    chosen = set(slide_ids)
    provenance = Provenance(context.instance, platform.recipe, wanted, chosen)
    planned = plan_slides(platform, chosen)
    merged = forget_merged(context.instance, platform)
    unknown = sorted(chosen - merged - {p.slide_id for p in planned})
    failed: list[SlideOutcome] = []
    with ExitStack() as end, fast_events(context.instance):
        end.callback(withdraw_checks, context.instance, context.run)
        done = run_batch(platform, planned, wanted, run_id=run_id, tell=context.log.info)
        for outcome in tell_batch(platform.settings, done, run_id):
            for event in events_of(outcome, provenance):
                context.log_event(event)  # type: ignore[arg-type]  # it takes checks, too
            if outcome.failure is not None:
                context.log.error(line(outcome.failure.message))
                _show_red(context, outcome)
                failed.append(outcome)
    return failed, unknown


def _show_red(
    context: dg.OpExecutionContext | dg.AssetExecutionContext, outcome: SlideOutcome
) -> None:
    """Say what of a slide a job that is none of assets was to make, and did not."""
    if isinstance(context, dg.AssetExecutionContext):
        return  # it was planned as the run began
    for step in outcome.steps:
        if step.artifact is None:
            plan_late(context, asset_key(step.step.address), outcome.slide_id)


def _spec(recipe: Recipe, entry: Entry) -> dg.AssetSpec:
    words, kinds = _WORDS[entry.stage.name]
    # Dagster looks for changes no further than at an asset's own parents, so that what nobody
    # makes, slides and annotations, is a parent of all that goes back to it.
    recorded = [one.key for one in recipe.lineage(entry) if one.stage.scope == "recorded"]
    parents = [dg.AssetKey([*key]) for key in dict.fromkeys((*entry.parents, *recorded))]
    card = entry.card
    fields = [f"{name}: {value}" for name, value in entry.parameters.items()]
    is_untrained = card is not None and card.weights == "untrained"
    return dg.AssetSpec(
        key=[*entry.key],
        deps=[SLIDE_KEY, *parents],
        description=f"{words} {quoted(card.description) if card else ''}\n\n{bullets(fields)}",
        group_name=entry.stage.name,
        kinds=kinds | ({"torch"} if card is not None and card.can_use_gpu else set()),
        owners=[OWNER],
        tags={"untrained": ""} if is_untrained else {},
        code_version=code_version(recipe, entry),
        skippable=True,
    )
