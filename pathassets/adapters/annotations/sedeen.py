"""Sedeen's session XML -> areas."""

from __future__ import annotations

import re
from xml.etree.ElementTree import Element as XmlElement

import numpy as np

from pathassets.adapters.annotations.builder import AnnotationBuilder, Element, ellipse_in
from pathassets.adapters.annotations.xml_tree import attribute_of, child_of, name_of

SEDEEN = "Sedeen XML"
ROOT = "session"
AREAS = ("polygon", "rectangle", "ellipse")
AUTOMATIC = re.compile(r"Region \d+")
"""Names that Sedeen gives by itself."""
N_CORNERS = 4
"""Of a rectangle, and of the one around an ellipse."""


def build_sedeen(builder: AnnotationBuilder, root: XmlElement) -> str:
    """Take the areas of a session with one image."""
    images = [
        image for image in root.findall("image") if image.find("overlays/graphic") is not None
    ]
    if len(images) > 1:
        raise builder.error(
            f"<{ROOT}>", f"has annotations on {len(images)} images",
            remedy="Save a session for each image",
        )  # fmt: skip
    if root.find("image") is None:
        raise builder.error(f"<{ROOT}>", "has no <image>")
    for image in images:
        for i, graphic in enumerate(image.findall("overlays/graphic"), 1):
            _build_graphic(builder, name_of("graphic", i, graphic.get("name")), graphic)
    return SEDEEN


def _build_graphic(builder: AnnotationBuilder, where: str, graphic: XmlElement) -> None:
    kind = attribute_of(builder, graphic, "type", where).lower()
    if kind not in AREAS:
        builder.leave_out(kind)
        return
    points = np.array(_points(builder, child_of(builder, graphic, "point-list", where), where))
    if kind != "polygon" and len(points) != N_CORNERS:
        raise builder.error(where, f"is a {kind} of {len(points)} points, not {N_CORNERS}")
    pen = graphic.find("pen")
    facts = graphic.attrib | {"color": pen.get("color", "") if pen is not None else ""}
    element = Element(where=where, label=_label_of(graphic), facts=facts)
    builder.add(element, ellipse_in(points) if kind == "ellipse" else points)


def _label_of(graphic: XmlElement) -> str:
    """The description; of one without, the name that a person gave it."""
    name = graphic.get("name", "")
    return graphic.get("description", "") or ("" if AUTOMATIC.fullmatch(name) else name)


def _points(builder: AnnotationBuilder, point_list: XmlElement, where: str) -> list[list[float]]:
    points = []
    for i, point in enumerate(point_list.findall("point"), 1):
        spot = f"{where}, point {i}"
        numbers = (point.text or "").split(",")
        if len(numbers) != 2:  # noqa: PLR2004
            raise builder.error(spot, f"{point.text!r} is no x,y")
        points.append([builder.number(number, spot) for number in numbers])
    return points
