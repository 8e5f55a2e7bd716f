import math

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from pathassets.core.quality.cohort import (
    MIN_SLIDES,
    colour_deviations,
    odd_colours,
    out_of_focus,
)
from pathassets.core.quality.rules import (
    PatchRules,
    SlideRules,
    broken_rules,
    kept_by,
    limits_of,
    rules_of_slide,
)

FACTS = {"focus_median": 300.0, "ink_share": 0.2, "tissue_mm2": 4.0, "colour_deviation": 6.0}


def broken(facts=FACTS, **rules):
    return {one.rule: one for one in broken_rules(SlideRules(**rules), facts)}


def test_a_rule_is_broken_beyond_its_limit_and_kept_at_it() -> None:
    assert not broken(min_focus=300.0, max_ink_share=0.2, min_tissue_mm2=4.0)
    found = broken(min_focus=300.1, max_ink_share=0.1, max_colour_deviation=3.0)
    assert [str(one) for one in found.values()] == [
        "focus 300 is below min_focus 300.1",
        "ink_share 0.2 is above max_ink_share 0.1",
        "colour_deviation 6 is above max_colour_deviation 3",
    ]
    assert [round(one.severity, 3) for one in found.values()] == [1.0, 2.0, 2.0]


def test_what_is_not_known_keeps_no_rule_but_that_of_a_cohort_too_small_to_tell() -> None:
    found = broken(facts={}, min_focus=1.0, max_colour_deviation=1.0)
    assert [str(one) for one in found.values()] == ["focus is not known, min_focus is 1"]
    assert found["min_focus"].severity == math.inf
    assert broken(max_ink_share=0.0)["max_ink_share"].severity == math.inf


def test_rules_that_a_slide_can_be_held_to_alone_are_told_apart() -> None:
    both = SlideRules(min_focus=5.0, max_colour_deviation=3.0)
    assert limits_of(rules_of_slide(both)) == {"min_focus": 5.0}
    assert rules_of_slide(SlideRules(max_colour_deviation=3.0)) is None
    with pytest.raises(ValidationError):
        SlideRules(max_ink_share=1.5)


def test_patches_keep_rules_that_they_are_known_to_keep() -> None:
    table = pd.DataFrame(
        {"is_read": [True, True, True, False], "focus": [50.0, 49.9, np.nan, np.nan],
         "ink_share": np.array([0.1, 0.0, 0.0, 0.0])}
    )  # fmt: skip
    assert kept_by(None, table).tolist() == [True, True, True, False]
    assert kept_by(PatchRules(min_focus=50.0), table).tolist() == [True, False, False, False]
    assert kept_by(PatchRules(max_ink_share=0.05), table).tolist() == [False, True, True, False]


def colours(*reds: float) -> dict[str, dict[str, float]]:
    return {
        f"s{i}": {"od_red": red, "od_green": 0.4, "od_blue": 0.25} for i, red in enumerate(reds)
    }


def test_colour_is_held_against_median_and_mad_of_the_cohort() -> None:
    found = colour_deviations(colours(0.10, 0.15, 0.20, 0.25, 0.90))
    # Median 0.20; distances 0.10, 0.05, 0, 0.05, 0.70; their median 0.05.
    assert found["s4"] == pytest.approx(0.70 / (1.4826 * 0.05))
    assert found["s2"] == 0.0


def test_a_cohort_of_one_colour_is_not_divided_by_nothing_and_a_small_one_not_judged() -> None:
    alike = colour_deviations(colours(0.2, 0.2, 0.2, 0.2, 0.205))
    assert alike["s4"] == pytest.approx(0.5)  # less than what the eye sees
    few = colours(*[0.1] * (MIN_SLIDES - 1))
    unknown = {"od_red": None, "od_green": None, "od_blue": None}
    assert colour_deviations({**few, "empty": unknown}) == {}


def focused(*medians: float | None) -> dict[str, dict[str, float | None]]:
    return {f"s{i}": {"focus_median": focus} for i, focus in enumerate(medians)}


def test_a_slide_is_odd_where_it_is_far_from_others_that_are_enough_and_alike() -> None:
    alike = [500.0] * MIN_SLIDES
    assert out_of_focus(focused(*alike, 0.0, None)) == {f"s{MIN_SLIDES}"}
    assert out_of_focus(focused(*alike, 260.0)) == set()  # more than half as sharp
    assert out_of_focus(focused(*alike[2:], 1.0)) == set()
    assert out_of_focus(focused(10.0, 100.0, 1000.0, 10_000.0, 1.0)) == set()
    assert odd_colours(colours(*[0.2] * MIN_SLIDES, 0.26)) == {f"s{MIN_SLIDES}"}
    assert odd_colours(colours(*[0.2] * MIN_SLIDES, 0.24)) == set()
