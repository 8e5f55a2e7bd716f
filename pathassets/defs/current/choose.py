"""Catalog, store, Dagster -> the slides of which a run would make or show anything new.

    missing, stale, damaged ─┐
    failed, or behind one    ├─▶ what was not tried first, then what failed and can be mended,
    made, and not shown      ─┘  that which was tried longest ago before the others

`pathassets run` and the job `make_current` choose by this alone. What fails by its content is left
unless asked: the same bytes fail the same way.
"""

from collections.abc import Collection, Container, Iterable, Mapping
from dataclasses import dataclass

import dagster as dg

from pathassets.core.recipe import Entry, Key
from pathassets.defs.assets.annotations import report_annotations
from pathassets.defs.events.data_versions import MATERIALIZED
from pathassets.defs.partitions import PART, SLIDES, parts, slide_order
from pathassets.engine.platform.forgotten import require_staying
from pathassets.engine.platform.platform import Platform
from pathassets.engine.platform.standing.look import look
from pathassets.engine.platform.standing.refresh import refresh_wanted
from pathassets.engine.platform.status import OpenWork, open_work
from pathassets.errors import CatalogError

PLANNED = dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is asked for."""

    slide_ids: frozenset[str] = frozenset()
    """Empty for all."""
    entries: tuple[Entry, ...]
    retry: bool = False
    """Whether to try again what fails by the slide's content alone."""
    is_shard: bool = False
    """Whether other processes work on the other slides meanwhile: they are no neighbours."""

    @property
    def slide_keys(self) -> frozenset[Key]:
        """Entries that each slide has."""
        return frozenset(e.key for e in self.entries if e.stage.scope == "slide")

    @property
    def cohort_keys(self) -> frozenset[Key]:
        """Entries over all slides."""
        return frozenset(e.key for e in self.entries if e.stage.scope == "cohort")


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Slides that a run would do something for."""

    plan_id: int
    order: list[str]
    """All partitions, in their order."""
    work: OpenWork
    unshown: frozenset[str]
    """Slides that have what Dagster does not show: a run was killed in between."""

    @property
    def slide_ids(self) -> frozenset[str]:
        """All of them."""
        return self.work.slide_ids | self.unshown


def choose_slides(instance: dg.DagsterInstance, platform: Platform, wanted: Wanted) -> Choice:
    """Find the slides that need a run; for what is left out of the recipe none does.

    The store is looked at first, of what is asked for: what would be skipped is to be there. What
    Dagster was not told of these slides, and of what is drawn on them, is reported.

    Raises:
        CatalogError: a named slide is not registered, or its removal was begun.
    """
    asked: Collection[str] = wanted.slide_ids
    if asked:
        require_staying(platform.catalog, asked)
        _require_known(platform.catalog.known_slides(asked), asked)
    else:
        asked = {one for page in platform.catalog.slide_pages() for one in page}
    platform = platform.readable
    plan_id = refresh_wanted(platform)
    look(platform, plan_id, wanted.slide_ids or None)
    report_annotations(instance, platform, asked)
    order = slide_order(instance)
    in_question = [one for one in order if one in asked]
    keys = wanted.slide_keys.intersection(e.key for e in platform.recipe.per_slide)
    work = open_work(platform, plan_id, keys, retry=wanted.retry)
    return Choice(
        plan_id=plan_id,
        order=order,
        work=OpenWork(
            untried=work.untried.intersection(asked), failed=work.failed.intersection(asked)
        ),
        unshown=frozenset(
            one
            for key in keys
            for one in _unshown(instance, platform, plan_id, key, in_question, not wanted.slide_ids)
        ),
    )


def in_turn(platform: Platform, choice: Choice) -> list[str]:
    """Put them in an order of which a run may take the first, and leave the others for the next.

    What was not tried goes first. Of what failed, that which was tried longest ago: it would else
    be the same each time, and the others would wait for ever.
    """
    first = choice.work.untried | choice.unshown
    again = choice.work.failed - first
    tried = platform.catalog.last_tried(again)
    return [
        *(one for one in choice.order if one in first),
        *sorted(again, key=lambda one: (tried.get(one, 0), one)),
    ]


def _require_known(known: Container[str], slide_ids: Iterable[str]) -> None:
    unknown = sorted(one for one in slide_ids if one not in known)
    if unknown:
        raise CatalogError(
            f"slide {unknown[0]}: not registered",
            remedy="pathassets status lists the slides; pathassets ingest PATH registers new ones",
        )


def _unshown(  # noqa: PLR0913, PLR0917 - of what, where
    instance: dg.DagsterInstance, platform: Platform, plan_id: int, key: Key, slide_ids: list[str],
    are_all: bool,  # noqa: FBT001 - the same
) -> set[str]:  # fmt: skip
    """Slides that have what Dagster does not show as made: a run was killed in between."""
    asset = dg.AssetKey([*key])
    green = None if are_all else _green_by_events(instance, asset, slide_ids)
    not_shown = set(slide_ids) - (_green(instance, asset, slide_ids) if green is None else green)
    if not not_shown:
        return set()
    made = not_shown & platform.catalog.slides_in(plan_id, [key], ("current",))
    if _is_behind(instance, asset, sorted(made)):
        instance.wipe_asset_cached_status([asset])
        made -= _green(instance, asset, sorted(made))
    return made


def _green_by_events(
    instance: dg.DagsterInstance, key: dg.AssetKey, slide_ids: list[str]
) -> set[str] | None:
    """The same of some slides, without what Dagster keeps of all; None where only that can tell.

    That is where one was to be made after it was made last, or never was: the run may have failed.
    """
    if len(slide_ids) > PART:
        return None
    asked = {*slide_ids}
    events = instance.event_log_storage
    made = events.get_latest_storage_id_by_partition(key, MATERIALIZED, asked)
    planned = events.get_latest_storage_id_by_partition(key, PLANNED, asked)
    return None if any(event > made.get(one, 0) for one, event in planned.items()) else {*made}


def _is_behind(instance: dg.DagsterInstance, key: dg.AssetKey, slide_ids: list[str]) -> bool:
    """Whether Dagster has events of slides that it does not count as made.

    It counts on from the highest number of an event that it saw. Once the newest run was deleted,
    SQLite gives its events' numbers to the next ones, which would never be counted.
    """
    states = _states(instance, key, slide_ids)
    missing = [one for one in slide_ids if states.get(one) is None]
    events = instance.event_log_storage
    return any(
        events.get_latest_storage_id_by_partition(key, MATERIALIZED, set(part))
        for part in parts(missing)
    )


def _states(
    instance: dg.DagsterInstance, key: dg.AssetKey, slide_ids: list[str]
) -> Mapping[str, dg.AssetPartitionStatus | None]:
    with dg.partition_loading_context(dynamic_partitions_store=instance):
        return instance.get_status_by_partition(key, slide_ids, SLIDES) or {}


def _green(instance: dg.DagsterInstance, key: dg.AssetKey, slide_ids: list[str]) -> set[str]:
    """Slides of which Dagster shows an asset as made, though a run may be making it again."""
    states = _states(instance, key, slide_ids)
    green = {s for s, state in states.items() if state == dg.AssetPartitionStatus.MATERIALIZED}
    events = instance.event_log_storage
    again = [s for s, state in states.items() if state == dg.AssetPartitionStatus.IN_PROGRESS]
    for part in parts(again):
        green |= {*events.get_latest_storage_id_by_partition(key, MATERIALIZED, set(part))}
    return green
