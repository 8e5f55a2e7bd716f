"""Aperio ImageScope's XML -> areas.

    Annotations ─▶ Annotation: a layer ─▶ Region: a shape; with NegativeROA, a hole in the others

Shapes are taken by the numbers ImageScope gives their kinds, and by their corners: files say
"rectangle" of outlines with a thousand corners.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from xml.etree.ElementTree import Element as XmlElement

import numpy as np
import shapely

from pathassets.adapters.annotations.builder import (
    MEND,
    AnnotationBuilder,
    Element,
    box_of,
    ellipse_in,
)
from pathassets.adapters.annotations.xml_tree import child_of, name_of, numbers_of
from pathassets.core.annotations.annotations import AnnotationPolygon, outlines_of
from pathassets.errors import SpecError

IMAGESCOPE = "ImageScope XML"
ROOT = "Annotations"
RECTANGLE, ELLIPSE = "1", "2"
AREAS = ("0", RECTANGLE, ELLIPSE)
NO_AREAS = {"3": "arrow", "4": "ruler"}
TWO_CORNERS = 2
FOUR_CORNERS = 4
UNNAMED = "Description"
"""Name of the attribute of a layer that nobody named."""


@dataclass(slots=True)
class _Layer:
    """Regions of one layer."""

    areas: list[tuple[Element, np.ndarray]] = field(default_factory=list)
    negative: list[tuple[Element, np.ndarray]] = field(default_factory=list)


def build_imagescope(builder: AnnotationBuilder, root: XmlElement) -> str:
    """Take the areas of a file."""
    for i, annotation in enumerate(root.findall("Annotation"), 1):
        where = name_of("annotation", i, annotation.get("Id"))
        regions = annotation.find("Regions")
        layer = _Layer()
        for j, region in enumerate([] if regions is None else regions.findall("Region"), 1):
            spot = f"{where}, {name_of('region', j, region.get('Id'))}"
            _read_region(builder, layer, _element_of(spot, annotation, region), region)
        _build_layer(builder, layer)
    return IMAGESCOPE


def _element_of(where: str, annotation: XmlElement, region: XmlElement) -> Element:
    attributes = {
        name: attribute.get("Value", "")
        for attribute in annotation.findall("Attributes/Attribute")
        if (name := attribute.get("Name"))
    }
    facts: dict[str, Any] = {
        "annotation": dict(annotation.attrib),
        "attributes": attributes,
        "region": dict(region.attrib),
        "region_attributes": [dict(a.attrib) for a in region.findall("Attributes/Attribute")],
    }
    return Element(where=where, label=_label_of(facts), facts=facts)


def _label_of(facts: dict[str, Any]) -> str:
    """The layer's name; else that of its attribute, or what it says; else the region's text."""
    named = [name for name in facts["attributes"] if name != UNNAMED]
    candidates = [
        facts["annotation"].get("Name"),
        *named[:1],
        facts["attributes"].get(UNNAMED),
        facts["region"].get("Text"),
    ]
    return next((label for label in candidates if label), "")


def _read_region(
    builder: AnnotationBuilder, layer: _Layer, element: Element, region: XmlElement
) -> None:
    kind = region.get("Type", "0")
    if kind not in AREAS:
        if not kind.isdecimal():
            raise builder.error(element.where, f"Type {kind!r} is none of ImageScope's")
        builder.leave_out(NO_AREAS.get(kind, f"region of type {kind}"))
        return
    vertices = child_of(builder, region, "Vertices", element.where)
    points = numbers_of(builder, vertices.findall("Vertex"), ("X", "Y"), element.where)
    corners = _shaped(kind, points)
    is_negative = region.get("NegativeROA", "0")
    if is_negative not in ("0", "1"):
        raise builder.error(element.where, f"NegativeROA={is_negative!r} is neither 0 nor 1")
    (layer.negative if is_negative == "1" else layer.areas).append((element, corners))


def _shaped(kind: str, points: np.ndarray) -> np.ndarray:
    """Corners of a shape; rectangles and ellipses may be told by two opposite ones."""
    if kind == RECTANGLE and len(points) == TWO_CORNERS:
        return box_of(points)
    if kind == ELLIPSE and len(points) == TWO_CORNERS:
        return ellipse_in(box_of(points))
    if kind == ELLIPSE and len(points) == FOUR_CORNERS and _is_box(points):
        return ellipse_in(box_of(points))
    return points


def _is_box(points: np.ndarray) -> bool:
    lines = [len(np.unique(points[:, axis])) for axis in (0, 1)]
    return lines == [2, 2]


def _build_layer(builder: AnnotationBuilder, layer: _Layer) -> None:
    """Take a layer's areas, each with the negative ones in it as holes.

    A negative region that lies within none is a hole of those that it overlaps without holding
    them; where there are none of these either, it is left out.
    """
    holes: list[list[np.ndarray]] = [[] for _ in layer.areas]
    for place, corners in _holes(builder, layer) if layer.negative else ():
        holes[place].append(corners)
    for (element, corners), cut in zip(layer.areas, holes, strict=True):
        builder.add(element, corners, cut)


def _holes(builder: AnnotationBuilder, layer: _Layer) -> Iterator[tuple[int, np.ndarray]]:
    """Which of the areas each negative region is a hole of."""
    areas = _outlines(builder, layer.areas)
    tree = shapely.STRtree(areas)
    negatives = _outlines(builder, layer.negative)
    for (_, corners), negative in zip(layer.negative, negatives, strict=True):
        found = tree.query(negative, predicate="covered_by")
        if not len(found):
            met = tree.query(negative, predicate="intersects")
            shared = shapely.area(shapely.intersection(areas[met], negative))
            found = met[(shared > 0) & ~shapely.covered_by(areas[met], negative)]
        if not len(found):
            builder.leave_out("negative region outside all areas")
        for place in found.tolist():
            yield place, corners


def _outlines(builder: AnnotationBuilder, regions: list[tuple[Element, np.ndarray]]) -> np.ndarray:
    polygons = []
    for element, corners in regions:
        try:
            polygons.append(AnnotationPolygon(points=corners))
        except SpecError as error:
            raise builder.error(element.where, error.message, remedy=MEND) from error
    return outlines_of(polygons)
