import cv2
import numpy as np
import pytest

from pathassets.adapters.opencv import (
    MAX_BYTES,
    MAX_ICON_BYTES,
    bounded_webp,
    icon_webp,
    lossless_webp,
    preview_jpeg,
    small_png,
)


def noise(height, width):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def decode(data):
    return cv2.cvtColor(cv2.imdecode(np.frombuffer(data, np.uint8), 1), cv2.COLOR_BGR2RGB)


@pytest.mark.parametrize("shape", [(256, 256), (256, 3), (1, 256), (1, 1), (900, 1200)])
def test_a_preview_is_under_12_kb_even_of_noise(shape):
    data = preview_jpeg(noise(*shape))
    assert len(data) <= MAX_BYTES == 12_000
    assert decode(data).ndim == 3


def test_a_small_calm_picture_keeps_its_size_and_colours():
    picture = np.full((200, 256, 3), (200, 40, 120), np.uint8)
    decoded = decode(preview_jpeg(picture))
    assert decoded.shape == picture.shape
    assert np.abs(decoded.astype(int) - picture).max() <= 3


def test_a_picture_that_does_not_fit_at_the_lowest_quality_is_halved():
    assert decode(preview_jpeg(noise(900, 1200))).shape == (225, 300, 3)


@pytest.mark.parametrize("shape", [(256, 256), (256, 3), (1, 1)])
def test_an_icon_is_under_700_bytes_even_of_noise(shape):
    data = icon_webp(preview_jpeg(noise(*shape)))
    assert len(data) <= MAX_ICON_BYTES == 700
    assert decode(data).ndim == 3


def test_an_icon_of_a_calm_picture_is_as_large_as_it_may_be():
    assert decode(icon_webp(preview_jpeg(np.full((128, 256, 3), 240, np.uint8)))).shape[1] == 96


def test_bytes_that_are_no_picture_are_refused():
    with pytest.raises(ValueError, match="no picture"):
        icon_webp(b"no picture")


@pytest.mark.parametrize(("shape", "size_px"), [((40, 30), (40, 30)), ((200, 100), (64, 32))])
def test_a_small_png_has_the_pixels_and_its_side_at_most(shape, size_px):
    rgb = noise(*shape)
    found = decode(small_png(rgb, 64))
    assert found.shape[:2] == size_px
    assert shape != size_px or (found == rgb).all()


def test_a_webp_has_the_best_quality_that_fits_and_else_fewer_pixels():
    picture = cv2.GaussianBlur(noise(300, 400), (0, 0), 3)
    small, large = bounded_webp(picture, 3000), bounded_webp(picture, 60_000)
    assert len(small) <= 3000 < len(large) <= 60_000
    errors = [np.abs(decode(d).astype(int) - picture).mean() for d in (small, large)]
    assert decode(small).shape == picture.shape
    assert errors[0] > errors[1]
    tiny = bounded_webp(noise(300, 400), 3000)
    assert len(tiny) <= 3000
    assert 50 < max(decode(tiny).shape) < 400


def test_a_lossless_webp_keeps_every_pixel_and_what_is_not_there():
    rgba = np.random.default_rng(0).integers(0, 256, (20, 30, 4), np.uint8)
    rgba[..., 3] = 255
    rgba[3, 4] = 0
    found = cv2.imdecode(np.frombuffer(lossless_webp(rgba), np.uint8), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(cv2.cvtColor(found, cv2.COLOR_BGRA2RGBA), rgba)
