"""Size of a mask -> the area of a slide that it is a picture of, and how its axes lie.

A mask of an area made smaller has whole numbers of pixels, rounded up, down or to the nearest. What
fits one area, or one order of the axes, by that alone, and no other, is decided: be they nearly
alike.
"""

from __future__ import annotations

from typing import NamedTuple

from pathassets.core.frames import Frame
from pathassets.core.slides.slide import SlideInfo

ROUNDED_PX = 1.0
"""By less than this a mask is off where only rounding made its size: up, down or to the nearest."""
PROPORTIONS = 0.01
"""Share of its longer side by which a mask may be off that is still one of all of an area."""


class Size(NamedTuple):
    """Of a mask in its pixels, or of an area in level-0 pixels."""

    width: int
    height: int

    @property
    def turned(self) -> Size:
        """With the axes exchanged."""
        return Size(self.height, self.width)


def areas_of(info: SlideInfo) -> dict[Frame, Size]:
    """What a mask may be a picture of: all of level 0; of a slide that has bounds, those too."""
    areas: dict[Frame, Size] = {"level0": Size(info.width_px0, info.height_px0)}
    if info.bounds_px0 is not None:
        x0, y0, x1, y1 = info.bounds_px0
        areas["bounds"] = Size(x1 - x0, y1 - y0)
    return areas


def fitting(mask: Size, info: SlideInfo) -> list[Frame]:
    """Areas that a mask fits; one of a level's very size is of all of level 0."""
    if mask in info.level_sizes_px:
        return ["level0"]
    return [frame for frame, area in areas_of(info).items() if off_px(mask, area) < ROUNDED_PX]


def is_exchanged(mask: Size, info: SlideInfo) -> bool:
    """Whether a mask fits with its axes exchanged, and as it is does not.

    What fits neither way by rounding alone (it was cropped, or is of another pyramid) is judged by
    its proportions, to a per cent. Of a square area it cannot be told.
    """
    if 0 in mask or fitting(mask, info):
        return False
    areas = list(areas_of(info).values())
    off, turned_off = (min(off_px(size, area) for area in areas) for size in (mask, mask.turned))
    allowed_px = PROPORTIONS * max(mask)
    return turned_off < ROUNDED_PX or turned_off < allowed_px <= off


def off_px(mask: Size, area: Size) -> float:
    """By how many pixels the shorter side of a mask is off where the longer is the area's.

    >>> off_px(Size(250, 150), Size(1000, 600)), off_px(Size(333, 200), Size(1000, 600))
    (0.0, 0.2)
    """
    if area.width < area.height:
        mask, area = mask.turned, area.turned
    return abs(area.height * mask.width - area.width * mask.height) / area.width
