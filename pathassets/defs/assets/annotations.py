"""What people drew, as assets: recorded outside of Dagster's runs, and reported to it."""

from collections.abc import Iterable

import dagster as dg

from pathassets.catalog.records import AnnotationRecord
from pathassets.core.recipe import ANNOTATIONS, Entry, Recipe
from pathassets.defs.assets.batch import OWNER
from pathassets.defs.assets.slide import report_slides
from pathassets.defs.events.data_versions import OBSERVED, newest_versions
from pathassets.defs.events.slide_events import (
    WITHDRAWN,
    annotation_events,
    annotation_version,
)
from pathassets.defs.partitions import SLIDES, parts
from pathassets.defs.text import quoted
from pathassets.engine.platform.annotations import find_preview
from pathassets.engine.platform.platform import Platform


def annotation_specs(recipe: Recipe) -> list[dg.AssetSpec]:
    """One external asset for each name under which people may draw."""
    return [_spec(entry) for entry in recipe.recorded]


def _spec(entry: Entry) -> dg.AssetSpec:
    return dg.AssetSpec(
        [*entry.key],
        partitions_def=SLIDES,
        description=f"{quoted(entry.spec.about)}\n\nWhat people drew on slides. "
        f"`pathassets annotations set` records a file: {quoted(f'--name {entry.name}')}.",
        group_name=entry.stage.name,
        kinds={"geojson"},
        owners=[OWNER],
    )


def report_annotations(
    instance: dg.DagsterInstance, platform: Platform, slide_ids: Iterable[str]
) -> None:
    """Report slides and what is drawn on them.

    Doing it again reports only what Dagster does not know yet: a new annotation, a withdrawal.
    """
    chosen = list(dict.fromkeys(slide_ids))
    report_slides(instance, platform, chosen)
    for part in parts(chosen) if platform.recipe.recorded else ():
        drawn = platform.catalog.annotations(part)
        for entry in platform.recipe.recorded:
            known = reported_annotations(instance, entry.name, [*drawn]) if drawn else {}
            for slide_id, by_name in drawn.items():
                one = by_name.get(entry.name)
                if one is not None and known.get(slide_id) != annotation_version(one):
                    _report(instance, platform, one)


def _report(instance: dg.DagsterInstance, platform: Platform, drawn: AnnotationRecord) -> None:
    for event in annotation_events(drawn, find_preview(platform, drawn)):
        instance.report_runless_asset_event(event)


def reported_annotations(
    instance: dg.DagsterInstance, name: str, slide_ids: list[str]
) -> dict[str, str]:
    """Data version of slides' annotations that Dagster was last told; of a withdrawal its word."""
    key = dg.AssetKey([ANNOTATIONS, name])
    log = instance.event_log_storage
    told = (log.get_latest_storage_id_by_partition(key, OBSERVED, {*p}) for p in parts(slide_ids))
    withdrawn = {slide_id: WITHDRAWN for part in told for slide_id in part}
    return withdrawn | newest_versions(instance, key, OBSERVED, slide_ids)
