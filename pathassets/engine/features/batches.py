"""Pixels of any owners -> batches for one encoder, filled across the owners' ends.

    shares of rows ─▶ batches, all of one size ─▶ encoder, one ahead ─▶ rows to their owners

A batch is a whole number of forward passes of the model. Rows of one share are handed over where
they were decoded. A batch from several is copied together, 25 us for a patch of 256 px, into one
buffer that is used again.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from pathassets.core.features.encoder import Encoder
from pathassets.errors import EncoderError

LEAST_ROWS = 32
"""Patches that are handed to an encoder at once, where its forward passes are smaller."""


def shape_of(encoder: Encoder, height_px: int, width_px: int) -> tuple[int, ...]:
    """Shape of the features of one patch; where the card does not tell, a blank patch does.

    Raises:
        EncoderError: the card tells no dim even then.
    """
    if encoder.card.dim is None:
        encoder.encode(np.zeros((1, height_px, width_px, 3), np.uint8))
    if encoder.card.dim is None:
        raise EncoderError(
            encoder.card.name, "does not tell the dim of its features, with a patch encoded",
            remedy="Let its card have a dim once something was encoded",
        )  # fmt: skip
    return encoder.card.shape


def handed_rows(encoder: Encoder) -> int:
    """Patches that an encoder is handed at once: whole forward passes of the model."""
    return encoder.rows * max(1, LEAST_ROWS // encoder.rows)


class Owner(Protocol):
    """Who wants the features of some patches."""

    def deliver(self, places: np.ndarray, rows: np.ndarray) -> None:
        """Take the rows of some of its patches, in order."""

    def fail(self, places: np.ndarray, error: Exception) -> None:
        """Hear that there are none of these."""

    def spend(self, seconds: float) -> None:
        """Hear what encoding them took."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """Some patches of one owner."""

    owner: Owner
    places: np.ndarray
    """int64 (m,): what the owner calls them."""
    pixels: np.ndarray
    """RGB uint8 (m, y, x, 3)."""

    def cut(self, rows: slice) -> Share:
        """A part of it."""
        return replace(self, places=self.places[rows], pixels=self.pixels[rows])


@dataclass(frozen=True, slots=True, kw_only=True)
class _PendingBatch:
    shares: list[Share]
    wait: Callable[[], np.ndarray]


class BatchFiller:
    """What waits for one encoder, and what it has begun."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._n_rows = handed_rows(encoder)
        self._shares: deque[Share] = deque()
        self._n_waiting = 0
        self._pending: _PendingBatch | None = None
        self._buffer = np.empty((0, 0, 0, 3), np.uint8)

    @property
    def is_empty(self) -> bool:
        """Whether nobody waits for a row."""
        return not self._n_waiting and self._pending is None

    def add(self, share: Share) -> None:
        """Take patches, and encode whole batches; patches of two sizes are never in one."""
        if self._shares and self._shares[0].pixels.shape[1:] != share.pixels.shape[1:]:
            self._encode(self._n_waiting)
        self._shares.append(share)
        self._n_waiting += len(share.places)
        while self._n_waiting >= self._n_rows:
            self._encode(self._n_rows)

    def flush(self) -> None:
        """Encode what waits, and deliver all."""
        if self._n_waiting:
            self._encode(self._n_waiting)
        self._finish()

    def _encode(self, n: int) -> None:
        """Begin the next `n` rows, then deliver those that were begun before."""
        shares: list[Share] = []
        self._n_waiting -= n
        while n:
            share = self._shares.popleft()
            if len(share.places) > n:
                self._shares.appendleft(share.cut(slice(n, None)))
                share = share.cut(slice(n))
            shares.append(share)
            n -= len(share.places)
        started_s = time.perf_counter()
        try:
            begun = _PendingBatch(shares=shares, wait=self._encoder.begin(self._together(shares)))
        except Exception as error:  # noqa: BLE001 - the boundary between slides
            _spend(shares, time.perf_counter() - started_s)
            self._finish()
            self._apart(shares, error)
            return
        _spend(shares, time.perf_counter() - started_s)
        self._finish()
        self._pending = begun

    def _together(self, shares: list[Share]) -> np.ndarray:
        if len(shares) == 1:
            return shares[0].pixels
        shape = (self._n_rows, *shares[0].pixels.shape[1:])
        if self._buffer.shape != shape:
            self._buffer = np.empty(shape, np.uint8)
        place = 0
        for share in shares:
            self._buffer[place : place + len(share.pixels)] = share.pixels
            place += len(share.pixels)
        return self._buffer[:place]

    def _finish(self) -> None:
        """Deliver what was begun."""
        if self._pending is None:
            return
        begun, self._pending = self._pending, None
        started_s = time.perf_counter()
        try:
            rows = begun.wait()
            self._require_all(rows, begun.shares)
        except Exception as error:  # noqa: BLE001 - the boundary between slides
            _spend(begun.shares, time.perf_counter() - started_s)
            self._apart(begun.shares, error)
            return
        _spend(begun.shares, time.perf_counter() - started_s)
        place = 0
        for share in begun.shares:
            share.owner.deliver(share.places, rows[place : place + len(share.places)])
            place += len(share.places)

    def _require_all(self, rows: np.ndarray, shares: list[Share]) -> None:
        n = sum(len(share.places) for share in shares)
        if len(rows) != n:
            raise EncoderError(
                self._encoder.card.name, f"gave {len(rows)} rows of features for {n} patches",
                remedy="Let it give one row for each patch of a batch",
            )  # fmt: skip

    def _apart(self, shares: list[Share], error: Exception) -> None:
        """Encode each owner's rows alone, so that it fails by its own patches only."""
        is_mixed = len({id(share.owner) for share in shares}) > 1
        for share in shares:
            if not is_mixed:
                share.owner.fail(share.places, error)
                continue
            started_s = time.perf_counter()
            try:
                rows = self._encoder.encode(share.pixels)
                self._require_all(rows, [share])
            except Exception as own:  # noqa: BLE001 - the boundary between slides
                _spend([share], time.perf_counter() - started_s)
                share.owner.fail(share.places, own)
                continue
            _spend([share], time.perf_counter() - started_s)
            share.owner.deliver(share.places, rows)


def _spend(shares: list[Share], seconds: float) -> None:
    n = sum(len(share.places) for share in shares)
    for share in shares:
        share.owner.spend(seconds * len(share.places) / n)
