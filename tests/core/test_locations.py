import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pathassets.core.locations import GridSpec, PatchLocations, lay_grid, tissue_share_of
from pathassets.core.tissue import TissueMask

DOWNSAMPLES = [1.0, 2.00050555, 7.3, 32.008]


def full_mask(
    width_px0: int, height_px0: int, downsample: float = 16.0, slide_mpp: float = 0.5
) -> TissueMask:
    """What an overview of an all-tissue slide gives: a whole number of pixels, rounded down."""
    shape = (max(1, int(height_px0 / downsample)), max(1, int(width_px0 / downsample)))
    return TissueMask(tissue=np.ones(shape, bool), downsample=downsample, slide_mpp=slide_mpp)


def random_mask(seed: int, shape: tuple[int, int], downsample: float) -> TissueMask:
    tissue = np.random.Generator(np.random.PCG64(seed)).random(shape) < 0.5
    return TissueMask(tissue=tissue, downsample=downsample, slide_mpp=0.5)


def lay(width_px0: int, height_px0: int, slide_mpp: float = 0.5, **spec: float) -> PatchLocations:
    mask = full_mask(width_px0, height_px0, slide_mpp=slide_mpp)
    return lay_grid(mask, width_px0=width_px0, height_px0=height_px0, spec=GridSpec(**spec))


def overlap(low: float, high: float, n: int) -> np.ndarray:
    """Length of [low, high) in each of n unit cells; the last cell goes on for ever."""
    ends = np.append(np.arange(1.0, n), math.inf)
    return (np.minimum(high, ends) - np.maximum(low, np.arange(n))).clip(0)


def share_by_area(mask: TissueMask, x_px0: int, y_px0: int, side_px0: int) -> float:
    """Sum of mask pixels, each with the area that it has in common with the square."""
    side_px = side_px0 / mask.downsample
    height_px, width_px = mask.tissue.shape
    x, y = x_px0 / mask.downsample, y_px0 / mask.downsample
    rows, columns = overlap(y, y + side_px, height_px), overlap(x, x + side_px, width_px)
    return float(rows @ mask.tissue @ columns) / side_px**2


def test_a_full_mask_gives_every_square_of_the_grid_row_by_row() -> None:
    locations = lay(2048, 1536)
    assert len(locations) == 48
    assert locations.side_px0 == 256
    points = list(zip(locations.x_px0.tolist(), locations.y_px0.tolist(), strict=True))
    assert points == [(x, y) for y in range(0, 1536, 256) for x in range(0, 2048, 256)]
    assert (points[0], points[-1]) == ((0, 0), (1792, 1280))
    assert locations.tissue_share.tolist() == [1.0] * 48
    assert locations.boxes_px0[-1].tolist() == [1792, 1280, 2048, 1536]
    assert (locations.patch_px, locations.mpp) == (256, 0.5)


def test_a_coarser_patch_takes_a_larger_step_on_level_0() -> None:
    locations = lay(2048, 1536, patch_px=200, mpp=0.7)
    assert len(locations) == 35
    assert locations.side_px0 == 280
    assert np.unique(locations.x_px0).tolist() == list(range(0, 7 * 280, 280))
    assert np.unique(locations.y_px0).tolist() == list(range(0, 5 * 280, 280))


@pytest.mark.parametrize(
    ("width_px0", "height_px0", "spec", "n"),
    [
        (2220, 2967, {}, 8 * 11),
        (256, 256, {}, 1),
        (255, 256, {}, 0),
        (256, 255, {}, 0),
        (1, 1, {}, 0),
        (1, 1, {"patch_px": 1}, 1),
        (2048, 1536, {"stride_px": 128}, 15 * 11),
        (2048, 1536, {"stride_px": 300}, 6 * 5),
        (2048, 1536, {"stride_px": 5000}, 1),
        (2048, 1536, {"mpp": 0.25}, 16 * 12),
    ],
)
def test_the_number_of_squares_is_the_one_of_a_pencil(width_px0, height_px0, spec, n) -> None:
    assert len(lay(width_px0, height_px0, **spec)) == n


