import io

import numpy as np
import pytest
from PIL import Image

from pathassets.adapters.simplejpeg import JpegTiles
from pathassets.core.slides.tiles import TileDamaged
from tests.adapters.small_tiffs import bare, jpeg, picture, tables_of

TILE = picture(64, 48)


def by_pillow(data):
    """What a decoder of its own makes of a whole JPEG."""
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


@pytest.mark.parametrize("sampling", ["420", "422", "444"])
def test_a_ycbcr_tile_becomes_rgb(sampling):
    data = jpeg(TILE, sampling)
    decoded = JpegTiles(64, 48, is_rgb=False).decode(data, 1, None)
    assert decoded.shape == (48, 64, 3)
    assert decoded.dtype == np.uint8
    assert np.array_equal(decoded, by_pillow(data))


def test_a_tile_of_rgb_is_left_as_it_is():
    data = jpeg(TILE, "444", "RGB")
    decoded = JpegTiles(64, 48, is_rgb=True).decode(data, 1, None)
    assert np.array_equal(decoded, by_pillow(data))


@pytest.mark.parametrize("colours", ["RGB", "YCBCR"])
def test_shared_tables_give_the_pixels_that_a_tiles_own_give(colours):
    whole = jpeg(TILE, "444", colours)
    is_rgb = colours == "RGB"
    own = JpegTiles(64, 48, is_rgb=is_rgb).decode(whole, 1, None)
    tiles = JpegTiles(64, 48, is_rgb=is_rgb, tables=tables_of(whole))
    assert np.array_equal(tiles.decode(bare(whole), 1, None), own)


def test_a_tiles_own_tables_go_before_the_shared_ones():
    fine, coarse = jpeg(TILE, quality=95), jpeg(TILE, quality=20)
    tiles = JpegTiles(64, 48, is_rgb=False, tables=tables_of(coarse))
    assert np.array_equal(tiles.decode(fine, 1, None), by_pillow(fine))


def test_what_the_caller_says_of_the_colours_goes_before_what_the_tile_says():
    data = jpeg(TILE, "444", "YCBCR")  # with a JFIF segment
    raw = JpegTiles(64, 48, is_rgb=True).decode(data, 1, None)
    assert np.abs(raw.astype(int) - by_pillow(data)).mean() > 20
    data = jpeg(TILE, "444", "RGB")  # with an Adobe segment
    taken_for_ycbcr = JpegTiles(64, 48, is_rgb=False).decode(data, 1, None)
    assert np.abs(taken_for_ycbcr.astype(int) - by_pillow(data)).mean() > 20


@pytest.mark.parametrize(("shrink", "shape"), [(2, (24, 32, 3)), (4, (12, 16, 3)), (8, (6, 8, 3))])
def test_a_tile_shrinks_by_powers_of_two(shrink, shape):
    tiles = JpegTiles(64, 48, is_rgb=False)
    small = tiles.decode(jpeg(TILE), shrink, None)
    assert small.shape == shape
    out = np.empty(shape, np.uint8)
    assert tiles.decode(jpeg(TILE), shrink, out) is out
    assert np.array_equal(out, small)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xd8",
        bytes(500),
        jpeg(TILE)[:300],
        jpeg(TILE)[:-200],
        jpeg(TILE)[:-2],
        jpeg(TILE)[2:],
        bare(jpeg(TILE)),
    ],
    ids=["empty", "start", "zeros", "header", "cut", "no end", "no start", "no tables"],
)
@pytest.mark.parametrize("is_rgb", [True, False])
def test_what_is_no_whole_jpeg_is_undecodable(data, is_rgb):
    with pytest.raises(TileDamaged, match="its JPEG cannot be decoded") as e:
        JpegTiles(64, 48, is_rgb=is_rgb).decode(data, 1, None)
    assert e.value.reason == "undecodable"


def test_a_decoders_warning_is_an_error():
    data = bytearray(jpeg(TILE))
    for at in range(len(data) - 300, len(data) - 260):
        data[at] ^= 0x55
    with pytest.raises(TileDamaged, match="Corrupt JPEG data"):
        JpegTiles(64, 48, is_rgb=False).decode(bytes(data), 1, None)


@pytest.mark.parametrize("size_px", [(32, 48), (64, 40), (128, 128)])
@pytest.mark.parametrize("shrink", [1, 2])
def test_a_jpeg_of_another_size_than_the_tile_is_undecodable(size_px, shrink):
    width_px, height_px = size_px
    out = np.empty((height_px // shrink, width_px // shrink, 3), np.uint8)
    for buffer in (None, out):
        with pytest.raises(TileDamaged) as e:
            JpegTiles(*size_px, is_rgb=False).decode(jpeg(TILE), shrink, buffer)
        assert e.value.reason == "undecodable"


def test_an_array_of_another_shape_is_the_callers_mistake():
    with pytest.raises(ValueError, match="out: ") as e:
        JpegTiles(64, 48, is_rgb=False).decode(jpeg(TILE), 1, np.empty((48, 48, 3), np.uint8))
    assert not isinstance(e.value, TileDamaged)
