"""An open slide -> the picture that a notebook shows of it."""

from __future__ import annotations

from pathassets.adapters.opencv import small_png
from pathassets.core.display import PICTURE_PX
from pathassets.core.slides.regions import read_overview
from pathassets.core.slides.slide import Slide
from pathassets.errors import TileUnreadable


def picture_of(slide: Slide) -> bytes | None:
    """Its overview as PNG; None where a tile of it cannot be read, so that its line is shown.

    It is read from the pyramid: never a label, never a macro.
    """
    longest_px0 = max(slide.info.width_px0, slide.info.height_px0)
    try:
        rgb, _ = read_overview(slide, downsample=max(1.0, longest_px0 / PICTURE_PX))
    except TileUnreadable:
        return None
    return small_png(rgb, PICTURE_PX)
