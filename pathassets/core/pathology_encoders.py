"""The encoders of pathology that a user names: how each is built, fed and pooled, and its terms.

Nothing is downloaded: a user names the encoder and the file with its weights, and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from pathassets.core.encoder import Argument, EncoderCard
from pathassets.core.preprocessing import IMAGENET_MEAN, IMAGENET_STD, Preprocessing


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """A published encoder: its card, and the architecture that its weights fit."""

    card: EncoderCard
    library: Literal["timm", "transformers", "conch"]
    """Whose architecture it is; `conch` is a timm trunk under an attentional pooler of ours."""
    architecture: str
    """timm's name of the model, or the name of transformers' class."""
    kwargs: Mapping[str, Argument] = field(default_factory=dict)
    """Arguments of timm's `create_model`, or of transformers' configuration."""
    left_out: tuple[str, ...] = ()
    """Beginnings of the names of weights in its file that the encoder has not: a classifier's."""
    weights_file: str
    """Where its owner gives the weights out: `owner/repository: file`."""


_IMAGENET_224 = Preprocessing(resize_px=224, mean=IMAGENET_MEAN, std=IMAGENET_STD)

DECLARATIONS: tuple[Declaration, ...] = (
    Declaration(
        card=EncoderCard(
            name="uni",
            version="1",
            dim=1024,
            input_px=None,
            is_trained=True,
            precision="float16",
            weights_sha256="",
            licence="CC-BY-NC-ND-4.0",
            description="ViT-L/16 of the Mahmood lab.",
            can_use_gpu=True,
            mpp=0.5,
            preprocessing=_IMAGENET_224,
            pooling="cls",
            n_prefix_tokens=1,
            is_gated=True,
            source="https://huggingface.co/MahmoodLab/UNI",
        ),
        library="timm",
        architecture="vit_large_patch16_224",
        kwargs={"init_values": 1e-5, "dynamic_img_size": True, "num_classes": 0},
        weights_file="MahmoodLab/UNI: pytorch_model.bin",
    ),
)
