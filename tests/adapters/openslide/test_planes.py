import struct

import numpy as np
import pytest
import tifffile

from pathassets.adapters.openslide.planes import count_focal_planes
from pathassets.errors import SlideUnreadable

FOCUS, LENS = 65424, 65421


def ndpi(*planes, order="<", lens=20.0):
    """The directories of an NDPI file: each with a focus, the last one a macro image."""
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "Q", 12)
    directories = [(lens, plane) for plane in planes] + [(-1.0, 9)]
    size = 2 + 2 * 12 + 8 + 2 * 4  # the last: what is above 32 bits of each value
    data = head
    for number, (of_lens, plane) in enumerate(directories):
        entries = struct.pack(order + "HHIf", LENS, 11, 1, of_lens)
        entries += struct.pack(order + "HHIi", FOCUS, 9, 1, plane)
        after = 0 if number + 1 == len(directories) else 12 + (number + 1) * size
        data += struct.pack(order + "H", 2) + entries + struct.pack(order + "Q", after) + bytes(8)
    return data


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("planes", "n"), [((0, 0), 1), ((0, -500, 500, 0), 3)])
def test_focal_planes_of_ndpi_are_counted_by_its_levels(tmp_path, planes, n, order):
    path = tmp_path / "a.ndpi"
    path.write_bytes(ndpi(*planes, order=order))
    assert count_focal_planes(path, {"openslide.vendor": "hamamatsu"}) == n


def test_a_chain_that_is_cut_goes_round_or_leaves_the_file_ends(tmp_path):
    path, data = tmp_path / "a.ndpi", ndpi(0, 100)
    path.write_bytes(data[:50])
    assert count_focal_planes(path, {"openslide.vendor": "hamamatsu"}) == 1
    for after in (12, 2**62, 2**64 - 1):
        path.write_bytes(data.replace(struct.pack("<Q", 12 + 42), struct.pack("<Q", after)))
        assert count_focal_planes(path, {"openslide.vendor": "hamamatsu"}) == 1


@pytest.mark.parametrize(
    ("properties", "n"),
    [
        ({}, 1),
        ({"ventana.Z-layers": "3"}, 3),
        ({"ventana.Z-layers": "x"}, 1),
        ({"hamamatsu.NoLayers": "5"}, 5),
        (
            {
                "mirax.HIERARCHICAL.HIER_0_NAME": "Slide zoom level",
                "mirax.HIERARCHICAL.HIER_0_COUNT": "9",
                "mirax.HIERARCHICAL.HIER_2_NAME": "Microscope focus level",
                "mirax.HIERARCHICAL.HIER_2_COUNT": "7",
            },
            7,
        ),
    ],
)
def test_what_other_makers_say_is_heard(tmp_path, properties, n):
    assert count_focal_planes(tmp_path / "a", properties) == n


@pytest.mark.timeout(20)
def test_elements_of_leicas_xml_that_do_not_end_take_no_time(tmp_path):
    said = '<dimension r="0" z="0"/><dimension r="0" z="1"/>' + "<dimension " * 200_000
    tifffile.imwrite(tmp_path / "a.scn", np.zeros((4, 4), np.uint8), description=said)
    assert count_focal_planes(tmp_path / "a.scn", {"openslide.vendor": "leica"}) == 2


def test_a_file_that_is_gone_is_missing_and_one_that_is_damaged_says_nothing(tmp_path):
    with pytest.raises(SlideUnreadable) as caught:
        count_focal_planes(tmp_path / "a.ndpi", {"openslide.vendor": "hamamatsu"})
    assert caught.value.reason == "file_missing"
    (tmp_path / "a.scn").write_bytes(b"II*\0" + bytes(8))
    assert count_focal_planes(tmp_path / "a.scn", {"openslide.vendor": "leica"}) == 1
