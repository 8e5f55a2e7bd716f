"""What is known of a slide -> what its asset's partition shows."""

from collections.abc import Iterator
from dataclasses import dataclass

import dagster as dg

from pathassets.adapters.opencv import icon_webp
from pathassets.catalog.catalog import Catalog
from pathassets.catalog.records import Label, SlideRecord
from pathassets.core.text import visible
from pathassets.defs.events.numbers import fact_value
from pathassets.defs.text import picture_value, text_value
from pathassets.engine.platform.cohort_page.address import address_of
from pathassets.engine.platform.plan import PlannedSlide

Metadata = dict[str, dg.MetadataValue]


@dataclass(frozen=True, slots=True, kw_only=True)
class SlideFacts:
    """What of a slide is not in its plan."""

    thumbnail: bytes | None
    """JPEG."""
    site: str | None
    labels: tuple[Label, ...]
    """Its own, and its patient's; but for the one called `label`."""


def facts_of_slide(catalog: Catalog, slide_id: str) -> SlideFacts:
    """Look up what a slide's partition shows."""
    return SlideFacts(
        thumbnail=catalog.find_thumbnail(slide_id),
        site=catalog.site_of(slide_id),
        labels=tuple(catalog.slide_labels(slide_id)),
    )


ON_PAGE = frozenset({"thumbnail", "mask", "grid", "features_map"})
"""Pictures that the cohort page shows larger than an event could: of these an event has an icon.

Dagster keeps every event twice on SQLite, for ever: with the pictures whole, those of a real slide
were most of what it kept.
"""


def pictures(name: str, jpeg: bytes) -> Metadata:
    """Put a picture into an event: an icon that Dagster shows in place, the whole on a click."""
    icon = {name: picture_value("webp", icon_webp(jpeg))}
    return icon if name in ON_PAGE else icon | {f"{name}_large": picture_value("jpeg", jpeg)}


def page_link(slide_id: str) -> Metadata:
    """Where the cohort page shows a slide, its pictures side by side and large."""
    return {"cohort_page": dg.MetadataValue.url(address_of(slide_id))}


def slide_metadata(planned: PlannedSlide, facts: SlideFacts) -> Metadata:
    """All that is known of a slide, for its page."""
    record, mpp = planned.record, planned.slide_mpp
    metadata: Metadata = pictures("thumbnail", facts.thumbnail) if facts.thumbnail else {}
    metadata |= {
        "mpp": text_value(record.resolution_message) if mpp is None else fact_value("mpp", mpp),
        "width_px0": fact_value("width_px0", record.width_px0),
        "height_px0": fact_value("height_px0", record.height_px0),
        "n_levels": fact_value("n_levels", record.n_levels),
        "vendor": text_value(record.vendor),
        "reader": text_value(record.reader),
        "bytes": dg.MetadataValue.int(record.size_bytes),
        "sha256": text_value(record.fingerprint),
        "paths": text_value("\n".join(visible(p.path) for p in planned.paths)),
        **page_link(planned.slide_id),
    }
    if planned.override is not None:
        said = planned.override
        metadata["mpp_stated"] = text_value(f"{said.mpp:g} by {said.who}: {said.why}")
    if record.objective_power is not None:
        metadata["objective_power"] = fact_value("objective_power", record.objective_power)
    metadata |= {name: text_value(said) for name, said in _stated(record, facts)}
    return metadata


def _stated(record: SlideRecord, facts: SlideFacts) -> Iterator[tuple[str, str]]:
    """What people and the file say of it, in their words."""
    said = {
        "patient": record.patient,
        "site": facts.site,
        "label": record.label,
        # A line for each: what a label holds of line breaks is written out.
        "labels": "\n".join(f"{visible(one.name)}: {visible(one.value)}" for one in facts.labels),
        "scanner": record.scanner,
        "stain": record.stain,
    }
    for name, text in said.items():
        if text:
            yield name, text
