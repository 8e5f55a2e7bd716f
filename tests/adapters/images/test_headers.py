"""What is larger than it looks is refused by its head: these files would fill gigabytes."""

import io
import struct
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from pathassets.adapters.images.headers import MAX_MASK_PX, read_npy, require_picture
from pathassets.adapters.images.mask_files import load_mask_array, load_mask_image
from pathassets.engine.features.given_patches import read_image
from pathassets.engine.slides.tissue_mask import as_tissue_mask
from pathassets.errors import AnnotationError, SpecError
from tests.core.formula_slide import FormulaSlide

SIDE_PX = 32_000
LEAST_BYTES = 100_000_000
"""A tenth of what one byte a pixel would take."""


def chunk(kind: bytes, data: bytes) -> bytes:
    body = kind + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))


def png(width_px: int, height_px: int) -> bytes:
    """A PNG of one bit a pixel with all of its pixels, in kilobytes."""
    head = struct.pack(">IIBBBBB", width_px, height_px, 1, 0, 0, 0, 0)
    packer = zlib.compressobj(9)
    row = b"\0" * (1 + (width_px + 7) // 8)
    rows = b"".join(packer.compress(row) for _ in range(height_px)) + packer.flush()
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def npy_head(shape: tuple[int, ...], descr: str) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        file, {"descr": descr, "fortran_order": False, "shape": shape}
    )
    return file.getvalue()


def npz(path: Path, shape: tuple[int, int]) -> None:
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("data.npy", "w") as member,
    ):
        member.write(npy_head(shape, "|u1"))
        for _ in range(shape[0]):
            member.write(bytes(shape[1]))


@pytest.fixture(scope="module")
def bombs(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("bombs")
    (folder / "a.png").write_bytes(png(SIDE_PX, SIDE_PX))
    npz(folder / "a.npz", (24_000, 12_000))
    (folder / "a.npy").write_bytes(npy_head((SIDE_PX, SIDE_PX), "|u1"))
    tile = zlib.compress(np.zeros((256, 256), np.uint8).tobytes())
    n_tiles = (SIDE_PX // 256) ** 2
    tifffile.imwrite(
        folder / "a.tif", iter([tile] * n_tiles), shape=(SIDE_PX, SIDE_PX), dtype=np.uint8,
        tile=(256, 256), compression="adobe_deflate", photometric="minisblack",
    )  # fmt: skip
    bmp = struct.pack("<2sIIIIiiHHIIiiII", b"BM", 0, 0, 54, 40, SIDE_PX, SIDE_PX, 1, 24, *[0] * 6)
    (folder / "a.bmp").write_bytes(bmp)
    return folder


@pytest.mark.parametrize("name", ["a.png", "a.npz", "a.npy", "a.tif", "a.bmp"])
def test_a_small_file_of_a_large_mask_is_refused_before_it_is_decoded(bombs, name):
    load = load_mask_array if name.startswith("a.np") else load_mask_image
    tracemalloc.start()
    try:
        with pytest.raises(AnnotationError, match=r"over 268,435,456") as caught:
            load(bombs / name)
        _, most_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most_bytes < LEAST_BYTES
    assert f"{MAX_MASK_PX:,} pixels" in caught.value.remedy


@pytest.mark.parametrize("name", ["a.png", "a.npy", "a.bmp"])
def test_a_patch_is_bounded_too(bombs, name):
    with pytest.raises(SpecError, match=r"over 67,108,864") as caught:
        read_image(bombs / name)
    assert str(bombs / name) in caught.value.message


def test_tiles_larger_than_their_picture_are_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((64, 64), np.uint8), tile=(64, 64))
    data = (tmp_path / "a.tif").read_bytes()
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        for name in ("TileWidth", "TileLength"):
            at = file.pages.first.tags[name].valueoffset
            kind = {"SHORT": "<H", "LONG": "<I"}[file.pages.first.tags[name].dtype.name]
            large = struct.pack(kind, 65_520)
            data = data[:at] + large + data[at + len(large) :]
    (tmp_path / "a.tif").write_bytes(data)
    with pytest.raises(AnnotationError, match="pixels, over"):
        load_mask_image(tmp_path / "a.tif")
    with pytest.raises(ValueError, match="pixels, over"):
        require_picture(data, most_px=MAX_MASK_PX)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tif", ".webp"])
def test_what_is_small_enough_is_let_through_to_the_pixel(suffix):
    data = cv2.imencode(suffix, np.zeros((30, 50, 3), np.uint8))[1].tobytes()
    require_picture(data, most_px=30 * 50)
    with pytest.raises(ValueError, match="50 x 30: 1,500 pixels, over 1,499"):
        require_picture(data, most_px=30 * 50 - 1)


@pytest.mark.parametrize("data", [b"", b"GIF89a\1\0\1\0", b"\x89PNG\r\n\x1a\n", b"BM", b"II*\0"])
def test_what_tells_no_size_is_not_decoded(data):
    with pytest.raises(ValueError, match="picture"):
        require_picture(data, most_px=MAX_MASK_PX)


@pytest.mark.parametrize(
    ("shape", "descr"),
    [
        ((2, 2), "|O"),
        ((2, 2), "<U9"),
        ((1 << 20, 1 << 20), "|b1"),
        ((3, 1 << 40), "|u1"),
        ((1 << 14, 1 << 14, 4), "<f8"),
    ],
)
def test_the_head_of_an_array_decides(shape, descr):
    with pytest.raises(ValueError, match="its shape is"):
        read_npy(io.BytesIO(npy_head(shape, descr)), most_px=MAX_MASK_PX)


def test_wide_numbers_in_four_channels_are_refused_before_they_are_read(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.ones((8, 8, 4)), photometric="rgb")
    with pytest.raises(AnnotationError, match="4 channels of 64 bits"):
        load_mask_image(tmp_path / "a.tif")


def test_a_picture_of_pillows_is_measured_before_it_is_decoded():
    class Undecoded:
        mode, size = "L", (SIDE_PX, SIDE_PX)
        getbands = convert = Image.Image.getbands

    with pytest.raises(SpecError, match="over 268,435,456"):
        as_tissue_mask(Undecoded(), FormulaSlide(1000, 1000, (1.0,)))
