"""Slide, epoch -> some of a bag's rows: the same on every machine, by any number of workers."""

from __future__ import annotations

import numpy as np

from pathassets.core.draws import streams_of, words_of
from pathassets.core.spec import seed_of


def choose_rows(n_rows: int, n_most: int, *parts: object) -> np.ndarray:
    """Draw `n_most` rows of `n_rows` without replacement, or take all; int64, ascending.

    The draw follows from `parts` alone: seed, epoch and slide. Each row has a random number, and
    those with the smallest are taken.

    >>> choose_rows(3, 5, 0).tolist(), len(choose_rows(9, 5, 0))
    ([0, 1, 2], 5)
    """
    if n_rows <= n_most:
        return np.arange(n_rows)
    lots = words_of(streams_of(seed_of(*parts), 1), np.arange(n_rows))
    return np.sort(np.argpartition(lots, n_most)[:n_most])


def first_not_finite(rows: np.ndarray) -> int | None:
    """First row with NaN or infinity, of floats (n, …); None where there is none.

    >>> first_not_finite(np.array([[1, 2], [3, np.inf]], np.float16))
    1
    """
    if rows.dtype == np.float16:  # an exponent of ones; numpy's own way takes 25 times as long
        bits = rows.view(np.uint16) & np.uint16(0x7C00)
        if not bits.size or bits.max() < 0x7C00:  # noqa: PLR2004 - the same exponent
            return None
    is_finite = np.isfinite(rows)
    if is_finite.all():
        return None
    return int(np.argmin(is_finite.reshape(len(rows), -1).all(axis=1)))
