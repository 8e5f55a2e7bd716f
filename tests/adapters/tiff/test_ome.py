import pytest

from pathassets.adapters.tiff.layout import read_layout
from pathassets.core.slides.slide import MppSource
from tests.adapters.small_tiffs import write_ome


def test_the_levels_below_the_first_image_of_an_ome_tiff_come_last(tmp_path):
    write_ome(tmp_path / "a.ome.tif", PhysicalSizeX=0.25, PhysicalSizeY=0.26)
    layout = read_layout(tmp_path / "a.ome.tif")
    assert [v.grid.width_px for v in layout.levels] == [200, 100]
    assert layout.mpp_statements == (
        MppSource(source="ome.PhysicalSizeX", value="0.25"),
        MppSource(source="ome.PhysicalSizeY", value="0.26"),
    )


@pytest.mark.parametrize(
    ("size", "unit", "said"),
    [
        ("0.2500", "µm", ["0.2500"]),
        ("250", "nm", ["0.25"]),
        ("2.5e-4", "mm", ["0.25"]),
        ("2500", "Å", ["0.25"]),
        ("0,25", "mm", ["0,25"]),
        ("0.25", "pixel", []),
        ("0.25", "reference frame", []),
    ],
)
def test_ome_units_become_micrometres_and_what_is_no_length_is_no_statement(
    tmp_path, size, unit, said
):
    pixels = f'<Pixels PhysicalSizeX="{size}" PhysicalSizeXUnit="{unit}"/>'
    xml = f'<?xml version="1.0"?><OME xmlns="x"><Image>{pixels}</Image></OME>'
    write_ome(tmp_path / "a.tif", xml.encode())
    assert [s.value for s in read_layout(tmp_path / "a.tif").mpp_statements] == said


@pytest.mark.parametrize(
    "xml",
    [
        b'<OME><Pixels PhysicalSizeX="0.25"></OME>',
        b'<!DOCTYPE a [<!ENTITY b "cc"><!ENTITY c "&b;&b;">]><OME>&c;</OME>',
    ],
)
def test_ome_xml_that_cannot_be_parsed_is_a_statement_that_is_no_number(tmp_path, xml):
    write_ome(tmp_path / "a.tif", xml)
    (said,) = read_layout(tmp_path / "a.tif").mpp_statements
    assert said == MppSource(source="ome.PhysicalSizeX", value="XML that cannot be parsed")
