import logging
import os
import shutil

import numpy as np
import pytest
import tifffile

from pathassets.adapters import openslide as adapter
from pathassets.adapters.openslide import OpenSlideSlide, find_slides, members_of
from pathassets.adapters.tifffile import PyramidSpec, corrupt_tile, write_pyramid
from pathassets.errors import SlideUnreadable, TileUnreadable

WIDTH, HEIGHT = 600, 500
SPEC = PyramidSpec(lossless=True, n_levels=3)


def skip_if_allowed(path, mode):
    if os.access(path, mode):
        pytest.skip("root may read and write everything")


def formula(n_px0, shape=(HEIGHT, WIDTH)):
    """Pixels of a level whose pixels are `n_px0` wide: constant on squares of 16 px0."""
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]] * n_px0 // 16
    return np.stack([6 * x, 7 * y, 3 * (x + y)], axis=-1).astype(np.uint8)


def opened(path):
    write_pyramid(path, formula(1), SPEC)
    return OpenSlideSlide(path)


def drop_tile(path, level, index):
    """Make a tile sparse: byte count 0, as an interrupted scan leaves it."""
    with tifffile.TiffFile(path, mode="r+") as file:
        for name in ("TileByteCounts", "TileOffsets"):
            tag = file.pages[level].tags[name]
            values = list(tag.value)
            values[index] = 0
            tag.overwrite(values)


def test_the_facts_are_those_that_were_written(tmp_path):
    slide = opened(tmp_path / "a.svs")
    assert (slide.info.width_px0, slide.info.height_px0) == (WIDTH, HEIGHT)
    assert slide.info.level_sizes_px == ((600, 500), (150, 125), (37, 31))
    assert slide.info.level_downsamples[:2] == (1.0, 4.0)
    assert slide.info.vendor == "aperio"
    assert slide.info.objective_power == 20
    assert slide.info.audit.mpp == 0.5
    assert slide.info.reader.startswith("openslide 4.")
    slide.close()


def test_a_slide_that_states_no_resolution_has_no_source_of_one(tmp_path):
    write_pyramid(tmp_path / "a.svs", formula(1), PyramidSpec(mpp=None, objective=None))
    info = OpenSlideSlide(tmp_path / "a.svs").info
    assert info.audit.sources == ()
    assert info.audit.reason == "resolution_missing"
    assert info.objective_power is None


@pytest.mark.parametrize("level", [0, 1, 2])
def test_the_pixels_of_every_level_are_the_formula(tmp_path, level):
    slide = opened(tmp_path / "a.svs")
    width_px, height_px = slide.info.level_sizes_px[level]
    whole = slide.read_level(0, 0, level=level, width_px=width_px, height_px=height_px)
    assert whole.dtype == np.uint8
    assert whole.flags.c_contiguous
    assert np.array_equal(whole, formula(4**level, (height_px, width_px)))


def test_a_region_across_tiles_begins_at_its_level_0_point(tmp_path):
    slide = opened(tmp_path / "a.svs")
    region = slide.read_level(201, 253, level=0, width_px=77, height_px=33)
    assert np.array_equal(region, formula(1)[253:286, 201:278])
    region = slide.read_level(200, 252, level=1, width_px=30, height_px=20)
    assert np.array_equal(region, formula(4, (125, 150))[63:83, 50:80])


def test_beyond_the_edge_the_background_is_read(tmp_path):
    slide = opened(tmp_path / "a.svs")
    region = slide.read_level(-10, HEIGHT - 5, level=0, width_px=20, height_px=20)
    assert np.array_equal(region[:5, 10:], formula(1)[-5:, :10])
    region[:5, 10:] = 255
    assert (region == 255).all()


def test_a_corrupt_tile_is_named_with_its_level_and_point(tmp_path):
    slide = opened(tmp_path / "a.svs")
    corrupt_tile(tmp_path / "a.svs", level=0, tile_index=1)
    with pytest.raises(
        TileUnreadable, match=r"level 0, 9 x 8 px at level-0 point \(300, 20\)"
    ) as e:
        slide.read_level(300, 20, level=0, width_px=9, height_px=8)
    assert str(tmp_path / "a.svs") in e.value.message
    assert e.value.remedy
    assert e.value.is_final


