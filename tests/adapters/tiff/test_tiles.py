import base64
import os
import threading

import imagecodecs
import numpy as np
import openslide
import pytest

from pathassets.adapters.tiff.extents import FAULTS
from pathassets.adapters.tiff.layout import read_layout
from pathassets.adapters.tiff.tiles import open_tiles
from pathassets.core.slides.tiles import TileDamaged
from pathassets.errors import SlideUnreadable
from tests.adapters.small_tiffs import (
    AS_RGB,
    Kind,
    bare,
    jpeg,
    jpegs,
    lossless,
    set_tag,
    tiles_of,
    without,
    write_tiff,
)

JFIF = b"\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"
ADOBE_RGB = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x00"
ADOBE_YCBCR = ADOBE_RGB[:-1] + b"\x01"
J2K_422 = base64.b64decode(
    "/0//UQAvAAAAAAAgAAAAIAAAAAAAAAAAAAAAIAAAACAAAAAAAAAAAAADBwEBBwIBBwIB/1IADAAAAAEABQQEAAH/XAAT"
    "QEBISFBISFBISFBISFBISFD/ZAAlAAFDcmVhdGVkIGJ5IE9wZW5KUEVHIHZlcnNpb24gMi41LjT/kAAKAAAAAADMAAH/"
    "k8fUBAc/wfIBBMfUBARfwfOCj7QIBD8DM8faBARfw+oCCC/A+QFD6gMADQELPM7B84KH1AQCZAuSwfOCg+cECRwMF8B8"
    "IcHzgwAiGc8Df7/A+QJB84MAF9ff3wN4l8D5AkD5AYAXK93fAMB/wDocD5AgNqGXPaY0M8B8IkD5AgAiHO9/KSECz8B8"
    "IcB8IYAhcO8p3d7AEcB8IoBfp7+drClAP8A6JAfCIDaheF+EICdLwDokA6IANfV2X4QKpl//2Q=="
)
"""JPEG 2000 of 32 x 32 px, the colours half as wide, as Aperio's 33003 has it; by OpenJPEG."""


def with_segment(data, segment):
    return data[:2] + segment + data[2:]


def jp2k(pixels, *, mct):
    return imagecodecs.jpeg2k_encode(pixels, level=0, mct=mct, codecformat="j2k", reversible=True)


def jp2ks(compression):
    is_rgb = compression == 33005

    def encode(tile):
        if is_rgb:
            return jp2k(tile, mct=True)
        import cv2  # noqa: PLC0415

        planes = cv2.cvtColor(tile, cv2.COLOR_RGB2YCrCb)[..., [0, 2, 1]]
        return jp2k(np.ascontiguousarray(planes), mct=False)

    return Kind(compression, "rgb", encode)


def opened(path):
    layout = read_layout(path)
    return open_tiles(path, layout), layout


def whole(tiles):
    grid = tiles.grid
    out = np.empty(
        (grid.n_rows * grid.tile_height_px, grid.n_columns * grid.tile_width_px, 3), np.uint8
    )
    for tile in range(grid.n_tiles):
        x_px, y_px = grid.corner_px(tile)
        place = out[y_px : y_px + grid.tile_height_px, x_px : x_px + grid.tile_width_px]
        place[...] = tiles.read(tile)
    return out[: grid.height_px, : grid.width_px]


def difference(path, max_px=None):
    """Largest difference to OpenSlide over all pixels of all levels, and how many levels."""
    file, layout = opened(path)
    worst = 0
    with openslide.OpenSlide(path) as slide:
        for number, size_px in enumerate(slide.level_dimensions):
            ours = whole(file.tiles(layout.level_of(*size_px)))[:max_px, :max_px]
            theirs = slide.read_region((0, 0), number, ours.shape[1::-1])
            rgba = np.asarray(theirs).astype(np.int16)
            assert rgba[..., 3].min() == 255
            worst = max(worst, np.abs(rgba[..., :3] - ours).max())
        n_levels = slide.level_count
    file.close()
    return worst, n_levels


EXACT = {
    "4:2:0": jpegs("420"),
    "4:2:2": jpegs("422"),
    "4:4:4": jpegs("444"),
    "RGB": jpegs("444", "RGB"),
    "4:2:0, shared tables": jpegs("420", shared=True),
    "RGB, shared tables": jpegs("444", "RGB", shared=True),
    "tiles of 240 px": jpegs("420", tile_px=240),
    "tiles of 256 px": jpegs("422", tile_px=256),
    "BigTIFF": jpegs("420", file={"bigtiff": True}),
    "big-endian BigTIFF": jpegs("420", shared=True, file={"byteorder": ">", "bigtiff": True}),
    "deflate": lossless(8, imagecodecs.zlib_encode),
    "old deflate": lossless(32946, imagecodecs.zlib_encode),
    "deflate of differences": lossless(8, imagecodecs.zlib_encode, predictor=2),
    "LZW": lossless(5, imagecodecs.lzw_encode),
    "LZW of differences": lossless(5, imagecodecs.lzw_encode, predictor=2),
    "none": lossless(1),
}


