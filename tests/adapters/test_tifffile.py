from dataclasses import replace

import numpy as np
import openslide
import pytest
import tifffile

from pathassets.adapters.tifffile import PyramidSpec, corrupt_tile, write_pyramid
from pathassets.errors import SlideUnreadable, SpecError

Y, X = np.mgrid[0:500, 0:610]
FORMULA = np.stack([X % 256, Y % 256, (X + Y) % 256], axis=-1).astype(np.uint8)
LOSSLESS = PyramidSpec(lossless=True)


def read(path, level=0):
    with openslide.OpenSlide(path) as slide:
        whole = slide.read_region((0, 0), level, slide.level_dimensions[level])
    return np.asarray(whole)


def readable_tiles(path):
    """Indices of the level-0 tiles that a fresh handle reads."""
    good = []
    for index in range(6):
        with openslide.OpenSlide(path) as slide:
            try:
                slide.read_region((index % 3 * 256, index // 3 * 256), 0, (90, 240))
            except openslide.OpenSlideError:
                continue
        good.append(index)
    return good


@pytest.mark.parametrize("lossless", [False, True])
def test_openslide_takes_the_file_for_an_aperio_slide(tmp_path, lossless):
    write_pyramid(tmp_path / "a.svs", FORMULA, PyramidSpec(lossless=lossless))
    with openslide.OpenSlide(tmp_path / "a.svs") as slide:
        assert slide.properties["openslide.vendor"] == "aperio"
        assert slide.properties["openslide.mpp-x"] == "0.5"
        assert slide.properties["openslide.mpp-y"] == "0.5"
        assert slide.properties["openslide.objective-power"] == "20"
        assert slide.properties["openslide.level[0].tile-width"] == "256"
        assert slide.level_dimensions == ((610, 500), (152, 125))


@pytest.mark.parametrize(
    ("mpp", "said"), [(None, None), (28.97, "28.97"), (0.252345, "0.252345"), (1e-99, "1e-99")]
)
def test_the_mpp_is_written_as_it_is_or_not_at_all(tmp_path, mpp, said):
    write_pyramid(tmp_path / "a.svs", FORMULA, PyramidSpec(mpp=mpp, objective=None))
    with openslide.OpenSlide(tmp_path / "a.svs") as slide:
        assert slide.properties.get("aperio.MPP") == said
        assert ("openslide.mpp-x" in slide.properties) == (mpp is not None)
        assert "openslide.objective-power" not in slide.properties


def test_lossless_pixels_are_the_formula_and_lower_levels_its_means(tmp_path):
    write_pyramid(tmp_path / "a.svs", FORMULA, replace(LOSSLESS, n_levels=3))
    assert np.array_equal(read(tmp_path / "a.svs")[..., :3], FORMULA)
    means = FORMULA[:500, :608].reshape(125, 4, 152, 4, 3).mean(axis=(1, 3))
    assert np.abs(read(tmp_path / "a.svs", 1)[..., :3] - means).max() <= 0.5
    assert read(tmp_path / "a.svs", 2).shape == (31, 38, 4)


def test_jpeg_pixels_are_close_to_what_was_written(tmp_path):
    smooth = np.stack([X // 3, Y // 2, (X + Y) // 5], axis=-1).astype(np.uint8)
    write_pyramid(tmp_path / "a.svs", smooth, PyramidSpec())
    assert np.abs(read(tmp_path / "a.svs")[..., :3].astype(int) - smooth).mean() < 2
    with tifffile.TiffFile(tmp_path / "a.svs") as file:
        assert [page.compression.name for page in file.pages] == ["JPEG", "JPEG"]
        assert file.pages[0].photometric.name == "YCBCR"
        assert file.pages[0].tags["YCbCrSubSampling"].value == (2, 2)


def test_a_white_slide_is_white_up_to_its_last_row_and_column(tmp_path):
    write_pyramid(tmp_path / "a.svs", np.full_like(FORMULA, 250), PyramidSpec())
    assert read(tmp_path / "a.svs").min() >= 249


@pytest.mark.parametrize("spec", [PyramidSpec(), LOSSLESS])
def test_the_same_pixels_are_the_same_bytes_under_any_name(tmp_path, spec):
    for name in ("a.svs", ".b.svs.part"):
        write_pyramid(tmp_path / name, FORMULA, spec)
    assert (tmp_path / "a.svs").read_bytes() == (tmp_path / ".b.svs.part").read_bytes()


@pytest.mark.parametrize("spec", [PyramidSpec(), LOSSLESS])
def test_a_corrupt_tile_is_an_error_to_read_and_the_others_are_not(tmp_path, spec):
    write_pyramid(tmp_path / "a.svs", FORMULA, spec)
    before = read(tmp_path / "a.svs", 1)
    assert readable_tiles(tmp_path / "a.svs") == [0, 1, 2, 3, 4, 5]
    corrupt_tile(tmp_path / "a.svs", level=0, tile_index=4)
    assert readable_tiles(tmp_path / "a.svs") == [0, 1, 2, 3, 5]
    assert np.array_equal(read(tmp_path / "a.svs", 1), before)


def test_a_tile_of_a_lower_level_can_be_corrupted_too(tmp_path):
    write_pyramid(tmp_path / "a.svs", FORMULA, PyramidSpec())
    corrupt_tile(tmp_path / "a.svs", level=1, tile_index=0)
    assert readable_tiles(tmp_path / "a.svs") == [0, 1, 2, 3, 4, 5]
    with pytest.raises(openslide.OpenSlideError):
        read(tmp_path / "a.svs", 1)


@pytest.mark.parametrize(("level", "tile_index"), [(0, 6), (0, -1), (2, 0), (-1, 0)])
def test_a_tile_that_is_not_there_cannot_be_corrupted(tmp_path, level, tile_index):
    write_pyramid(tmp_path / "a.svs", FORMULA, PyramidSpec())
    before = (tmp_path / "a.svs").read_bytes()
    with pytest.raises(SpecError, match="no tile"):
        corrupt_tile(tmp_path / "a.svs", level, tile_index)
    assert (tmp_path / "a.svs").read_bytes() == before


def test_a_file_that_is_no_tiff_is_unreadable(tmp_path):
    (tmp_path / "a.svs").write_text("not a slide")
    with pytest.raises(SlideUnreadable, match=r"a\.svs: not a TIFF file"):
        corrupt_tile(tmp_path / "a.svs", 0, 0)


@pytest.mark.parametrize("pixels", [FORMULA / 255, FORMULA[..., 0], FORMULA[..., :2], FORMULA[:3]])
def test_pixels_that_make_no_pyramid_are_refused_before_a_file_is_made(tmp_path, pixels):
    with pytest.raises(SpecError, match="level 0"):
        write_pyramid(tmp_path / "a.svs", pixels, PyramidSpec())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "change", [{"tile_px": 250}, {"tile_px": 0}, {"factor": 1}, {"n_levels": 0}, {"quality": 0}]
)
def test_a_layout_that_no_reader_takes_is_refused(change):
    with pytest.raises(SpecError):
        PyramidSpec(**change)


def test_tiles_of_240_px_are_written_as_asked(tmp_path):
    write_pyramid(tmp_path / "a.svs", FORMULA, replace(LOSSLESS, tile_px=240))
    assert np.array_equal(read(tmp_path / "a.svs")[..., :3], FORMULA)
    with openslide.OpenSlide(tmp_path / "a.svs") as slide:
        assert slide.properties["openslide.level[0].tile-height"] == "240"
