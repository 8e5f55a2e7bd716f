"""Slide, epoch -> some of a bag's rows: the same on every machine, by any number of workers."""

from __future__ import annotations

import numpy as np

from pathassets.core.draws import streams_of, words_of
from pathassets.core.spec import seed_of

_BLOCK = 1 << 18
"""Numbers that are looked through at once: half a megabyte more memory, however long a bag is."""
_EXPONENT = np.uint16(0x7C00)
"""Bits of a float16's exponent."""


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
    if not rows.size:
        return None
    flat = rows.reshape(len(rows), -1)
    step = max(1, _BLOCK // flat.shape[1])
    for start in range(0, len(flat), step):
        block = flat[start : start + step]
        if not _all_finite(block):
            return start + int(np.argmin(np.isfinite(block).all(axis=1)))
    return None


def _all_finite(block: np.ndarray) -> bool:
    if block.dtype != np.float16:
        return bool(np.isfinite(block).all())
    # An exponent of ones: numpy's own way takes 25 times as long, for it converts each number.
    return bool((block.view(np.uint16) & _EXPONENT).max() < _EXPONENT)
