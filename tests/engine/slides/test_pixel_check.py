"""Slides whose colours are not those of a picture, by whatever reader."""

import re
import struct
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile

from pathassets.engine.slides.open import open_slide
from pathassets.engine.slides.tile_check import CheckTask, check_slide
from pathassets.errors import SlideUnreadable
from tests.core.slides.test_colour_space import planes_of, rgb_of

TRESTLE = {"software": "MedScan", "description": "OverlapsXY=0 0;Background Color=FFFFFF"}
"""By which OpenSlide knows a Trestle slide, which it reads itself."""


def stage(width_px: int = 600, height_px: int = 500) -> np.ndarray:
    """Glass with a stained ellipse."""
    y, x = np.mgrid[:height_px, :width_px]
    rgb = np.full((height_px, width_px, 3), 243.0)
    is_tissue = ((x / width_px - 0.5) ** 2 + (y / height_px - 0.5) ** 2) < 0.12
    density = np.random.default_rng(0).normal(1, 0.3, (height_px, width_px, 1)).clip(0.1)
    rgb[is_tissue] = (245 * (np.array([190, 90, 160]) / 250) ** density)[is_tissue]
    return rgb.astype(np.uint8)


def write(path: Path, rgb: np.ndarray, **more: object) -> Path:
    how = {"tile": (128, 128), "photometric": "rgb", "compression": "deflate", "metadata": None}
    tifffile.imwrite(path, rgb, **how | more)
    return path


@pytest.mark.parametrize("more", [{}, TRESTLE], ids=["by tiles", "by OpenSlide"])
def test_planes_that_the_header_calls_rgb_are_refused_by_every_reader(tmp_path, more) -> None:
    path = write(tmp_path / "a.tif", planes_of(stage()), **more)
    with pytest.raises(SlideUnreadable, match=r"no picture's.*YCbCr.*Convert it anew") as caught:
        open_slide(path)
    assert caught.value.reason == "wrong_colours"
    done = check_slide(CheckTask(path=path, fingerprint="", n_threads=1))
    assert done.error.reason == "wrong_colours"
    assert not done.is_sound


@pytest.mark.parametrize("more", [{}, TRESTLE], ids=["by tiles", "by OpenSlide"])
@pytest.mark.parametrize("colour", [None, (0, 0, 0), (255, 255, 255), (240, 128, 140)])
def test_what_is_a_picture_is_opened(tmp_path, more, colour) -> None:
    rgb = stage() if colour is None else np.full((500, 600, 3), colour, np.uint8)
    with open_slide(write(tmp_path / "a.tif", rgb, **more)) as slide:
        assert slide.info.notes == ()


@pytest.mark.parametrize("more", [{}, TRESTLE], ids=["by tiles", "by OpenSlide"])
def test_a_section_of_one_blue_dye_with_a_strip_of_glass_is_a_picture(tmp_path, more) -> None:
    rgb = np.full((1280, 1280, 3), (100, 120, 180), np.uint8)
    rgb[..., 0] = np.random.default_rng(0).normal(100, 20, rgb.shape[:2]).clip(50, 170)
    rgb[:, 600:680] = 243
    with open_slide(write(tmp_path / "a.tif", rgb, **more)) as slide:
        assert slide.info.notes == ()


def test_magenta_glass_is_told(tmp_path) -> None:
    with open_slide(write(tmp_path / "a.tif", rgb_of(stage()))) as slide:
        assert "the glass of level 0 is magenta" in slide.info.notes[0]


def test_nothing_is_concluded_from_what_is_not_stored(tmp_path) -> None:
    path = write(tmp_path / "a.tif", planes_of(stage()), **TRESTLE)
    with tifffile.TiffFile(path) as file:
        offsets, sizes = file.pages[0].dataoffsets, file.pages[0].databytecounts
    with path.open("r+b") as file:
        for offset, size in zip(offsets, sizes, strict=True):
            file.seek(offset)
            file.write(bytes(size))
    open_slide(path).close()


def with_frames(data: bytes, frames: list[bytes], colours: bytes) -> bytes:
    """A DICOM file with other frames, said to be of other colours (PS3.5, A.4)."""
    start = data.index(b"\xe0\x7f\x10\x00OB\0\0\xff\xff\xff\xff") + 12
    at = data.index(b"\x28\x00\x04\x00CS")
    end = at + 8 + struct.unpack("<H", data[at + 6 : at + 8])[0]
    head = data[: at + 6] + struct.pack("<H", len(colours)) + colours + data[end:start]
    items = [b"", *(f + bytes(len(f) % 2) for f in frames)]
    body = b"".join(struct.pack("<2HI", 0xFFFE, 0xE000, len(item)) + item for item in items)
    return head + body + struct.pack("<2HI", 0xFFFE, 0xE0DD, 0)


def frames_of(data: bytes) -> list[bytes]:
    starts = [found.start() for found in re.finditer(rb"\xff\x4f\xff\x51", data)]
    return [data[at : data.index(b"\xff\xd9", at) + 2] for at in starts]


def test_a_dicom_slide_of_planes_that_its_codec_does_not_transform_is_refused(
    shared, tmp_path
) -> None:
    data = (shared / "slides" / "camelyon_jpeg2000.dcm").read_bytes()
    lossy = data.replace(b"1.2.840.10008.1.2.4.90", b"1.2.840.10008.1.2.4.91")
    planes = [planes_of(imagecodecs.jpeg2k_decode(frame)) for frame in frames_of(data)]
    coded = [imagecodecs.jpeg2k_encode(p, level=40, mct=False, codecformat="j2k") for p in planes]
    (tmp_path / "a.dcm").write_bytes(with_frames(lossy, coded, b"YBR_ICT "))
    with pytest.raises(SlideUnreadable) as caught:
        open_slide(tmp_path / "a.dcm")
    assert caught.value.reason == "wrong_colours"
