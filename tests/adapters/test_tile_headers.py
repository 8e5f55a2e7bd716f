"""Bytes that no encoder writes are damage, whatever a decoder makes of them; all others are not."""

import io
import itertools

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from pathassets.adapters.imagecodecs import Jp2kTiles
from pathassets.adapters.simplejpeg import JpegTiles
from pathassets.adapters.tiff.layout import read_layout
from pathassets.adapters.tile_headers import are_tables, is_jp2k_sound, may_hold_zeros
from pathassets.core.slides.tiles import TileDamaged

SIDE_PX = 256
SECTOR_BYTES = 512
RNG = np.random.default_rng(0)
Y, X = np.mgrid[:SIDE_PX, :SIDE_PX]
WAVES = np.stack([np.sin(X / 9 + Y / 31), np.cos(Y / 7 - X / 41), np.sin((X + Y) / 13)], -1)
IMPULSES = np.where((X % 8 == 0) & (Y % 8 == 0), 0, 255)
PICTURES = {
    "tissue": np.clip(140 + 70 * WAVES + RNG.normal(0, 12, WAVES.shape), 0, 255),
    "glass": np.full_like(WAVES, 240),
    "black": np.zeros_like(WAVES),
    "noise": RNG.integers(0, 256, WAVES.shape),
    "squares": np.stack([(X // 64 + Y // 64) % 2 * 255] * 3, -1),
    "checks": np.stack([(X + Y) % 2 * 255] * 3, -1),
    "impulses": np.stack([IMPULSES] * 3, -1),
}
PICTURES = {name: np.asarray(picture, np.uint8) for name, picture in PICTURES.items()}
LAYERS = [
    {},
    {"quality_layers": [80, 40, 20, 10, 5]},
    {"quality_layers": list(range(300, 2, -10))},
    {"precinct_size": (128, 128), "codeblock_size": (32, 32)},
    {"progression": "RPCL", "irreversible": True},
    {"num_resolutions": 1},
    {"tile_size": (128, 128)},
]


def pillow(picture: np.ndarray, kind: str, **options) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, kind, **options)
    return file.getvalue()


def jp2k(picture: np.ndarray, level: int = 35) -> bytes:
    return imagecodecs.jpeg2k_encode(picture, level=level, mct=False, codecformat="j2k")


@pytest.mark.parametrize("options", LAYERS, ids=str)
@pytest.mark.parametrize("name", PICTURES)
def test_jpeg_2000_of_any_encoder_setting_is_sound(name, options) -> None:
    assert is_jp2k_sound(pillow(PICTURES[name], "JPEG2000", no_jp2=True, **options))


@pytest.mark.parametrize("name", PICTURES)
def test_jpeg_2000_of_the_smallest_blocks_is_sound(name) -> None:
    picture = PICTURES[name][:128, :128]  # 3,000 blocks, each with a header of its own
    options = {"codeblock_size": (4, 4), "quality_layers": [100, 50, 2]}
    assert is_jp2k_sound(pillow(picture, "JPEG2000", no_jp2=True, **options))


@pytest.mark.parametrize("resolutions", [1, 2, 3, 6])
@pytest.mark.parametrize("level", [0, 20, 60])
@pytest.mark.parametrize("name", PICTURES)
def test_jpeg_2000_of_any_quality_is_sound(name, level, resolutions) -> None:
    data = imagecodecs.jpeg2k_encode(
        PICTURES[name], level=level, resolutions=resolutions, codecformat="j2k"
    )
    assert is_jp2k_sound(data)


def test_every_jpeg_2000_tile_of_a_real_slide_is_sound(shared) -> None:
    path = shared / "slides" / "TCGA-CR-7395-01A-01-TS1.svs"
    data = path.read_bytes()
    for level in read_layout(path).levels:
        for offset, n_bytes in zip(level.offsets.tolist(), level.n_bytes.tolist(), strict=True):
            assert is_jp2k_sound(data[offset : offset + n_bytes])


@pytest.mark.parametrize("filling", [bytes(SECTOR_BYTES), b"\xff" * SECTOR_BYTES])
def test_a_lost_sector_of_jpeg_2000_is_seen_wherever_it_is(filling) -> None:
    data = jp2k(PICTURES["tissue"])
    decoder = Jp2kTiles(SIDE_PX, SIDE_PX, is_rgb=True)
    decoder.decode(data, 1, None)
    assert len(data) > 20 * SECTOR_BYTES
    for at in range(200, len(data) - SECTOR_BYTES, SECTOR_BYTES):
        with pytest.raises(TileDamaged):
            decoder.decode(data[:at] + filling + data[at + SECTOR_BYTES :], 1, None)


def test_most_noise_in_jpeg_2000_is_seen() -> None:
    data, rng = jp2k(PICTURES["tissue"]), np.random.default_rng(1)
    n_caught = 0
    for at in rng.integers(200, len(data) - 4096, 100):
        noisy = data[:at] + rng.bytes(4096) + data[at + 4096 :]
        n_caught += not is_jp2k_sound(noisy)
    assert n_caught > 95  # 512 bytes: 58 of 100


@pytest.mark.parametrize("flip", [1, 16, 255])
def test_a_header_of_jpeg_2000_with_a_wrong_byte_is_damage_or_a_picture(flip) -> None:
    data = jp2k(PICTURES["glass"])
    decoder = Jp2kTiles(SIDE_PX, SIDE_PX, is_rgb=True)
    n_damaged = 0
    for at in range(min(len(data), 200)):
        try:
            decoder.decode(data[:at] + bytes([data[at] ^ flip]) + data[at + 1 :], 1, None)
        except TileDamaged:
            n_damaged += 1
    assert n_damaged > 20


def test_what_is_cut_off_from_jpeg_2000_is_seen() -> None:
    data = jp2k(PICTURES["glass"])
    decoder = Jp2kTiles(SIDE_PX, SIDE_PX, is_rgb=True)
    for n_bytes in range(len(data)):
        with pytest.raises(TileDamaged):
            decoder.decode(data[:n_bytes], 1, None)


def parts(name: str, **options) -> bytes:
    return pillow(PICTURES[name], "JPEG", **options)


@pytest.mark.parametrize("name", PICTURES)
def test_zeros_of_a_healthy_jpeg_are_no_damage(name) -> None:
    n_zeros = 0
    kinds = itertools.product((10, 75, 95), (0, 2), (False, True), (False, True))
    for quality, subsampling, optimize, progressive in kinds:
        if name == "noise" and (optimize or progressive):
            continue  # the encoder's buffer is too small
        data = parts(
            name, quality=quality, subsampling=subsampling, optimize=optimize,
            progressive=progressive,
        )  # fmt: skip
        n_zeros += bytes(64) in data
        JpegTiles(SIDE_PX, SIDE_PX, is_rgb=False).decode(data, 1, None)
    if name in {"glass", "black"}:
        assert n_zeros  # or this proves nothing


def test_zeros_may_be_glass_only_where_the_tables_say_so() -> None:
    usual, own = (parts("glass", quality=75, optimize=optimize) for optimize in (False, True))
    assert may_hold_zeros(b"\xff\xd8", own)
    assert not may_hold_zeros(b"\xff\xd8", usual)


@pytest.mark.parametrize("n_lost", [96, SECTOR_BYTES])
@pytest.mark.parametrize("quality", [50, 75, 90, 95])
def test_a_zeroed_sector_of_a_jpeg_is_seen_wherever_it_is(quality, n_lost) -> None:
    data = parts("tissue", quality=quality, subsampling=2)
    decoder = JpegTiles(SIDE_PX, SIDE_PX, is_rgb=False)
    start = data.index(b"\xff\xda") + 14
    for at in range(start, len(data) - n_lost - 2, n_lost):
        with pytest.raises(TileDamaged):
            decoder.decode(data[:at] + bytes(n_lost) + data[at + n_lost :], 1, None)


def tables_of(data: bytes) -> tuple[bytes, list[int]]:
    """The tables of a JPEG as a TIFF shares them, and where in them Huffman tables are."""
    tables, places, at = b"\xff\xd8", [], 2
    while data[at + 1] != 0xDA:
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4])
        if data[at + 1] == 0xC4:
            places += range(len(tables), len(tables) + end - at)
        if data[at + 1] in {0xC4, 0xDB}:
            tables += data[at:end]
        at = end
    return tables + b"\xff\xd9", places


@pytest.mark.parametrize("options", [{}, {"optimize": True}, {"progressive": True}], ids=str)
@pytest.mark.parametrize("name", [name for name in PICTURES if name != "noise"])
def test_tables_of_any_encoder_setting_are_tables(name, options) -> None:
    for quality in (10, 75, 100):
        assert are_tables(tables_of(parts(name, quality=quality, **options))[0])


@pytest.mark.parametrize("flip", [1, 2, 16, 64, 128, 255])
def test_a_wrong_byte_in_the_usual_huffman_tables_is_seen(flip) -> None:
    tables, places = tables_of(parts("tissue"))
    flipped = (tables[:at] + bytes([tables[at] ^ flip]) + tables[at + 1 :] for at in places)
    passed = [data for data in flipped if are_tables(data)]
    assert len(places) > 400
    assert len(passed) <= 4  # the number of a table, which the tiles then miss
