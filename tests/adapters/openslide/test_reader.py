import os

import numpy as np
import pytest
import tifffile

from pathassets.adapters.openslide.reader import OpenSlideReader
from pathassets.adapters.tifffile import PyramidSpec, corrupt_tile, write_pyramid
from pathassets.core.slides.tiles import TileDamaged
from pathassets.errors import SlideUnreadable, SpecError

WIDTH, HEIGHT = 600, 500
SPEC = PyramidSpec(lossless=True, n_levels=3)


def formula(n_px0, shape=(HEIGHT, WIDTH)):
    """Pixels of a level whose pixels are `n_px0` wide: constant on squares of 16 px0."""
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]] * n_px0 // 16
    return np.stack([6 * x, 7 * y, 3 * (x + y)], axis=-1).astype(np.uint8)


@pytest.fixture
def path(tmp_path):
    write_pyramid(tmp_path / "a.svs", formula(1), SPEC)
    return tmp_path / "a.svs"


@pytest.fixture
def open_reader():
    opened = []

    def open_reader(path):
        opened.append(OpenSlideReader(path))
        return opened[-1]

    yield open_reader
    for reader in opened:
        reader.close()


def drop_tile(path, level, index):
    """Make a tile sparse: byte count 0, as an interrupted scan leaves it."""
    with tifffile.TiffFile(path, mode="r+") as file:
        for name in ("TileByteCounts", "TileOffsets"):
            tag = file.pages[level].tags[name]
            values = list(tag.value)
            values[index] = 0
            tag.overwrite(values)


def test_the_facts_are_those_that_were_written(path, open_reader):
    info = open_reader(path).info
    assert (info.width_px0, info.height_px0) == (WIDTH, HEIGHT)
    assert info.level_sizes_px == ((600, 500), (150, 125), (37, 31))
    assert info.level_downsamples[:2] == (1.0, 4.0)
    assert info.vendor == "aperio"
    assert info.objective_power == 20
    assert info.audit.mpp == 0.5
    assert info.reader.startswith("openslide 4.")


def test_a_slide_that_states_no_resolution_has_no_source_of_one(tmp_path, open_reader):
    write_pyramid(tmp_path / "a.svs", formula(1), PyramidSpec(mpp=None, objective=None))
    info = open_reader(tmp_path / "a.svs").info
    assert info.audit.sources == ()
    assert info.audit.reason == "resolution_missing"
    assert info.objective_power is None


@pytest.mark.parametrize("level", [0, 1, 2])
def test_the_pixels_of_every_level_are_the_formula(path, open_reader, level):
    reader = open_reader(path)
    width_px, height_px = reader.info.level_sizes_px[level]
    whole = reader.read(level, 0, 0, width_px, height_px)
    assert whole.dtype == np.uint8
    assert whole.flags.c_contiguous
    assert np.array_equal(whole, formula(4**level, (height_px, width_px)))


def test_a_part_across_tiles_begins_at_its_point_of_the_level(path, open_reader):
    reader = open_reader(path)
    assert np.array_equal(reader.read(0, 201, 253, 77, 33), formula(1)[253:286, 201:278])
    whole = formula(4, (125, 150))
    assert np.array_equal(reader.read(1, 50, 63, 30, 20), whole[63:83, 50:80])


def test_tiles_are_those_of_the_file_and_white_beyond_the_level(path, open_reader):
    source = open_reader(path).tiles(0)
    grid = source.grid
    assert (grid.tile_width_px, grid.tile_height_px, grid.n_tiles) == (256, 256, 6)
    assert np.array_equal(source.read(1), formula(1)[:256, 256:512])
    corner = np.zeros((256, 256, 3), np.uint8)
    assert source.read(5, out=corner) is corner
    assert np.array_equal(corner[: HEIGHT - 256, : WIDTH - 512], formula(1)[256:, 512:])
    assert (corner[HEIGHT - 256 :] == 255).all()
    assert (corner[:, WIDTH - 512 :] == 255).all()


def test_after_a_corrupt_tile_others_are_still_read(path, open_reader):
    reader = open_reader(path)
    corrupt_tile(path, level=0, tile_index=1)
    for _ in range(2):
        with pytest.raises(TileDamaged) as e:
            reader.read(0, 300, 20, 9, 8)
        assert e.value.reason == "undecodable"
        assert np.array_equal(reader.read(0, 0, 300, 100, 100), formula(1)[300:400, :100])


def test_a_slide_that_vanishes_after_an_error_is_said_to_be_missing_each_time(path, open_reader):
    reader = open_reader(path)
    corrupt_tile(path, level=0, tile_index=1)
    path.unlink()
    for _ in range(2):
        with pytest.raises(SlideUnreadable) as e:
            reader.read(0, 300, 20, 9, 8)
        assert e.value.reason == "file_missing"


def test_a_tile_that_is_not_stored_is_an_error_and_not_white(path, open_reader):
    drop_tile(path, level=0, index=4)
    reader = open_reader(path)
    with pytest.raises(TileDamaged, match="no pixels are stored") as e:
        reader.read(0, 250, 300, 10, 10)
    assert e.value.reason == "no_pixels"
    assert np.array_equal(reader.read(0, 0, 0, 250, 250), formula(1)[:250, :250])


@pytest.mark.parametrize(
    ("name", "reason", "remedy"),
    [
        ("none.svs", "file_missing", "Put it back"),
        ("text.svs/x", "file_missing", "Put it back"),
        ("link.svs", "dangling_link", "let the link point"),
        ("circle.svs", "link_loop", "Let it point"),
        ("pipe.svs", "not_a_file", "Name a slide file"),
        ("", "folder_without_slide", "Name a slide's file"),
        ("empty.svs", "empty_file", "Copy it again"),
        ("text.svs", "not_a_slide", "Open it in a viewer"),
    ],
)
def test_each_thing_that_is_no_slide_has_its_reason_and_remedy(tmp_path, name, reason, remedy):
    os.mkfifo(tmp_path / "pipe.svs")
    (tmp_path / "link.svs").symlink_to(tmp_path / "nowhere.svs")
    (tmp_path / "circle.svs").symlink_to("circle.svs")
    (tmp_path / "empty.svs").touch()
    (tmp_path / "text.svs").write_text("a letter, renamed")
    with pytest.raises(SlideUnreadable) as e:
        OpenSlideReader(tmp_path / name)
    assert e.value.reason == reason
    assert e.value.message.startswith(f"{tmp_path / name}: ")
    assert remedy in str(e.value)


def test_a_slide_one_may_not_read_says_so(path):
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("root may read everything")
    with pytest.raises(SlideUnreadable, match="permission denied") as e:
        OpenSlideReader(path)
    assert e.value.reason == "no_permission"


def test_a_truncated_slide_is_unreadable_and_not_a_crash(path):
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SlideUnreadable) as e:
        OpenSlideReader(path)
    assert e.value.reason == "truncated"


def test_images_beside_the_pyramid_are_read_by_name_alone(path, open_reader):
    label = np.full((40, 60, 3), 90, np.uint8)
    with tifffile.TiffWriter(path, append=True) as file:
        file.write(
            label, photometric="rgb", rowsperstrip=40, metadata=None, software=False, subfiletype=1,
            description="Aperio Image Library\r\nlabel 60x40",
        )  # fmt: skip
    reader = open_reader(path)
    assert reader.associated_names == ("label",)
    assert np.array_equal(reader.read_associated("label"), label)
    with pytest.raises(SpecError, match="no associated image 'macro'") as e:
        reader.read_associated("macro")
    assert "label" in e.value.remedy