@pytest.mark.parametrize("name", EXACT)
def test_every_pixel_is_openslides(tmp_path, name):
    kind = EXACT[name]
    size_px = (530, 500) if kind.tile_px > 64 else (200, 150)
    write_tiff(tmp_path / "a.svs", kind, size_px=size_px)
    assert difference(tmp_path / "a.svs") == (0, 2)


@pytest.mark.parametrize("name", ["4:2:0", "deflate", "none"])
def test_of_another_tiff_than_aperios_the_reduced_levels_are_openslides_too(tmp_path, name):
    write_tiff(tmp_path / "a.tif", EXACT[name], n_levels=3, description="")
    assert difference(tmp_path / "a.tif") == (0, 3)


@pytest.mark.parametrize("compression", [33003, 33005])
def test_jpeg_2000_is_within_one_step_of_openslides(tmp_path, compression):
    write_tiff(tmp_path / "a.svs", jp2ks(compression))
    worst, n_levels = difference(tmp_path / "a.svs")
    assert worst <= 1
    assert n_levels == 2


def test_jpeg_2000_with_half_as_many_colours_is_within_one_step_of_openslides(tmp_path):
    kind = Kind(33003, "rgb", lambda _: J2K_422, tile_px=32)
    write_tiff(tmp_path / "a.svs", kind, size_px=(60, 60), n_levels=1)
    assert difference(tmp_path / "a.svs")[0] <= 1


@pytest.mark.parametrize("segment", [JFIF, ADOBE_RGB, ADOBE_YCBCR, JFIF + ADOBE_RGB, b""])
@pytest.mark.parametrize("is_rgb", [True, False])
def test_the_tiff_decides_what_the_components_are_and_not_the_tile(tmp_path, segment, is_rgb):
    """Every second tile says something of its own; the others say nothing."""
    said = []

    def encode(tile):
        data = jpeg(tile, "444", "RGB" if is_rgb else "YCBCR")
        ids = b"\0\1\2"  # which say nothing
        plain = without(data, 0xE0, 0xEE)
        sof = plain.index(b"\xff\xc0")
        sos = plain.index(b"\xff\xda")
        plain = bytearray(plain)
        for i in range(3):
            plain[sof + 10 + 3 * i] = plain[sos + 5 + 2 * i] = ids[i]
        said.append(len(said) % 4 == 3)
        return with_segment(bytes(plain), segment if said[-1] else b"")

    photometric = "rgb" if is_rgb else "ycbcr"
    options = AS_RGB if is_rgb else {"subsampling": (1, 1)}
    write_tiff(tmp_path / "a.svs", Kind(7, photometric, encode, options=options))
    assert difference(tmp_path / "a.svs") == (0, 2)


def test_every_pixel_of_a_real_jpeg_slide_is_openslides(shared):
    assert difference(shared / "slides" / "CMU-1-Small-Region.svs") == (0, 1)


def test_the_pixels_of_a_real_jpeg_2000_slide_are_openslides(shared):
    path = shared / "slides" / "TCGA-CR-7395-01A-01-TS1.svs"
    file, layout = opened(path)
    with openslide.OpenSlide(path) as slide:
        for number, tile in [(0, 0), (0, 100), (0, 200), (1, 0)]:
            level = layout.levels[number]
            theirs = slide.read_region(level.grid.corner_px(tile), number, (256, 256))
            ours = file.tiles(level).read(tile)
            assert np.abs(np.asarray(theirs)[..., :3].astype(int) - ours).max() <= 1
    file.close()


def test_a_big_endian_tiff_that_openslide_does_not_know_has_the_pixels_of_a_little_endian(tmp_path):
    for name, order in (("a.svs", "<"), ("b.svs", ">")):
        write_tiff(tmp_path / name, jpegs("420", shared=True, file={"byteorder": order}))
    assert openslide.OpenSlide.detect_format(tmp_path / "b.svs") is None
    assert difference(tmp_path / "a.svs") == (0, 2)
    files = [opened(tmp_path / name) for name in ("a.svs", "b.svs")]
    for level in range(2):
        little, big = (whole(file.tiles(layout.levels[level])) for file, layout in files)
        assert np.array_equal(little, big)
    for file, _ in files:
        file.close()


