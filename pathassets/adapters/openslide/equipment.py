"""Properties of a slide -> which scanner made it, and how it was stained, where the file says so.

    DICOM      Manufacturer, ManufacturerModelName; stain: an item of the specimen's preparation
    Philips    DICOM_MANUFACTURER, DICOM_DEVICE_SERIAL_NUMBER
    Leica      device-model, device-version
    Ventana    ScannerModel
    others     the TIFF's Make and Model, such as NDPI's
    Aperio     ScanScope ID: the scanner's own name

Source: https://openslide.org/formats/; DICOM PS3.3 C.7.6.22, Specimen; PS3.16 TID 8003, Staining.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from pathassets.core.text import header_text

_SCANNERS = (
    ("dicom.Manufacturer", "dicom.ManufacturerModelName"),
    ("philips.DICOM_MANUFACTURER", "philips.DICOM_DEVICE_SERIAL_NUMBER"),
    ("leica.device-model", "leica.device-version"),
    ("ventana.ScannerModel",),
    ("tiff.Make", "tiff.Model"),
    ("tiff.Model",),
)
"""Properties that name a scanner together, the first of them at least."""
_APERIO = "aperio.ScanScope ID"

_ITEM = re.compile(
    r"(dicom\.SpecimenDescriptionSequence\[\d+\]\.SpecimenPreparationSequence\[\d+\]"
    r"\.SpecimenPreparationStepContentItemSequence\[\d+\])"
    r"\.ConceptNameCodeSequence\[0\]\.CodeMeaning"
)
_STAINS = frozenset({"stain", "staining", "using substance"})
"""What an item of the preparation that names the stain is called."""
_VALUES = ("TextValue", "ConceptCodeSequence[0].CodeMeaning")


def scanner_of(properties: Mapping[str, str]) -> str:
    """Maker and model, or what the maker calls this very scanner; empty where nobody says."""
    for names in _SCANNERS:
        said = [header_text(properties.get(name, "").strip()) for name in names]
        if said[0]:
            return " ".join(filter(None, said))
    name = properties.get(_APERIO, "").strip()
    return f"Aperio {header_text(name)}" if name else ""


def stain_of(properties: Mapping[str, str]) -> str:
    """The stain as a DICOM file names it, of several all; empty where nobody says."""
    return ", ".join(dict.fromkeys(_stains(properties)))


def _stains(properties: Mapping[str, str]) -> Iterator[str]:
    for name in properties:  # not items(): of a damaged name OpenSlide has no value
        item = _ITEM.fullmatch(name)
        if item is None or properties.get(name, "").strip().casefold() not in _STAINS:
            continue
        said = (properties.get(f"{item[1]}.{value}", "").strip() for value in _VALUES)
        if text := next(filter(None, said), ""):
            yield header_text(text)
