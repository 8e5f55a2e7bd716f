import math

import numpy as np
import pytest
from pydantic import ValidationError

from pathassets.core.tissue.tissue_mask import FILTER_PX, TissueMask, TissueSpec, find_tissue

SLIDE_MPP = 0.25
GLASS = (243, 242, 244)
EOSIN = (214, 110, 160)
PALE = (226, 190, 208)
"""Saturation of 41 of 255: weakly stained, not glass."""
RESOLUTIONS = [2.0, 4.0, 8.0]


def colour(is_tissue: np.ndarray, tissue=EOSIN, glass=GLASS, noise: int = 4) -> np.ndarray:
    """An overview with the noise of lamp and sensor, seeded."""
    rng = np.random.Generator(np.random.PCG64(is_tissue.size))
    rgb = np.where(is_tissue[..., None], tissue, glass)
    return (rgb + rng.integers(-noise, noise + 1, rgb.shape)).clip(0, 255).astype(np.uint8)


def find(overview: np.ndarray, mpp: float = 8.0, **spec: float) -> TissueMask:
    return find_tissue(
        overview, downsample=mpp / SLIDE_MPP, slide_mpp=SLIDE_MPP, spec=TissueSpec(mpp=mpp, **spec)
    )


def disc(mpp: float, radius_um: float, side_um: float = 4000.0) -> np.ndarray:
    centres_um = (np.arange(round(side_um / mpp)) + 0.5) * mpp - side_um / 2
    return np.hypot(centres_um[:, None], centres_um[None]) <= radius_um


def squares(mpp: float, side_um: float, *sides_um: float) -> np.ndarray:
    """True squares of these sides, each in the middle of a field of `side_um`, in a row."""
    centres_um = (np.arange(round(side_um / mpp)) + 0.5) * mpp - side_um / 2
    fields = [abs(centres_um) < s / 2 for s in sides_um]
    return np.hstack([np.outer(f, f) for f in fields])


@pytest.mark.parametrize("glass", [GLASS, (255, 255, 255), (240, 238, 229), (200, 200, 200)])
@pytest.mark.parametrize("noise", [0, 2, 4])
def test_blank_glass_has_no_tissue_however_noisy(glass, noise) -> None:
    mask = find(colour(np.zeros((300, 400), bool), glass=glass, noise=noise))
    assert mask.tissue.shape == (300, 400)
    assert mask.tissue.dtype == bool
    assert not mask.tissue.any()
    assert (mask.tissue_share, mask.tissue_mm2) == (0.0, 0.0)


def test_black_where_nothing_was_scanned_is_no_tissue() -> None:
    assert not find(np.zeros((50, 50, 3), np.uint8)).tissue.any()


@pytest.mark.parametrize("mpp", RESOLUTIONS)
@pytest.mark.parametrize("tissue", [EOSIN, PALE])
def test_a_disc_is_found_where_it_is_and_as_large_as_it_is(mpp, tissue) -> None:
    truth = disc(mpp, radius_um=750.0, side_um=2000.0)
    mask = find(colour(truth, tissue=tissue), mpp)
    assert (mask.tissue & truth).sum() / (mask.tissue | truth).sum() > 0.95
    assert mask.tissue_mm2 == pytest.approx(math.pi * 0.75**2, rel=0.05)
    assert mask.tissue_share == pytest.approx(math.pi * 0.75**2 / 2**2, rel=0.05)


def test_tinted_glass_is_glass_beside_tissue() -> None:
    truth = disc(8.0, radius_um=1500.0)
    mask = find(colour(truth, glass=(243, 238, 222)))  # saturation 22, over the floor of 15
    assert (mask.tissue & truth).sum() / (mask.tissue | truth).sum() > 0.95


@pytest.mark.parametrize("mpp", RESOLUTIONS)
def test_pieces_are_dropped_by_their_area_on_the_glass(mpp) -> None:
    tissue = find(colour(squares(mpp, 600.0, 100.0, 200.0)), mpp).tissue
    small, large = np.hsplit(tissue, 2)
    assert not small.any()  # 10,000 um2
    assert large.sum() * mpp**2 == pytest.approx(40_000, rel=0.15)


@pytest.mark.parametrize("mpp", RESOLUTIONS)
def test_holes_are_filled_by_their_area_on_the_glass(mpp) -> None:
    tissue = find(colour(~squares(mpp, 600.0, 80.0, 200.0)), mpp).tissue
    filled, torn = np.hsplit(tissue, 2)
    assert filled.all()  # 6,400 um2
    assert (~torn).sum() * mpp**2 == pytest.approx(40_000, rel=0.15)


def test_glass_around_the_tissue_is_no_hole_however_large_holes_are_filled() -> None:
    ring = disc(8.0, 1500.0) & ~disc(8.0, 700.0)
    tissue = find(colour(ring), min_hole_um2=1e12).tissue
    assert (tissue & disc(8.0, 1500.0)).sum() / (tissue | disc(8.0, 1500.0)).sum() > 0.95


