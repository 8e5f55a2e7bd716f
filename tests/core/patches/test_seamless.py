import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pathassets.core.patches.seamless import plan_seamless, resample_square
from tests.core.formula_slide import FormulaSlide


def patch_at(slide: FormulaSlide, x_px0: int, y_px0: int, *, patch_px: int, downsample: float):
    read = plan_seamless(
        np.array([x_px0]), np.array([y_px0]), patch_px=patch_px, downsample=downsample,
        info=slide.info,
    )  # fmt: skip
    left_px, top_px = int(read.left_px[0]), int(read.top_px[0])
    box_px = left_px, top_px, left_px + read.side_px, top_px + read.side_px
    patch = np.empty((patch_px, patch_px, 3), np.uint8)
    resample_square(read, 0, slide.box(read.level, box_px), patch)
    return patch


def whole(level: np.ndarray, scale: float) -> np.ndarray:
    """The level resampled by areas, one pixel at a time."""
    height_px, width_px = level.shape[:2]
    extended = np.pad(level, ((0, 8), (0, 8), (0, 0)), mode="edge").astype(float)

    def weights(n: int, n_level: int) -> np.ndarray:
        i, j = np.arange(n)[:, None], np.arange(n_level + 8)
        in_both = np.minimum(j + 1, (i + 1) * scale) - np.maximum(j, i * scale)
        return in_both.clip(0) / scale

    rows = weights(round(height_px / scale), height_px)
    columns = weights(round(width_px / scale), width_px)
    mean = np.einsum("ih,hwc,jw->ijc", rows, extended, columns)
    return np.rint(mean).astype(np.uint8)


@pytest.mark.parametrize("scale", [1.0, 1.4, 1.5, 2.0, 2.3, 3.0])
def test_patches_are_pieces_of_the_level_resampled_as_a_whole(scale):
    slide = FormulaSlide(96, 80)
    expected = whole(slide.level(0), scale)
    side = 12
    for y in range(0, expected.shape[0] - side, side):
        for x in range(0, expected.shape[1] - side, side):
            patch = patch_at(
                slide, round(x * scale), round(y * scale), patch_px=side, downsample=scale
            )
            seen = expected[y : y + side, x : x + side].astype(int)
            assert np.abs(patch.astype(int) - seen).max() <= (0 if scale == round(scale) else 1)


@given(
    x=st.integers(-40, 120), y=st.integers(-40, 120), scale=st.sampled_from([0.5, 0.7, 1.0, 1.5, 3])
)
def test_what_lies_beyond_the_slide_is_white_and_nothing_else_is(x, y, scale):
    slide = FormulaSlide(96, 80)
    side = 16
    patch = patch_at(slide, x, y, patch_px=side, downsample=scale)
    left, top = round(x / scale), round(y / scale)
    width, height = round(96 / scale), round(80 / scale)
    is_white = (patch == 255).all(axis=2)
    row, column = np.mgrid[top : top + side, left : left + side]
    is_beyond = (row < 0) | (column < 0) | (row >= height) | (column >= width)
    assert (is_white == is_beyond).all()


def test_the_last_pixels_of_the_slide_do_not_fade_into_white():
    slide = FormulaSlide(100, 100)
    slide.pixels = lambda *where: np.zeros((*where[1].shape, 3), np.uint8)
    patch = patch_at(slide, 90, 90, patch_px=8, downsample=1.5)
    assert set(np.unique(patch)) <= {0, 255}


def test_the_coarsest_level_that_is_fine_enough_is_read():
    slide = FormulaSlide(2048, 1536, (1.0, 4.0, 16.0))
    at = np.zeros(1, np.int64)
    read = plan_seamless(at, at, patch_px=64, downsample=6.0, info=slide.info)
    assert (read.level, read.scale, read.side_px) == (1, 1.5, 97)
