import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pathassets.core.slides.resolution import (
    LEVEL_TOLERANCE,
    LevelChoice,
    Scales,
    as_level_or_mpp,
    choose_level,
    coarsest_level,
    downsample_for,
    downsample_of,
    matching_level,
    shrink_of,
    unit_of,
)
from pathassets.errors import SpecError

REAL = (1.0, 2.0005055500659967)
"""Levels of a real slide, a TCGA section."""
SCALES = Scales(level_downsamples=REAL, mpp=0.25, objective_power=40.0)

levels = st.lists(st.floats(1.0, 300.0), max_size=9).map(lambda d: (1.0, *sorted(d)))
downsamples = st.floats(0.01, 400.0)
mpps = st.floats(0.01, 100.0)
powers = st.floats(0.5, 150.0)


@given(downsamples, mpps, powers)
def test_all_units_say_one_downsample_and_lead_back_to_it(downsample, mpp, power) -> None:
    scales = Scales(level_downsamples=(1.0, downsample), mpp=mpp, objective_power=power)
    said = {"level": 1, "mpp": downsample * mpp, "power": power / downsample}
    said["baseline"] = 1.0 / downsample
    for unit, value in said.items():
        assert downsample_of(value, unit, scales) == pytest.approx(downsample, rel=1e-12)


@given(st.floats(1e-3, 1e3), st.sampled_from(["mpp", "power", "baseline"]), mpps, powers)
def test_a_value_is_told_from_its_downsample(value, unit, mpp, power) -> None:
    scales = Scales(level_downsamples=(1.0,), mpp=mpp, objective_power=power)
    downsample = downsample_of(value, unit, scales)
    back = {"mpp": downsample * mpp, "power": power / downsample, "baseline": 1.0 / downsample}
    assert back[unit] == pytest.approx(value, rel=1e-12)


def test_the_downsample_of_a_level_is_its_very_float() -> None:
    assert downsample_of(1, "level", SCALES) == 2.0005055500659967
    assert downsample_of(1.0, "level", SCALES) == 2.0005055500659967
    assert downsample_of(0.5003, "mpp", SCALES) == 0.5003 / 0.25
    assert downsample_of(19.97, "power", SCALES) == 40.0 / 19.97


@pytest.mark.parametrize("level", [-1, 2, 0.5, 1.0001, math.nan, math.inf, -math.inf])
def test_a_level_is_a_whole_one_that_the_slide_has(level) -> None:
    with pytest.raises(SpecError, match="no level") as caught:
        downsample_of(level, "level", SCALES)
    assert repr(level) in caught.value.message
    assert "levels 0 to 1" in caught.value.remedy


@pytest.mark.parametrize("unit", ["mpp", "power", "baseline"])
@pytest.mark.parametrize("value", [0.0, -0.0, -0.5, math.nan, math.inf, -math.inf])
def test_a_resolution_is_a_finite_number_above_zero(value, unit) -> None:
    with pytest.raises(SpecError, match=f"{unit} is not above 0") as caught:
        downsample_of(value, unit, SCALES)
    assert repr(value) in caught.value.message


@pytest.mark.parametrize(
    ("value", "unit"), [(5e-324, "baseline"), (1e308, "mpp"), (5e-324, "power"), (1e-320, "mpp")]
)
def test_a_resolution_beyond_all_numbers_is_refused(value, unit) -> None:
    scales = Scales(level_downsamples=(1.0,), mpp=0.01 if value > 1 else 1e9, objective_power=40.0)
    with pytest.raises(SpecError, match=unit):
        downsample_of(value, unit, scales)


@pytest.mark.parametrize(("unit", "remedy"), [("mpp", "mpp=…"), ("power", "Ask by mpp")])
def test_a_unit_that_the_slide_does_not_know_is_refused_with_a_remedy(unit, remedy) -> None:
    unknown = Scales(level_downsamples=REAL)
    with pytest.raises(SpecError, match=f"{unit} of this slide is not known") as caught:
        downsample_of(1.0, unit, unknown)
    assert remedy in caught.value.remedy


@pytest.mark.parametrize("known", [0.0, -1.0, math.nan, math.inf])
@pytest.mark.parametrize("unit", ["mpp", "power"])
def test_a_slide_that_states_nonsense_does_not_know(known, unit) -> None:
    scales = Scales(level_downsamples=REAL, mpp=known, objective_power=known)
    with pytest.raises(SpecError, match=f"{unit} of this slide is not known"):
        downsample_of(1.0, unit, scales)


def test_level_and_baseline_need_to_know_nothing() -> None:
    unknown = Scales(level_downsamples=REAL)
    assert downsample_of(1, "level", unknown) == REAL[1]
    assert downsample_of(0.25, "baseline", unknown) == 4.0


