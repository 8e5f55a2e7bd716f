"""GeoJSON as QuPath writes it, and plain lists of points -> areas."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any

from pathassets.adapters.annotations.builder import AnnotationBuilder, Element

GEOJSON = "GeoJSON"
POINTS = "JSON of points"

NO_AREAS = ("Point", "MultiPoint", "LineString", "MultiLineString")
GEOMETRIES = ("Polygon", "MultiPolygon", "GeometryCollection", *NO_AREAS)
ID_CHARS = 50


def build_geojson(builder: AnnotationBuilder, root: Any) -> str:
    """Take the areas of parsed JSON, and say which of the two formats it is."""
    if isinstance(root, list) and root and isinstance(root[0], dict) and "points" in root[0]:
        for i, item in enumerate(root, 1):
            _build_points(builder, f"polygon {i}", item)
        return POINTS
    for where, item in _features(builder, root):
        _build_feature(builder, where, item)
    return GEOJSON


def _build_points(builder: AnnotationBuilder, where: str, item: Any) -> None:
    if not isinstance(item, dict) or not {"points", "label"} <= item.keys():
        raise builder.error(where, "is no {points, label, holes}")
    holes = item.get("holes") or []
    if not isinstance(holes, list):
        raise builder.error(where, "its holes are no list")
    element = Element(where=where, label=item["label"], facts=item)
    builder.add(
        element,
        _ring(builder, f"{where}, outline", item["points"]),
        [_ring(builder, f"{where}, hole {i}", hole) for i, hole in enumerate(holes, 1)],
    )


def _features(builder: AnnotationBuilder, root: Any) -> Iterator[tuple[str, Any]]:
    """Features, or geometries without properties, and what errors call them."""
    kind = root.get("type") if isinstance(root, dict) else None
    if isinstance(root, dict) and kind == "FeatureCollection":
        if not isinstance(root.get("features"), list):
            raise builder.error("", "a FeatureCollection without a list of features")
        root = root["features"]
    elif isinstance(root, dict) and (kind == "Feature" or kind in GEOMETRIES):
        root = [root]
    elif not isinstance(root, list):
        raise builder.error("", "is JSON, but neither GeoJSON nor a list of polygons")
    for i, item in enumerate(root, 1):
        name = item.get("id") if isinstance(item, dict) else None
        known = f" (id {str(name)[:ID_CHARS]})" if isinstance(name, str | int) else ""
        yield f"feature {i}{known}", item


def _build_feature(builder: AnnotationBuilder, where: str, item: Any) -> None:
    if not isinstance(item, dict):
        raise builder.error(where, f"is no feature but {_said(item)}")
    if item.get("type") != "Feature":
        _build_geometry(builder, Element(where=where, label="", facts=item), item)
        return
    if "geometry" not in item:
        raise builder.error(where, "has no geometry")
    if "nucleusGeometry" in item:  # QuPath's cells: the cell counts, with what lies in it
        builder.leave_out("nucleus of a cell")
    element = Element(where=where, label=_label_of(builder, where, item), facts=item)
    if item["geometry"] is None:
        builder.leave_out("no geometry")
    else:
        _build_geometry(builder, element, item["geometry"])


def _label_of(builder: AnnotationBuilder, where: str, feature: dict[str, Any]) -> str:
    """The class of an object; the name of one without a class; else "".

    Classes derived from each other are joined as QuPath shows them.
    """
    properties = feature.get("properties")
    if properties is None:
        return ""
    if not isinstance(properties, dict):
        raise builder.error(where, f"its properties are {_said(properties)}")
    label = properties.get("classification")
    if isinstance(label, dict):
        label = label["names"] if label.get("names") is not None else label.get("name")
    if isinstance(label, list) and all(isinstance(name, str) for name in label):
        label = ": ".join(label)
    if label is None:
        label = properties.get("name")
    if label is None:
        return ""
    if not isinstance(label, str):
        raise builder.error(where, f"its class is {_said(label)}, not a text")
    return label


def _build_geometry(builder: AnnotationBuilder, element: Element, geometry: Any) -> None:
    kind = geometry.get("type") if isinstance(geometry, dict) else None
    if not isinstance(geometry, dict) or kind not in GEOMETRIES:
        raise builder.error(
            element.where, f"its geometry is {_said(kind or geometry)}, not one of GeoJSON's"
        )
    if kind in NO_AREAS:
        builder.leave_out(str(kind))
        return
    key = "geometries" if kind == "GeometryCollection" else "coordinates"
    content = geometry.get(key)
    if not isinstance(content, list):
        raise builder.error(element.where, f"its {kind} has no list of {key}")
    if not content:
        builder.leave_out(f"empty {kind}")
    elif kind == "Polygon":
        _build_rings(builder, element, content)
    else:
        _build_parts(builder, element, str(kind), content)


def _build_parts(builder: AnnotationBuilder, element: Element, kind: str, parts: list[Any]) -> None:
    for i, part in enumerate(parts, 1):
        inner = Element(
            where=f"{element.where}, part {i}", label=element.label, facts=element.facts
        )
        if kind == "GeometryCollection":
            _build_geometry(builder, inner, part)
        else:
            _build_rings(builder, inner, part)


def _build_rings(builder: AnnotationBuilder, element: Element, rings: Any) -> None:
    if not isinstance(rings, list) or not rings:
        raise builder.error(element.where, f"is {_said(rings)}, not a list of rings")
    names = ["outline", *(f"hole {i}" for i in range(1, len(rings)))]
    corners = [
        _ring(builder, f"{element.where}, {name}", ring)
        for name, ring in zip(names, rings, strict=True)
    ]
    builder.add(element, corners[0], corners[1:])


def _ring(builder: AnnotationBuilder, where: str, ring: Any) -> list[list[float]]:
    """A list of positions, of which x and y are taken; checked by C loops, for there are many."""
    if not isinstance(ring, list) or not set(map(type, ring)) <= {list}:
        raise builder.error(where, "its nesting is not that of a list of [x, y]")
    if ring and min(map(len, ring)) < 2:  # noqa: PLR2004
        raise builder.error(where, "a position has fewer than two numbers")
    odd = set(map(type, chain.from_iterable(ring))) - {int, float}
    if odd:
        names = ", ".join(sorted(kind.__name__ for kind in odd))
        raise builder.error(where, f"a position holds {names} where numbers belong")
    return [position[:2] for position in ring]


def _said(value: Any) -> str:
    """A value in few words."""
    if isinstance(value, list | dict):
        return f"a {type(value).__name__} of {len(value)}"
    text = repr(value)
    return text if len(text) <= ID_CHARS else f"{text[:ID_CHARS]}…"
