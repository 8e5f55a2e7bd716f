"""Dataset assets: over all slides, so their parents are mapped explicitly to all partitions.

Without the mapping Dagster would take the identity, silently wrong.
"""

import logging
from collections.abc import Collection
from dataclasses import dataclass
from functools import partial

import dagster as dg

from pathassets.core.recipe import Entry, Key, Recipe
from pathassets.defs.assets.batch import OWNER
from pathassets.defs.dagster_internals import plan_late
from pathassets.defs.events.data_versions import code_version, data_version_tags, parent_tags
from pathassets.defs.events.dataset_events import dataset_metadata, kept_back
from pathassets.defs.recovery import tried_again
from pathassets.defs.text import bullets
from pathassets.engine.platform.datasets.build import BuiltDataset, build_dataset
from pathassets.engine.platform.datasets.plan import plan_dataset
from pathassets.engine.platform.planned_datasets import planned_version
from pathassets.engine.platform.platform import Platform
from pathassets.engine.platform.presence import find_damage
from pathassets.engine.platform.provenance.openlineage import tell_batch, tell_dataset
from pathassets.engine.platform.standing.look import look
from pathassets.engine.platform.standing.refresh import refresh_wanted
from pathassets.engine.platform.standing.rows import Cell
from pathassets.engine.platform.status import dataset_cells, left_out_cells
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
        with tried_again(context, platform):
            built = _built(platform, entry, context.run.run_id)
        return dg.MaterializeResult(
            data_version=dg.DataVersion(built.artifact.address.digest),
            metadata=dataset_metadata(platform, built),
        )

    return dataset


def build_in_op(context: dg.OpExecutionContext, platform: Platform, entry: Entry) -> None:
    """Build a dataset within a job that is none of assets, and show it as its asset does.

    Raises:
        dagster.Failure: its parts are not apart.
    """
    key = dg.AssetKey([*entry.key])
    made_from: dict[str, str] = {}
    for parent in entry.parents:
        made_from |= parent_tags(context.instance, dg.AssetKey([*parent]))
    try:
        built = _built(platform, entry, context.run.run_id)
    except dg.Failure:
        plan_late(context, key, None)
        raise
    tags = {
        **data_version_tags(built.artifact.address.digest),
        "dagster/code_version": code_version(platform.recipe, entry),
        **made_from,
    }
    metadata = dataset_metadata(platform, built)
    context.log_event(dg.AssetMaterialization(key, metadata=metadata, tags=tags))


def _built(platform: Platform, entry: Entry, run_id: str) -> BuiltDataset:
    """Build it, and tell whoever listens; what keeps it back is a failure that says so."""
    if left_out := left_out_cells(platform, [entry.key]):
        lines = [f"{'/'.join(one.key)}: {one.told}" for one in left_out]
        raise dg.Failure(bullets(lines), allow_retries=False)
    name, platform = "/".join(entry.key), platform.readable
    telling = partial(tell_batch, platform.settings, run_id=run_id, within=name)
    with kept_back(platform, entry), tell_dataset(platform.settings, name, run_id) as told:
        built = build_dataset(platform, entry, run_id=run_id, pass_on=telling)
        told.append(built.artifact)
    return built


def shown_version(instance: dg.DagsterInstance, key: Key) -> str | None:
    """Version of a dataset that Dagster shows: not the last one, if the run was killed before."""
    event = instance.get_latest_materialization_event(dg.AssetKey([*key]))
    made = event.asset_materialization if event else None
    return (made.tags or {}).get("dagster/data_version") if made else None


@dataclass(frozen=True, slots=True, kw_only=True)
class DueDatasets:
    """Datasets that would be another version than was built, or than Dagster shows."""

    keys: tuple[Key, ...]
    unread: tuple[Cell, ...]
    """Those whose selection cannot be read, or whose features have no weights: nobody can build
    them."""
    cells: tuple[Cell, ...] = ()
    """Where all that were asked for stand."""


def find_due(
    instance: dg.DagsterInstance, platform: Platform, asked: Collection[Key]
) -> DueDatasets:
    """Which of some datasets are to be built, once the store was looked at for their slides."""
    able = platform.readable
    found = dataset_cells(able, refresh_wanted(able)) if asked else ()
    cells = [c for c in (*left_out_cells(platform, asked), *found) if c.key in asked]
    unread = tuple(cell for cell in cells if cell.state == "failed" and not cell.digest)
    due = {
        c.key
        for c in cells
        if c not in unread and (c.state != "current" or shown_version(instance, c.key) != c.digest)
    }
    return DueDatasets(keys=tuple(sorted(due)), unread=unread, cells=tuple(cells))


def due_datasets(instance: dg.DagsterInstance, platform: Platform) -> list[Key]:
    """Datasets that would be another version than Dagster shows, or whose files are not whole.

    One that was never built is due as soon as it would have a slide; one of which what it asks for
    cannot be is not. The store is looked at.
    """
    platform = platform.readable
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
