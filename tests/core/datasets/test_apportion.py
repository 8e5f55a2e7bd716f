from collections import Counter
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pathassets.core.datasets.apportion import Apportioner, whole_weights

SHARES = st.sampled_from(
    [
        {"train": 0.7, "val": 0.15, "test": 0.15},
        {"a": 1 / 3, "b": 1 / 3, "c": 1 / 3},
        {"train": 0.99, "test": 0.01},
        {"train": 0.8, "val": 0.1, "test": 0.1, "unused": 0.0},
        {f"fold_{i}": 0.1 for i in range(10)},
        {"a": 0.37, "b": 0.29, "c": 0.21, "d": 0.13},
    ]
)


def test_weights_are_the_shares_as_they_are_written() -> None:
    assert whole_weights({"a": 0.29, "b": 0.71}) == {"a": 29, "b": 71}
    assert whole_weights({"a": 1 / 3, "b": 1 / 3, "c": 1 / 3}) == {"a": 1, "b": 1, "c": 1}
    assert whole_weights({"a": 1.0, "b": 0.0}) == {"a": 1}


@settings(max_examples=60)
@given(SHARES, st.lists(st.sampled_from("xyzw"), max_size=120))
def test_within_each_stratum_no_part_is_ever_a_patient_from_its_share(shares, strata) -> None:
    parts = Apportioner(whole_weights(shares))
    weights = parts.weights
    for stratum in strata:
        parts.give(stratum)
        counts = parts.counts[stratum]
        for part, weight in weights.items():
            ideal = Fraction(weight * counts.total(), parts.whole)
            assert abs(counts[part] - ideal) < 1


def test_labels_of_one_patient_each_are_shared_out_too() -> None:
    parts = Apportioner(whole_weights({"train": 0.5, "val": 0.25, "test": 0.25}))
    given_to = Counter(parts.give(f"label {i}") for i in range(40))
    assert given_to == {"train": 20, "val": 10, "test": 10}


def test_what_others_upset_is_made_up_for_by_those_who_come() -> None:
    parts = Apportioner(whole_weights({"train": 0.5, "test": 0.5}))
    for _ in range(10):
        parts.note("x", "test")
    assert [parts.give("x") for _ in range(10)] == ["train"] * 10
    assert Counter(parts.give("x") for _ in range(10)) == {"train": 5, "test": 5}


def test_a_patient_in_a_part_that_is_asked_for_no_more_counts_nowhere() -> None:
    parts = Apportioner({"train": 1})
    parts.note("x", "gone")
    assert parts.total.total() == 0


@pytest.mark.slow  # seconds of arithmetic
@settings(max_examples=1000)
@given(SHARES, st.lists(st.sampled_from("xyzw"), max_size=150))
def test_a_thousand_cases_hold_the_shares(shares, strata) -> None:
    test_within_each_stratum_no_part_is_ever_a_patient_from_its_share.hypothesis.inner_test(
        shares, strata
    )
