import os
import struct
import tracemalloc

import imagecodecs
import numpy as np
import pytest
import tifffile

from pathassets.adapters.tiff.directories import MAX_ENTRIES
from pathassets.adapters.tiff.layout import read_layout
from pathassets.adapters.tiff.tiles import open_tiles
from pathassets.core.slides.tiles import TileDamaged, TileGrid
from pathassets.errors import SlideUnreadable
from tests.adapters.small_tiffs import (
    AS_RGB,
    Kind,
    directory_extents,
    drop_tag,
    jpeg,
    jpegs,
    lossless,
    picture,
    places,
    put,
    set_tag,
    without,
    write_tiff,
)

DEFLATE = lossless(8, imagecodecs.zlib_encode, predictor=2)


def rejected_file(path):
    with pytest.raises(SlideUnreadable) as e:
        read_layout(path)
    assert e.value.message.startswith(f"{path}: ")
    assert e.value.remedy
    return e.value.reason, e.value.fact


def test_a_layout_is_the_levels_with_the_extents_of_their_tiles(tmp_path):
    write_tiff(tmp_path / "a.svs", jpegs("420", shared=True), n_levels=2)
    layout = read_layout(tmp_path / "a.svs")
    assert layout.size_bytes == (tmp_path / "a.svs").stat().st_size
    assert [level.grid for level in layout.levels] == [
        TileGrid(width_px=w, height_px=h, tile_width_px=64, tile_height_px=64)
        for w, h in ((200, 150), (100, 75))
    ]
    with tifffile.TiffFile(tmp_path / "a.svs") as file:
        for level, page in zip(layout.levels, file.pages, strict=True):
            assert level.offsets.dtype == level.n_bytes.dtype == np.int64
            assert level.offsets.tolist() == list(page.dataoffsets)
            assert level.n_bytes.tolist() == list(page.databytecounts)
            assert level.jpeg_tables == page.jpegtables
            assert (level.codec, level.is_rgb, level.predictor) == ("jpeg", False, 1)
            assert not level.faults.any()


@pytest.mark.parametrize(
    ("kind", "codec", "is_rgb", "predictor"),
    [
        (jpegs("444", "RGB"), "jpeg", True, 1),
        (DEFLATE, "deflate", True, 2),
        (lossless(5, imagecodecs.lzw_encode), "lzw", True, 1),
        (lossless(1), "none", True, 1),
    ],
)
def test_the_codec_the_colours_and_the_predictor_are_told(tmp_path, kind, codec, is_rgb, predictor):
    write_tiff(tmp_path / "a.svs", kind)
    level = read_layout(tmp_path / "a.svs").levels[1]
    assert (level.codec, level.is_rgb, level.predictor) == (codec, is_rgb, predictor)


def test_a_level_is_found_by_its_size_where_there_is_exactly_one(tmp_path):
    write_tiff(tmp_path / "a.svs", jpegs())
    layout = read_layout(tmp_path / "a.svs")
    assert layout.level_of(100, 75) is layout.levels[1]
    assert layout.level_of(100, 76) is None
    with tifffile.TiffWriter(tmp_path / "b.svs") as file:
        for description in ("Aperio 1", "Aperio 2"):
            file.write(picture(90, 80), tile=(64, 64), description=description, metadata=None)
    assert read_layout(tmp_path / "b.svs").level_of(90, 80) is None


def test_aperios_thumbnail_label_and_macro_are_no_levels(shared):
    slide = shared / "slides" / "CMU-1-Small-Region.svs"
    layout = read_layout(slide)
    assert [(v.grid.width_px, v.grid.height_px) for v in layout.levels] == [(2220, 2967)]
    assert layout.levels[0].is_rgb
    slide = shared / "slides" / "TCGA-CR-7395-01A-01-TS1.svs"
    layout = read_layout(slide)
    assert [v.codec for v in layout.levels] == ["jpeg2000", "jpeg2000"]
    assert layout.mpp_statements == ()