def test_a_slide_without_tissue_has_no_patch_but_the_right_types() -> None:
    mask = TissueMask(tissue=np.zeros((96, 128), bool), downsample=16.0, slide_mpp=0.5)
    locations = lay_grid(mask, width_px0=2048, height_px0=1536, spec=GridSpec())
    assert len(locations) == 0
    assert locations.boxes_px0.shape == (0, 4)
    assert locations.x_px0.dtype == locations.y_px0.dtype == locations.boxes_px0.dtype == np.int64
    assert locations.tissue_share.dtype == np.float32


def test_a_patch_is_kept_when_at_least_the_share_asked_for_is_tissue() -> None:
    # 16 mask pixels a patch; the first has half of them, the second one less, the third one more.
    tissue = np.zeros((4, 12), bool)
    tissue[:2] = True
    tissue[1, 4], tissue[2, 8] = False, True
    mask = TissueMask(tissue=tissue, downsample=64.0, slide_mpp=0.5)
    locations = lay_grid(mask, width_px0=768, height_px0=256, spec=GridSpec(min_tissue_share=0.5))
    assert locations.x_px0.tolist() == [0, 512]
    assert locations.tissue_share.tolist() == [0.5, 0.5625]


@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 1.0])
def test_no_share_asked_for_keeps_all_and_the_whole_keeps_what_is_covered(share) -> None:
    mask = random_mask(3, (40, 50), 7.3)
    mask.tissue[:20, :30] = True
    size = {"width_px0": 365, "height_px0": 292}
    every = lay_grid(mask, **size, spec=GridSpec(patch_px=16, min_tissue_share=0.0))
    kept = lay_grid(mask, **size, spec=GridSpec(patch_px=16, min_tissue_share=share))
    wanted = [
        box[:2]
        for box in every.boxes_px0.tolist()
        if round(share_by_area(mask, *box[:2], 16), 6) >= np.float32(share)
    ]
    assert kept.boxes_px0[:, :2].tolist() == wanted
    assert len(every) == 22 * 18
    assert share == 0 or 0 < len(kept) < len(every)


@given(
    st.integers(0, 99),
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
    st.sampled_from(DOWNSAMPLES),
    st.integers(1, 90),
)
def test_shares_are_the_exact_areas_of_parts_of_mask_pixels(seed, shape, downsample, side) -> None:
    mask = random_mask(seed, shape, downsample)
    # The slide goes on beyond the mask for less than a pixel of it.
    x_last, y_last = (math.ceil((n + 1) * downsample) - 1 - side for n in reversed(shape))
    x_px0, y_px0 = np.meshgrid(np.arange(0, x_last + 1, 3), np.arange(0, y_last + 1, 3))
    x_px0, y_px0 = x_px0.ravel(), y_px0.ravel()
    shares = tissue_share_of(mask, x_px0, y_px0, side)
    wanted = [share_by_area(mask, x, y, side) for x, y in zip(x_px0, y_px0, strict=True)]
    assert shares.dtype == np.float32
    assert ((shares >= 0) & (shares <= 1)).all()
    np.testing.assert_allclose(shares, np.array(wanted), atol=1e-6)


