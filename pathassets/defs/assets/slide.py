"""The root asset `slide`: made by ingestion, outside of Dagster's runs, and reported to it."""

from collections.abc import Callable, Iterable

import dagster as dg

from pathassets.defs.assets.batch import OWNER
from pathassets.defs.events.slide_events import slide_events
from pathassets.defs.events.slide_facts import facts_of_slide
from pathassets.defs.partitions import SLIDE_KEY, SLIDES, add_slides, forget_merged, slide_order
from pathassets.engine.platform.plan import plan_slides
from pathassets.engine.platform.platform import Platform

slide = dg.AssetSpec(
    SLIDE_KEY,
    partitions_def=SLIDES,
    description="A whole-slide image: a file that was registered, its identity and its facts. "
    "`pathassets ingest` and the inbox sensor report it.",
    group_name="slide",
    kinds={"openslide"},
    owners=[OWNER],
)


def report_slides(
    instance: dg.DagsterInstance,
    platform: Platform,
    slide_ids: Iterable[str],
    *,
    is_anew: bool = False,
    advance: Callable[[str], object] = str,
) -> list[str]:
    """Make partitions of registered slides and report their facts; returns those that were new.

    Doing it again reports only what Dagster does not know yet: a new slide, a new resolution. With
    `is_anew` the facts of all are shown anew; of the same version, they make nothing stale. An
    event costs some 15 ms; `advance` is called with every slide's id.
    """
    chosen = set(slide_ids)
    planned = [p for p in plan_slides(platform) if p.slide_id in chosen]
    known = set(slide_order(instance))
    new = [p.slide_id for p in planned if p.slide_id not in known]
    add_slides(instance, new)
    forget_merged(instance, platform)
    versions = reported_versions(instance)
    for one in planned:
        if is_anew or versions.get(one.slide_id) != one.version:
            for event in slide_events(one, facts_of_slide(platform.catalog, one.slide_id)):
                instance.report_runless_asset_event(event)
        advance(one.slide_id)
    return new


def reported_versions(instance: dg.DagsterInstance) -> dict[str, str]:
    """Data version of each slide that Dagster was last told."""
    tags = instance.event_log_storage.get_latest_tags_by_partition(
        SLIDE_KEY, dg.DagsterEventType.ASSET_MATERIALIZATION, tag_keys=["dagster/data_version"]
    )
    return {partition: found["dagster/data_version"] for partition, found in tags.items()}
