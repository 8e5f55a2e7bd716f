"""Slides, some hundreds at a time -> what the recipe makes of them; memory stays bounded."""

from __future__ import annotations

from collections.abc import Iterator

from pathassets.engine.platform.plan import PlannedSlide, plan_slides
from pathassets.engine.platform.platform import Platform


def plan_in_pages(platform: Platform) -> Iterator[PlannedSlide]:
    """Plan every slide, in order of registration."""
    for slide_ids in platform.catalog.slide_pages():
        yield from plan_slides(platform, slide_ids)
