"""Hamamatsu's NDPA -> areas, which it tells in nanometres from the centre of the glass."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self
from xml.etree.ElementTree import Element as XmlElement

import numpy as np

from pathassets.adapters.annotations.builder import AnnotationBuilder, Element, box_of, ellipse_in
from pathassets.adapters.annotations.xml_tree import attribute_of, child_of, name_of, text_of
from pathassets.core.slides.slide import SlideInfo
from pathassets.errors import SpecError

NDPA = "NDPA"
ROOT = "annotations"
NM_PER_UM = 1000.0
UNITS = ("", "nanometers")
"""What `coordformat` says; older files say nothing."""
OFFSETS = ("hamamatsu.XOffsetFromSlideCentre", "hamamatsu.YOffsetFromSlideCentre")
MPPS = ("openslide.mpp-x", "openslide.mpp-y")


@dataclass(frozen=True, slots=True, kw_only=True)
class NdpaFrame:
    """Where a slide's level 0 lies on the glass.

    Raises:
        SpecError: a number is not finite, or a length is not positive.
    """

    mpp_x: float
    """Micrometres per level-0 pixel; along y it may differ by 0.3 %, 60 px at a slide's edge."""
    mpp_y: float
    width_px0: int
    height_px0: int
    x_offset_nm: float
    """From the centre of the glass to that of level 0."""
    y_offset_nm: float

    def __post_init__(self) -> None:
        lengths = {name: getattr(self, name) for name in ("mpp_x", "mpp_y", "width_px0")}
        lengths["height_px0"] = self.height_px0
        wrong = [f"{name}={value}" for name, value in lengths.items() if not 0 < value < math.inf]
        offsets = {"x_offset_nm": self.x_offset_nm, "y_offset_nm": self.y_offset_nm}
        wrong += [f"{name}={v}" for name, v in offsets.items() if not math.isfinite(v)]
        if wrong:
            raise SpecError(f"NDPA frame: {', '.join(wrong)} is impossible")

    @classmethod
    def of(cls, info: SlideInfo, properties: Mapping[str, str]) -> Self:
        """The frame of a slide, from its facts and OpenSlide's properties of it.

        Raises:
            SpecError: the properties do not tell it.
        """
        stated = info.stated_mpp
        mpps = [_property(properties, name) if stated is None else stated for name in MPPS]
        return cls(
            mpp_x=mpps[0], mpp_y=mpps[1],
            width_px0=info.width_px0, height_px0=info.height_px0,
            x_offset_nm=_property(properties, OFFSETS[0]),
            y_offset_nm=_property(properties, OFFSETS[1]),
        )  # fmt: skip

    def to_px0(self, points_nm: np.ndarray) -> np.ndarray:
        """Level-0 pixels, float64 (n, 2), of places on the glass.

        >>> frame = NdpaFrame(mpp_x=0.5, mpp_y=0.5, width_px0=100, height_px0=80,
        ...                   x_offset_nm=1000.0, y_offset_nm=0.0)
        >>> frame.to_px0(np.array([[1000.0, 0.0], [2000.0, -500.0]])).tolist()
        [[50.0, 40.0], [52.0, 39.0]]
        """
        nm_per_px0 = np.array([self.mpp_x, self.mpp_y]) * NM_PER_UM
        centre_px0 = np.array([self.width_px0, self.height_px0]) / 2
        offset_nm = np.array([self.x_offset_nm, self.y_offset_nm])
        return np.asarray((points_nm - offset_nm) / nm_per_px0 + centre_px0)


def _property(properties: Mapping[str, str], name: str) -> float:
    try:
        return float(properties[name])
    except (KeyError, ValueError) as error:
        said = repr(properties[name]) if name in properties else "nothing"
        raise SpecError(
            f"NDPA frame: the slide's property {name} says {said}",
            remedy="Give the NdpaFrame yourself",
        ) from error


def build_ndpa(builder: AnnotationBuilder, root: XmlElement, frame: NdpaFrame | None) -> str:
    """Take the areas of a file.

    Raises:
        AnnotationError: there are areas, and no frame to place them in.
    """
    for i, state in enumerate(root.findall("ndpviewstate"), 1):
        where = name_of("ndpviewstate", i, state.get("id"))
        annotation = state.find("annotation")
        if annotation is None:  # a place that was only looked at
            builder.leave_out("view")
            continue
        points_nm = _points_nm(builder, annotation, where)
        if points_nm is None:
            continue
        unit = text_of(state, "coordformat")
        if unit not in UNITS:
            raise builder.error(where, f"its coordformat is {unit!r}, not nanometers")
        if frame is None:
            raise builder.error(
                where, "lies in nanometres from the centre of the glass",
                remedy="Give an NdpaFrame: mpp, the slide's width and height, and the properties "
                f"{' and '.join(OFFSETS)} as OpenSlide tells them",
            )  # fmt: skip
        facts = annotation.attrib | {
            "title": text_of(state, "title"), "details": text_of(state, "details"),
        }  # fmt: skip
        element = Element(where=where, label=facts["title"], facts=facts)
        builder.add(element, frame.to_px0(points_nm))
    return NDPA


def _points_nm(builder: AnnotationBuilder, annotation: XmlElement, where: str) -> np.ndarray | None:
    """Corners of an area; None, and counted, where it is none."""
    kind = attribute_of(builder, annotation, "type", where)
    if kind == "circle":
        return _circle_nm(builder, annotation, where)
    if kind != "freehand":
        builder.leave_out(kind)
        return None
    closed = text_of(annotation, "closed")
    if closed not in ("0", "1"):
        raise builder.error(
            where, f"its <closed> is {closed!r}, neither 0 (a line) nor 1 (an area)"
        )
    if closed == "0":
        builder.leave_out("open freehand")
        return None
    points = child_of(builder, annotation, "pointlist", where).findall("point")
    return np.array(
        [_point_nm(builder, point, f"{where}, point {i}") for i, point in enumerate(points, 1)]
    ).reshape(-1, 2)


def _circle_nm(builder: AnnotationBuilder, annotation: XmlElement, where: str) -> np.ndarray:
    centre = np.array(_point_nm(builder, annotation, where))
    radius = builder.number(text_of(annotation, "radius"), f"{where}, radius")
    if radius <= 0:
        raise builder.error(where, f"its radius is {radius:g} nm")
    return ellipse_in(box_of(np.array([centre - radius, centre + radius])))


def _point_nm(builder: AnnotationBuilder, element: XmlElement, where: str) -> list[float]:
    return [builder.number(element.findtext(axis), f"{where}, {axis}") for axis in "xy"]
