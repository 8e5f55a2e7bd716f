"""OME-XML of a TIFF's description -> what it says of the size of a pixel.

Source: https://docs.openmicroscopy.org/ome-model, Pixels and UnitsLength.
"""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from pathassets.core.slide import MppSource

MICRONS = frozenset({"\u00b5m", "\u03bcm", "um"})
"""Micro sign, Greek mu, and what is left of them in ASCII."""
_UM_PER_UNIT = {"nm": 1e-3, "\u00c5": 1e-4, "pm": 1e-6, "mm": 1e3, "cm": 1e4, "m": 1e6} | {
    "in": 25_400.0, "pt": 25_400.0 / 72, "thou": 25.4
}  # fmt: skip


def ome_statements(description: str) -> tuple[MppSource, ...]:
    """Micrometres per pixel of the first image; nothing where the text is no OME-XML.

    A size in micrometres is passed on word for word. XML that cannot be parsed is a statement that
    is no number: it may well have named a size.
    """
    if "<OME" not in description:
        return ()
    try:
        root = fromstring(description.encode(), forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError, LookupError):
        return (MppSource(source="ome.PhysicalSizeX", value="XML that cannot be parsed"),)
    pixels = next((e for e in root.iter() if e.tag.rpartition("}")[2] == "Pixels"), None)
    return () if pixels is None else tuple(_sizes(pixels))


def _sizes(pixels: Element) -> Iterator[MppSource]:
    for name in ("PhysicalSizeX", "PhysicalSizeY"):
        text = pixels.get(name)
        unit = pixels.get(f"{name}Unit", "\u00b5m")
        if text is None or not (unit in MICRONS or unit in _UM_PER_UNIT):
            continue  # `pixel` and `reference frame` are units of OME, and no lengths
        yield MppSource(source=f"ome.{name}", value=_in_um(text, unit))


def _in_um(text: str, unit: str) -> str:
    if unit in MICRONS:
        return text
    try:
        return f"{float(text) * _UM_PER_UNIT[unit]:.10g}"
    except ValueError:
        return text
