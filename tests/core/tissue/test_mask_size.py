"""Which area of a slide a mask's size fits, and whether its axes are exchanged."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pathassets.core.tissue.mask_size import Size, fitting, is_exchanged
from tests.core.formula_slide import FormulaSlide

INFO = FormulaSlide(1000, 600, (1.0, 4.0)).info
SIDES = st.integers(200, 200_000)
ROUND = st.sampled_from([math.floor, math.ceil, round])


def info_of(width_px0: int, height_px0: int, **more):
    levels = {"level_downsamples": (1.0,), "level_sizes_px": ((width_px0, height_px0),)}
    return replace(INFO, width_px0=width_px0, height_px0=height_px0, **levels, **more)


@given(SIDES, SIDES, st.floats(1.0, 200.0), ROUND)
def test_a_slide_made_smaller_fits_however_its_sides_are_rounded(width, height, downsample, whole):
    mask = Size(*(max(1, whole(side / downsample)) for side in (width, height)))
    info = info_of(width, height)
    assert fitting(mask, info) == ["level0"]
    assert not is_exchanged(mask, info)


@given(SIDES, SIDES, st.floats(1.0, 200.0), ROUND)
def test_exchanged_axes_are_told_wherever_they_do_not_fit(width, height, downsample, whole):
    mask = Size(*(max(1, whole(side / downsample)) for side in (height, width)))
    info = info_of(width, height)
    assert is_exchanged(mask, info) == (not fitting(mask, info))


@pytest.mark.parametrize(
    ("mask", "is_turned"),
    [
        ((600, 1000), True),
        ((150, 250), True),
        ((151, 249), True),  # cropped by a pixel
        ((3, 5), True),
        ((5, 3), False),
        ((4, 5), False),  # of another shape altogether
        ((600, 600), False),
        ((0, 7), False),
    ],
)
def test_of_a_mask_of_another_shape_the_proportions_decide(mask, is_turned):
    assert is_exchanged(Size(*mask), INFO) == is_turned


def test_a_nearly_square_slide_is_decided_where_a_pixel_tells_and_let_through_where_none_does():
    info = info_of(4000, 4020)
    assert is_exchanged(Size(4020, 4000), info)
    assert is_exchanged(Size(402, 400), info)
    assert is_exchanged(Size(21, 20), info)  # no rounding makes the shorter side the longer
    assert not is_exchanged(Size(20, 20), info)
    assert not is_exchanged(Size(500, 500), info_of(4000, 4000))


def test_a_mask_of_the_bounds_and_one_of_level_0_are_told_by_their_size():
    info = info_of(2600, 2000, bounds_px0=(300, 200, 2348, 1736))
    assert fitting(Size(260, 200), info) == ["level0"]
    assert fitting(Size(256, 192), info) == ["bounds"]
    assert fitting(Size(1299, 999), info) == ["level0"]
    assert fitting(Size(26, 20), info) == ["level0", "bounds"]
    assert fitting(Size(2600, 2000), info) == ["level0"]
    assert is_exchanged(Size(192, 256), info)
    assert fitting(Size(100, 300), info) == []