@pytest.mark.parametrize("mpp", RESOLUTIONS)
def test_other_limits_keep_what_the_default_ones_drop(mpp) -> None:
    piece = colour(squares(mpp, 600.0, 100.0))
    hole = colour(~squares(mpp, 600.0, 80.0))
    assert find(piece, mpp, min_object_um2=5_000.0).tissue.any()
    assert not find(hole, mpp, min_hole_um2=3_000.0).tissue.all()


@pytest.mark.parametrize("mpp", RESOLUTIONS)
def test_a_cleft_narrower_than_the_closing_is_closed(mpp) -> None:
    is_tissue = np.ones((round(800 / mpp), round(800 / mpp)), bool)
    middle = len(is_tissue) // 2
    cleft = slice(middle, middle + round(120 / mpp))
    is_tissue[:, cleft] = False
    keep_holes = {"min_hole_um2": 0.0}
    assert not find(colour(is_tissue), mpp, close_um=16.0, **keep_holes).tissue[:, cleft].all()
    assert find(colour(is_tissue), mpp, close_um=200.0, **keep_holes).tissue[:, cleft].all()


def test_an_overview_of_one_colour_is_all_tissue() -> None:
    assert find(colour(np.ones((60, 80), bool))).tissue.all()
    assert find(colour(np.ones((60, 80), bool), noise=0)).tissue.all()


def test_where_there_is_no_glass_nothing_is_taken_for_it() -> None:
    is_pale = np.arange(80)[None] < np.full((60, 1), 40)
    overview = colour(is_pale, tissue=PALE, glass=EOSIN)
    assert find(overview).tissue.all()
    # Otsu alone takes the pale half for glass.
    assert find(overview, max_glass_saturation=255).tissue.mean() == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize(("height_px", "width_px"), [(1, 1), (2, 3), (1, 40), (40, 1), (4, 4)])
@pytest.mark.parametrize("smooth_um", [0.0, 40.0, 500.0])
def test_an_overview_smaller_than_the_filters_is_judged_too(height_px, width_px, smooth_um) -> None:
    limits = {"smooth_um": smooth_um, "min_object_um2": 0.0}
    for is_tissue in (False, True):
        mask = find(colour(np.full((height_px, width_px), is_tissue)), **limits)
        assert mask.tissue.tolist() == [[is_tissue] * width_px] * height_px


def test_the_overview_is_not_changed() -> None:
    overview = colour(disc(8.0, 500.0, 1200.0))
    before = overview.copy()
    find(overview)
    assert np.array_equal(overview, before)


@pytest.mark.parametrize("name", ["smooth_um", "close_um"])
def test_a_filter_wider_than_the_method_can_is_refused_with_the_widest_possible(name) -> None:
    with pytest.raises(
        ValidationError, match=rf"{name} is over 127 .* at most 127 um are possible"
    ):
        TissueSpec(mpp=1.0, **{name: 127.1})


def test_the_widest_filters_work_on_an_overview_twice_as_fine() -> None:
    truth = np.arange(400)[None] < np.full((400, 1), 200)
    widest = float(FILTER_PX * 2)
    spec = TissueSpec(mpp=2.0, smooth_um=widest, close_um=widest)
    mask = find_tissue(colour(truth), downsample=1.001 / 0.25, slide_mpp=0.25, spec=spec)
    assert (mask.tissue & truth).sum() / (mask.tissue | truth).sum() > 0.95


def test_a_minimum_of_zero_keeps_every_hole() -> None:
    is_hole = squares(8.0, 600.0, 64.0, 200.0)
    tissue = find(colour(~is_hole), min_hole_um2=0.0, close_um=0.0, smooth_um=0.0).tissue
    assert np.array_equal(tissue, ~is_hole)


def test_the_mask_of_the_default_spec_is_pinned_to_the_pixel() -> None:
    truth = disc(8.0, 1500.0) & ~disc(8.0, 200.0)
    tissue = find(colour(truth)).tissue
    # What otsu found before ink and black were looked for.
    assert (int(tissue.sum()), int((tissue & truth).sum())) == (108420, 108420)


@pytest.mark.parametrize("method", ["saturation", "OTSU", "", None])
def test_a_method_that_is_none_is_refused_with_those_that_are(method) -> None:
    with pytest.raises(ValidationError, match=r"'otsu', 'lab', 'hsv' or 'luminance'"):
        TissueSpec(method=method)


def test_a_mask_without_pixels_has_no_tissue() -> None:
    mask = TissueMask(tissue=np.zeros((0, 0), bool), downsample=32.0, slide_mpp=0.25)
    assert (mask.tissue_share, mask.tissue_mm2) == (0.0, 0.0)
