import zlib

import cv2
import imagecodecs
import numpy as np
import pytest

from pathassets.adapters.imagecodecs import Jp2kTiles, PlainTiles, rgb_of_ycbcr
from pathassets.core.slides.tiles import TileDamaged
from tests.adapters.small_tiffs import picture

TILE = picture(64, 48)
ENCODERS = {"deflate": zlib.compress, "lzw": imagecodecs.lzw_encode, "none": bytes}


def jp2k(pixels, *, mct):
    return imagecodecs.jpeg2k_encode(
        np.ascontiguousarray(pixels), level=0, mct=mct, codecformat="j2k", reversible=True
    )


@pytest.mark.parametrize("codec", ENCODERS)
@pytest.mark.parametrize("predictor", [1, 2])
def test_a_lossless_tile_comes_back_as_it_was(codec, predictor):
    stored = imagecodecs.delta_encode(TILE, axis=-2) if predictor == 2 else TILE
    tiles = PlainTiles(64, 48, codec=codec, predictor=predictor)
    data = ENCODERS[codec](stored.tobytes())
    decoded = tiles.decode(data, 1, None)
    assert np.array_equal(decoded, TILE)
    assert decoded.flags.writeable
    out = np.empty_like(TILE)
    assert tiles.decode(data, 1, out) is out
    assert np.array_equal(out, TILE)


@pytest.mark.parametrize("codec", ENCODERS)
@pytest.mark.parametrize("n_bytes", [-64, -1, 1, 640])
def test_a_lossless_tile_that_is_too_long_or_too_short_is_undecodable(codec, n_bytes):
    raw = (TILE.tobytes() + bytes(1000))[: TILE.nbytes + n_bytes]
    with pytest.raises(TileDamaged) as e:
        PlainTiles(64, 48, codec=codec).decode(ENCODERS[codec](raw), 1, None)
    assert e.value.reason == "undecodable"


@pytest.mark.parametrize("codec", ENCODERS)
@pytest.mark.parametrize("data", [b"", bytes(100), b"\xff" * 5000])
def test_what_is_no_lossless_tile_is_undecodable(codec, data):
    with pytest.raises(TileDamaged) as e:
        PlainTiles(64, 48, codec=codec).decode(data, 1, None)
    assert e.value.reason == "undecodable"


def test_flipped_bytes_of_a_deflated_tile_are_found_by_its_checksum():
    data = bytearray(zlib.compress(TILE.tobytes(), 0))
    data[500] ^= 1
    with pytest.raises(TileDamaged):
        PlainTiles(64, 48, codec="deflate").decode(bytes(data), 1, None)


@pytest.mark.parametrize("mct", [True, False])
def test_jpeg_2000_of_rgb_is_left_as_it_is(mct):
    decoded = Jp2kTiles(64, 48, is_rgb=True).decode(jp2k(TILE, mct=mct), 1, None)
    assert np.array_equal(decoded, TILE)


def test_jpeg_2000_of_ycbcr_becomes_rgb():
    planes = cv2.cvtColor(TILE, cv2.COLOR_RGB2YCrCb)[..., [0, 2, 1]]
    out = np.empty_like(TILE)
    tiles = Jp2kTiles(64, 48, is_rgb=False)
    assert tiles.decode(jp2k(planes, mct=False), 1, out) is out
    assert np.abs(out.astype(int) - TILE).max() <= 3
    assert np.abs(out.astype(int) - TILE).mean() < 1


@pytest.mark.parametrize(
    "data",
    [
        b"",
        bytes(200),
        jp2k(TILE, mct=True)[:45],
        jp2k(TILE, mct=True)[:400],
        jp2k(TILE, mct=True)[:-2],
        jp2k(TILE[..., 0], mct=False),
        jp2k(TILE[:32], mct=True),
        jp2k(TILE.astype(np.uint16), mct=True),
    ],
    ids=["empty", "zeros", "header", "cut", "no end", "grey", "another size", "16 bits"],
)
def test_what_is_no_jpeg_2000_tile_is_undecodable(data):
    with pytest.raises(TileDamaged, match="its JPEG 2000") as e:
        Jp2kTiles(64, 48, is_rgb=True).decode(data, 1, None)
    assert e.value.reason == "undecodable"


def test_ycbcr_becomes_rgb_within_a_step_of_the_formula():
    planes = np.random.default_rng(5).integers(0, 256, (200, 200, 3)).astype(np.uint8)
    y, cb, cr = np.moveaxis(planes.astype(float), -1, 0)
    exact = np.stack(
        [
            y + 1.402 * (cr - 128),
            y - 0.344136 * (cb - 128) - 0.714136 * (cr - 128),
            y + 1.772 * (cb - 128),
        ],
        axis=-1,
    )
    assert np.abs(rgb_of_ycbcr(planes) - np.clip(exact, 0, 255)).max() < 0.51


@pytest.mark.parametrize(
    "tiles", [PlainTiles(64, 48, codec="none"), Jp2kTiles(64, 48, is_rgb=True)]
)
def test_an_array_of_another_shape_is_the_callers_mistake(tiles):
    data = TILE.tobytes() if isinstance(tiles, PlainTiles) else jp2k(TILE, mct=True)
    with pytest.raises(ValueError, match="out: ") as e:
        tiles.decode(data, 1, np.empty((48, 48, 3), np.uint8))
    assert not isinstance(e.value, TileDamaged)
