import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pathassets.core.tissue import coverage
from pathassets.core.tissue.coverage import Coverage
from pathassets.core.tissue.tissue_mask import TissueMask

DOWNSAMPLES = [1.0, 2.00050555, 7.3, 32.008]


def mask_of(tissue: np.ndarray, downsample: float) -> TissueMask:
    return TissueMask(tissue=tissue, downsample=downsample, slide_mpp=0.5)


def random_mask(seed: int, shape: tuple[int, int], downsample: float) -> TissueMask:
    tissue = np.random.Generator(np.random.PCG64(seed)).random(shape) < 0.5
    return mask_of(tissue, downsample)


def overlap(low_px0: np.ndarray, side: int, n: int, downsample: float, length_px0: int):
    """Level-0 length of each side in each of n mask pixels; the last goes on to the end."""
    starts = np.minimum(np.arange(n) * downsample, length_px0)
    ends = np.append(starts[1:], length_px0)
    low, high = low_px0[:, None], low_px0[:, None] + side
    return (np.minimum(high, ends) - np.maximum(low, starts)).clip(0)


def shares_by_area(
    mask: TissueMask, width_px0: int, height_px0: int, squares: tuple[np.ndarray, np.ndarray, int]
) -> np.ndarray:
    """Sum of mask pixels, each with the area that it has in common with the square."""
    x, y, side = squares
    n_rows, n_columns = mask.tissue.shape
    rows = overlap(y, side, n_rows, mask.downsample, height_px0)
    columns = overlap(x, side, n_columns, mask.downsample, width_px0)
    return np.einsum("ir,rc,ic->i", rows, mask.tissue, columns, optimize=True) / side**2


@given(
    st.integers(0, 99),
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
    st.sampled_from(DOWNSAMPLES),
    st.integers(1, 90),
)
def test_shares_are_the_exact_areas_of_parts_of_mask_pixels(seed, shape, downsample, side) -> None:
    mask = random_mask(seed, shape, downsample)
    # The slide goes on beyond the mask for less than a pixel of it, squares beyond the slide.
    height_px0, width_px0 = (math.ceil((n + 0.9) * downsample) for n in shape)
    x, y = np.meshgrid(
        np.arange(-side - 2, width_px0 + 3, 5), np.arange(-side - 2, height_px0 + 3, 5)
    )
    x, y = x.ravel(), y.ravel()
    shares = Coverage(mask, width_px0=width_px0, height_px0=height_px0).share_of(x, y, side)
    wanted = shares_by_area(mask, width_px0, height_px0, (x, y, side))
    assert shares.dtype == np.float32
    assert ((shares >= 0) & (shares <= 1)).all()
    np.testing.assert_allclose(shares, wanted, atol=1e-6)


@given(st.integers(0, 99), st.tuples(st.integers(1, 9), st.integers(1, 9)), st.integers(1, 90))
def test_a_mirrored_slide_has_mirrored_shares(seed, shape, side) -> None:
    mask = random_mask(seed, shape, 16.0)
    height_px0, width_px0 = (16 * n for n in shape)
    size = {"width_px0": width_px0, "height_px0": height_px0}
    x, y = np.meshgrid(np.arange(-side, width_px0 + 1, 3), np.arange(-side, height_px0 + 1, 3))
    shares = Coverage(mask, **size).exact_share_of(x.ravel(), y.ravel(), side)
    right, lower = (width_px0 - side - x).ravel(), (height_px0 - side - y).ravel()
    for tissue, x_px0, y_px0 in (
        (mask.tissue[:, ::-1], right, y.ravel()),
        (mask.tissue[::-1], x.ravel(), lower),
        (mask.tissue[::-1, ::-1], right, lower),
    ):
        mirrored = Coverage(mask_of(tissue, 16.0), **size)
        np.testing.assert_allclose(mirrored.exact_share_of(x_px0, y_px0, side), shares, atol=1e-12)


