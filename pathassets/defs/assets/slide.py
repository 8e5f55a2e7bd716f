"""The root asset `slide`: made by ingestion, outside of Dagster's runs, and reported to it."""

from collections.abc import Callable, Iterable
from dataclasses import replace

import dagster as dg

from pathassets.core.recipe import Recipe
from pathassets.core.slides.slide import slide_version
from pathassets.defs.assets.batch import OWNER
from pathassets.defs.events.data_versions import newest_versions
from pathassets.defs.events.slide_events import slide_events
from pathassets.defs.events.slide_facts import facts_of_slide
from pathassets.defs.partitions import (
    SLIDE_KEY,
    SLIDES,
    add_slides,
    forget_merged,
    partitions_among,
    parts,
)
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
    catalog = platform.catalog
    chosen = list(dict.fromkeys(slide_ids))
    now = {
        one.slide_id: slide_version(one.fingerprint, one.mpp) for one in catalog.slide_facts(chosen)
    }
    known = partitions_among(instance, [*now])
    new = [one.slide_id for one in catalog.slides([*now.keys() - known])]
    add_slides(instance, new)
    forget_merged(instance, platform)
    told = reported_versions(instance, [*now])
    unlike = [one for one, version in now.items() if is_anew or told.get(one) != version]
    roots = replace(platform, recipe=Recipe(entries=()))  # what is made of them is not told here
    for part in parts(unlike):
        for one in plan_slides(roots, part):
            for event in slide_events(one, facts_of_slide(catalog, one.slide_id)):
                instance.report_runless_asset_event(event)
            advance(one.slide_id)
    for slide_id in now.keys() - {*unlike}:
        advance(slide_id)
    return new


def reported_versions(instance: dg.DagsterInstance, slide_ids: list[str]) -> dict[str, str]:
    """Data version of slides that Dagster was last told."""
    return newest_versions(
        instance, SLIDE_KEY, dg.DagsterEventType.ASSET_MATERIALIZATION, slide_ids
    )
