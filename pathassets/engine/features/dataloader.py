"""A loader of one's own -> features, in memory or on the disk as they come.

loader ─▶ batches ─▶ encoder ─▶ rows ─┬─▶ arrays
                                      └─▶ chunks of a Zarr group, renamed once it is whole
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sized
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import psutil

from pathassets.adapters.tqdm import progress_bar
from pathassets.adapters.zarr.feature_appender import GrowingWriter, open_rows
from pathassets.core.features.encoder import Encoder, EncoderCard
from pathassets.engine.features.outputs import publish, refuse_existing, remove_part
from pathassets.engine.features.request import RunParams
from pathassets.engine.features.slides import encoder_attributes
from pathassets.errors import EncoderError

MEMORY_THRESHOLD = 80.0
"""Per cent of the machine's memory, where nobody says another."""


def encode_loader(
    loader: Iterable[Any], encoder: Encoder, params: RunParams, path: Path | None
) -> dict[str, Any]:
    """Encode all batches: (pixels, coordinates), or a mapping with `image` and `coords`.

    Returned are `probabilities`, the features, and `coordinates`. With a path they are written
    there, a chunk at a time, and are arrays of the Zarr group where they would not fit.

    Raises:
        EncoderError: a batch cannot be encoded; nothing is left of the others.
        StoreError: it cannot be written, or something is there.
    """
    sink = _InMemory() if path is None else _OnDisk(path, params.memory_threshold)
    n = 0
    label = "features" if path is None else path.stem
    bar = progress_bar(
        _n_patches(loader), unit="patches", label=label, is_shown=params.verbose
    )  # fmt: skip
    with sink, bar as advance:
        for batch in loader:
            is_named = isinstance(batch, Mapping)
            pixels, boxes = (batch["image"], batch["coords"]) if is_named else batch
            rows = finite_rows(encoder.encode(np.asarray(pixels)), encoder, n)
            sink.add(rows, np.asarray(boxes, np.int64), encoder.card)
            n += len(rows)
            advance(len(rows))
        return sink.found(encoder.card)


def _n_patches(loader: object) -> int | None:
    """Of torch's loader, the length of what it loads."""
    patches = getattr(loader, "dataset", None)
    return len(patches) if isinstance(patches, Sized) else None


class _InMemory:
    """Keeps the rows."""

    def __init__(self) -> None:
        self._rows: list[np.ndarray] = []
        self._boxes = [np.empty((0, 4), np.int64)]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """There is nothing to let go of."""

    def add(self, rows: np.ndarray, boxes: np.ndarray, _card: EncoderCard) -> None:
        self._rows.append(rows)
        self._boxes.append(boxes)

    def found(self, card: EncoderCard) -> dict[str, Any]:
        return {
            "probabilities": joined(self._rows, card),
            "coordinates": np.concatenate(self._boxes),
        }


class _OnDisk:
    """Writes the rows beside where they will be; they are there once all are."""

    def __init__(self, path: Path, memory_threshold: float | None) -> None:
        refuse_existing(path, overwrite=False)
        self._path, self._part = path, path.with_name(f".{path.name}.part")
        self._memory_threshold = MEMORY_THRESHOLD if memory_threshold is None else memory_threshold
        self._writer: GrowingWriter | None = None
        remove_part(self._part)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        if error is not None:
            remove_part(self._part)

    def add(self, rows: np.ndarray, boxes: np.ndarray, card: EncoderCard) -> None:
        if self._writer is None:
            self._writer = GrowingWriter(
                self._part, shape=rows.shape[1:], attributes=encoder_attributes(card)
            )
        self._writer.append(rows, boxes)

    def found(self, card: EncoderCard) -> dict[str, Any]:
        if self._writer is None:
            self.add(np.empty((0, *card.shape), np.float32), np.empty((0, 4), np.int64), card)
        if self._writer is not None:
            self._writer.finish()
        publish(self._part, self._path)
        features, boxes = open_rows(self._path)
        if _fits(features.nbytes + boxes.nbytes, self._memory_threshold):
            features, boxes = features[:], boxes[:]
        return {"probabilities": features, "coordinates": boxes}


def _fits(n_bytes: int, threshold: float) -> bool:
    """Whether so many bytes more keep the memory in use below so many per cent of it."""
    memory = psutil.virtual_memory()
    return 100 * (memory.total - memory.available + n_bytes) <= threshold * memory.total


def joined(rows: list[np.ndarray], card: EncoderCard) -> np.ndarray:
    """All batches as one array, which may be empty."""
    return np.concatenate(rows) if rows else np.empty((0, *card.shape), np.float32)


def finite_rows(rows: np.ndarray, encoder: Encoder, first: int) -> np.ndarray:
    """The same rows, where all are finite; `first` is what the first of them is called.

    Raises:
        EncoderError: one is not.
    """
    bad = np.flatnonzero(~np.isfinite(rows.reshape(len(rows), -1)).all(axis=1))
    if bad.size:
        raise EncoderError(
            encoder.card.name, f"features of patch {first + int(bad[0])} are not finite",
            remedy="Look at that patch, and at the encoder's preprocessing and precision",
        )  # fmt: skip
    return rows
