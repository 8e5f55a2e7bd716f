"""Bags, tissue and annotations -> QuPath's GeoJSON.

    <name>.geojson   tissue and annotations as annotations, patches as tiles, with the features as
                     measurements where they are asked for

QuPath counts from the corner of a slide's bounds, where it has some: coordinates are moved there.
Patches are written as they come, one object a line. Source: https://github.com/qupath/qupath,
PathObjectTypeAdapters.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, pairwise, repeat
from pathlib import Path
from typing import Any

import numpy as np

from pathassets.adapters.exchange.parts.output import OutputFile
from pathassets.core.annotations.annotations import AnnotationPolygon
from pathassets.core.exchange.bags import Bag
from pathassets.core.spec import digest_of

MAX_MEASUREMENTS = 64
"""Columns that a person can look at; longer rows are given as their components."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """What is shown of one slide."""

    name: str
    """Of the slide's files in the export."""
    source: str
    """Addresses of what is shown."""
    shift_px0: np.ndarray
    """int64 (2,): taken from every x, y; the corner of the bounds that QuPath counts from."""
    tissue: Sequence[AnnotationPolygon] = ()
    drawn: Sequence[AnnotationPolygon] = ()
    """Annotations, with their labels."""
    bag: Bag | None = None
    """Patches, with features for measurements where there are some."""


def qupath_files(drawing: Drawing) -> Iterator[OutputFile]:
    """The file of one slide."""
    yield OutputFile(
        path=f"{drawing.name}.geojson",
        source=f"{drawing.source} {drawing.shift_px0.tolist()} {len(drawing.tissue)}",
        write=partial(_write, drawing=drawing),
    )


def _write(where: Path, *, drawing: Drawing) -> None:
    shift_px0 = drawing.shift_px0
    objects: list[Iterator[dict[str, Any]]] = [
        (_area(piece, "Tissue", shift_px0) for piece in drawing.tissue),
        (_area(polygon, polygon.label, shift_px0) for polygon in drawing.drawn),
    ]
    if drawing.bag is not None:
        objects.append(_tiles(drawing.bag, shift_px0))
    with where.open("w", encoding="utf-8", newline="\n") as file:
        file.write('{"type": "FeatureCollection", "features": [')
        for number, feature in enumerate(chain.from_iterable(objects)):
            file.write(",\n" if number else "\n")
            file.write(json.dumps(feature, allow_nan=False))
        file.write("\n]}\n")


def _area(polygon: AnnotationPolygon, label: str, shift_px0: np.ndarray) -> dict[str, Any]:
    rings = [(ring - shift_px0).tolist() for ring in (polygon.points, *polygon.holes)]
    properties: dict[str, Any] = {"objectType": "annotation"}
    if label:
        properties["classification"] = {"name": label}
    return _feature([[*ring, ring[0]] for ring in rings], properties)


def _tiles(bag: Bag, shift_px0: np.ndarray) -> Iterator[dict[str, Any]]:
    """One object a patch; its identity follows from where it is from."""
    names = measurement_names(bag)
    rows = chain.from_iterable(bag.chunks()) if names else repeat((), len(bag))
    boxes = (bag.boxes_px0 - np.tile(shift_px0, 2)).tolist()
    for number, ((x0, y0, x1, y1), row) in enumerate(zip(boxes, rows, strict=True)):
        properties: dict[str, Any] = {"objectType": "tile", "name": str(number)}
        if names:
            properties["measurements"] = dict(zip(names, map(float, row), strict=True))
        ring = [[x0, y0], [x1, y0], [x1, y1], [x0, y1], [x0, y0]]
        yield _feature([ring], properties, _uuid(bag.source, number))


def measurement_names(bag: Bag) -> list[str]:
    """Names of the measurements of a tile: those of the features, with their encoder."""
    named = list(bag.attributes.get("feature_names", ()))
    if len(named) != bag.n_columns:
        named = [f"feature {i}" for i in range(bag.n_columns)]
    return [f"{bag.encoder}: {name}" for name in named]


def _uuid(source: str, number: int) -> str:
    digits = digest_of([source, number, 0]) + digest_of([source, number, 1])
    cuts = (0, 8, 12, 16, 20, 32)
    return "-".join(digits[a:b] for a, b in pairwise(cuts))


def _feature(rings: Any, properties: dict[str, Any], identity: str = "") -> dict[str, Any]:
    feature = {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": rings},
        "properties": properties,
    }
    return {**feature, "id": identity} if identity else feature