def test_elsewhere_a_page_that_is_not_marked_as_reduced_is_no_level(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(picture(200, 150), tile=(64, 64), metadata=None)
        file.write(picture(90, 10), tile=(64, 64), metadata=None)
        file.write(picture(100, 75), tile=(64, 64), subfiletype=1, metadata=None)
        file.write(picture(100, 75)[..., 0] > 9, tile=(64, 64), subfiletype=5, metadata=None)
        file.write(picture(200, 150)[..., 0], tile=(64, 64), metadata=None)
    layout = read_layout(tmp_path / "a.tif")
    assert [v.grid.width_px for v in layout.levels] == [200, 100]


def test_a_file_that_is_no_tiff_is_not_a_slide(tmp_path):
    (tmp_path / "a.svs").write_text("a letter")
    assert rejected_file(tmp_path / "a.svs")[0] == "not_a_slide"
    os.mkfifo(tmp_path / "b.svs")
    assert rejected_file(tmp_path / "b.svs")[0] == "not_a_slide"
    assert rejected_file(tmp_path / "c.svs")[0] == "file_missing"


def test_a_tiff_in_strips_is_told_from_one_in_tiles(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", picture(200, 150), metadata=None)
    assert rejected_file(tmp_path / "a.tif")[0] == "striped_tiff"


@pytest.mark.parametrize(
    "pixels",
    [
        picture(99, 80).astype(np.uint16),
        picture(99, 80)[..., 0],
        picture(99, 80).astype(np.float32),
        np.concatenate([picture(99, 80)] * 2, axis=-1)[..., :4],
    ],
    ids=["16 bits", "grey", "float", "alpha"],
)
def test_tiles_of_other_pixels_than_three_times_8_bits_are_refused(tmp_path, pixels):
    kind = "rgb" if pixels.ndim == 3 else "minisblack"
    tifffile.imwrite(tmp_path / "a.tif", pixels, tile=(64, 64), photometric=kind, metadata=None)
    reason, fact = rejected_file(tmp_path / "a.tif")
    assert reason == "not_8bit_rgb"
    assert "bits" in fact


@pytest.mark.parametrize("more", [{"planarconfig": "separate"}, {"compression": "zstd"}])
def test_what_openslide_may_read_and_the_tile_reader_not_has_no_levels(tmp_path, more):
    pixels = picture(200, 150)
    if "planarconfig" in more:
        pixels = np.moveaxis(pixels, -1, 0)
    tifffile.imwrite(
        tmp_path / "a.tif", pixels, tile=(64, 64), photometric="rgb", metadata=None, **more
    )
    assert read_layout(tmp_path / "a.tif").levels == ()


@pytest.mark.parametrize("kept", [8, 9, 60, 120, 400, -4000, -1500, -200, -1])
def test_a_file_that_is_cut_is_truncated_wherever_the_cut_is(tmp_path, kept):
    path = tmp_path / "a.svs"
    write_tiff(path, jpegs("420", shared=True))
    path.write_bytes(path.read_bytes()[:kept])
    assert rejected_file(path)[0] == "truncated"


def test_a_cut_through_the_strips_of_another_image_is_truncation_too(tmp_path):
    path = tmp_path / "a.svs"
    with tifffile.TiffWriter(path) as file:
        file.write(picture(200, 150), tile=(64, 64), description="Aperio", metadata=None)
        file.write(picture(64, 20), metadata=None)
    assert len(read_layout(path).levels) == 1
    path.write_bytes(path.read_bytes()[:-5])
    assert rejected_file(path)[0] == "truncated"


def test_one_tile_beyond_the_end_is_a_damaged_entry_and_two_are_truncation(tmp_path):
    path = tmp_path / "a.svs"
    write_tiff(path, jpegs())
    set_tag(path, "TileOffsets", 1 << 30, index=2)
    assert read_layout(path).levels[0].faults.tolist() == [0, 0, 2] + [0] * 9
    set_tag(path, "TileOffsets", 1 << 30, index=5)
    assert rejected_file(path)[0] == "truncated"


def test_a_half_that_never_arrived_is_said_to_be_zeros(tmp_path):
    path = tmp_path / "a.svs"
    write_tiff(path, jpegs())
    start, _ = directory_extents(path)[1]
    data = path.read_bytes()
    path.write_bytes(data[:start] + bytes(len(data) - start))
    reason, fact = rejected_file(path)
    assert reason == "damaged_structure"
    assert "directory 1 should be are zeros" in fact


DAMAGES = {
    "another width": lambda p: set_tag(p, "ImageWidth", 300),
    "no width": lambda p: set_tag(p, "ImageWidth", 0),
    "another height of level 1": lambda p: set_tag(p, "ImageLength", 90, level=1),
    "another tile width": lambda p: set_tag(p, "TileWidth", 80),
    "an enormous tile": lambda p: set_tag(p, "TileWidth", 1 << 24, level=1),
    "a level that does not fit": lambda p: set_tag(p, "ImageWidth", 88, level=1),
    "another compression": lambda p: set_tag(p, "Compression", 8, level=1),
    "a compression that is none": lambda p: set_tag(p, "Compression", 0x107),
    "another colour space": lambda p: set_tag(p, "PhotometricInterpretation", 2, level=1),
    "two samples": lambda p: set_tag(p, "SamplesPerPixel", 2),
    "planes apart": lambda p: set_tag(p, "PlanarConfiguration", 2),
    "an order of pixels": lambda p: set_tag(p, "PlanarConfiguration", 9),
    "no byte counts": lambda p: drop_tag(p, "TileByteCounts"),
    "no tile width": lambda p: drop_tag(p, "TileWidth"),
    "no compression": lambda p: drop_tag(p, "Compression"),
    "a width twice": lambda p: drop_tag(p, "ImageLength", into=256),
    "a circle": lambda p: put(p, directory_extents(p)[1][1] - 4, struct.pack("<I", 8)),
    "a table within another": lambda p: put(
        p, places(p)["TileOffsets"].entry + 8, struct.pack("<I", places(p)["BitsPerSample"].value)
    ),
    "tables that are no JPEG": lambda p: put(p, places(p)["JPEGTables"].value + 2, b"\0"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_structure_that_contradicts_itself_is_damaged(tmp_path, name):
    path = tmp_path / "a.svs"
    write_tiff(path, jpegs("420", shared=True))
    read_layout(path)
    DAMAGES[name](path)
    assert rejected_file(path)[0] in {"damaged_structure", "not_8bit_rgb"}


def colours_swapped(path):
    """Say of every level that it is the other of RGB and YCbCr."""
    levels = read_layout(path).levels
    for number, level in enumerate(levels):
        set_tag(path, "PhotometricInterpretation", 6 if level.is_rgb else 2, level=number)


@pytest.mark.parametrize(
    ("sampling", "colours", "shared"),
    [
        ("420", "YCBCR", True), ("422", "YCBCR", False),
        ("444", "YCBCR", False), ("444", "RGB", False), ("444", "RGB", True),
    ],
)  # fmt: skip
def test_colours_that_the_tiles_contradict_are_damage(tmp_path, sampling, colours, shared):
    path = tmp_path / "a.svs"
    write_tiff(path, jpegs(sampling, colours, shared=shared))
    colours_swapped(path)
    reason, fact = rejected_file(path)
    assert reason == "damaged_structure"
    assert "its tiles say otherwise" in fact


def test_rgb_said_to_be_ycbcr_is_damage_even_where_the_tiles_say_nothing(tmp_path):
    def encode(tile):
        data = bytearray(without(jpeg(tile // 2 + 120, "444", "RGB"), 0xE0, 0xEE))
        sof, sos = data.index(b"\xff\xc0"), data.index(b"\xff\xda")
        for i in range(3):  # component ids as Aperio's encoder writes them
            data[sof + 10 + 3 * i] = data[sos + 5 + 2 * i] = i
        return bytes(data)

    path = tmp_path / "a.svs"
    write_tiff(path, Kind(7, "rgb", encode, options=AS_RGB))
    assert read_layout(path).levels[0].is_rgb
    colours_swapped(path)
    assert rejected_file(path)[0] == "damaged_structure"


def test_tiles_that_are_all_of_another_size_contradict_the_tag(tmp_path):
    path = tmp_path / "a.svs"
    write_tiff(path, jpegs(), size_px=(130, 130), n_levels=1)  # 3 x 3 tiles, as of 48 px, too
    set_tag(path, "TileWidth", 48)
    reason, fact = rejected_file(path)
    assert reason == "damaged_structure"
    assert "48 x 64 px and are 64 x 64 px" in fact


@pytest.mark.parametrize("count", [1 << 20, 1 << 28, (1 << 32) - 1])
@pytest.mark.parametrize("tag", ["TileOffsets", "BitsPerSample", "JPEGTables", "ImageDescription"])
def test_a_damaged_count_takes_no_memory(tmp_path, tag, count):
    path = tmp_path / "a.svs"
    write_tiff(path, jpegs("420", shared=True))
    put(path, places(path)[tag].entry + 4, struct.pack("<I", count))
    tracemalloc.start()
    try:
        read_layout(path)
    except SlideUnreadable:
        pass
    finally:
        _, peak_bytes = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak_bytes < 2_000_000


def test_a_directory_of_too_many_entries_is_damaged(tmp_path):
    path = tmp_path / "a.svs"
    write_tiff(path, jpegs(), size_px=(600, 600))
    put(path, 8, struct.pack("<H", MAX_ENTRIES + 1))
    assert rejected_file(path)[0] == "damaged_structure"


FUZZED = {
    "jpeg": jpegs("420", shared=True, tile_px=32),
    "own tables": jpegs("444", "RGB", tile_px=32),
    "BigTIFF": jpegs("420", tile_px=32, file={"bigtiff": True}),
    "big-endian": lossless(8, imagecodecs.zlib_encode, tile_px=32, file={"byteorder": ">"}),
    "none": lossless(1, tile_px=32),
}


MORE_FUZZED = ["own tables", "big-endian"]


def bytes_of_structure(path):
    """Positions of the header and the directories, and those of the tables of tiles."""
    tables = set()
    bits = set()
    for level in range(len(directory_extents(path))):
        at = places(path, level)
        bits |= at["BitsPerSample"].positions
        tables |= at["TileOffsets"].positions | at["TileByteCounts"].positions
    directories = {i for start, end in directory_extents(path) for i in range(start, end)}
    return set(range(8)) | directories | bits, tables


def tiles_that_changed(path, expected):
    """(level, tile) of those that are read, and differ; a level that is no more is none."""
    layout = read_layout(path)
    file = open_tiles(path, layout)
    found = set()
    for number, level in enumerate(layout.levels):
        tiles = file.tiles(level)
        for tile in range(level.grid.n_tiles):
            try:
                pixels = tiles.read(tile)
            except TileDamaged:
                continue
            if not np.array_equal(pixels, expected[number][tile]):
                found.add((number, tile))
    file.close()
    return found


@pytest.mark.parametrize(
    "name",
    ["jpeg", "BigTIFF", "none", *(pytest.param(n, marks=pytest.mark.slow) for n in MORE_FUZZED)],
)
def test_a_flipped_byte_anywhere_in_the_structure_changes_no_pixel_in_silence(tmp_path, name):
    path = tmp_path / "a.svs"
    write_tiff(path, FUZZED[name], size_px=(90, 60))
    layout = read_layout(path)
    file = open_tiles(path, layout)
    expected = [
        [file.tiles(level).read(t) for t in range(level.grid.n_tiles)] for level in layout.levels
    ]
    file.close()
    data = path.read_bytes()
    draw = np.random.default_rng(3)
    outcomes = {"refused": 0, "read": 0}
    others, tables = bytes_of_structure(path)
    for at in sorted(others | tables):
        for flip in (1 << draw.integers(8), draw.integers(1, 256)):
            path.write_bytes(data[:at] + bytes([data[at] ^ int(flip)]) + data[at + 1 :])
            try:
                changed = tiles_that_changed(path, expected)
            except SlideUnreadable:
                outcomes["refused"] += 1
            else:
                assert len(changed) <= (at in tables), (at, flip, changed)
                outcomes["read"] += 1
    assert min(outcomes.values()) > 100
