"""ASAP's XML -> areas.

Source: https://github.com/computationalpathologygroup/ASAP, annotation/XmlRepository.cpp
"""

from __future__ import annotations

import re
from xml.etree.ElementTree import Element as XmlElement

import numpy as np

from pathassets.adapters.annotations.builder import AnnotationBuilder, Element
from pathassets.adapters.annotations.xml_tree import attribute_of, child_of, name_of, numbers_of

ASAP = "ASAP XML"
ROOT = "ASAP_Annotations"
AREAS = ("polygon", "rectangle", "spline")
"""Of a spline the given points are taken as corners."""
NO_GROUP = "None"
AUTOMATIC = re.compile(r"Annotation \d+")
"""Names that ASAP gives by itself."""


def build_asap(builder: AnnotationBuilder, root: XmlElement) -> str:
    """Take the areas of a file."""
    annotations = child_of(builder, root, "Annotations", f"<{ROOT}>")
    for i, annotation in enumerate(annotations.findall("Annotation"), 1):
        where = name_of("annotation", i, annotation.get("Name"))
        kind = attribute_of(builder, annotation, "Type", where)
        if kind.lower() not in AREAS:
            builder.leave_out(kind)
            continue
        coordinates = child_of(builder, annotation, "Coordinates", where)
        element = Element(where=where, label=_label_of(annotation), facts=dict(annotation.attrib))
        builder.add(element, _points(builder, coordinates, where))
    return ASAP


def _label_of(annotation: XmlElement) -> str:
    """The group; of one without a group, the name that a person gave it."""
    group = annotation.get("PartOfGroup", NO_GROUP)
    name = annotation.get("Name", "")
    if group not in ("", NO_GROUP):
        return group
    return "" if AUTOMATIC.fullmatch(name) else name


def _points(builder: AnnotationBuilder, coordinates: XmlElement, where: str) -> np.ndarray:
    found = coordinates.findall("Coordinate")
    points = numbers_of(builder, found, ("X", "Y"), where)
    if all("Order" in coordinate.attrib for coordinate in found):
        order = numbers_of(builder, found, ("Order",), where)[:, 0]
        points = points[np.argsort(order, kind="stable")]
    return points
