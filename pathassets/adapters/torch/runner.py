"""Batches of any length ─▶ passes of one size on a device ─▶ rows of features.

batch ─▶ staged, filled up with black ─▶ forward ─▶ float32 rows
         (pinned, a stream of its own)             (pinned)       on a GPU
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np
import torch

from pathassets.adapters.torch.process import translate
from pathassets.core.features.encoder import EncoderCard, check_batch

Forward = Callable[[torch.Tensor], torch.Tensor]
"""uint8 (n, y, x, 3) on the device -> features (n, …), there."""
Wait = Callable[[], np.ndarray]

N_STAGED = 2
"""Pinned buffers: one is filled while the other is copied."""


class Runner:
    """Runs `forward` in passes of `rows` patches, halved where the device's memory runs out."""

    def __init__(
        self, forward: Forward, *, card: EncoderCard, device: str, rows: int, is_fixed: bool = False
    ) -> None:
        """`is_fixed`: the model takes no other number of rows."""
        self.rows = rows
        self.n_halved = 0
        self._forward = forward
        self._card = card
        self._device = device
        self._is_fixed = is_fixed
        self._staging = None if device == "cpu" else _Staging(device)

    @property
    def busy_s(self) -> float | None:
        """For how long the GPU has computed, by its own clock; None on a CPU."""
        return None if self._staging is None else self._staging.busy_s

    def begin(self, batch: np.ndarray) -> Wait:
        """Begin all passes of (n, y, x, 3), n > 0; a CPU has done them when this returns.

        Raises:
            EncoderError: memory ran out for a single patch, or torch failed otherwise.
        """
        with translate(self._card, self._device), torch.inference_mode():
            waits: list[Wait] = []
            first = 0
            while first < len(batch):
                part = batch[first : first + self.rows]
                wait = self._try(part)
                if wait is None:
                    self._halve()
                    continue
                waits.append(wait)
                first += len(part)
        return lambda: self._join(waits)

    def _join(self, waits: list[Wait]) -> np.ndarray:
        with translate(self._card, self._device):
            return np.concatenate([wait() for wait in waits])

    def _try(self, part: np.ndarray) -> Wait | None:
        """Begin one pass; None where memory ran out, and fewer rows may do."""
        try:
            return (
                self._pass_on_cpu(part)
                if self._staging is None
                else self._staging.run(self._forward, part, self.rows)
            )
        except torch.OutOfMemoryError:
            if self.rows == 1 or self._is_fixed:
                raise
        return None

    def _halve(self) -> None:
        """Take half the rows from now on. Outside `except`: a traceback holds tensors."""
        self.rows //= 2
        self.n_halved += 1
        if self._staging is not None:
            self._staging.clear()

    def _pass_on_cpu(self, part: np.ndarray) -> Wait:
        pixels = np.empty((self.rows, *part.shape[1:]), dtype=np.uint8)
        pixels[: len(part)] = part
        pixels[len(part) :] = 0
        rows = self._forward(torch.from_numpy(pixels))[: len(part)]
        features = rows.to(torch.float32).numpy().copy()
        return lambda: features


class RunnerEncoder(ABC):
    """What encoders share that run on torch: checked batches go to a `Runner`."""

    _runner: Runner

    @property
    @abstractmethod
    def card(self) -> EncoderCard:
        """What it is."""

    @property
    def rows(self) -> int:
        """Patches in one pass."""
        return self._runner.rows

    @property
    def n_halved(self) -> int:
        """How often `rows` was halved for want of the device's memory."""
        return self._runner.n_halved

    @property
    def busy_s(self) -> float | None:
        """For how long the GPU has computed, by its own clock; None on a CPU."""
        return self._runner.busy_s

    def encode(self, batch: np.ndarray) -> np.ndarray:
        """Encode RGB uint8 (n, y, x, 3) as float32 (n, *card.shape).

        Raises:
            EncoderError: the batch is not what the card asks for, or the model cannot do it.
        """
        return self.begin(batch)()

    def begin(self, batch: np.ndarray) -> Wait:
        """Begin to encode; calling what is returned waits for the features.

        Raises:
            EncoderError: the batch is not what the card asks for, or the model cannot do it.
        """
        check_batch(self.card, batch)
        if not len(batch):
            return lambda: np.empty((0, *self.card.shape), dtype=np.float32)
        return self._runner.begin(batch)


class _Staging:
    """What lies between the host and one GPU."""

    def __init__(self, device: str) -> None:
        self._device = torch.device(device)
        self._copying = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
        self._buffers: list[torch.Tensor] = []
        self._copied = [
            torch.cuda.Event()  # type: ignore[no-untyped-call]
            for _ in range(N_STAGED)
        ]
        self._turn = 0
        self.busy_s = 0.0
        """For how long the GPU has computed."""

    def clear(self) -> None:
        """Give back what torch's allocator keeps."""
        torch.cuda.synchronize(self._device)
        self._buffers = []
        torch.cuda.empty_cache()

    def run(self, forward: Forward, part: np.ndarray, n_rows: int) -> Wait:
        """Begin one pass; its copy overlaps the pass before it."""
        with torch.cuda.device(self._device):
            pixels = self._copy(part, n_rows)
            computing = torch.cuda.current_stream(self._device)
            computing.wait_stream(self._copying)
            pixels.record_stream(computing)
            began = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
            began.record(computing)
            rows = forward(pixels)[: len(part)].to(torch.float32).contiguous()
            features = torch.empty(rows.shape, dtype=torch.float32, pin_memory=True)
            features.copy_(rows, non_blocking=True)
            done = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
            done.record(computing)

        def wait() -> np.ndarray:
            done.synchronize()
            self.busy_s += began.elapsed_time(done) / 1000
            return features.numpy()

        return wait

    def _copy(self, part: np.ndarray, n_rows: int) -> torch.Tensor:
        shape = (n_rows, *part.shape[1:])
        if not self._buffers or tuple(self._buffers[0].shape) != shape:
            torch.cuda.synchronize(self._device)
            self._buffers = [
                torch.empty(shape, dtype=torch.uint8, pin_memory=True) for _ in range(N_STAGED)
            ]
        self._turn = (self._turn + 1) % N_STAGED
        self._copied[self._turn].synchronize()
        staged = self._buffers[self._turn]
        staged.numpy()[: len(part)] = part
        staged[len(part) :] = 0
        with torch.cuda.stream(self._copying):
            pixels = staged.to(self._device, non_blocking=True)
            self._copied[self._turn].record(self._copying)
        return pixels
