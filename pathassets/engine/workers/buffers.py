"""Arrays for pixels, used again once nobody holds them any more.

The page faults of fresh ones cost half as much as decoding what goes into them.
"""

from __future__ import annotations

import sys

import numpy as np


def _n_holders(arrays: list[np.ndarray]) -> list[int]:
    """References to each array: what holds it, and what counts them."""
    return [sys.getrefcount(array) for array in arrays]


_HELD_BY_NOBODY = _n_holders([np.empty(0)])[0]
"""Of an array that only the list holds: 3 in Python 3.11, and not a number to rely on (3.14 lends
references where older ones count them): one too many would give away what a receiver still has."""


MOST_KEPT = 256
"""Arrays that are looked through for a free one: who keeps more keeps all, and none falls free."""


class Buffers:
    """Arrays that are used again once nobody else holds them, nor a view of them."""

    def __init__(self) -> None:
        self._arrays: list[np.ndarray] = []

    def take(self, *shape: int) -> np.ndarray:
        """An uint8 array of that shape, its content whatever was there."""
        for array, n_holders in zip(self._arrays, _n_holders(self._arrays), strict=True):
            if array.shape == shape and n_holders == _HELD_BY_NOBODY:
                return array
        del self._arrays[: 1 - MOST_KEPT]
        self._arrays.append(np.empty(shape, np.uint8))
        return self._arrays[-1]
