"""What Dagster shows <-> what the catalog has: partitions, materializations, runs without process.

Dagster is the view: what it lacks is reported to it again, what it has too much of is told, or,
where only a name is left, taken away. Its events stay.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial

import dagster as dg

from pathassets.catalog.forgotten import find_gone
from pathassets.core.address import ALL_SLIDES, Address
from pathassets.core.recipe import Entry
from pathassets.defs.assets.annotations import report_annotations
from pathassets.defs.assets.dataset import shown_version
from pathassets.defs.assets.slide import report_slides
from pathassets.defs.dagster_internals import wipe_partitions
from pathassets.defs.events.data_versions import MATERIALIZED, Provenance
from pathassets.defs.events.dataset_events import withdrawal_events
from pathassets.defs.events.slide_events import events_of
from pathassets.defs.partitions import SLIDES, slide_order
from pathassets.defs.recovery import fail_dead_runs, find_dead_runs
from pathassets.engine.platform.platform import Platform
from pathassets.engine.platform.upkeep.adopt import adopt
from pathassets.engine.platform.upkeep.finding import RUN, Finding
from pathassets.engine.platform.upkeep.planning import plan_in_pages
from pathassets.engine.platform.upkeep.stored import FIX
from pathassets.engine.stages.outcomes import SlideOutcome, Step, import_again
from pathassets.engine.stages.published import Published
from pathassets.errors import StoreError


def check_dagster(instance: dg.DagsterInstance, platform: Platform) -> Iterator[Finding]:
    """Hold what Dagster shows against the catalog.

    Of a recipe that names weights which could not be read nobody knows which events there should
    be: those are passed over.
    """
    yield from _dead_runs(instance)
    yield from _partitions(instance, platform)
    if any(entry.unread is not None for entry in platform.recipe.entries):
        return
    for entry in platform.recipe.per_slide:
        yield from _events(instance, platform, entry)
    for entry in platform.recipe.datasets:
        yield from _dataset_events(instance, platform, entry)


def wipe_slides(instance: dg.DagsterInstance, slide_ids: Sequence[str]) -> None:
    """Take away the partitions of slides, and all events of them that Dagster can be made to lose.

    Tables of other events, as of a dataset, lose the rows that name one. What stays: ids in the
    tags of runs over ranges that began or ended with one, and in the words of runs that failed.
    """
    wipe_partitions(instance, slide_ids)
    for slide_id in set(slide_ids).intersection(slide_order(instance)):
        instance.delete_dynamic_partition(str(SLIDES.name), slide_id)


def report_withdrawal(instance: dg.DagsterInstance, versions: Iterable[str]) -> None:
    """Show at datasets that versions of them name a slide that was taken out."""
    for event in withdrawal_events(versions):
        instance.report_runless_asset_event(event)


def _dead_runs(instance: dg.DagsterInstance) -> Iterator[Finding]:
    for run in find_dead_runs(instance):
        yield Finding(
            kind="dead_run",
            subject=run.run_id,
            evidence="Dagster shows it as running, and its process is gone",
            remedy=f"Any command, or {FIX}, ends it; what it finished is kept",
            mend=partial(_end, instance),
        )


def _end(instance: dg.DagsterInstance) -> str:
    fail_dead_runs(instance)
    return "marked as failed"


def _partitions(instance: dg.DagsterInstance, platform: Platform) -> Iterator[Finding]:
    order = slide_order(instance)
    known = platform.catalog.known_slides(order)
    forgotten = platform.catalog.forgotten()
    begun = platform.catalog.begun_removals()  # told of the slide
    for slide_id in order:
        if slide_id in begun:
            continue
        if (gone := find_gone(forgotten, slide_id)) is not None and slide_id not in known:
            yield Finding(
                kind="partition_of_no_slide",
                subject=slide_id,
                evidence=f"Dagster has a partition, and its slide was {gone.told}",
                remedy=f"{FIX}: the partition goes, with what Dagster shows of the slide",
                mend=partial(_wipe, instance, slide_id),
            )
        elif slide_id not in known:
            yield Finding(
                kind="partition_of_no_slide",
                subject=slide_id,
                evidence="Dagster has a partition, and the catalog no slide of that name",
                remedy=f"Ingest its file again, or {FIX}: the partition goes, its events stay",
                mend=partial(_drop_partition, instance, slide_id),
            )
    there = {*order, *begun}
    for slide in platform.catalog.slide_files():
        if slide.slide_id not in there:
            yield Finding(
                kind="partition_missing",
                subject=slide.slide_id,
                evidence="the catalog has the slide, and Dagster no partition of it",
                remedy=f"{RUN}, or {FIX}, makes it",
                mend=partial(_make_partition, instance, platform, slide.slide_id),
            )


def _wipe(instance: dg.DagsterInstance, slide_id: str) -> str:
    wipe_slides(instance, [slide_id])
    return "the partition was taken away, and what Dagster showed of the slide"


def _drop_partition(instance: dg.DagsterInstance, slide_id: str) -> str:
    instance.delete_dynamic_partition(str(SLIDES.name), slide_id)
    return "the partition was taken away"


def _make_partition(instance: dg.DagsterInstance, platform: Platform, slide_id: str) -> str:
    report_slides(instance, platform, [slide_id])
    report_annotations(instance, platform, [slide_id])
    return "the partition was made, the slide reported"


def _events(instance: dg.DagsterInstance, platform: Platform, entry: Entry) -> Iterator[Finding]:
    """Materializations of one entry that are not the catalog's, and those that are missing.

    Of what is not whole in the store none is missing: there is nothing to report, and what ends
    that is told of its row.
    """
    published = Published(platform.store)
    shown = instance.event_log_storage.get_latest_tags_by_partition(
        dg.AssetKey([*entry.key]), MATERIALIZED, tag_keys=["dagster/data_version"]
    )
    made = platform.catalog.digests_of(*entry.key)
    for one in plan_in_pages(platform):
        step = one.steps[entry.key]
        digest = shown.get(one.slide_id, {}).get("dagster/data_version")
        if digest is not None and (one.slide_id, digest) not in made:
            address = Address(*entry.key, one.slide_id, digest)
            # What is in force no more, and was cleared, Dagster shows as stale: so it is.
            if address == step.address or platform.store.has(address):
                yield _of_nothing(platform, address)
        is_unshown = digest != step.address.digest and (one.slide_id, step.address.digest) in made
        if is_unshown and published.look(step) is not None:
            yield Finding(
                kind="event_missing",
                subject=str(step.address),
                evidence="the catalog has it, and Dagster does not show that it was made",
                remedy=f"{RUN}, or {FIX}, reports it again",
                mend=partial(_report, instance, platform, step),
            )


def _of_nothing(platform: Platform, address: Address) -> Finding:
    is_whole = platform.store.has(address)
    return Finding(
        kind="event_of_nothing",
        subject=str(address),
        evidence="Dagster shows that it was made, and the catalog does not know it",
        remedy=f"{FIX} enters it: the store has it"
        if is_whole
        else f"{RUN} makes what is in force; restore the catalog if it should know it",
        mend=partial(adopt, platform, address) if is_whole else None,
    )


def _report(instance: dg.DagsterInstance, platform: Platform, step: Step) -> str:
    """Report an artifact as a run does that finds it current."""
    outcome = Published(platform.store).look(step)
    if outcome is None:
        remedy = import_again(step.address, step.tool) if step.tool else f"{RUN} makes it anew"
        raise StoreError(step.address, "is not whole in the store", remedy=remedy)
    slide_id = step.address.partition_key
    provenance = Provenance(instance, platform.recipe, [step.entry], [slide_id])
    for event in events_of(SlideOutcome(slide_id=slide_id, steps=(outcome,)), provenance):
        instance.report_runless_asset_event(event)
    return "reported to Dagster again"


def _dataset_events(
    instance: dg.DagsterInstance, platform: Platform, entry: Entry
) -> Iterator[Finding]:
    digest = shown_version(instance, entry.key)
    made = {digest for _, digest in platform.catalog.digests_of(*entry.key)}
    if digest is not None and digest not in made:
        yield _of_nothing(platform, Address(*entry.key, ALL_SLIDES, digest))
    elif digest is None and any(
        platform.store.has(Address(*entry.key, ALL_SLIDES, one)) for one in made
    ):
        yield Finding(
            kind="event_missing",
            subject="/".join(entry.key),
            evidence="the catalog has versions of it, and Dagster shows none",
            remedy=f"{RUN} reports the one that is in force",
        )
