"""Which image of a TIFF is the slide: the label shows who the patient is, and is often first."""

import re
import shutil
import subprocess

import numpy as np
import pytest
import tifffile

from pathassets.adapters.tiff.layout import read_layout
from pathassets.adapters.tiff.slide_image import is_beside
from pathassets.errors import SlideUnreadable

SLIDE, LABEL, MACRO = (400, 300), (120, 80), (200, 90)
"""(width, height) in pixels."""
MPP = {"PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5}


def plain(size_px, value=200):
    return np.full((size_px[1], size_px[0], 3), value, np.uint8)


def write_ome(path, *images, tiled=True):
    """Write an OME-TIFF of (name, (width, height), further facts); tifffile writes its XML."""
    with tifffile.TiffWriter(path, ome=True) as file:
        for name, size_px, facts in images:
            file.write(
                plain(size_px), photometric="rgb", tile=(64, 64) if tiled else None,
                metadata={"axes": "YXS", "Name": name, **facts},
            )  # fmt: skip
    return path


def write_xml(path, xml, *sizes_px):
    """Write directories of these sizes below an OME-XML of the test's own."""
    with tifffile.TiffWriter(path) as file:
        for number, size_px in enumerate(sizes_px):
            file.write(
                plain(size_px), photometric="rgb", tile=(64, 64), metadata=None,
                description=xml if number == 0 else None,
            )  # fmt: skip
    return path


def image_xml(name, size_px, tiff_data="", more=""):
    width_px, height_px = size_px
    return (
        f'<Image Name="{name}"><Pixels SizeX="{width_px}" SizeY="{height_px}" SizeC="3" {more}>'
        f'<Channel SamplesPerPixel="3"/>{tiff_data}</Pixels></Image>'
    )


def ome(*images, attributes=""):
    return f'<?xml version="1.0"?><OME xmlns="x" {attributes}>{"".join(images)}</OME>'


def rejected_file(path):
    with pytest.raises(SlideUnreadable) as caught:
        read_layout(path)
    assert caught.value.reason == "slide_image_unclear"
    assert caught.value.remedy
    return str(caught.value)


@pytest.mark.parametrize(
    "beside", ["label image", "Label", "MACRO", "Overview", "a.svs - thumbnail", "macro mask image"]
)
def test_the_slide_is_the_largest_image_and_what_stands_before_it_is_none(tmp_path, beside):
    path = write_ome(tmp_path / "a.ome.tif", (beside, LABEL, {}), ("s", SLIDE, MPP))
    layout = read_layout(path)
    assert layout.directory == 1
    assert (layout.levels[0].grid.width_px, layout.levels[0].grid.height_px) == SLIDE
    assert [said.value for said in layout.mpp_statements] == ["0.5", "0.5"]
    assert layout.notes == ()


def test_a_label_larger_than_the_slide_is_no_slide_by_its_name(tmp_path):
    layout = read_layout(
        write_ome(tmp_path / "a.ome.tif", ("label", SLIDE, {}), ("", LABEL, {}))
    )  # fmt: skip
    assert layout.directory == 1


def test_names_do_not_matter_where_sizes_tell(tmp_path):
    path = write_ome(tmp_path / "a.ome.tif", ("", LABEL, {}), ("", SLIDE, MPP), ("", MACRO, {}))
    assert read_layout(path).directory == 1


def test_an_image_is_where_tiffdata_says_whatever_the_order_of_the_xml(tmp_path):
    xml = ome(
        image_xml("slide", SLIDE, '<TiffData IFD="2"/>', 'PhysicalSizeX="0.25"'),
        image_xml("label image", LABEL, '<TiffData IFD="0"/>', 'PhysicalSizeX="9"'),
        image_xml("macro image", MACRO, '<TiffData IFD="1"/>'),
    )
    layout = read_layout(write_xml(tmp_path / "a.tif", xml, LABEL, MACRO, SLIDE))
    assert layout.directory == 2
    assert [said.value for said in layout.mpp_statements] == ["0.25"]


def test_the_plane_that_counts_is_the_first_of_all_axes(tmp_path):
    planes = "".join(f'<TiffData FirstZ="{z}" IFD="{2 - z}"/>' for z in range(3))
    xml = ome(image_xml("slide", SLIDE, planes, 'SizeZ="3" SizeT="1"'))
    layout = read_layout(write_xml(tmp_path / "a.tif", xml, SLIDE, SLIDE, SLIDE))
    assert layout.directory == 2
    assert layout.notes == ("of its 3 planes the first is read",)


def test_the_slide_without_a_resolution_does_not_take_its_labels(tmp_path):
    path = write_ome(tmp_path / "a.ome.tif", ("label", LABEL, MPP), ("slide", SLIDE, {}))
    layout = read_layout(path)
    assert layout.mpp_statements == ()
    assert layout.tiff_statements == ()


def test_levels_below_the_slide_are_its_own_and_none_of_the_labels(tmp_path):
    path = tmp_path / "a.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as file:
        for name, size_px in (("label", LABEL), ("slide", SLIDE)):
            file.write(
                plain(size_px), photometric="rgb", tile=(64, 64), subifds=1,
                metadata={"axes": "YXS", "Name": name},
            )  # fmt: skip
            half = plain((size_px[0] // 2, size_px[1] // 2))
            file.write(half, photometric="rgb", tile=(64, 64), subfiletype=1, metadata=None)
    assert [level.grid.width_px for level in read_layout(path).levels] == [400, 200]


@pytest.mark.parametrize(
    ("images", "says"),
    [
        ([("a", SLIDE, MPP), ("b", SLIDE, MPP)], "several of its images are equally large: 'a'"),
        ([("label image", LABEL, {}), ("macro image", MACRO, {})], "none of its images is a slide"),
        ([("Macro", MACRO, {})], "none of its images is a slide by its name: 'Macro'"),
        ([("label of A. B.", SLIDE, {}), ("", LABEL, {})], "may be no slide by its name"),
        (
            [("", SLIDE, {"PhysicalSizeX": 8.0}), ("", MACRO, MPP)],
            "its largest image is not its finest",
        ),
    ],
    ids=["equal", "beside alone", "macro alone", "name in doubt", "macro is larger"],
)
def test_where_it_cannot_be_told_which_is_the_slide_the_file_is_refused(tmp_path, images, says):
    assert says in rejected_file(write_ome(tmp_path / "a.ome.tif", *images))


def test_a_name_that_only_has_the_word_is_no_label_where_it_is_alone(tmp_path):
    path = write_ome(tmp_path / "a.ome.tif", ("label-free liver", SLIDE, MPP))
    assert read_layout(path).directory == 0


@pytest.mark.parametrize(
    ("xml", "says"),
    [
        (
            ome(image_xml("a", SLIDE, '<TiffData IFD="1"/>'), image_xml("b", LABEL)),
            f"says 400 x 300 px of directory 1, which has {LABEL[0]} x {LABEL[1]} px",
        ),
        (ome(image_xml("a", SLIDE, '<TiffData IFD="7"/>')), "does not say where the image 'a' is"),
        (ome(image_xml("a", SLIDE), image_xml("b", LABEL)), "does not say where the image 'a' is"),
        (
            ome(
                image_xml(
                    "a", SLIDE,
                    '<TiffData IFD="0"><UUID FileName="b.ome.tif">urn:2</UUID></TiffData>',
                ),
                attributes='UUID="urn:1"',
            ),
            "its pixels are in another file, 'b.ome.tif'",
        ),
        (
            ome('<BinaryOnly MetadataFile="c.companion.ome" UUID="urn:3"/>'),
            "its OME-XML is in another file, 'c.companion.ome'",
        ),
    ],
    ids=["other size", "no such directory", "untold", "other file", "companion"],
)  # fmt: skip
def test_xml_that_does_not_fit_the_file_is_no_guide(tmp_path, xml, says):
    assert says in rejected_file(write_xml(tmp_path / "a.tif", xml, SLIDE, LABEL))


def test_a_renamed_file_is_still_the_one_its_xml_names(tmp_path):
    here = '<TiffData IFD="0"><UUID FileName="old name.ome.tif">urn:1</UUID></TiffData>'
    for attributes in ('UUID="urn:1"', ""):
        xml = ome(image_xml("a", SLIDE, here), attributes=attributes)
        assert read_layout(write_xml(tmp_path / "a.tif", xml, SLIDE)).directory == 0


def test_further_images_of_a_slide_are_told_without_their_names(tmp_path):
    path = write_ome(tmp_path / "a.ome.tif", ("Jane Doe", MACRO, MPP), ("scene 1", SLIDE, MPP))
    (note,) = read_layout(path).notes
    assert note == "its largest image is read, and not 200 x 90 px"


def test_colours_that_are_channels_of_one_plane_are_no_stack(tmp_path):
    xml = ome(image_xml("a", SLIDE).replace('SamplesPerPixel="3"', 'SamplesPerPixel="1"'))
    assert read_layout(write_xml(tmp_path / "a.tif", xml, SLIDE)).notes == ()


# ------------------------------------------------------------- TIFFs without OME-XML


def write_pages(path, *pages):
    with tifffile.TiffWriter(path) as file:
        for size_px, more in pages:
            tiled = {"photometric": "rgb", "tile": (64, 64), "metadata": None, "software": False}
            file.write(plain(size_px), **tiled | more)
    return path


@pytest.mark.parametrize("tile", [(64, 64), None])
def test_a_first_image_smaller_than_another_may_be_a_label(tmp_path, tile):
    path = write_pages(tmp_path / "a.tif", (LABEL, {}), (SLIDE, {"tile": tile}))
    said = rejected_file(path)
    assert "its first image has 120 x 80 px, and directory 1 400 x 300 px" in said
    assert "IN.tif[page=1]" in said


def test_a_pyramid_whose_levels_are_not_marked_is_no_stack(tmp_path):
    layout = read_layout(write_pages(tmp_path / "a.tif", (SLIDE, {}), ((200, 150), {})))
    assert (layout.directory, layout.notes) == (0, ())


def test_pages_of_one_size_are_a_stack_and_that_is_told(tmp_path):
    layout = read_layout(write_pages(tmp_path / "a.tif", *[(SLIDE, {})] * 3))
    assert layout.notes == ("of its 3 images of one size the first is read",)


@pytest.mark.parametrize(
    "more",
    [
        {"description": "Macro image"},
        {"description": "Aperio Image Library v11\r\nlabel 120x80"},
        {"extratags": [(285, 2, 0, "Label", True)]},
    ],
)
def test_a_first_image_that_calls_itself_a_label_is_none(tmp_path, more):
    assert "its first image is no slide by its name" in rejected_file(
        write_pages(tmp_path / "a.tif", (LABEL, more))
    )


def test_a_mask_as_large_as_anything_is_no_image(tmp_path):
    path = write_pages(tmp_path / "a.tif", (SLIDE, {}))
    mask = np.zeros((600, 800), bool)
    tifffile.imwrite(path, mask, photometric="minisblack", subfiletype=4, append=True)
    assert read_layout(path).directory == 0


def test_names_of_images_beside_a_slide_are_known_in_any_case():
    named = ["label image", "MACRO IMAGE", "Overview", "thumbnail", "Barcode_1", "a.scn [macro]"]
    assert all(map(is_beside, named))
    assert not any(map(is_beside, ["", "slide", "relabelled", "Macrophages", "20x_BF_01", "#2"]))


@pytest.mark.timeout(20)
@pytest.mark.parametrize("much", ["1", "1x1", "1 ", "image", "_-"])
def test_a_long_name_of_a_stranger_takes_no_time(much):
    assert not is_beside(f"label{much * 100_000}!")
    assert is_beside("label image 12 3x40_5 mask")


# ------------------------------------------------------------- remedies


def pages_that_are_refused():
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 255, (300, 400, 3), np.uint8)
    alpha = np.full((300, 400, 1), 255, np.uint8)
    rgba = {"photometric": "rgb", "extrasamples": ["unassalpha"]}
    yield "rgba", np.concatenate([rgb, alpha], 2), rgba | {"tile": (64, 64)}
    yield "rgba in strips", np.concatenate([rgb, alpha], 2), rgba
    yield "grey", rgb[..., 0], {"photometric": "minisblack", "tile": (64, 64)}
    yield "grey in strips", rgb[..., 0], {"photometric": "minisblack"}
    yield "16 bits", rgb.astype(np.uint16) * 257, {"photometric": "rgb", "tile": (64, 64)}
    yield "strips", rgb, {"photometric": "rgb"}


@pytest.mark.parametrize(("name", "pixels", "how"), [*pages_that_are_refused()])
def test_the_remedy_of_a_refused_tiff_makes_what_it_lacks(tmp_path, name, pixels, how):
    tifffile.imwrite(tmp_path / "IN.tif", pixels, metadata=None, **how)
    with pytest.raises(SlideUnreadable) as caught:
        read_layout(tmp_path / "IN.tif")
    command = re.search("vips .*", caught.value.remedy)[0]
    assert "vips tiffsave" not in command  # which keeps samples and bits as they are
    assert ("flatten" in command) == name.startswith("rgba")
    assert ("srgb" in command) == (name != "strips")
    if shutil.which("vips"):
        subprocess.run(command, shell=True, check=True, cwd=tmp_path)  # noqa: S602 - our own words
        assert read_layout(tmp_path / "OUT.tif").levels[0].grid.width_px == 400
