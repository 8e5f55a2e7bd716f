"""Recipe -> the checks that the page shows beside each slide's assets.

They are declared here, and what they say is logged by the batch (`events`). No step is planned to
evaluate them: Dagster calls a planned check of a failed run failed, and a slide that has no
features would be shown with a verdict on them.
"""

import dagster as dg
from dagster._core.definitions.assets.definition.asset_spec import AssetExecutionType

from pathassets.core.recipe import Entry, Recipe
from pathassets.defs.events import ARE_FINITE, HAS_PATCHES, HAS_TISSUE
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


def declare_checks(recipe: Recipe) -> list[dg.AssetsDefinition]:
    """Declare the checks of the recipe's assets, each of a computation without a step."""
    specs = [_spec(entry) for entry in recipe.per_slide if entry.section.name in _WORDS]
    return [
        dg.AssetsDefinition(
            keys_by_input_name={},
            keys_by_output_name={},
            node_def=dg.GraphDefinition(name=spec.get_python_identifier(), node_defs=[]),
            check_specs_by_output_name={spec.name: spec},
            execution_type=AssetExecutionType.UNEXECUTABLE,
        )
        for spec in specs
    ]


def _spec(entry: Entry) -> dg.AssetCheckSpec:
    name, words = _WORDS[entry.section.name]
    return dg.AssetCheckSpec(
        name,
        asset=[*entry.key],
        description=words,
        partitions_def=SLIDES,
        blocking=name in _BLOCKING,
    )