def test_a_square_beyond_any_side_of_the_slide_lacks_what_is_beyond() -> None:
    whole = Coverage(mask_of(np.ones((6, 8), bool), 16.0), width_px0=128, height_px0=96)
    x = np.array([-10, 108, 0, 0, -10, 118, -20, 128, -1000])
    y = np.array([0, 0, -10, 86, -10, 86, 0, 0, -1000])
    expected = [0.5, 1.0, 0.5, 0.5, 0.25, 0.25, 0.0, 0.0, 0.0]
    assert whole.share_of(x, y, 20).tolist() == expected


def test_a_square_larger_than_the_slide_has_the_share_that_the_slide_is_of_it() -> None:
    whole = Coverage(mask_of(np.ones((6, 8), bool), 16.0), width_px0=128, height_px0=96)
    assert whole.share_of(np.array([-64]), np.array([-80]), 256).tolist() == [128 * 96 / 256**2]


@pytest.mark.parametrize("downsample", DOWNSAMPLES)
def test_full_tissue_is_a_share_of_exactly_1_on_a_large_mask(downsample) -> None:
    mask = mask_of(np.ones((1500, 2000), bool), downsample)
    width_px0, height_px0 = int(2000 * downsample), int(1500 * downsample)
    whole = Coverage(mask, width_px0=width_px0, height_px0=height_px0)
    x_px0 = np.arange(0, int(2000 * downsample) - 256, 97)
    for side_px0 in (1, 7, 256):
        assert (whole.share_of(x_px0, x_px0 * 1500 // 2000 // 2, side_px0) == 1.0).all()


def test_the_share_of_a_square_that_is_a_speck_of_a_mask_pixel_keeps_ten_decimals() -> None:
    tissue = np.random.Generator(np.random.PCG64(1)).random((1500, 2000)) < 0.5
    tissue[1400:, 1900:] = [False, True] * 50
    table = Coverage(mask_of(tissue, 64.0), width_px0=128_000, height_px0=96_000)
    # 3 of 20 px0 lie in a pixel without tissue, 17 in one with it.
    x_px0 = np.arange(1902, 1998, 2) * 64 + 61
    assert table.exact_share_of(x_px0, x_px0 * 0 + 95_000, 20).round(10).tolist() == [0.85] * 48


def test_a_square_in_the_strip_beyond_the_mask_is_judged_by_its_last_pixel() -> None:
    mask = mask_of(np.array([[False, True]]), 32.0)
    shares = Coverage(mask, width_px0=90, height_px0=60).share_of(
        np.array([70, 30, 0, 86, 87]), np.array([40, 40, 40, 40, 40]), 4
    )
    assert shares.tolist() == [1.0, 0.5, 0.0, 1.0, 0.75]


def test_a_mask_without_pixels_has_no_tissue_anywhere() -> None:
    nothing = Coverage(mask_of(np.zeros((0, 0), bool), 32.0), width_px0=9, height_px0=9)
    assert nothing.share_of(np.array([0, 9]), np.array([0, 9]), 4).tolist() == [0.0, 0.0]


@pytest.mark.parametrize("view", [np.transpose, np.flipud, lambda mask: mask[::2, 1::2]])
def test_a_mask_may_be_a_view_of_another(view) -> None:
    mask = view(random_mask(5, (40, 60), 1.0).tissue)
    height, width = mask.shape
    of_view = Coverage(mask_of(mask, 1.0), width_px0=width, height_px0=height)
    y, x = (a.ravel() for a in np.mgrid[:height, :width])
    assert (of_view.share_of(x, y, 1) == mask.ravel()).all()


def test_sums_of_masks_too_large_for_four_bytes_are_the_same(monkeypatch) -> None:
    tissue = random_mask(6, (50, 70), 1.0).tissue
    small = coverage._summed(tissue)
    monkeypatch.setattr(coverage, "INT32_PIXELS", 0)
    large = coverage._summed(tissue)
    assert (small.dtype, large.dtype) == (np.int32, np.int64)
    assert (small == large).all()


def test_no_square_is_no_share() -> None:
    nothing = np.empty(0, np.int64)
    table = Coverage(random_mask(7, (3, 3), 2.0), width_px0=6, height_px0=6)
    assert table.share_of(nothing, nothing, 4).shape == (0,)
