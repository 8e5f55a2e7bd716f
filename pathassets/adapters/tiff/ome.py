"""OME-XML of a TIFF's description -> the images it names: where each is, its size, its pixels'.

Source: https://docs.openmicroscopy.org/ome-model, Pixels, TiffData and UnitsLength.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from pathassets.core.slides.slide import MppSource

MICRONS = frozenset({"\u00b5m", "\u03bcm", "um"})
"""Micro sign, Greek mu, and what is left of them in ASCII."""
_UM_PER_UNIT = {"nm": 1e-3, "\u00c5": 1e-4, "pm": 1e-6, "mm": 1e3, "cm": 1e4, "m": 1e6} | {
    "in": 25_400.0, "pt": 25_400.0 / 72, "thou": 25.4
}  # fmt: skip
_SIZES = ("PhysicalSizeX", "PhysicalSizeY")
UNPARSED = (MppSource(source="ome.PhysicalSizeX", value="XML that cannot be parsed"),)
"""What such XML says of the size of a pixel: it may well have named one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OmeImage:
    """One image, as the XML has it."""

    name: str
    size_px: tuple[int, int] | None
    """(width, height); None where it is not told."""
    n_stacked: int
    """Focal planes times points of time."""
    n_channels: int
    """Samples of a pixel, be they stored together, as RGB is, or as a plane each."""
    directory: int | None
    """Number of the directory that holds its first plane; None where it is not told."""
    elsewhere: str
    """Another file that holds its first plane; empty where it is in this one."""
    mpp_statements: tuple[MppSource, ...]
    """What it says about the size of a pixel, in micrometres, word for word."""


def ome_images(description: str) -> tuple[OmeImage, ...] | None:
    """The images in the order of the XML; none where the text is no OME-XML.

    None where it is XML that cannot be parsed.
    """
    if "<OME" not in description:
        return ()
    try:
        root = fromstring(description.encode(), forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError, LookupError):
        return None
    images = [e for e in root.iter() if _tag(e) == "Image" and _pixels(e) is not None]
    own = _own_uuid(root)
    return tuple(_image(e, own, is_only=len(images) == 1) for e in images)


def _own_uuid(root: Element) -> str:
    """The name that the XML has for the file it stands in; its only one, where it does not say."""
    named = {(e.text or "").strip() for e in root.iter() if _tag(e) == "UUID"}
    return root.get("UUID", next(iter(named)) if len(named) == 1 else "")


def names_another_file(description: str) -> str:
    """The file that holds the XML of this one's images, where this one has none; else nothing."""
    if "<OME" not in description or "BinaryOnly" not in description:
        return ""
    try:
        root = fromstring(description.encode(), forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError, LookupError):
        return ""
    found = next((e for e in root.iter() if _tag(e) == "BinaryOnly"), None)
    return "" if found is None else found.get("MetadataFile", "another file")


def _tag(element: Element) -> str:
    return element.tag.rpartition("}")[2]


def _pixels(image: Element) -> Element | None:
    return next((e for e in image if _tag(e) == "Pixels"), None)


def _image(image: Element, own_uuid: str, *, is_only: bool) -> OmeImage:
    pixels = _pixels(image)
    assert pixels is not None  # noqa: S101 - asked by the caller
    width_px, height_px = (_count(pixels.get(name), 0) for name in ("SizeX", "SizeY"))
    first = next((e for e in pixels if _tag(e) == "TiffData" and _is_first(e)), None)
    directory = 0 if is_only else None
    if first is not None:
        directory = _count(first.get("IFD"), 0)
    return OmeImage(
        name=image.get("Name", ""),
        size_px=(width_px, height_px) if width_px and height_px else None,
        n_stacked=_count(pixels.get("SizeZ"), 1) * _count(pixels.get("SizeT"), 1),
        n_channels=_count(pixels.get("SizeC"), 1),
        directory=directory,
        elsewhere="" if first is None else _elsewhere(first, own_uuid),
        mpp_statements=tuple(_sizes(pixels)),
    )


def _is_first(tiff_data: Element) -> bool:
    return all(_count(tiff_data.get(f"First{axis}"), 0) == 0 for axis in "ZCT")


def _elsewhere(tiff_data: Element, own_uuid: str) -> str:
    """Name of the file that a plane is in, if that is another: files are told by their UUID."""
    uuid = next((e for e in tiff_data if _tag(e) == "UUID"), None)
    if uuid is None or (uuid.text or "").strip() == own_uuid:
        return ""
    return uuid.get("FileName", "another file")


def _count(text: str | None, default: int) -> int:
    """A whole number of the XML; where it is none, its default."""
    is_number = text is not None and text.isdecimal() and len(text) <= _MAX_DIGITS
    return int(text or "") if is_number else default


_MAX_DIGITS = 18


def _sizes(pixels: Element) -> Iterator[MppSource]:
    for name in _SIZES:
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
