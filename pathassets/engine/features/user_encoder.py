"""A model as a user gives it -> an encoder: by name, request or module, or one that is open."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pathassets.core.features.encoder import Encoder, EncoderCard, EncoderRequest
from pathassets.engine.features.encoders import encoder_of_module, open_encoder
from pathassets.engine.features.works import busy_s_of
from pathassets.errors import EncoderError, SpecError


def open_model(model: Any, weights: str | None, *, device: str, rows: int) -> Encoder:
    """Open a model, whatever it was given as, for forward passes of `rows` patches.

    Raises:
        TypeError: it is nothing of the kind.
        SpecError: there is no such encoder; or it is open, and something else is asked for.
        EncoderError: it cannot be opened with these weights, or on this device.
    """
    if isinstance(model, str | Path):
        model = EncoderRequest(name=str(model))
    if isinstance(model, EncoderRequest):
        if weights is not None and model.weights not in {None, weights}:
            raise SpecError(
                f"weights: {weights!r}, and {model.weights!r} in the request",
                remedy="Give them in one place",
            )
        request = model if weights is None else replace(model, weights=weights)
        return open_encoder(request, device=device, rows=rows)
    if hasattr(model, "card") and hasattr(model, "begin"):
        if weights is not None or device != "cpu":
            raise SpecError(
                f"model: {type(model).__name__} is open, with its weights, on its device",
                remedy="Leave out weights and device",
            )
        encoder: Encoder = model
        return encoder
    if not hasattr(model, "state_dict"):
        raise TypeError(
            f"model: a name, an EncoderRequest, an Encoder or a torch.nn.Module is asked for, "
            f"got {type(model).__name__}"
        )
    name = type(model).__name__
    return encoder_of_module(model, name=name, device=device, rows=rows, weights=weights)


class PostProcessed:
    """An encoder whose features go through a function, batch by batch."""

    def __init__(
        self, encoder: Encoder, process: Callable[[np.ndarray], np.ndarray], name: str
    ) -> None:
        self._encoder, self._process, self._name = encoder, process, name
        self.rows = encoder.rows

    @property
    def card(self) -> EncoderCard:
        """What it is; of the shape that the function makes of the features, once that is known."""
        card = self._encoder.card
        card = replace(card, version=f"{card.version}+{self._name}")
        if card.dim is None:
            return card
        shape = np.shape(self._process(np.ones((1, *card.shape), np.float32)))[1:]
        if not shape:
            raise EncoderError(card.name, f"{self._name}.post_process_patches gives no (m, d)")
        return replace(card, dim=shape[0], map_shape=tuple(shape[1:]))

    @property
    def n_halved(self) -> int:
        """How often a batch was halved for want of the device's memory."""
        return int(getattr(self._encoder, "n_halved", 0))

    @property
    def busy_s(self) -> float | None:
        """For how long its device has computed, where it knows."""
        return busy_s_of(self._encoder)

    def encode(self, batch: np.ndarray) -> np.ndarray:
        """Encode, then process."""
        return self.begin(batch)()

    def begin(self, batch: np.ndarray) -> Callable[[], np.ndarray]:
        """Begin to encode; what is returned processes, too."""
        wait = self._encoder.begin(batch)
        return lambda: self._processed(wait())

    def _processed(self, raw: np.ndarray) -> np.ndarray:
        rows = np.asarray(self._process(raw), np.float32)
        if rows.shape != (len(raw), *self.card.shape):
            raise EncoderError(
                self.card.name, f"post_process_patches made {rows.shape} of {raw.shape}",
                remedy="Return one row for each, all of one shape",
            )  # fmt: skip
        return rows
