"""Files that a person may draw on a slide: rectangles as GeoJSON, masks as pictures."""

from __future__ import annotations

import json
from pathlib import Path

from pathassets.core.annotations.annotations import AnnotationPolygon, to_geojson
from pathassets.engine.platform.annotations import AnnotationSource, Recorded, record_file
from pathassets.engine.platform.platform import Platform

Box = tuple[float, float, float, float]
NOTHING = '{"type": "FeatureCollection", "features": []}'
ANN_SAYS = AnnotationSource(name="tumour", who="Ann", why="review of 3 May")


def polygon(box_px0: Box, label: str = "") -> AnnotationPolygon:
    x0, y0, x1, y1 = box_px0
    return AnnotationPolygon(points=[(x0, y0), (x1, y0), (x1, y1), (x0, y1)], label=label)


def write_boxes(path: Path, *boxes_px0: Box, labels: tuple[str, ...] = ()) -> Path:
    """Write rectangles, labelled in order; unlabelled where there are no more labels."""
    said = [*labels, *[""] * (len(boxes_px0) - len(labels))]
    polygons = [polygon(box, label) for box, label in zip(boxes_px0, said, strict=True)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(to_geojson(polygons)), encoding="utf-8")
    return path


def record_boxes(
    platform: Platform, slide_id: str, *boxes_px0: Box, name: str = "tumour", **how: tuple[str, ...]
) -> Recorded:
    """Write rectangles beside the store, record them, and take the file away."""
    file = platform.settings.home / f"{slide_id}.geojson"
    write_boxes(file, *boxes_px0, **how)
    stated = AnnotationSource(name=name, who="Ann", why="review of 3 May")
    recorded = record_file(platform, slide_id, file, stated)
    file.unlink()
    return recorded
