from __future__ import annotations

import pytest

from pathassets.adapters.openslide.equipment import scanner_of, stain_of
from pathassets.adapters.openslide.reader import OpenSlideReader

STEP = (
    "dicom.SpecimenDescriptionSequence[0].SpecimenPreparationSequence[{}]"
    ".SpecimenPreparationStepContentItemSequence[{}]."
)


def item(step: int, number: int, name: str, **said: str) -> dict[str, str]:
    """One item of a specimen's preparation, as OpenSlide spells a DICOM file's."""
    place = STEP.format(step, number)
    coded = {f"{place}{key.replace('_', '[0].')}": value for key, value in said.items()}
    return {f"{place}ConceptNameCodeSequence[0].CodeMeaning": name} | coded


@pytest.mark.parametrize(
    ("properties", "scanner"),
    [
        ({}, ""),
        ({"aperio.ScanScope ID": "SS1302"}, "Aperio SS1302"),
        ({"tiff.Make": "Hamamatsu", "tiff.Model": "C9600-12"}, "Hamamatsu C9600-12"),
        ({"tiff.Model": "NanoZoomer"}, "NanoZoomer"),
        ({"leica.device-model": "Leica SCN400"}, "Leica SCN400"),
        ({"dicom.Manufacturer": "GOOGLE", "dicom.ManufacturerModelName": "x"}, "GOOGLE x"),
        ({"dicom.Manufacturer": " "}, ""),
        ({"tiff.Make": "\x1b[2J![x](y)"}, r"\x1b[2J![x](y)"),
    ],
)
def test_the_scanner_is_what_the_file_says_of_it(properties, scanner) -> None:
    assert scanner_of(properties) == scanner


def test_the_stain_is_the_item_that_is_called_so() -> None:
    found = item(0, 0, "Specimen Type", TextValue="Skin")
    found |= item(1, 1, "Stain", TextValue="HE\x1b")
    found |= item(1, 2, "Using substance", ConceptCodeSequence_CodeMeaning="CD30")
    assert stain_of(found) == r"HE\x1b, CD30"
    assert stain_of({}) == ""


@pytest.mark.parametrize(
    ("name", "scanner", "stain"),
    [
        ("CMU-1-Small-Region.svs", "Aperio CPAPERIOCS", ""),
        ("TCGA-CR-7395-01A-01-TS1.svs", "", ""),
        ("camelyon_jpeg.dcm", "", "CD30 uA5h"),
        ("camelyon_jpeg2000.dcm", "GOOGLE", "Arginase uV"),
    ],
)
def test_real_slides_say_what_they_say(shared, name, scanner, stain) -> None:
    reader = OpenSlideReader(shared / "slides" / name)
    assert (reader.info.scanner, reader.info.stain) == (scanner, stain)
    reader.close()