@pytest.mark.parametrize("shrink", [2, 4, 8])
@pytest.mark.parametrize("tile_px", [240, 64])
def test_a_jpeg_tile_is_read_at_a_half_a_quarter_and_an_eighth(tmp_path, shrink, tile_px):
    write_tiff(tmp_path / "a.svs", jpegs("420", tile_px=tile_px), n_levels=1)
    file, layout = opened(tmp_path / "a.svs")
    tiles = file.tiles(layout.levels[0])
    assert tiles.can_shrink
    small = tiles.read(0, shrink=shrink)
    assert small.shape == (tile_px // shrink, tile_px // shrink, 3)
    means = tiles.read(0).reshape(tile_px // shrink, shrink, tile_px // shrink, shrink, 3)
    assert np.abs(small - means.mean(axis=(1, 3))).mean() < 4
    out = np.empty_like(small)
    assert tiles.read(0, shrink=shrink, out=out) is out
    assert np.array_equal(out, small)
    file.close()


@pytest.mark.parametrize("name", ["deflate", "LZW of differences", "none"])
def test_a_lossless_tile_is_what_was_written_and_cannot_be_shrunk(tmp_path, name):
    pixels = write_tiff(tmp_path / "a.svs", EXACT[name])
    file, layout = opened(tmp_path / "a.svs")
    tiles = file.tiles(layout.levels[0])
    assert not tiles.can_shrink
    for tile, expected in enumerate(tiles_of(pixels, 64)):
        out = np.empty_like(expected)
        read = tiles.read(tile)
        assert np.array_equal(read, expected)
        assert read.flags.writeable
        assert tiles.read(tile, out=out) is out
        assert np.array_equal(out, expected)
    with pytest.raises(ValueError, match="cannot be read at 1/2"):
        tiles.read(0, shrink=2)
    file.close()


@pytest.mark.parametrize("name", ["4:2:0", "deflate"])
def test_an_array_of_another_shape_is_a_mistake_and_no_damage(tmp_path, name):
    write_tiff(tmp_path / "a.svs", EXACT[name])
    file, layout = opened(tmp_path / "a.svs")
    for shape in ((32, 64, 3), (128, 64, 3)):
        with pytest.raises(ValueError, match="out: ") as e:
            file.tiles(layout.levels[0]).read(0, out=np.empty(shape, np.uint8))
        assert not isinstance(e.value, TileDamaged)
    file.close()


def reasons(path):
    """(level, tile) -> reason: of all that cannot be read, and of those that the table tells."""
    file, layout = opened(path)
    found, known = {}, {}
    for number, level in enumerate(layout.levels):
        tiles = file.tiles(level)
        for tile in range(level.grid.n_tiles):
            try:
                tiles.read(tile)
            except TileDamaged as damage:
                found[number, tile] = damage.reason
        for tile in np.flatnonzero(level.faults).tolist():
            known[number, tile] = FAULTS[level.faults[tile] - 1]
    file.close()
    return found, known


@pytest.mark.parametrize("tag", ["TileOffsets", "TileByteCounts"])
def test_a_tile_that_is_not_stored_is_missing(tmp_path, tag):
    write_tiff(tmp_path / "a.svs", jpegs())
    set_tag(tmp_path / "a.svs", tag, 0, index=5)
    assert reasons(tmp_path / "a.svs") == ({(0, 5): "missing"}, {(0, 5): "missing"})


@pytest.mark.parametrize(("tag", "value"), [("TileOffsets", 1 << 30), ("TileByteCounts", 1 << 31)])
def test_a_tile_whose_entry_leads_beyond_the_end_is_the_only_one_lost(tmp_path, tag, value):
    write_tiff(tmp_path / "a.svs", jpegs())
    set_tag(tmp_path / "a.svs", tag, value, index=5)
    assert reasons(tmp_path / "a.svs") == ({(0, 5): "beyond_end"}, {(0, 5): "beyond_end"})


def test_two_tiles_of_the_same_bytes_are_both_not_believed(tmp_path):
    write_tiff(tmp_path / "a.svs", jpegs())
    level = read_layout(tmp_path / "a.svs").levels[0]
    for tag, values in (("TileOffsets", level.offsets), ("TileByteCounts", level.n_bytes)):
        set_tag(tmp_path / "a.svs", tag, int(values[1]), index=7)
    both = {(0, 1): "overlapping", (0, 7): "overlapping"}
    assert reasons(tmp_path / "a.svs") == (both, both)


def test_a_tile_said_to_span_others_is_lost_and_they_are_not(tmp_path):
    write_tiff(tmp_path / "a.svs", jpegs())
    level = read_layout(tmp_path / "a.svs").levels[0]
    set_tag(tmp_path / "a.svs", "TileByteCounts", int(level.n_bytes[2:6].sum()), index=2)
    assert reasons(tmp_path / "a.svs")[0] == {(0, 2): "overlapping"}


def test_a_tile_cut_by_its_own_byte_count_is_undecodable(tmp_path):
    write_tiff(tmp_path / "a.svs", jpegs())
    level = read_layout(tmp_path / "a.svs").levels[0]
    set_tag(tmp_path / "a.svs", "TileByteCounts", int(level.n_bytes[3]) - 40, index=3)
    assert reasons(tmp_path / "a.svs") == ({(0, 3): "undecodable"}, {})


@pytest.mark.parametrize("name", EXACT)
def test_a_tile_of_zeros_is_undecodable_where_zeros_are_no_pixels(tmp_path, name):
    path = tmp_path / "a.svs"
    write_tiff(path, EXACT[name])
    level = read_layout(path).levels[0]
    tile = len(level.offsets) - 1
    with path.open("r+b") as file:
        file.seek(level.offsets[tile])
        file.write(bytes(int(level.n_bytes[tile])))
    expected = {} if name == "none" else {(0, tile): "undecodable"}
    assert reasons(path) == (expected, {})


def test_flipped_bytes_that_openslide_reads_as_garbage_are_caught(tmp_path):
    path = tmp_path / "a.svs"
    write_tiff(path, jpegs("420"))
    level = read_layout(path).levels[0]
    at = int(level.offsets[5] + level.n_bytes[5] // 2)
    data = bytearray(path.read_bytes())
    for i in range(at, at + 40):
        data[i] ^= 0x55
    path.write_bytes(data)
    with openslide.OpenSlide(path) as slide:
        slide.read_region((0, 0), 0, slide.dimensions)  # without a word
    assert reasons(path) == ({(0, 5): "undecodable"}, {})


def test_a_tile_of_another_size_is_undecodable(tmp_path):
    sizes = iter([64] * 5 + [48] + [64] * 99)
    kind = Kind(7, "ycbcr", lambda t: jpeg(np.ascontiguousarray(t[: next(sizes)])),
                options={"subsampling": (2, 2)})  # fmt: skip
    write_tiff(tmp_path / "a.svs", kind)
    assert reasons(tmp_path / "a.svs") == ({(0, 5): "undecodable"}, {})
    file, layout = opened(tmp_path / "a.svs")
    with pytest.raises(TileDamaged, match="64 x 48 px, not 64 x 64 px"):
        file.tiles(layout.levels[0]).read(5)
    file.close()


def test_a_file_that_shrinks_while_it_is_open_is_read_beyond_its_end(tmp_path):
    write_tiff(tmp_path / "a.svs", jpegs())
    file, layout = opened(tmp_path / "a.svs")
    os.truncate(tmp_path / "a.svs", int(layout.levels[0].offsets[3]) + 10)
    tiles = file.tiles(layout.levels[0])
    tiles.read(2)
    for tile in (3, 4):
        with pytest.raises(TileDamaged) as e:
            tiles.read(tile)
        assert e.value.reason == "beyond_end"
    file.close()


def test_a_closed_file_reads_nothing_even_of_another_with_its_number(tmp_path):
    write_tiff(tmp_path / "a.svs", jpegs())
    file, layout = opened(tmp_path / "a.svs")
    tiles = file.tiles(layout.levels[0])
    file.close()
    file.close()
    with (tmp_path / "a.svs").open("rb"), pytest.raises(SlideUnreadable):
        tiles.read(0)


def test_a_file_that_is_gone_cannot_be_opened(tmp_path):
    write_tiff(tmp_path / "a.svs", jpegs())
    layout = read_layout(tmp_path / "a.svs")
    (tmp_path / "a.svs").unlink()
    with pytest.raises(SlideUnreadable) as e:
        open_tiles(tmp_path / "a.svs", layout)
    assert e.value.reason == "file_missing"


def test_threads_read_the_same_pixels_at_the_same_time(tmp_path):
    write_tiff(tmp_path / "a.svs", jpegs("420", shared=True))
    file, layout = opened(tmp_path / "a.svs")
    tiles = file.tiles(layout.levels[0])
    expected = [tiles.read(t) for t in range(tiles.grid.n_tiles)]
    wrong = []

    def read_all():
        for _ in range(20):
            wrong.extend(
                t for t, pixels in enumerate(expected) if not np.array_equal(tiles.read(t), pixels)
            )

    threads = [threading.Thread(target=read_all) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    file.close()


def test_bare_tiles_without_tables_are_undecodable(tmp_path):
    kind = Kind(7, "ycbcr", lambda t: bare(jpeg(t)), options={"subsampling": (2, 2)})
    write_tiff(tmp_path / "a.svs", kind, n_levels=1)
    assert set(reasons(tmp_path / "a.svs")[0].values()) == {"undecodable"}
