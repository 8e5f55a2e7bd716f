"""Steps -> the tags by which Dagster tells a partition that is current from one that is stale.

It calls a partition stale when its code version is not the asset's, or when, after the event that
the partition points to, a parent got an event with another data version. So the pointers must be
true: with none, a parent may change and nothing looks stale.
"""

from collections.abc import Iterable

import dagster as dg

from pathassets.core.address import SLIDE_SECTION, Address
from pathassets.core.recipe import Entry, Recipe
from pathassets.defs.partitions import SLIDE_KEY
from pathassets.engine.slide_task import Step

MATERIALIZED = dg.DagsterEventType.ASSET_MATERIALIZATION
OBSERVED = dg.DagsterEventType.ASSET_OBSERVATION
N_DIGITS = 8


def asset_key(address: Address) -> dg.AssetKey:
    """Asset that an artifact, or a slide itself, belongs to."""
    return SLIDE_KEY if address.section == SLIDE_SECTION else dg.AssetKey([*address.key])


def code_version(recipe: Recipe, entry: Entry) -> str:
    """Version of an entry and all it is made from: of their code, and of what the recipe says.

    A changed parameter is to Dagster what changed code is: it makes the entry stale, and what is
    made from it.
    """
    digest = ""
    for one in recipe.lineage(entry):
        digest = one.digest([digest])
    return f"{entry.code_version}-{digest[:N_DIGITS]}"


def data_version_tags(version: str) -> dict[str, str]:
    """Tags of an event that gives something a version."""
    return {"dagster/data_version": version, "dagster/data_version_is_user_provided": "true"}


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
        read = {entry.parent for entry in entries if entry.parent is not None} - made
        slides = set(slide_ids)
        self._log = instance.event_log_storage
        self._code = {entry.key: code_version(recipe, entry) for entry in entries}
        self._events: dict[tuple[dg.AssetKey, str], int] = {}
        for key in (SLIDE_KEY, *(dg.AssetKey([*key]) for key in sorted(read))):
            self._look_up(key, slides)

    def tags(self, step: Step) -> dict[str, str]:
        """Tags of the materialization of a step; its parents' were logged before."""
        tags = data_version_tags(step.address.digest)
        tags["dagster/code_version"] = self._code[step.entry.key]
        for parent in step.parents:
            key = asset_key(parent)
            place = (key, step.address.subject)
            if place not in self._events:
                self._look_up(key, {step.address.subject})
            name = key.to_user_string()
            tags[f"dagster/input_data_version/{name}"] = parent.digest
            tags[f"dagster/input_event_pointer/{name}"] = str(self._events.get(place, "NULL"))
        return tags

    def _look_up(self, key: dg.AssetKey, slide_ids: set[str]) -> None:
        """Find the newest event of partitions; of slides, which no run makes, what was seen."""
        kind = OBSERVED if key == SLIDE_KEY else MATERIALIZED
        found = self._log.get_latest_storage_id_by_partition(key, kind, slide_ids)
        self._events |= {(key, slide_id): event for slide_id, event in found.items()}