def test_after_a_corrupt_tile_other_regions_are_still_read(tmp_path):
    slide = opened(tmp_path / "a.svs")
    corrupt_tile(tmp_path / "a.svs", level=0, tile_index=1)
    for _ in range(2):
        with pytest.raises(TileUnreadable):
            slide.read_level(300, 20, level=0, width_px=9, height_px=8)
        region = slide.read_level(0, 300, level=0, width_px=100, height_px=100)
        assert np.array_equal(region, formula(1)[300:400, :100])


def test_a_slide_that_vanishes_after_an_error_is_said_to_be_missing_each_time(tmp_path):
    slide = opened(tmp_path / "a.svs")
    corrupt_tile(tmp_path / "a.svs", level=0, tile_index=1)
    (tmp_path / "a.svs").unlink()
    for _ in range(2):
        with pytest.raises(SlideUnreadable) as e:
            slide.read_level(300, 20, level=0, width_px=9, height_px=8)
        assert e.value.reason == "file_missing"


def test_a_tile_that_is_not_stored_is_an_error_and_not_white(tmp_path):
    opened(tmp_path / "a.svs").close()
    drop_tile(tmp_path / "a.svs", level=0, index=4)
    slide = OpenSlideSlide(tmp_path / "a.svs")
    with pytest.raises(TileUnreadable, match="no pixels are stored for part of level 0") as e:
        slide.read_level(250, 300, level=0, width_px=10, height_px=10)
    assert "incomplete" in e.value.remedy
    region = slide.read_level(0, 0, level=0, width_px=250, height_px=250)
    assert np.array_equal(region, formula(1)[:250, :250])


@pytest.mark.parametrize(
    ("reason", "remedy"),
    [
        ("file_missing", "Put it back"),
        ("not_a_file", "Name a slide file"),
        ("empty_file", "Copy it again"),
        ("not_a_slide", "Open it in a viewer"),
    ],
)
def test_each_thing_that_is_no_slide_has_its_reason_and_remedy(tmp_path, reason, remedy):
    paths = {
        "file_missing": [tmp_path / "none.svs", tmp_path / "link.svs", tmp_path / "text.svs" / "x"],
        "not_a_file": [tmp_path / "pipe.svs", tmp_path],
        "empty_file": [tmp_path / "empty.svs"],
        "not_a_slide": [tmp_path / "text.svs"],
    }
    os.mkfifo(tmp_path / "pipe.svs")
    (tmp_path / "link.svs").symlink_to(tmp_path / "nowhere.svs")
    (tmp_path / "empty.svs").touch()
    (tmp_path / "text.svs").write_text("a letter, renamed")
    for path in paths[reason]:
        with pytest.raises(SlideUnreadable) as e:
            OpenSlideSlide(path)
        assert e.value.reason == reason
        assert e.value.message.startswith(f"{path}: ")
        assert remedy in str(e.value)


def test_a_slide_one_may_not_read_says_so(tmp_path):
    opened(tmp_path / "a.svs").close()
    (tmp_path / "a.svs").chmod(0)
    skip_if_allowed(tmp_path / "a.svs", os.R_OK)
    with pytest.raises(SlideUnreadable, match="permission denied") as e:
        OpenSlideSlide(tmp_path / "a.svs")
    assert e.value.reason == "no_permission"


