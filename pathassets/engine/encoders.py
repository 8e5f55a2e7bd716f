"""Name -> Encoder: opens the encoders that `pathassets.core.encoder` has cards of.

A new encoder is a card there, a class in core or behind its adapter, and a line in `FACTORIES`.
"""

from __future__ import annotations

from collections.abc import Callable

from pathassets.core.colour_stats import ColourStats
from pathassets.core.encoder import CARDS, Encoder, card_of
from pathassets.errors import EncoderError

__all__ = ["FACTORIES", "card_of", "encoder_names", "open_encoder"]


def encoder_names() -> tuple[str, ...]:
    """Name every encoder that can be opened."""
    return tuple(CARDS)


def open_encoder(name: str, *, device: str = "cpu") -> Encoder:
    """Open an encoder on 'cpu' or 'cuda:N'; for those on torch this costs seconds.

    Raises:
        SpecError: there is no such encoder.
        EncoderError: it cannot run on the device, or its weights are not the declared ones.
    """
    card = card_of(name)
    if device != "cpu" and not card.can_use_gpu:
        raise EncoderError(
            name,
            f"runs on the CPU alone, not on {device!r}",
            remedy="Open it with device='cpu'.",
        )
    return FACTORIES[name](device)


def _open_colour_stats(_device: str) -> Encoder:
    return ColourStats()


def _open_resnet18(device: str) -> Encoder:
    from pathassets.adapters.torch import ResNet18Encoder  # noqa: PLC0415 - torch takes seconds

    return ResNet18Encoder(device=device)


FACTORIES: dict[str, Callable[[str], Encoder]] = {
    "colour_stats": _open_colour_stats,
    "resnet18": _open_resnet18,
}
"""What opens each encoder on a device. The names are those of the cards (held by a test)."""
