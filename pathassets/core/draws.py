"""Counters -> random numbers: any draw of any stream at once, the same on every machine.

numpy's generators make one stream after the other, and their numbers may change between its
versions. Here a number is a hash of (seed, stream, counter): 100,000 streams are one array.

Source: SplitMix64, Steele, Lea and Flood 2014, doi:10.1145/2660193.2660195.
"""

from __future__ import annotations

import numpy as np

_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_MASK = 2**64 - 1


def streams_of(seed: int, n: int) -> np.ndarray:
    """Begin `n` streams, uint64 (n,); the i-th depends on `seed` and i alone.

    >>> streams_of(7, 2).tolist() == streams_of(7, 9)[:2].tolist()
    True
    """
    start = _mixed(np.array([seed & _MASK], np.uint64) + _GAMMA)
    return words_of(start, np.arange(n))


def words_of(streams: np.ndarray, counter: np.ndarray) -> np.ndarray:
    """The words at some places of some streams, uint64, broadcast over both."""
    return _mixed(streams + (counter.astype(np.uint64) + np.uint64(1)) * _GAMMA)


def below(words: np.ndarray, n: np.ndarray) -> np.ndarray:
    """Turn words into whole numbers in [0, n), int64; even to one part in 2^53 / n.

    >>> below(np.array([0, 2**63, 2**64 - 1], np.uint64), np.array([10, 10, 10])).tolist()
    [0, 5, 9]
    """
    share = (words >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return np.asarray(np.minimum((share * n).astype(np.int64), n - 1))


def _mixed(z: np.ndarray) -> np.ndarray:
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(z ^ (z >> np.uint64(31)))