@pytest.mark.parametrize("downsample", DOWNSAMPLES)
def test_full_tissue_is_a_share_of_exactly_1_on_a_large_mask(downsample) -> None:
    mask = TissueMask(tissue=np.ones((1500, 2000), bool), downsample=downsample, slide_mpp=0.5)
    x_px0 = np.arange(0, int(1900 * downsample), 97)
    for side_px0 in (1, 7, 256):
        shares = tissue_share_of(mask, x_px0, x_px0 * 1500 // 2000, side_px0)
        assert (shares == 1.0).all()


def test_a_patch_at_the_edge_is_judged_by_the_last_pixels_of_the_mask() -> None:
    # The mask covers 96 of 100 px0; patches of 20 px0 begin at 80.
    tissue = np.zeros((3, 3), bool)
    tissue[:, 2] = True
    mask = TissueMask(tissue=tissue, downsample=32.0, slide_mpp=0.5)
    spec = GridSpec(patch_px=20, min_tissue_share=1.0)
    locations = lay_grid(mask, width_px0=100, height_px0=100, spec=spec)
    assert locations.x_px0.tolist() == [80] * 5
    assert locations.y_px0.tolist() == [0, 20, 40, 60, 80]


def test_a_square_beyond_the_mask_is_judged_by_its_last_pixel() -> None:
    mask = TissueMask(tissue=np.array([[False, True]]), downsample=32.0, slide_mpp=0.5)
    shares = tissue_share_of(mask, np.array([70, 30, 0]), np.array([40, 40, 40]), 4)
    assert shares.tolist() == [1.0, 0.5, 0.0]


def test_a_mask_without_pixels_has_no_tissue_anywhere() -> None:
    mask = TissueMask(tissue=np.zeros((0, 0), bool), downsample=32.0, slide_mpp=0.5)
    assert tissue_share_of(mask, np.array([0, 9]), np.array([0, 9]), 4).tolist() == [0.0, 0.0]


GRIDS = {
    "slide_mpp": st.floats(0.1, 3.0),
    "mpp": st.floats(0.1, 3.0),
    "patch_px": st.integers(1, 40),
    "size_px0": st.tuples(st.integers(1, 60), st.integers(1, 60)),
}


@given(**GRIDS, stride_px=st.integers(1, 60))
def test_every_patch_is_inside_the_slide_in_row_order(
    slide_mpp, mpp, patch_px, size_px0, stride_px
) -> None:
    width_px0, height_px0 = size_px0
    locations = lay(
        width_px0, height_px0, slide_mpp, mpp=mpp, patch_px=patch_px, stride_px=stride_px
    )
    assert locations.side_px0 == max(1, round(patch_px * mpp / slide_mpp))
    boxes = locations.boxes_px0
    assert (boxes[:, :2] >= 0).all()
    assert (boxes[:, 2] <= width_px0).all()
    assert (boxes[:, 3] <= height_px0).all()
    points = list(zip(locations.y_px0.tolist(), locations.x_px0.tolist(), strict=True))
    assert points == sorted(set(points))
    fits = locations.side_px0 <= min(size_px0)
    assert (points[:1] == [(0, 0)]) == fits


@given(**GRIDS, gap_px=st.integers(0, 20))
def test_no_two_patches_share_a_pixel_when_the_stride_is_no_shorter_than_the_patch(
    slide_mpp, mpp, patch_px, size_px0, gap_px
) -> None:
    locations = lay(*size_px0, slide_mpp, mpp=mpp, patch_px=patch_px, stride_px=patch_px + gap_px)
    for edges in (np.unique(locations.x_px0), np.unique(locations.y_px0)):
        assert (np.diff(edges) >= locations.side_px0).all()


def test_neighbours_at_a_fractional_resolution_neither_overlap_nor_drift() -> None:
    # 256 px at 0.5 um are 506.93 level-0 pixels at 0.2525: a side of 507.
    side_by_side = lay(40_000, 507, slide_mpp=0.2525)
    assert np.unique(np.diff(side_by_side.x_px0)).tolist() == [507]
    assert len(side_by_side) == 78
    # With a gap, each position is the exact one, rounded.
    apart = lay(40_000, 507, slide_mpp=0.2525, stride_px=300)
    exact_px0 = np.arange(len(apart)) * 300 * 0.5 / 0.2525
    assert np.abs(apart.x_px0 - exact_px0).max() <= 0.5


@pytest.mark.parametrize("slide_mpp", [0.2525, 0.25, 0.4])
def test_a_grid_leaves_no_room_for_another_column(slide_mpp) -> None:
    locations = lay(5000, 5000, slide_mpp=slide_mpp, stride_px=100)
    step_px0 = 100 * 0.5 / slide_mpp
    assert locations.x_px0.max() + step_px0 + locations.side_px0 > 5000 - 0.5
