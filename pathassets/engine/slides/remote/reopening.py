"""What a slide is opened by again: in any thread, or another process that reads of it, too."""

from __future__ import annotations

from importlib import import_module
from typing import NamedTuple

from pathassets.engine.slides.open import OpenedSlide, open_slide
from pathassets.engine.slides.remote.holes import HoledSource
from pathassets.engine.slides.remote.ranged import open_ranged

IMPORTED_LATE = ("numpy.ma", "numpy.random", "PIL.ImageFile")
"""What the first slide that is opened would have to wait for: 60 ms, 250 patches."""


class SlideSource(NamedTuple):
    """What a slide is opened by, in any process."""

    path: str
    mpp: float | None
    """Micrometres per level-0 pixel, where someone stated it."""
    holes: HoledSource | None = None
    """Where only what is read of it is fetched."""

    def prepare(self) -> None:
        """Import what the first slide that is opened would have to wait for."""
        for name in IMPORTED_LATE:
            import_module(name)

    def open(self) -> OpenedSlide:
        """Open it.

        Raises:
            SlideUnreadable: it is missing, damaged, or no slide.
            StoreError: its storage does not give it.
        """
        if self.holes is not None:
            return open_ranged(self.holes, self.mpp)
        return open_slide(self.path, mpp=self.mpp)
