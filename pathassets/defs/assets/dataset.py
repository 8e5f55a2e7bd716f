"""Dataset assets: over all slides, so their parents are mapped explicitly to all partitions.

Without the mapping Dagster would take the identity, silently wrong.
"""

import logging
from functools import partial

import dagster as dg

from pathassets.core.recipe import Entry, Key, Recipe
from pathassets.defs.assets.batch import OWNER
from pathassets.defs.events.data_versions import code_version
from pathassets.defs.events.dataset_events import dataset_metadata, kept_back
from pathassets.engine.platform.datasets.build import build_dataset
from pathassets.engine.platform.datasets.plan import plan_dataset
from pathassets.engine.platform.planned_datasets import planned_version
from pathassets.engine.platform.platform import Platform
from pathassets.engine.platform.presence import find_damage
from pathassets.engine.platform.provenance.openlineage import tell_batch, tell_dataset
from pathassets.engine.platform.standing.look import look
from pathassets.engine.platform.standing.refresh import refresh_wanted
from pathassets.errors import SpecError

logger = logging.getLogger(__name__)


def build_dataset_asset(recipe: Recipe, entry: Entry) -> dg.AssetsDefinition:
    """Make the asset of one dataset entry."""
    parents = [dg.AssetKey([*key]) for key in entry.parents]

    @dg.asset(
        key=[*entry.key],
        deps=[dg.AssetDep(p, partition_mapping=dg.AllPartitionMapping()) for p in parents],
        description="A versioned table of slides one can train on: labels, patients, a split that "
        "never parts a patient, feature files with their SHA-256, and what each was made from.",
        group_name=entry.stage.name,
        kinds={"parquet", "pandas"},
        owners=[OWNER],
        code_version=code_version(recipe, entry),
    )
    def dataset(
        context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]
    ) -> dg.MaterializeResult[None]:
        name, run_id = "/".join(entry.key), context.run.run_id
        telling = partial(tell_batch, platform.settings, run_id=run_id, within=name)
        with kept_back(platform, entry), tell_dataset(platform.settings, name, run_id) as told:
            built = build_dataset(platform, entry, run_id=run_id, pass_on=telling)
            told.append(built.artifact)
        return dg.MaterializeResult(
            data_version=dg.DataVersion(built.artifact.address.digest),
            metadata=dataset_metadata(platform, built),
        )

    return dataset


def shown_version(instance: dg.DagsterInstance, key: Key) -> str | None:
    """Version of a dataset that Dagster shows: not the last one, if the run was killed before."""
    event = instance.get_latest_materialization_event(dg.AssetKey([*key]))
    made = event.asset_materialization if event else None
    return (made.tags or {}).get("dagster/data_version") if made else None


def due_datasets(instance: dg.DagsterInstance, platform: Platform) -> list[Key]:
    """Datasets that would be another version than Dagster shows, or whose files are not whole.

    One that was never built is due as soon as it would have a slide; one of which what it asks for
    cannot be is not. The store is looked at.
    """
    due, plan_id = [], refresh_wanted(platform)
    for entry in platform.recipe.datasets:
        for key in entry.parents:
            look(platform, plan_id, key=key)
        try:
            address, planned = planned_version(platform, plan_id, entry)
        except SpecError as error:  # a run of it could only fail; the others are to follow
            logger.warning("%s", error.named("/".join(entry.key)))
            continue
        shown = shown_version(instance, entry.key)
        if shown == address.digest and find_damage(platform, address) is None:
            continue
        if shown is None:
            planned = planned or plan_dataset(platform, entry, is_looking=False)
        if planned is None or shown is not None or len(planned.manifest):
            due.append(entry.key)
    return due
