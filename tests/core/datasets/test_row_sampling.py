from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pathassets.core.datasets.row_sampling import choose_rows, first_not_finite


@given(st.integers(0, 3000), st.integers(1, 3000), st.integers(0, 2**40))
def test_so_many_rows_are_drawn_each_once_in_their_order(n_rows, n_most, seed):
    rows = choose_rows(n_rows, n_most, seed)
    assert len(rows) == min(n_rows, n_most)
    assert (np.diff(rows) > 0).all()
    assert not len(rows) or (rows[0] >= 0 and rows[-1] < n_rows)
    assert rows.dtype == np.int64


def test_a_draw_follows_from_seed_epoch_and_slide_and_from_nothing_else():
    first = choose_rows(100, 5, 0, 0, "slide").tolist()
    np.random.default_rng(1).random()
    assert choose_rows(100, 5, 0, 0, "slide").tolist() == first
    assert first == [20, 23, 85, 86, 92], "another draw: what people trained changes"
    others = [choose_rows(100, 5, *parts).tolist() for parts in ((1, 0, "slide"), (0, 1, "slide"))]
    assert first not in [*others, choose_rows(100, 5, 0, 0, "other").tolist()]


def test_every_row_is_drawn_as_often_as_another():
    counts = Counter(row for epoch in range(4000) for row in choose_rows(20, 5, epoch).tolist())
    # 4000 draws of a quarter: 1000 each, with a standard deviation of 27
    assert all(abs(counts[row] - 1000) < 5 * 27 for row in range(20))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_the_first_row_that_is_not_finite_is_found(dtype, bad):
    rows = np.ones((9, 2, 2), dtype)
    rows[0] = np.finfo(dtype).max
    assert first_not_finite(rows) is None
    rows[7, 1, 1] = bad
    rows[5, 0, 1] = bad
    assert first_not_finite(rows) == 5


def test_a_row_is_found_beyond_the_first_block():
    rows = np.ones((600, 512), np.float16)
    rows[599, 511] = np.nan
    assert first_not_finite(rows) == 599
    assert first_not_finite(rows.astype(np.float32)) == 599


def test_no_row_is_finite():
    assert first_not_finite(np.empty((0, 4), np.float16)) is None
    assert first_not_finite(np.empty((0, 4), np.float32)) is None