@pytest.mark.parametrize(
    ("have", "downsample", "level"),
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
def test_the_coarsest_level_that_is_fine_enough_is_found(have, downsample, level) -> None:
    assert coarsest_level(have, downsample) == level
    assert choose_level(have, downsample).level == level


@given(levels, st.floats(1.0, 400.0))
def test_no_level_between_the_one_found_and_the_one_asked_for_is_missed(have, downsample) -> None:
    found = have[coarsest_level(have, downsample)]
    limit = downsample * LEVEL_TOLERANCE
    assert found <= limit
    assert not [d for d in have if found < d <= limit]


@given(levels, downsamples)
def test_a_choice_is_told_upsampled_exactly_where_no_level_is_fine_enough(have, asked) -> None:
    choice = choose_level(have, asked)
    assert choice.scale == asked / have[choice.level]
    if choice.is_upsampled:
        assert all(d > asked for d in have)
    elif not math.isclose(choice.scale * LEVEL_TOLERANCE, 1.0):
        assert have[choice.level] <= asked * LEVEL_TOLERANCE


@pytest.mark.parametrize(
    ("have", "downsample", "is_upsampled"),
    [
        ((1.0,), 1.0, False),
        ((1.0,), 0.996, False),
        ((1.0,), 0.994, True),
        (REAL, 2.0, False),
        ((1.0, 4.0), 0.5, True),
        ((1.0, 4.0), 3.0, False),
    ],
)
def test_more_pixels_than_the_slide_has_are_upsampled(have, downsample, is_upsampled) -> None:
    assert choose_level(have, downsample).is_upsampled == is_upsampled


@given(st.integers(1, 5000), st.floats(0.01, 100.0))
def test_a_length_is_at_least_a_pixel_and_off_by_half_a_pixel_at_most(length, scale) -> None:
    length_px = LevelChoice(level=0, scale=scale).length_px(length)
    assert length_px >= 1
    assert length_px == 1 or abs(length_px - length * scale) <= 0.5


@given(st.floats(0.01, 100.0))
def test_a_decoder_shrinks_as_far_as_all_detail_is_kept(scale) -> None:
    limit = scale * LEVEL_TOLERANCE
    found = shrink_of(scale)
    assert found in (1, 2, 4, 8)
    assert found == 1 or found <= limit
    assert found == 8 or found * 2 > limit


@pytest.mark.parametrize(
    ("scale", "shrink"), [(0.3, 1), (1.98, 1), (1.995, 2), (3.97, 2), (3.99, 4), (7.97, 8), (99, 8)]
)
def test_a_decoder_may_give_half_a_per_cent_less(scale, shrink) -> None:
    assert shrink_of(scale) == shrink


def test_a_downsample_takes_the_slide_to_the_resolution_asked_for() -> None:
    assert downsample_for(8.0, 0.25) == 32.0
    assert downsample_for(0.25, 0.5) == 0.5


@pytest.mark.parametrize("value", [0, 3, np.int64(2), np.uint8(1)])
def test_a_whole_number_is_a_level(value) -> None:
    found = as_level_or_mpp(value)
    assert (type(found), found, unit_of(found)) == (int, int(value), "level")


@pytest.mark.parametrize("value", [0.5, 1.0, np.float64(0.25), np.float32(2.0)])
def test_a_number_with_a_point_is_micrometres_per_pixel(value) -> None:
    found = as_level_or_mpp(value)
    assert (type(found), found, unit_of(found)) == (float, float(value), "mpp")


@pytest.mark.parametrize("value", [True, -1, 0.0, -0.5, math.inf, math.nan, "0", None, [0], 1j])
def test_what_is_neither_a_level_nor_micrometres_is_refused(value) -> None:
    with pytest.raises(SpecError, match="neither a level nor micrometres"):
        as_level_or_mpp(value)


@pytest.mark.parametrize(
    ("have", "downsample", "level"),
    [
        ((1.0, 2.0005, 4.0), 2.0, 1),
        ((1.0, 4.0), 2.0, None),
        ((1.0, 4.0), 4.02, 1),
        ((1.0, 4.0), 4.021, None),
        ((1.0, 4.0), 0.996, 0),
        ((1.0, 4.0), 0.99, None),
        ((1.0, 1.0), 1.0, 0),
        ((1.0, 3.99, 4.0), 4.0, 2),
    ],
)
def test_a_level_matches_within_half_a_per_cent_and_the_nearest_wins(
    have, downsample, level
) -> None:
    assert matching_level(have, downsample) == level
