"""Shards of a cohort."""

from __future__ import annotations

import pytest

from pathassets.core.shards import Shard
from pathassets.errors import SpecError

IDS = [f"slide{number}-0123456789" for number in range(4000)]


def test_each_slide_is_in_one_shard_and_shards_are_alike_in_size() -> None:
    shards = [Shard(number=k, n_shards=7) for k in range(1, 8)]
    assert all(sum(shard.holds(one) for shard in shards) == 1 for one in IDS)
    sizes = [sum(map(shard.holds, IDS)) for shard in shards]
    assert max(sizes) < 1.15 * min(sizes)


def test_a_slide_stays_in_its_shard() -> None:
    """Held by value: another hash would give two machines the same slide."""
    shard = Shard.parse("2/3")
    assert [one for one in IDS[:10] if shard.holds(one)] == [IDS[n] for n in KEPT]


KEPT = [2, 3, 4, 6, 7]


@pytest.mark.parametrize("text", ["0/4", "5/4", "1", "a/b", "1/0", "-1/4", "1/4/2", ""])
def test_what_is_no_shard_is_refused_with_one_that_is(text: str) -> None:
    with pytest.raises(SpecError, match=r"--shard .*k/n"):
        Shard.parse(text)
    assert str(Shard.parse(" 3/4 ")) == "3/4"


def test_more_shards_than_there_may_be_are_refused_with_how_many_that_are() -> None:
    for text in ("1/1000000000000", f"1/{'9' * 5000}", "1/1000000"):
        with pytest.raises(SpecError, match=r"is more than 999,999 shares"):
            Shard.parse(text)
    assert Shard.parse("1/999999").n_shards == 999_999
