"""What was drawn on a slide that has bounds -> level-0 pixels, or the question what they are.

QuPath counts from the corner of the bounds, ASAP from that of level 0; other programs write GeoJSON
and ASAP's XML, too, and neither these nor ImageScope's, Sedeen's or lists of points say which. Only
NDPA lies on the glass by itself.

Source: https://github.com/qupath/qupath, OpenslideImageServer.java (boundsX, boundsY);
https://github.com/computationalpathologygroup/ASAP, OpenSlideImage.cpp
"""

from __future__ import annotations

from dataclasses import replace

from pathassets.core.annotations.annotations import Annotations, moved
from pathassets.core.frames import Frame
from pathassets.core.slides.slide import SlideInfo
from pathassets.errors import SpecError


def is_offset(info: SlideInfo) -> bool:
    """Whether the two frames differ for coordinates: the bounds begin elsewhere than level 0."""
    return info.origin_px0 != (0, 0)


def on_level0(
    drawn: Annotations, info: SlideInfo, frame: Frame | None, *, subject: str
) -> Annotations:
    """Bring polygons as a file tells them to level 0.

    Raises:
        SpecError: the slide has bounds, and nobody says from where the polygons count.
    """
    if not is_offset(info) or frame == "level0":
        return drawn
    if frame is None:
        raise unsaid_frame(info, subject=subject)
    return replace(drawn, polygons=moved(drawn.polygons, *info.origin_px0))


def unsaid_frame(info: SlideInfo, *, subject: str, what: str = "coordinates") -> SpecError:
    """Build the error for an annotation that does not say from where it counts."""
    x0, y0, x1, y1 = info.bounds_px0 or (0, 0, info.width_px0, info.height_px0)
    return SpecError(
        f"{subject}: has bounds, {x1 - x0} x {y1 - y0} px of {info.width_px0} x "
        f"{info.height_px0} px from ({x0}, {y0}) on, and nothing tells whether the {what} of what "
        "was drawn count from there",
        remedy="Say it: --frame bounds where QuPath wrote them, --frame level0 where ASAP did, or "
        "another program that shows all of level 0 (in Python: slide.read_annotations(file, "
        "frame=…)). Look at the preview",
    )
