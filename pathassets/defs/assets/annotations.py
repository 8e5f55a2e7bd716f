"""What people drew, as assets: recorded outside of Dagster's runs, and reported to it."""

from collections.abc import Iterable

import dagster as dg

from pathassets.catalog.records import AnnotationRecord
from pathassets.core.recipe import ANNOTATIONS, Entry, Recipe
from pathassets.defs.assets.batch import OWNER
from pathassets.defs.assets.slide import report_slides
from pathassets.defs.events.data_versions import OBSERVED
from pathassets.defs.events.slide_events import annotation_events, annotation_version
from pathassets.defs.partitions import SLIDES
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
    chosen = set(slide_ids)
    report_slides(instance, platform, chosen)
    drawn = {s: d for s, d in platform.catalog.annotations().items() if s in chosen}
    for entry in platform.recipe.recorded:
        known = reported_annotations(instance, entry.name) if drawn else {}
        for slide_id, by_name in drawn.items():
            one = by_name.get(entry.name)
            if one is not None and known.get(slide_id) != annotation_version(one):
                _report(instance, platform, one)


def _report(instance: dg.DagsterInstance, platform: Platform, drawn: AnnotationRecord) -> None:
    for event in annotation_events(drawn, find_preview(platform, drawn)):
        instance.report_runless_asset_event(event)


def reported_annotations(instance: dg.DagsterInstance, name: str) -> dict[str, str]:
    """Data version of each slide's annotation that Dagster was last told."""
    tags = instance.event_log_storage.get_latest_tags_by_partition(
        dg.AssetKey([ANNOTATIONS, name]), OBSERVED, tag_keys=["dagster/data_version"]
    )
    return {partition: found["dagster/data_version"] for partition, found in tags.items()}
