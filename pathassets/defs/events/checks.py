"""Recipe -> the checks that the page shows beside each slide's assets.

They are declared here; what they say is logged by the batch (`events`). A run plans every check of
each of its slides, and Dagster calls those failed that a failed run left without a word. A slide
that has no features has no verdict on them either: so whoever ends a run withdraws what it left.
"""

from collections.abc import Iterator

import dagster as dg

from pathassets.core.quality.rules import rules_of_slide
from pathassets.core.recipe import Entry, Recipe
from pathassets.core.stages import PATCH_QUALITY
from pathassets.defs.dagster_internals import delete_planned_checks
from pathassets.defs.events.slide_events import ARE_FINITE, HAS_PATCHES, HAS_TISSUE, KEEP_RULES
from pathassets.defs.partitions import SLIDES

_WORDS = {
    "tissue_mask": (
        HAS_TISSUE,
        "A slide without tissue is bare glass, or its staining is pale.",
    ),
    "patch_locations": (
        HAS_PATCHES,
        "A slide without patches has too little tissue, or none where asked for.",
    ),
    PATCH_QUALITY: (
        KEEP_RULES,
        "A slide that breaks a rule of the recipe waits in pathassets qc queue for a person.",
    ),
    "features": (
        ARE_FINITE,
        "NaN or infinity would spoil whatever is trained on it; the patch is named.",
    ),
    "slide_embedding": (
        HAS_PATCHES,
        "A slide without patches has an embedding of no number, of shape (0,).",
    ),
}
_BLOCKING = {ARE_FINITE}
"""Checks that keep what is made from the asset from being made."""


def check_specs(recipe: Recipe) -> Iterator[dg.AssetCheckSpec]:
    """The checks of the recipe's assets."""
    for entry in recipe.per_slide:
        if entry.stage.name in _WORDS and _has_check(entry):
            yield _spec(entry)


def _has_check(entry: Entry) -> bool:
    """Whether there is anything to judge: of quality, the recipe says what."""
    return entry.stage.name != PATCH_QUALITY or rules_of_slide(entry.spec.checks) is not None


def _spec(entry: Entry) -> dg.AssetCheckSpec:
    name, words = _WORDS[entry.stage.name]
    return dg.AssetCheckSpec(
        name,
        asset=[*entry.key],
        description=words,
        partitions_def=SLIDES,
        blocking=name in _BLOCKING,
    )


def withdraw_checks(instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    """Forget the checks that a run planned and did not come to, be it at an end or dead."""
    if run.execution_plan_snapshot_id is not None:
        plan = instance.get_execution_plan_snapshot(run.execution_plan_snapshot_id)
        delete_planned_checks(instance, run.run_id, plan.asset_check_keys)
