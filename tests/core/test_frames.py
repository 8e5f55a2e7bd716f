import pytest
from hypothesis import given
from hypothesis import strategies as st

from pathassets.core.frames import LEVEL_TOLERANCE, coarsest_level, downsample_for, mm2_of

REAL = (1.0, 2.0005055500659967)
"""Levels of a real slide, a TCGA section."""


@pytest.mark.parametrize(
    ("levels", "downsample", "level"),
    [
        ((1.0,), 1.0, 0),
        ((1.0,), 64.0, 0),
        (REAL, 2.0, 1),
        (REAL, 1.99, 0),
        ((1.0, 2.0101), 2.0, 0),
        ((1.0, 4.0001, 16.0), 15.9, 1),
        ((1.0, 4.0001, 16.0), 16.0, 2),
        ((1.0, 4.0001, 16.0), 1000.0, 2),
        ((1.0, 4.0), 0.25, 0),
    ],
)
def test_the_coarsest_level_that_is_fine_enough_is_found(levels, downsample, level) -> None:
    assert coarsest_level(levels, downsample) == level


@given(
    st.lists(st.floats(1.0, 300.0), min_size=1, max_size=9).map(lambda d: [1.0, *sorted(d)]),
    st.floats(1.0, 400.0),
)
def test_no_level_between_the_one_found_and_the_one_asked_for_is_missed(levels, downsample) -> None:
    found = levels[coarsest_level(levels, downsample)]
    limit = downsample * LEVEL_TOLERANCE
    assert found <= limit
    assert not [have for have in levels if found < have <= limit]


def test_a_downsample_takes_the_slide_to_the_resolution_asked_for() -> None:
    assert downsample_for(8.0, 0.25) == 32.0
    assert downsample_for(0.25, 0.5) == 0.5


def test_the_area_of_pixels_grows_with_the_square_of_their_side() -> None:
    assert mm2_of(1, 1000.0, 1.0) == 1.0
    assert mm2_of(100, 32.0, 0.25) == pytest.approx(100 * 0.008**2)
    assert mm2_of(0, 32.0, 0.25) == 0.0
