from concurrent.futures import ThreadPoolExecutor

import imagecodecs
import numpy as np
import pytest
import simplejpeg
import tifffile

from pathassets.adapters.images.encode import decode_image, encode_image
from pathassets.errors import SpecError

LOSSLESS = ["png", "tif", "webp"]
SIGNATURES = {
    "png": b"\x89PNG\r\n\x1a\n", "jpg": b"\xff\xd8\xff", "jpeg": b"\xff\xd8\xff", "tif": b"II*\0",
    "tiff": b"II*\0", "webp": b"RIFF",
}  # fmt: skip


def noise(height_px, width_px, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height_px, width_px, 3), np.uint8)


def smooth(side_px=256):
    y, x = np.mgrid[:side_px, :side_px]
    return np.stack([x // 2, y // 2, (x + y) // 4], axis=-1).astype(np.uint8)


@pytest.mark.parametrize("image_type", LOSSLESS)
@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (7, 13), (256, 256)])
def test_pixels_of_lossless_types_read_back_equal(image_type, shape):
    for rgb in (
        noise(*shape),
        np.zeros((*shape, 3), np.uint8),
        np.full((*shape, 3), 255, np.uint8),
    ):
        assert np.array_equal(decode_image(encode_image(rgb, image_type)), rgb)


def test_other_decoders_than_ours_read_the_same_pixels(tmp_path):
    rgb = noise(33, 65)
    assert np.array_equal(imagecodecs.png_decode(encode_image(rgb, "png")), rgb)
    assert np.array_equal(imagecodecs.webp_decode(encode_image(rgb, "webp"))[..., :3], rgb)
    (tmp_path / "a.tif").write_bytes(encode_image(rgb, "tif"))
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert np.array_equal(file.asarray(), rgb)
        assert file.pages[0].photometric.name == "RGB"


@pytest.mark.parametrize("image_type", SIGNATURES)
def test_a_type_may_be_written_in_any_case(image_type):
    rgb = noise(8, 8)
    data = encode_image(rgb, image_type)
    assert data.startswith(SIGNATURES[image_type])
    assert encode_image(rgb, image_type.upper()) == data


def test_jpeg_shares_no_colour_between_pixels_and_is_of_quality_90():
    rgb = smooth()
    data = encode_image(rgb, "jpg")
    assert simplejpeg.decode_jpeg_header(data)[3] == "444"
    assert data == encode_image(rgb, "jpg", quality=90) != encode_image(rgb, "jpg", quality=89)
    assert np.abs(decode_image(data).astype(int) - rgb).max() <= 4


def test_a_lossy_webp_is_smaller_and_near():
    rgb = smooth()
    data = encode_image(rgb, "webp", quality=80)
    assert len(data) < len(encode_image(noise(256, 256), "webp")) / 10
    assert np.abs(decode_image(data).astype(int) - rgb).mean() < 3


@pytest.mark.parametrize("image_type", [*LOSSLESS, "jpg"])
def test_bytes_depend_on_pixels_alone(image_type):
    images = [noise(64, 64, seed) for seed in range(40)]
    alone = [encode_image(image, image_type) for image in images]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda image: encode_image(image, image_type), images))
    assert alone == together
    wide = np.zeros((64, 128, 3), np.uint8)
    wide[:, ::2] = images[0]
    assert encode_image(wide[:, ::2], image_type) == alone[0]


@pytest.mark.parametrize("image_type", [*LOSSLESS, "jpg"])
def test_nothing_but_pixels_is_in_the_bytes(image_type):
    data = encode_image(smooth(), image_type)
    for word in (b"tIME", b"tEXt", b"EXIF", b"Exif", b"Software", b"OpenCV"):
        assert word not in data


@pytest.mark.parametrize("image_type", ["bmp", "", "jp2", ".png", "heic"])
def test_an_unknown_type_is_refused_with_the_known_ones(image_type):
    with pytest.raises(SpecError, match=r"'png', 'jpg', 'jpeg', 'tif', 'tiff', 'webp'"):
        encode_image(noise(2, 2), image_type)


@pytest.mark.parametrize(
    ("image_type", "quality"), [("png", 90), ("TIFF", 90), ("jpg", 0), ("jpg", 101), ("jpg", True)]
)
def test_a_quality_that_a_type_does_not_have_is_refused(image_type, quality):
    with pytest.raises(SpecError, match="quality"):
        encode_image(noise(2, 2), image_type, quality=quality)


@pytest.mark.parametrize(("image_type", "side_px"), [("jpg", 65_501), ("webp", 16_383)])
def test_an_image_that_a_type_cannot_hold_is_refused(image_type, side_px):
    with pytest.raises(SpecError, match="more than"):
        encode_image(np.zeros((1, side_px, 3), np.uint8), image_type)
    assert encode_image(np.zeros((1, side_px - 1, 3), np.uint8), image_type)


@pytest.mark.parametrize("data", [b"", b"no image", b"\x89PNG\r\n\x1a\n"])
def test_what_is_no_image_is_refused(data):
    with pytest.raises(ValueError, match="no image"):
        decode_image(data)
