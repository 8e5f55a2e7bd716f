"""Slides of all kinds of makers: the right resolution, the right reader, OpenSlide's pixels."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import openslide
import pytest
import tifffile

from pathassets.core.slides.regions import read_box
from pathassets.engine.slides import open as open_module
from pathassets.engine.slides.open import OpenedSlide, open_slide

TILED = {"tile": (256, 256), "photometric": "ycbcr", "subsampling": (2, 2), "compression": "jpeg"}
MPP = 0.499
"""Of CMU-1-Small-Region, which all of these hold."""


@pytest.fixture(scope="module")
def vendors(shared, tmp_path_factory) -> Path:
    """One real slide in the containers of several vendors."""
    folder = tmp_path_factory.mktemp("vendors")
    script, source = shared / "tools" / "make_vendors.py", "CMU-1-Small-Region.svs"
    subprocess.run(  # noqa: S603 - our own script
        [sys.executable, script, shared / "slides" / source, folder],
        check=True, capture_output=True,
    )  # fmt: skip
    return folder


def compare(slide: OpenedSlide, path: Path) -> None:
    """Hold every pixel of every level against OpenSlide's; what it does not have is background.

    One call from a level's own corner, and of 4096 px at most, gives its pixels as they are stored;
    from elsewhere OpenSlide interpolates levels that are not a whole number of times smaller.
    """
    with openslide.OpenSlide(path) as handle:
        background = handle.properties.get("openslide.background-color", "FFFFFF")
        assert slide.info.level_sizes_px == handle.level_dimensions
        for level, (width_px, height_px) in enumerate(handle.level_dimensions):
            assert level == 0 or max(width_px, height_px) <= 4096
            ours = read_box(slide, level, (0, 0, width_px, height_px))
            theirs = np.asarray(handle.read_region((0, 0), level, (width_px, height_px)))
            is_there = theirs[..., 3] == 255
            if is_there.all():  # which takes a fifth of the time
                assert np.array_equal(ours, theirs[..., :3])
                continue
            assert np.array_equal(ours[is_there], theirs[is_there][:, :3])
            assert (ours[theirs[..., 3] == 0] == list(bytes.fromhex(background))).all()


@pytest.mark.parametrize(
    ("name", "vendor", "mpp", "reader", "n_levels"),
    [
        ("generic.tiff", "generic-tiff", MPP, "tiles", 4),
        ("ome.ome.tiff", "generic-tiff", MPP, "tiles", 1),
        ("philips.tiff", "philips", MPP, "openslide", 4),
        pytest.param("leica.scn", "leica", MPP, "openslide", 4, marks=pytest.mark.slow),
        ("trestle.tif", "trestle", MPP, "openslide", 4),
    ],
)
def test_a_vendors_slide_is_read_right(  # noqa: PLR0913, PLR0917
    vendors, name, vendor, mpp, reader, n_levels
) -> None:
    with open_slide(vendors / name) as slide:
        assert slide.info.vendor == vendor
        assert slide.info.reader.startswith(reader)
        assert slide.info.fallback == ""
        assert slide.info.mpp == pytest.approx(mpp, rel=1e-3), slide.info.audit
        assert slide.info.n_levels == n_levels
        compare(slide, vendors / name)


def test_a_zeiss_slide_is_read_by_openslide(vendors) -> None:
    path = vendors / "zeiss.czi"
    if not path.exists():
        pytest.skip("needs pylibCZIrw")
    with open_slide(path) as slide:
        assert slide.info.vendor == "zeiss"
        assert slide.info.mpp == pytest.approx(MPP, rel=1e-3)
        compare(slide, path)


@pytest.mark.parametrize("name", ["camelyon_jpeg.dcm", "camelyon_jpeg2000.dcm"])
def test_a_dicom_slide_is_read_by_openslide(shared, name) -> None:
    path = shared / "slides" / name
    with open_slide(path) as slide:
        assert slide.info.vendor == "dicom"
        assert slide.info.reader.startswith("openslide")
        compare(slide, path)


def test_a_dicom_slide_of_29_um_is_believed_only_when_a_person_says_so(shared) -> None:
    path = shared / "slides" / "camelyon_jpeg.dcm"
    with open_slide(path) as slide:
        assert slide.info.mpp is None
        assert slide.info.audit.reason == "resolution_implausible"
        assert "28.969" in slide.info.audit.fact
    with open_slide(path, mpp=28.969) as slide:
        assert slide.info.mpp == 28.969


# ------------------------------------------------------------- made here, for every checkout


def picture(width_px: int, height_px: int) -> np.ndarray:
    y, x = np.mgrid[:height_px, :width_px]
    waves = np.stack([np.sin(x / 9 + y / 31), np.cos(y / 7 - x / 41), np.sin((x + y) / 13)], -1)
    return np.clip(140 + 90 * waves, 0, 255).astype(np.uint8)


def pyramid(level0: np.ndarray) -> list[np.ndarray]:
    return [level0, np.ascontiguousarray(level0[::2, ::2]), np.ascontiguousarray(level0[::4, ::4])]


PLAIN = {"tile": (256, 256), "photometric": "rgb"}


@pytest.mark.parametrize(
    ("kind", "is_big"),  # what a tile holds knows nothing of how wide its offset is
    [
        (TILED, False),
        (TILED, True),
        (TILED | {"subsampling": (1, 1)}, False),
        (TILED | {"subsampling": (2, 1)}, True),
        (PLAIN | {"compression": "adobe_deflate"}, False),
        (PLAIN | {"compression": "adobe_deflate", "predictor": True}, True),
        (PLAIN | {"compression": "lzw", "predictor": True}, False),
        (PLAIN, True),
    ],
    ids=["420", "420 big", "444", "422", "deflate", "deflate delta", "lzw delta", "plain"],
)
def test_a_generic_tiff_is_read_by_its_tiles(tmp_path, kind, is_big) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path, bigtiff=is_big) as file:
        for i, level in enumerate(pyramid(picture(1000, 800))):
            file.write(
                level, resolution=(1e4 / 0.25 / 2**i,) * 2, resolutionunit="CENTIMETER",
                subfiletype=int(i > 0), metadata=None, **kind,
            )  # fmt: skip
    with open_slide(path, backend="tiles") as slide:
        assert slide.info.vendor == "generic-tiff"
        assert slide.info.mpp == pytest.approx(0.25)
        assert slide.info.n_levels == 3
        compare(slide, path)


@pytest.mark.parametrize(
    ("size", "unit", "mpp"),
    [(0.25, "µm", 0.25), (0.00025, "mm", 0.25), (250.0, "nm", 0.25), (0.5, None, 0.5)],
)
def test_an_ome_tiffs_xml_says_its_resolution(tmp_path, size, unit, mpp) -> None:
    path = tmp_path / "a.ome.tif"
    facts = {"axes": "YXS", "PhysicalSizeX": size, "PhysicalSizeY": size}
    if unit is not None:
        facts |= {"PhysicalSizeXUnit": unit, "PhysicalSizeYUnit": unit}
    level0, *lower = pyramid(picture(1000, 800))
    with tifffile.TiffWriter(path, ome=True) as file:
        file.write(level0, subifds=len(lower), metadata=facts, **TILED)
        for level in lower:
            file.write(level, subfiletype=1, metadata=None, **TILED)
    with open_slide(path) as slide:
        assert slide.info.reader == open_module.READER
        assert slide.info.mpp == pytest.approx(mpp)
        assert any("ome" in source.source.lower() for source in slide.info.audit.sources)
        compare(slide, path)


def test_a_generic_tiff_without_resolution_has_none(tmp_path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", picture(600, 500), metadata=None, **TILED)
    with open_slide(tmp_path / "a.tif") as slide:
        assert slide.info.mpp is None
        assert slide.info.audit.reason in {"resolution_missing", "resolution_implausible"}
        compare(slide, tmp_path / "a.tif")
