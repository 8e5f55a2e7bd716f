import cv2
import numpy as np
import pytest

from pathassets.adapters.opencv import MAX_BYTES, MAX_ICON_BYTES, icon_webp, preview_jpeg, small_png


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
