"""Slides, some hundreds at a time -> what the recipe makes of them; memory stays bounded."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from pathassets.engine.platform.plan import PlannedSlide, plan_slide
from pathassets.engine.platform.platform import Platform


class PlannedInPages:
    """What people stated, read once, and plans of the slides that are asked about."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._overrides = platform.catalog.overrides()
        self._annotations = platform.catalog.annotations()

    def of(self, slide_ids: Collection[str]) -> Iterator[PlannedSlide]:
        """Plan those of these that are registered; their files are left out."""
        for record in self._platform.catalog.slides_of(slide_ids):
            slide_id = record.slide_id
            yield plan_slide(
                self._platform.recipe,
                record,
                self._overrides.get(slide_id),
                (),
                self._annotations.get(slide_id, {}),
            )

    def all(self) -> Iterator[PlannedSlide]:
        """Plan every slide, by id."""
        for slide_ids in self._platform.catalog.slide_pages():
            yield from self.of(slide_ids)
