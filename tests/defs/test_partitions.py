from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from pathassets.defs.partitions import PARTITION, range_of, range_tags, stretches

KEYS = [f"s{i:02d}" for i in range(12)]
subsets = st.sets(st.sampled_from(KEYS))


@given(subsets, subsets)
def test_stretches_cover_what_is_wanted_with_neighbours_alone(
    wanted: set[str], fillers: set[str]
) -> None:
    found = stretches(KEYS, wanted, fillers)
    flat = [key for stretch in found for key in stretch]
    assert sorted(set(flat)) == flat
    assert wanted <= set(flat) <= wanted | fillers
    for stretch in found:
        start = KEYS.index(stretch[0])
        assert KEYS[start : start + len(stretch)] == stretch
        assert {stretch[0], stretch[-1]} <= wanted
        assert range_of(range_tags(stretch), KEYS) == stretch


@given(subsets, subsets)
def test_no_two_stretches_could_be_one(wanted: set[str], fillers: set[str]) -> None:
    found = stretches(KEYS, wanted, fillers)
    for before, after in pairwise(found):
        gap = KEYS[KEYS.index(before[-1]) + 1 : KEYS.index(after[0])]
        assert not set(gap) <= fillers


def test_tags_of_other_partitions_stand_for_no_slide() -> None:
    assert range_of({}, KEYS) == []
    assert range_of({PARTITION: "gone"}, KEYS) == []
    assert range_of(range_tags(["s00", "gone"]), KEYS) == []
