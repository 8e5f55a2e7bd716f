"""Offsets and byte counts of tiles -> which of them cannot be right."""

from __future__ import annotations

import numpy as np

from pathassets.core.slides.tiles import FaultReason

FAULTS: tuple[FaultReason, ...] = ("missing", "beyond_end", "overlapping")
"""What code 1, 2, 3 of `fault_codes` stands for; 0 is a tile with nothing against it."""


def fault_codes(
    offsets: np.ndarray, n_bytes: np.ndarray, size_bytes: int, others: np.ndarray
) -> np.ndarray:
    """uint8 (n,): what is wrong with each tile of a file by its table alone, see `FAULTS`.

    `offsets` and `n_bytes` are those of all levels together; `others`, (k, 2), says from where to
    where the file stores something else. O(n log n).

    >>> fault_codes(np.array([8, 20, 0, 90]), np.array([10, 10, 5, 20]), 100, np.empty((0, 2)))
    array([0, 0, 1, 2], dtype=uint8)
    """
    ends = offsets + n_bytes
    codes = np.zeros(len(offsets), np.uint8)
    codes[ends > size_bytes] = 2
    codes[(offsets <= 0) | (n_bytes <= 0)] = 1
    whole = np.flatnonzero(codes == 0)
    starts = np.concatenate([offsets[whole], others[:, 0]]).astype(np.int64)
    stops = np.concatenate([ends[whole], others[:, 1]]).astype(np.int64)
    codes[whole[overlapping(starts, stops)[: len(whole)]]] = 3
    return codes


def overlapping(starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Extents that share bytes with another one, as bool (n,).

    Of two, both are named. One that spans several is named alone, if these are disjoint without it:
    a single damaged byte count must not cost all tiles that it reaches over.

    >>> overlapping(np.array([0, 10, 25, 15]), np.array([10, 20, 30, 25])).tolist()
    [False, True, False, True]
    >>> overlapping(np.array([0, 10, 20, 30]), np.array([10, 35, 30, 40])).tolist()
    [False, True, False, False]
    """
    order = np.argsort(starts, kind="stable")
    if (ends[order[:-1]] <= starts[order[1:]]).all():  # as in any healthy file
        return np.zeros(len(starts), bool)
    n_others = _count_overlaps(starts, ends)
    named = n_others > 1
    rest = np.flatnonzero(~named)
    named[rest[_count_overlaps(starts[rest], ends[rest]) > 0]] = True
    return named


def _count_overlaps(starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """With how many others each shares bytes: all but those that end before or begin behind it."""
    begun = np.searchsorted(np.sort(starts), ends, "left")
    ended = np.searchsorted(np.sort(ends), starts, "right")
    return np.asarray(begun - ended - 1)


def is_cut(starts: np.ndarray, ends: np.ndarray, size_bytes: int) -> bool:
    """Whether the end of a file cuts through what it stores.

    Either several things lie wholly beyond it, or the last of those that begin before reaches over
    it. One that reaches over it from amid others has a damaged byte count; one alone that lies
    beyond has a damaged offset: these become bad tiles.

    >>> is_cut(np.array([0, 10]), np.array([10, 20]), 15)
    True
    >>> is_cut(np.array([0, 10]), np.array([99, 15]), 15)
    False
    """
    if np.count_nonzero(starts >= size_bytes) > 1:
        return True
    before = starts < size_bytes
    if not before.any():
        return False
    return bool(ends[before][starts[before] == starts[before].max()].max() > size_bytes)


def any_shared(extents: np.ndarray, others: np.ndarray, *, n_own: int) -> bool:
    """Whether one of `extents`, (n, 2), shares bytes with one of `others`, (k, 2).

    `n_own` is 1 where `others` holds `extents`, too: then each meets itself.

    >>> any_shared(np.array([[8, 12]]), np.array([[0, 8], [12, 20]]), n_own=0)
    False
    """
    begun = np.searchsorted(np.sort(others[:, 0]), extents[:, 1], "left")
    ended = np.searchsorted(np.sort(others[:, 1]), extents[:, 0], "right")
    return bool((begun - ended > n_own).any())
