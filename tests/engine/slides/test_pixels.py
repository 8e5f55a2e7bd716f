"""Every pixel that the tile reader gives, against OpenSlide's."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import openslide
import pytest

from pathassets.adapters.tifffile import PyramidSpec, write_pyramid
from pathassets.core.locations.locations import PatchLocations
from pathassets.core.patches.read_plan import ReadSpec
from pathassets.engine.slides import open as open_module
from pathassets.engine.slides.open import OpenedSlide, open_slide
from pathassets.engine.slides.read_patches import read_patches

PATCH_PX = 96


def picture(width_px: int, height_px: int) -> np.ndarray:
    """Coloured waves and noise: no two tiles alike, down to the last pixel."""
    y, x = np.mgrid[:height_px, :width_px]
    waves = np.stack([np.sin(x / 9 + y / 31), np.cos(y / 7 - x / 41), np.sin((x + y) / 13)], -1)
    noise = np.random.default_rng(width_px).normal(0, 9, waves.shape)
    return np.clip(140 + 90 * waves + noise, 0, 255).astype(np.uint8)


def theirs(path: Path, level: int) -> np.ndarray:
    """A whole level as OpenSlide has it: read in one piece from its own corner."""
    with openslide.OpenSlide(path) as handle:
        size_px = handle.level_dimensions[level]
        rgba = np.asarray(handle.read_region((0, 0), level, size_px))
    assert (rgba[..., 3] == 255).all()
    return rgba[..., :3]


def difference(one: np.ndarray, other: np.ndarray) -> int:
    assert one.shape == other.shape
    return int(np.abs(one.astype(np.int16) - other).max())


def by_region(slide: OpenedSlide, level: int) -> np.ndarray:
    width_px, height_px = slide.info.level_sizes_px[level]
    return slide.read_region(0, 0, level=level, width_px=width_px, height_px=height_px)


def by_patches(slide: OpenedSlide, level: int, side_px: int, offset_px: int) -> np.ndarray:
    """The level put together from patches of a grid that reaches beyond it on all sides."""
    width_px, height_px = slide.info.level_sizes_px[level]
    downsample = round(slide.info.level_downsamples[level])
    grid = np.mgrid[-offset_px:height_px:side_px, -offset_px:width_px:side_px]
    y_px, x_px = (axis.ravel() for axis in grid)
    locations = PatchLocations(
        x_px0=x_px * downsample, y_px0=y_px * downsample,
        tissue_share=np.ones(len(x_px), np.float32),
        side_px0=side_px * downsample, patch_px=side_px, mpp=0.5 * downsample,
    )  # fmt: skip
    canvas = np.zeros((height_px + 3 * side_px, width_px + 3 * side_px, 3), np.uint8)
    for indices, pixels in read_patches(slide, locations, spec=ReadSpec(), n_threads=2):
        for i, patch in zip(indices, pixels, strict=True):
            x, y = x_px[i] + side_px, y_px[i] + side_px
            canvas[y : y + side_px, x : x + side_px] = patch
    return canvas[side_px:][:height_px, side_px:][:, :width_px]


@pytest.mark.parametrize("lossless", [False, True])
@pytest.mark.parametrize(
    ("width_px", "height_px", "tile_px", "factor", "n_levels"),
    [
        (512, 512, 256, 2, 2),
        (1200, 900, 240, 2, 3),
        (1037, 771, 256, 4, 2),
        (703, 1409, 240, 4, 3),
        (257, 255, 128, 2, 3),
        (100, 80, 256, 2, 1),
        (16, 17, 16, 2, 2),
    ],
)
def test_every_pixel_of_every_level_is_openslides(  # noqa: PLR0913, PLR0917
    tmp_path, width_px, height_px, tile_px, factor, n_levels, lossless
) -> None:
    path = tmp_path / "a.svs"
    spec = PyramidSpec(tile_px=tile_px, factor=factor, n_levels=n_levels, lossless=lossless)
    write_pyramid(path, picture(width_px, height_px), spec)
    with open_slide(path, backend="tiles") as slide:
        assert slide.info.n_levels == n_levels
        for level in range(n_levels):
            assert difference(by_region(slide, level), theirs(path, level)) == 0


@pytest.mark.parametrize("lossless", [False, True])
@pytest.mark.parametrize(("side_px", "offset_px"), [(256, 0), (240, 0), (100, 37)])
def test_every_pixel_through_patches_is_openslides(tmp_path, side_px, offset_px, lossless) -> None:
    path = tmp_path / "a.svs"
    spec = PyramidSpec(tile_px=240, factor=4, n_levels=2, lossless=lossless)
    write_pyramid(path, picture(1280, 1000), spec)
    with open_slide(path, backend="tiles") as slide:
        assert slide.info.level_downsamples == (1.0, 4.0)
        for level in (0, 1):
            found = by_patches(slide, level, side_px, offset_px)
            assert difference(found, theirs(path, level)) == 0


def test_a_lossless_slide_gives_the_very_pixels_that_were_written(tmp_path) -> None:
    written = picture(703, 409)
    write_pyramid(tmp_path / "a.svs", written, PyramidSpec(tile_px=240, lossless=True))
    with open_slide(tmp_path / "a.svs", backend="tiles") as slide:
        assert np.array_equal(by_region(slide, 0), written)


@pytest.mark.parametrize("corner", [(0, 0), (1, 0), (0, 1), (1, 1)])
def test_the_corners_and_what_lies_beyond_them_are_right(tmp_path, corner) -> None:
    path, side_px = tmp_path / "a.svs", 90
    write_pyramid(path, picture(703, 409), PyramidSpec(tile_px=240))
    x_px0, y_px0 = corner[0] * 703 - side_px // 2, corner[1] * 409 - side_px // 2
    whole = np.full((409 + side_px, 703 + side_px, 3), (1, 2, 3), np.uint8)
    half = side_px // 2
    whole[half:-half, half:-half] = theirs(path, 0)
    with open_slide(path, backend="tiles") as slide:
        found = slide.read_region(
            x_px0, y_px0, level=0, width_px=side_px, height_px=side_px, fill=(1, 2, 3)
        )
    y, x = y_px0 + half, x_px0 + half
    assert np.array_equal(found, whole[y : y + side_px, x : x + side_px])


def test_every_pixel_of_a_real_jpeg_slide_is_openslides(shared) -> None:
    path = shared / "slides" / "CMU-1-Small-Region.svs"
    with open_slide(path, backend="tiles") as slide:
        assert slide.info.reader == open_module.READER
        assert slide.tiles(0).grid.tile_width_px == 240
        assert difference(by_region(slide, 0), theirs(path, 0)) == 0
        assert difference(by_patches(slide, 0, 256, 0), theirs(path, 0)) == 0
        assert difference(by_patches(slide, 0, 240, 100), theirs(path, 0)) == 0


def test_level_1_and_a_quarter_of_level_0_of_a_real_jpeg_2000_slide_are_openslides_within_one(
    shared,
) -> None:
    path = shared / "slides" / "TCGA-CR-7395-01A-01-TS1.svs"
    with open_slide(path, backend="tiles") as slide:
        assert slide.info.n_levels == 2
        assert difference(by_region(slide, 1), theirs(path, 1)) <= 1
        width_px, height_px = (side_px // 2 for side_px in slide.info.level_sizes_px[0])
        quarter = slide.read_region(0, 0, width_px=width_px, height_px=height_px)
    with openslide.OpenSlide(path) as handle:
        wanted = np.asarray(handle.read_region((0, 0), 0, (width_px, height_px)))
    assert difference(quarter, wanted[..., :3]) <= 1


@pytest.mark.slow
@pytest.mark.parametrize("compression", ["jpeg", "jpeg2000"])
@pytest.mark.parametrize("tile_px", [240, 256])
def test_every_pixel_of_a_made_slide_is_openslides(shared, tmp_path, tile_px, compression) -> None:
    pytest.importorskip("scipy", reason="make_slide.py needs scipy")
    path = tmp_path / "a.svs"
    size = {"jpeg": "3000x2500", "jpeg2000": "2600x1300"}[compression]
    subprocess.run(  # noqa: S603 - our own script
        [sys.executable, shared / "tools" / "make_slide.py", path, "--size", size, "--quiet",
         "--tile", str(tile_px), "--compression", compression],
        check=True, capture_output=True,
    )  # fmt: skip
    allowed = {"jpeg": 0, "jpeg2000": 1}[compression]
    with open_slide(path, backend="tiles") as slide:
        assert slide.info.n_levels == 2
        for level in (0, 1):
            assert difference(by_region(slide, level), theirs(path, level)) <= allowed
