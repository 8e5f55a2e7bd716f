"""Steps -> the tags by which Dagster tells a partition that is current from one that is stale.

It calls a partition stale when its code version is not the asset's, or when, after the event that
the partition points to, a parent got an event with another data version. So the pointers must be
true: with none, a parent may change and nothing looks stale.
"""

from collections.abc import Iterable

import dagster as dg

from pathassets.core.address import SLIDE_STAGE, Address
from pathassets.core.recipe import ANNOTATIONS, Entry, Recipe
from pathassets.core.spec import digest_of
from pathassets.defs.dagster_internals import CheckTarget
from pathassets.defs.partitions import PART, SLIDE_KEY, parts
from pathassets.engine.stages.outcomes import Step

MATERIALIZED = dg.DagsterEventType.ASSET_MATERIALIZATION
OBSERVED = dg.DagsterEventType.ASSET_OBSERVATION
N_DIGITS = 8
UNREAD = "unread"
"""In place of a version that follows from weights which are gone: what was made is not current."""
NOT_DRAWN = "none"
"""Version of annotations that a slide does not have."""
BEFORE_ALL = -2
"""In place of the event that something was made from, where there was none: whatever is reported
later is news. With NULL Dagster compares the newest event with itself, and sees none ever; -1 it
would add up to 0, and take for NULL."""


def asset_key(address: Address) -> dg.AssetKey:
    """Asset that an artifact, or a slide itself, belongs to."""
    return SLIDE_KEY if address.stage == SLIDE_STAGE else dg.AssetKey([*address.key])


def code_version(recipe: Recipe, entry: Entry) -> str:
    """Version of an entry and all it is made from: of their code, and of what the recipe says.

    A changed parameter is to Dagster what changed code is: it makes the entry stale, and what is
    made from it.
    """
    if entry.key in recipe.left_out:
        return f"{entry.code_version}-{UNREAD}"
    digest = ""
    for one in recipe.lineage(entry):
        is_made = one.stage.scope != "recorded"
        digest = one.digest([digest]) if is_made else digest_of([digest, one.name])
    return f"{entry.code_version}-{digest[:N_DIGITS]}"


def data_version_tags(version: str) -> dict[str, str]:
    """Tags of an event that gives something a version."""
    return {"dagster/data_version": version, "dagster/data_version_is_user_provided": "true"}


VERSION_TAG = "dagster/data_version"


def newest_versions(
    instance: dg.DagsterInstance, key: dg.AssetKey, kind: dg.DagsterEventType, slide_ids: list[str]
) -> dict[str, str]:
    """Data version of the newest event of partitions, or of all where some are many.

    A newest event without a version is left out.
    """
    few = slide_ids if len(slide_ids) <= PART else None
    found = instance.event_log_storage.get_latest_tags_by_partition(
        key, kind, tag_keys=[VERSION_TAG], asset_partitions=few
    )
    return {partition: tags[VERSION_TAG] for partition, tags in found.items()}


def parent_tags(instance: dg.DagsterInstance, parent: dg.AssetKey) -> dict[str, str]:
    """Tags of what is about to be made from all partitions of an asset, as they are now.

    Dagster looks which of them got another version after the newest event, and up to 99 of them.
    """
    found = instance.fetch_materializations(parent, limit=1).records
    made = found[0].asset_materialization if found else None
    name = parent.to_user_string()
    return {
        f"dagster/input_data_version/{name}": ((made and made.tags) or {}).get(VERSION_TAG, ""),
        f"dagster/input_event_pointer/{name}": str(found[0].storage_id) if found else "NULL",
    }


class Provenance:
    """What one run made its artifacts from, as Dagster's event log knows it.

    To be made before the slides are planned: a slide that changes in between looks stale, though it
    is not, until the next run. The other way round it would look current.
    """

    def __init__(
        self,
        instance: dg.DagsterInstance,
        recipe: Recipe,
        wanted: Iterable[Entry],
        slide_ids: Iterable[str],
    ) -> None:
        entries = list(wanted)
        made = {entry.key for entry in entries}
        self._recorded = {
            entry.key: [e.key for e in recipe.lineage(entry) if e.stage.scope == "recorded"]
            for entry in entries
        }
        read = {parent for entry in entries for parent in entry.parents} - made
        read = read.union(*self._recorded.values())
        slides = set(slide_ids)
        self._instance = instance
        self._log = instance.event_log_storage
        self._code = {entry.key: code_version(recipe, entry) for entry in entries}
        self._events: dict[tuple[dg.AssetKey, str], int] = {}
        for key in (SLIDE_KEY, *(dg.AssetKey([*key]) for key in sorted(read))):
            self._look_up(key, slides)

    def tags(self, step: Step) -> dict[str, str]:
        """Tags of the materialization of a step; its parents' were logged before."""
        tags = data_version_tags(step.address.digest)
        tags["dagster/code_version"] = self._code[step.entry.key]
        versions = {
            asset_key(parent): parent.digest for parent in (*step.parents, *step.annotations)
        }
        for annotation in self._recorded[step.entry.key]:
            versions.setdefault(dg.AssetKey([*annotation]), NOT_DRAWN)
        for key, version in versions.items():
            name = key.to_user_string()
            tags[f"dagster/input_data_version/{name}"] = version
            tags[f"dagster/input_event_pointer/{name}"] = self._event(
                key, step.address.partition_key
            )
        return tags

    def newest(self, key: dg.AssetKey, slide_id: str) -> CheckTarget | None:
        """The newest materialization of a partition, as a check points to it; None if never made.

        It is remembered for what is made from it in this run.
        """
        one = dg.AssetRecordsFilter(asset_key=key, asset_partitions=[slide_id])
        for found in self._instance.fetch_materializations(one, limit=1).records:
            self._events[key, slide_id] = found.storage_id
            return CheckTarget(
                storage_id=found.storage_id, run_id=found.run_id, timestamp=found.timestamp
            )
        return None

    def _event(self, key: dg.AssetKey, slide_id: str) -> str:
        """The newest event of a partition, as it was when the run began or made it."""
        if not _is_recorded(key) and (key, slide_id) not in self._events:
            self._look_up(key, {slide_id})
        nothing = BEFORE_ALL if _is_recorded(key) else "NULL"
        return str(self._events.get((key, slide_id), nothing))

    def _look_up(self, key: dg.AssetKey, slide_ids: set[str]) -> None:
        """Find the newest event of partitions; of what no run makes, what was seen."""
        kind = OBSERVED if key == SLIDE_KEY or _is_recorded(key) else MATERIALIZED
        for part in parts(sorted(slide_ids)):
            found = self._log.get_latest_storage_id_by_partition(key, kind, set(part))
            self._events |= {(key, slide_id): event for slide_id, event in found.items()}


def _is_recorded(key: dg.AssetKey) -> bool:
    return key.path[0] == ANNOTATIONS
