"""HALO's XML: told from ImageScope's, whose element names it has, and refused.

    Annotations ─▶ Annotation: a layer ─▶ Region Type="Polygon" ─▶ Vertices ─▶ V

Indica Labs documents neither how its ellipses lie nor what its negative regions cut out, so nothing
here guesses.
"""

from __future__ import annotations

from xml.etree.ElementTree import Element as XmlElement

from pathassets.adapters.annotations.builder import AnnotationBuilder
from pathassets.errors import AnnotationError

ROOT = "Annotations"
TYPES = {"Polygon", "Rectangle", "Ellipse", "Ruler", "Pin", "Polyline"}
"""Words where ImageScope has numbers."""
REMEDY = (
    "Export it from HALO as GeoJSON, or convert it, as the package pyhaloxml does, and give the "
    "GeoJSON"
)


def is_halo(root: XmlElement) -> bool:
    """Whether a file with ImageScope's root is HALO's."""
    return root.find("Annotation/Regions/Region/Vertices/V") is not None or any(
        region.get("Type") in TYPES for region in root.iterfind("Annotation/Regions/Region")
    )


def refused(builder: AnnotationBuilder) -> AnnotationError:
    """Build the error that such a file is."""
    return builder.error("", "is HALO's XML, which is not read", remedy=REMEDY)
