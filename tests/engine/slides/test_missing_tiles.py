import io

import numpy as np
import openslide
import pytest
import tifffile

from pathassets.adapters.tiff.layout import read_layout
from pathassets.adapters.tifffile import PyramidSpec, write_pyramid
from pathassets.core.slides.tiles import TileDamaged
from pathassets.engine.slides.missing_tiles import find_missing_tiles
from pathassets.engine.slides.open import open_slide

SPEC = PyramidSpec(tile_px=128, n_levels=3, factor=2, quality=90)
WIDTH_PX, HEIGHT_PX = 1000, 700


@pytest.fixture(scope="module")
def whole():
    noise = np.random.default_rng(0).integers(0, 40, (HEIGHT_PX, WIDTH_PX, 3), np.uint8)
    y, x = np.mgrid[:HEIGHT_PX, :WIDTH_PX] // 8
    buffer = io.BytesIO()
    write_pyramid(buffer, np.stack([x, y, x + y], -1).astype(np.uint8) // 2 + noise, SPEC)
    return buffer.getvalue()


@pytest.fixture
def make_holes(tmp_path, whole):
    """A slide some of whose tiles have no bytes, as Aperio's writer leaves them."""

    def make(**tiles):
        path = tmp_path / "a.svs"
        path.write_bytes(whole)
        with tifffile.TiffFile(path, mode="r+") as file:
            for name, tile in tiles.items():
                tag = file.pages[int(name.removeprefix("level"))].tags["TileByteCounts"]
                tag.overwrite([0 if i == tile else n for i, n in enumerate(tag.value)])
        return path

    return make


def by_openslide(path, level):
    with openslide.OpenSlide(path) as slide:
        return np.asarray(slide.read_region((0, 0), level, slide.level_dimensions[level]))


def tile_of(pixels, grid, tile):
    x_px, y_px = grid.corner_px(tile)
    return pixels[y_px : y_px + grid.tile_height_px, x_px : x_px + grid.tile_width_px, :3]


def test_what_lies_above_a_hole_is_a_hole(make_holes):
    levels = read_layout(make_holes(level0=19)).levels
    assert [level.grid.n_columns for level in levels] == [8, 4, 2]
    assert find_missing_tiles(levels) == [{19}, {5}, {0}]
    assert find_missing_tiles([levels[0], None, levels[2]]) == [{19}, set(), set()]


def test_a_whole_slide_has_no_holes(make_holes):
    assert not any(find_missing_tiles(read_layout(make_holes()).levels))


@pytest.mark.parametrize("level", [1, 2])
def test_a_hole_of_a_coarser_level_is_drawn_from_the_finer_one(make_holes, level):
    path = make_holes(level1=5)
    expected = by_openslide(path, level)
    assert (expected[..., 3] == 255).all()
    with open_slide(path) as slide:
        assert (slide.info.reader[:5], slide.info.fallback) == ("tiles", "")
        source = slide.tiles(level)
        for tile in (0, 5) if level == 1 else (0, 3):
            rgb = source.read(tile)
            wanted = tile_of(expected, source.grid, tile)
            assert np.array_equal(rgb[: wanted.shape[0], : wanted.shape[1]], wanted)


def test_a_hole_of_level_0_is_a_fault_in_every_level_and_costs_no_other_tile(make_holes):
    path = make_holes(level0=19)
    with open_slide(path) as slide:
        assert (slide.info.reader[:5], slide.info.fallback) == ("tiles", "")
        for level, hole, reason in ((0, 19, "missing"), (1, 5, "no_pixels"), (2, 0, "no_pixels")):
            source, expected = slide.tiles(level), by_openslide(path, level)
            for tile in range(source.grid.n_tiles):
                if tile == hole:
                    with pytest.raises(TileDamaged) as e:
                        source.read(tile)
                    assert e.value.reason == reason
                    continue
                wanted = tile_of(expected, source.grid, tile)
                rgb = source.read(tile)
                assert np.array_equal(rgb[: wanted.shape[0], : wanted.shape[1]], wanted)


def test_a_drawn_tile_comes_in_every_size_and_place(make_holes):
    with open_slide(make_holes(level1=5)) as slide:
        source = slide.tiles(1)
        assert source.can_shrink
        rgb = source.read(5)
        half = source.read(5, shrink=2)
        assert half.shape == (64, 64, 3)
        mean = rgb.reshape(64, 2, 64, 2, 3).mean(axis=(1, 3))
        assert np.abs(half - mean).max() <= 0.5
        out = np.zeros((64, 64, 3), np.uint8)
        assert source.read(5, shrink=2, out=out) is out
        assert np.array_equal(out, half)
