"""Bytes that are wanted of an object -> requests: neighbours together, none too long.

    wanted    ██  █ ██                    █      ███████████████████
    requests  ├──────┤                    ├┤     ├───────┼────────┼─┤

All here are numbers of blocks, from `start` up to `stop`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

BLOCK_BYTES = 4096
"""What is there of a file with holes is kept by blocks: those of Linux' memory and of most disks,
so that no program that reads ahead has half of one from a time before."""
GAP_BLOCKS = 64
"""Holes of 256 KB are fetched along. At what one connection to S3 gives, 85 MB/s, that is 3 ms; one
request more is 100 to 200 ms to its first byte. Source: AWS, S3 performance design patterns."""
PIECE_BLOCKS = 2048
"""8 MB by one request. Source: ibid., 8 to 16 MB for ranges."""

Span = tuple[int, int]


def blocks_of(starts_bytes: np.ndarray, n_bytes: np.ndarray, n_blocks: int) -> np.ndarray:
    """Bool (n_blocks,): which blocks hold any of these bytes.

    >>> blocks_of(np.array([4095, 9000]), np.array([2, 1]), 4).tolist()
    [True, True, True, False]
    """
    is_some = n_bytes > 0
    first = starts_bytes[is_some] // BLOCK_BYTES
    last = (starts_bytes[is_some] + n_bytes[is_some] - 1) // BLOCK_BYTES
    edges = np.zeros(n_blocks + 1, np.int64)
    np.add.at(edges, np.minimum(first, n_blocks), 1)
    np.add.at(edges, np.minimum(last + 1, n_blocks), -1)
    return np.cumsum(edges[:-1]) > 0


def requests_for(is_wanted: np.ndarray, *, gap: int = GAP_BLOCKS) -> list[Span]:
    """Spans of blocks that hold all that is wanted.

    >>> requests_for(np.array([0, 1, 0, 1, 0, 0, 0, 1], bool), gap=2)
    [(1, 4), (7, 8)]
    """
    return list(_cut(_joined(_runs(is_wanted), gap)))


def _runs(is_wanted: np.ndarray) -> Iterator[Span]:
    """Stretches without a hole."""
    edges = np.flatnonzero(np.diff(is_wanted.astype(np.int8), prepend=0, append=0))
    yield from zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)


def _joined(runs: Iterable[Span], gap: int) -> Iterator[Span]:
    begun: Span | None = None
    for start, stop in runs:
        if begun is not None and start - begun[1] <= gap:
            begun = (begun[0], stop)
            continue
        if begun is not None:
            yield begun
        begun = (start, stop)
    if begun is not None:
        yield begun


def _cut(spans: Iterable[Span]) -> Iterator[Span]:
    for start, stop in spans:
        for at in range(start, stop, PIECE_BLOCKS):
            yield at, min(at + PIECE_BLOCKS, stop)
