"""Features of other tools, as Dagster sees them: materialized outside of its runs."""

from collections.abc import Collection

import dagster as dg

from pathassets.defs.assets.slide import report_slides
from pathassets.defs.events.data_versions import Provenance
from pathassets.defs.events.slide_events import events_of
from pathassets.engine.platform.plan import plan_slides
from pathassets.engine.platform.platform import Platform
from pathassets.engine.stages.outcomes import SlideOutcome
from pathassets.engine.stages.published import Published


def report_external(
    instance: dg.DagsterInstance, platform: Platform, features: str, slide_ids: Collection[str]
) -> None:
    """Report slides, and features of an entry that were imported for them."""
    report_slides(instance, platform, slide_ids)
    entry = platform.recipe.entry(("features", features))
    provenance = Provenance(instance, platform.recipe, [entry], slide_ids)
    published = Published(platform.store)
    for planned in plan_slides(platform, slide_ids):
        found = published.find(planned.steps[entry.key])
        if found is not None:
            outcome = SlideOutcome(slide_id=planned.slide_id, steps=(found,))
            for event in events_of(outcome, provenance):
                instance.report_runless_asset_event(event)
