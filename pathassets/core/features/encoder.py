"""Patches -> feature vectors: what every encoder promises, and how one is asked for.

The cards are in core, and the code behind them elsewhere: a recipe is validated against the cards
without loading a model, or torch. `pathassets.core.features.encoder_cards` knows them all, and
`pathassets.engine.features.encoders` opens an encoder by its name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
from pydantic.dataclasses import dataclass as spec_dataclass

from pathassets.core.features.preprocessing import Preprocessing
from pathassets.core.spec import STRICT
from pathassets.errors import EncoderError


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderCard:
    """What is known about an encoder before it is opened. All of it is part of its identity."""

    name: str
    """What a recipe calls it."""
    version: str
    """Changes whenever the features of some patch change."""
    dim: int | None
    """Length of a feature vector; None where only the open model can tell."""
    input_px: int | None
    """Side of the square patch it wants; None where any patch will do, square or not."""
    is_trained: bool
    """Whether anything was learnt: features of an untrained model are not for training on."""
    precision: str
    """Floating-point format of the computation and of the features."""
    weights_sha256: str
    """SHA-256 of the weights, checked when they are loaded; empty where there are none."""
    licence: str
    """Terms of the weights."""
    description: str
    """A sentence for people."""
    feature_names: tuple[str, ...] = ()
    """One name per column, with its unit where it has one; empty where columns have no meaning."""
    can_use_gpu: bool = False
    """Whether a device other than the CPU is of use; where not, none need be leased."""
    mpp: float | None = None
    """Micrometres per pixel of the patches that it was trained on; None where any will do."""
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    """What is done to the pixels; already part of `encode`."""
    pooling: str = ""
    """How the model's output becomes one vector, in a word: cls, mean, cls+mean, …"""
    n_prefix_tokens: int | None = None
    """Tokens before those of places: the class token and registers; None where nobody said."""
    map_shape: tuple[int, ...] = ()
    """(y, x) of a feature map that is kept whole; empty where a patch has one vector."""
    is_gated: bool = False
    """Whether its weights are given out on request alone."""
    source: str = ""
    """Where what is declared here is from."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the features of one patch, once `dim` is known."""
        return (self.dim or 0, *self.map_shape)

    @property
    def patch_px(self) -> int | None:
        """Side of the patches that it takes as they are; None where any will do."""
        return self.input_px or self.preprocessing.resize_px or self.preprocessing.crop_px

    @property
    def weights(self) -> str:
        """`none`, `trained`, or `untrained`: whose features are not for training on."""
        if not self.weights_sha256:
            return "none"
        return "trained" if self.is_trained else "untrained"


Precision = Literal["auto", "float32", "bfloat16", "float16"]
Pooling = Literal["auto", "mean", "cls", "cls+mean", "none"]
Argument = str | int | float | bool | None


@spec_dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class EncoderRequest:
    """Which encoder, with which weights, and how it is driven where not as it declares.

    A recipe writes `encoder: NAME`, or `encoder: {name: NAME, weights: FILE, …}`.
    """

    name: str
    """A known encoder, `timm:MODEL`, `transformers:FOLDER`, `package.module:factory`, or the path
    of an exported program (.pt2) or a TorchScript file (.ts, .torchscript)."""
    weights: str | None = None
    """File with the weights: .safetensors, .pt, .pth or .bin; None for what the encoder has."""
    kwargs: dict[str, Argument] | None = None
    """Keyword arguments of a factory, or of timm's."""
    version: str = ""
    """Of a factory's code, as its owner counts it: new features, new version."""
    preprocessing: Preprocessing | None = None
    """None for what the encoder declares."""
    pooling: Pooling = "auto"
    """`auto` does what the encoder declares; `none` keeps a feature map whole."""
    precision: Precision = "auto"
    """`auto` is what the encoder declares on a GPU, and float32 on a CPU."""


class Encoder(Protocol):
    """A pure function from patches to vectors, with a card.

    The features of a patch depend on its pixels alone: neither on the patches that came with it
    nor on how many they were. On the CPU the same process settings give the same bytes.
    """

    @property
    def card(self) -> EncoderCard:
        """What it is."""

    @property
    def rows(self) -> int:
        """Patches in one pass of the model: what to hand over at once for speed."""

    def encode(self, batch: np.ndarray) -> np.ndarray:
        """Encode RGB uint8 (n, y, x, 3) as float32 (n, *card.shape); n may be 0.

        Raises:
            EncoderError: the batch is not what the card asks for, or the device cannot do it.
        """

    def begin(self, batch: np.ndarray) -> Callable[[], np.ndarray]:
        """Begin to encode; calling what is returned waits for the features, and may raise.

        On a GPU the caller gets on with the next batch meanwhile. The batch is the caller's again
        once this returns.
        """


def check_batch(card: EncoderCard, batch: np.ndarray) -> None:
    """Refuse what the encoder was not made for; each `encode` begins with it.

    Raises:
        EncoderError: dtype, shape or side is not the one that the card asks for.
    """
    got = f"got {batch.dtype} {batch.shape}"
    if batch.dtype != np.uint8 or batch.ndim != 4 or batch.shape[3] != 3:  # noqa: PLR2004
        raise EncoderError(
            card.name,
            f"takes RGB patches, uint8 (n, y, x, 3), {got}",
            remedy="Pass the pixels as they were read; the encoder scales and normalises them.",
        )
    if 0 in batch.shape[1:]:
        raise EncoderError(card.name, f"a patch has at least one pixel, {got}")
    if card.input_px is not None and batch.shape[1:3] != (card.input_px, card.input_px):
        raise EncoderError(
            card.name,
            f"takes patches of {card.input_px} x {card.input_px} px, {got}",
            remedy=f"Set patch_px of the patch locations to {card.input_px}.",
        )


_CHANNEL_FEATURES = ("mean", "std", "skewness", "p5", "p50", "p95")
_STAIN_FEATURES = ("mean_od", "std_od", "skewness")

COLOUR_STATS_CARD = EncoderCard(
    name="colour_stats",
    version="1",
    dim=25,
    input_px=None,
    is_trained=False,
    precision="float32",
    weights_sha256="",
    licence="none needed: no weights",
    description="Colour statistics of a patch (RGB, haematoxylin, eosin, glass) for quality control"
    " and as a baseline; no weights, the same bytes on any machine.",
    feature_names=(
        *(f"{name}_{what}" for name in ("red", "green", "blue") for what in _CHANNEL_FEATURES),
        *(f"{name}_{what}" for name in ("haematoxylin", "eosin") for what in _STAIN_FEATURES),
        "glass_share",
    ),
)

RESNET18_CARD = EncoderCard(
    name="resnet18",
    version="1",
    dim=512,
    input_px=None,
    is_trained=False,
    precision="float32",
    weights_sha256="ae48f3a0c0a75e3d4d7ad150e4e42d5ec293b19964a6457fb1ccd136d06f17f1",
    licence="none needed: the weights are drawn, not learnt",
    description="ResNet-18 without training: seeded random weights. It shows the torch path and"
    " its cost; its features are not for training on.",
    can_use_gpu=True,
)