def test_a_truncated_slide_is_unreadable_and_not_a_crash(tmp_path):
    opened(tmp_path / "a.svs").close()
    whole = (tmp_path / "a.svs").read_bytes()
    (tmp_path / "a.svs").write_bytes(whole[: len(whole) // 2])
    with pytest.raises((SlideUnreadable, TileUnreadable)):
        OpenSlideSlide(tmp_path / "a.svs").read_level(0, 0, level=2, width_px=37, height_px=31)


def test_a_folder_is_searched_by_suffix_whatever_its_case(tmp_path):
    (tmp_path / "b").mkdir()
    names = ["z.SVS", "a.svs", "b/c.Tiff", "b/d.ndpi"]
    for name in [*names, "notes.txt", "x.svs.part", "noext"]:
        (tmp_path / name).touch()
    assert find_slides(tmp_path) == sorted(tmp_path / name for name in names)


def test_hidden_files_and_folders_are_left_out(tmp_path):
    (tmp_path / ".trash").mkdir()
    for name in [".a.svs", "._b.svs", ".trash/c.svs", "d.svs"]:
        (tmp_path / name).touch()
    assert find_slides(tmp_path) == [tmp_path / "d.svs"]


def test_a_dangling_link_and_a_pipe_are_listed_and_a_folder_is_searched(tmp_path):
    (tmp_path / "a.svs").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "b.svs")
    (tmp_path / "c.svs").mkdir()
    (tmp_path / "c.svs" / "d.svs").touch()
    names = ["a.svs", "b.svs", "c.svs/d.svs"]
    assert find_slides(tmp_path) == [tmp_path / name for name in names]


def test_a_folder_one_may_not_look_into_is_warned_of(tmp_path, caplog):
    (tmp_path / "closed").mkdir(mode=0)
    skip_if_allowed(tmp_path / "closed", os.R_OK)
    (tmp_path / "a.svs").touch()
    with caplog.at_level(logging.WARNING):
        assert find_slides(tmp_path) == [tmp_path / "a.svs"]
    assert "closed: cannot be searched" in caplog.text


def test_an_mrxs_is_its_file_and_everything_in_its_folder(tmp_path):
    (tmp_path / "a" / "sub").mkdir(parents=True)
    names = ["a.mrxs", "a/Data0001.dat", "a/Slidedat.ini", "a/sub/x.dat"]
    for name in [*names, "b.mrxs"]:
        (tmp_path / name).touch()
    assert members_of(tmp_path / "a.mrxs") == [tmp_path / name for name in names]
    assert members_of(tmp_path / "b.mrxs") == [tmp_path / "b.mrxs"]


def test_a_hamamatsu_index_brings_the_pictures_that_it_names(tmp_path):
    index = (
        "[Virtual Microscope Specimen]\nImageFile=a.jpg\nImageFile(1,0)=b.jpg\nMapFile=none.jpg\n"
    )
    (tmp_path / "a.vms").write_text(index)
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        (tmp_path / name).touch()
    assert members_of(tmp_path / "a.vms") == [tmp_path / n for n in ("a.vms", "a.jpg", "b.jpg")]


def test_a_plain_slide_is_one_file_that_is_not_even_opened(tmp_path):
    assert members_of(tmp_path / "none.svs") == [tmp_path / "none.svs"]


@pytest.fixture
def series(tmp_path, shared):
    """Two files of one DICOM series, one in upper case, a file of another, and what is none."""
    for name in ("a.dcm", "b.DCM"):
        shutil.copyfile(shared / "slides" / "camelyon_jpeg.dcm", tmp_path / name)
    shutil.copyfile(shared / "slides" / "camelyon_jpeg2000.dcm", tmp_path / "c.dcm")
    (tmp_path / "label.dcm").write_text("no slide")
    (tmp_path / "gone.dcm").symlink_to(tmp_path / "nowhere")
    return tmp_path


def test_a_dicom_slide_is_all_files_of_its_series(series):
    same = [series / "a.dcm", series / "b.DCM"]
    assert members_of(series / "a.dcm") == members_of(series / "b.DCM") == same
    assert members_of(series / "c.dcm") == [series / "c.dcm"]
    with pytest.raises(SlideUnreadable):
        members_of(series / "label.dcm")


def test_a_dicom_series_is_found_once(series):
    names = ["a.dcm", "c.dcm", "gone.dcm", "label.dcm"]
    assert find_slides(series) == [series / name for name in names]


def test_a_folder_of_dicom_files_is_opened_once_until_a_file_of_it_changes(series):
    before = adapter._series_in.cache_info().misses
    for name in ("a.dcm", "b.DCM", "c.dcm"):
        members_of(series / name)
    assert adapter._series_in.cache_info().misses == before + 1
    whole = (series / "a.dcm").read_bytes()
    (series / "d.dcm").write_bytes(whole[:1000])
    assert series / "d.dcm" not in members_of(series / "a.dcm")
    with (series / "d.dcm").open("ab") as file:
        file.write(whole[1000:])
    assert series / "d.dcm" in members_of(series / "a.dcm")
