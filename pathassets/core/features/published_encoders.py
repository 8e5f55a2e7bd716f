"""The encoders of pathology that a user names: how each is built, fed and pooled, and its terms.

Nothing is downloaded: a user names the encoder and the file with its weights, and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from pathassets.core.features.encoder import Argument, EncoderCard
from pathassets.core.features.preprocessing import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    Interpolation,
    Preprocessing,
)


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


def _resized(
    side_px: int,
    mean: tuple[float, float, float] = IMAGENET_MEAN,
    std: tuple[float, float, float] = IMAGENET_STD,
    *,
    interpolation: Interpolation = "bicubic",
) -> Preprocessing:
    return Preprocessing(
        resize_px=side_px, crop_px=side_px, interpolation=interpolation, mean=mean, std=std
    )


_HUB = "https://huggingface.co/"
_BILINEAR = _resized(224, interpolation="bilinear")
_BICUBIC = _resized(224)
_HALF = (0.5, 0.5, 0.5)

_CARD = EncoderCard(
    name="",
    version="1",
    dim=None,
    input_px=None,  # patches of any size are brought to the model's by the preprocessing
    is_trained=True,
    precision="float16",
    weights_sha256="",
    licence="",
    description="",
    can_use_gpu=True,
    mpp=0.5,
    preprocessing=_BILINEAR,
    pooling="cls",
    n_prefix_tokens=1,
)
"""What most of them share."""
_GATED = replace(_CARD, is_gated=True, licence="CC-BY-NC-ND-4.0")
_OPTIMUS = replace(
    _GATED,
    n_prefix_tokens=5,
    preprocessing=_resized(224, (0.707223, 0.578729, 0.703617), (0.211883, 0.230117, 0.177517)),
)
_OWKIN = replace(_CARD, precision="float32", licence="Owkin's own, non-commercial")
_HIBOU = replace(
    _CARD,
    precision="float32",
    licence="Apache-2.0",
    n_prefix_tokens=5,
    preprocessing=_resized(224, (0.7068, 0.5755, 0.722), (0.195, 0.2316, 0.1816)),
)
_KAIKO = replace(
    _CARD,
    precision="float32",
    licence="kaiko.ai's own, non-commercial",
    preprocessing=_resized(224, _HALF, _HALF, interpolation="bilinear"),
    source="https://github.com/kaiko-ai/towards_large_pathology_fms",
)

_VIT: Mapping[str, Argument] = {"num_classes": 0, "global_pool": "", "dynamic_img_size": True}
"""timm's arguments for all tokens as they leave the last norm; they are pooled as the card says."""
_GATED_MLP: Mapping[str, Argument] = {"mlp_layer": "SwiGLUPacked", "act_layer": "silu"}
"""timm's arguments for gated perceptrons; timm's door finds what the strings name."""
_UNI2_SHAPE: Mapping[str, Argument] = {
    "img_size": 224, "patch_size": 14, "depth": 24, "num_heads": 24, "embed_dim": 1536,
    "mlp_ratio": 2.66667 * 2, "init_values": 1e-5, "no_embed_class": True, "reg_tokens": 8,
}  # fmt: skip
_GIGAPATH_SHAPE: Mapping[str, Argument] = {
    "img_size": 224, "patch_size": 16,  # whatever the name of its architecture says
    "depth": 40, "num_heads": 24, "embed_dim": 1536, "mlp_ratio": 5.33334, "init_values": 1e-5,
}  # fmt: skip


def _given(
    card: EncoderCard, where: str, architecture: str, kwargs: Mapping[str, Argument]
) -> Declaration:
    """Declare an encoder of timm, given out on the hub."""
    return Declaration(
        card=replace(card, source=card.source or _HUB + where.partition(":")[0]),
        library="timm",
        architecture=architecture,
        kwargs=kwargs,
        weights_file=where,
    )


def _dinov2(
    card: EncoderCard, where: str, sizes: tuple[int, int, int], **others: Argument
) -> Declaration:
    """Declare an encoder of transformers; `sizes` are hidden size, layers and heads."""
    n_registers = (card.n_prefix_tokens or 1) - 1
    registers = {"num_register_tokens": n_registers} if n_registers else {}
    hidden, layers, heads = sizes
    return Declaration(
        card=replace(card, source=_HUB + where.partition(":")[0]),
        library="transformers",
        architecture="Dinov2WithRegistersModel" if n_registers else "Dinov2Model",
        kwargs={
            "hidden_size": hidden,
            "num_hidden_layers": layers,
            "num_attention_heads": heads,
            "mlp_ratio": 4,
            "hidden_act": "gelu",
            "layer_norm_eps": 1e-6,
            "qkv_bias": True,
            "layerscale_value": 1.0,
            **registers,
            **others,
        },
        weights_file=where,
    )


_UNI = _given(
    replace(
        _GATED,
        name="uni",
        dim=1024,
        description="ViT-L/16 of the Mahmood lab, trained with DINOv2 on 100,000 slides.",
    ),
    "MahmoodLab/UNI: pytorch_model.bin",
    "vit_large_patch16_224",
    {**_VIT, "init_values": 1e-5},
)
_UNI2 = _given(
    replace(
        _GATED,
        name="uni2-h",
        dim=1536,
        precision="bfloat16",
        n_prefix_tokens=9,
        description="ViT-H/14 of the Mahmood lab, trained on H&E and immunohistochemistry.",
    ),
    "MahmoodLab/UNI2-h: pytorch_model.bin",
    "vit_giant_patch14_224",
    {**_VIT, **_GATED_MLP, **_UNI2_SHAPE},
)
_CONCH = Declaration(
    card=replace(
        _GATED,
        name="conch-v1.5",
        dim=768,
        preprocessing=_resized(448, interpolation="bilinear"),
        pooling="",  # its own, learnt
        n_prefix_tokens=None,
        description="ViT-L/16 and attentional pooler of the Mahmood lab, for patches of 512 px.",
        source=f"{_HUB}MahmoodLab/conchv1_5",
    ),
    library="conch",
    architecture="vit_large_patch16_224",
    kwargs={**_VIT, "init_values": 1.0, "pooler_dim": 768, "n_heads": 8, "n_queries": 1},
    weights_file="MahmoodLab/conchv1_5: pytorch_model_vision.bin",
)
_VIRCHOWS = tuple(
    _given(
        replace(
            _GATED,
            name=name.lower(),
            dim=2560,
            licence=licence,
            preprocessing=_BICUBIC,
            pooling="cls+mean",
            n_prefix_tokens=1 + n_registers,
            description=f"ViT-H/14 of Paige, trained with DINOv2 on {slides} slides.",
        ),
        f"paige-ai/{name}: pytorch_model.bin",
        "vit_huge_patch14_224",
        {
            **_VIT,
            **_GATED_MLP,
            "img_size": 224,
            "init_values": 1e-5,
            "mlp_ratio": 5.3375,
            "reg_tokens": n_registers,
        },
    )
    for name, licence, n_registers, slides in (
        ("Virchow", "Apache-2.0", 0, "1.5 million"),
        ("Virchow2", "CC-BY-NC-ND-4.0", 4, "3.1 million"),
    )
)
_GIGAPATH = _given(
    replace(
        _GATED,
        name="prov-gigapath",
        dim=1536,
        licence="Apache-2.0, for research only",
        preprocessing=Preprocessing(
            resize_px=256, crop_px=224, mean=IMAGENET_MEAN, std=IMAGENET_STD
        ),
        description="ViT-g/16 of Microsoft and Providence, for patches of 256 px.",
    ),
    "prov-gigapath/prov-gigapath: pytorch_model.bin",
    "vit_giant_patch14_dinov2",
    {**_VIT, **_GIGAPATH_SHAPE},
)
_H_OPTIMUS_0, _H_OPTIMUS_1 = (
    _given(
        replace(
            _OPTIMUS,
            name=name.lower(),
            dim=1536,
            licence=licence,
            is_gated=is_gated,
            description="ViT-g/14 of Bioptimus, trained with DINOv2.",
        ),
        f"bioptimus/{name}: pytorch_model.bin",
        "vit_giant_patch14_reg4_dinov2",
        {**_VIT, "img_size": 224, "init_values": 1e-5},
    )
    for name, licence, is_gated in (
        ("H-optimus-0", "Apache-2.0", False),
        ("H-optimus-1", "CC-BY-NC-ND-4.0", True),
    )
)
_H0_MINI = _given(
    replace(
        _OPTIMUS,
        name="h0-mini",
        dim=768,
        description="ViT-B/14 of Owkin and Bioptimus, distilled from H-optimus-0.",
    ),
    "bioptimus/H0-mini: pytorch_model.bin",
    "vit_base_patch14_reg4_dinov2",
    {**_VIT, **_GATED_MLP, "img_size": 224, "init_values": 1e-5, "mlp_ratio": 5.33334},
)
_PHIKON = Declaration(
    card=replace(
        _OWKIN,
        name="phikon",
        dim=768,
        description="ViT-B/16 of Owkin, trained with iBOT on TCGA.",
        source=f"{_HUB}owkin/phikon",
    ),
    library="transformers",
    architecture="ViTModel",
    kwargs={
        "hidden_size": 768,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "intermediate_size": 3072,
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-6,
        "qkv_bias": True,
        "image_size": 224,
        "patch_size": 16,
    },
    left_out=("pooler.",),
    weights_file="owkin/phikon: model.safetensors",
)
_PHIKON_V2 = _dinov2(
    replace(
        _OWKIN,
        name="phikon-v2",
        dim=1024,
        preprocessing=_BICUBIC,
        description="ViT-L/16 of Owkin, trained with DINOv2 on public slides.",
    ),
    "owkin/phikon-v2: model.safetensors",
    (1024, 24, 16),
    image_size=224,
    patch_size=16,
    use_swiglu_ffn=False,
)
_HIBOUS = tuple(
    _dinov2(
        replace(
            _HIBOU,
            name=f"hibou-{size.lower()}",
            dim=sizes[0],
            is_gated=is_gated,
            description=f"ViT-{size.upper()}/14 of HistAI, trained on a million slides.",
        ),
        f"histai/hibou-{size}: model.safetensors",
        sizes,
        image_size=224,
        patch_size=14,
        use_swiglu_ffn=True,
    )
    for size, sizes, is_gated in (("b", (768, 12, 12), False), ("L", (1024, 24, 16), True))
)
_KAIKOS = tuple(
    _given(
        replace(
            _KAIKO,
            name=f"kaiko-vit{size[0]}{patch_px}",
            dim=dim,
            n_prefix_tokens=5 if size == "large" else 1,
            description=f"ViT-{size[0].upper()}/{patch_px} of kaiko.ai, trained on TCGA.",
        ),
        f"1aurent/vit_{size}_patch{patch_px}_{'reg4_' if size == 'large' else ''}224"
        ".kaiko_ai_towards_large_pathology_fms: model.safetensors",
        f"vit_{size}_patch{patch_px}_{'reg4_dinov2' if size == 'large' else '224'}",
        # The position embedding of the large one is of 518 px, and is resampled to 224.
        {**_VIT, "img_size": 518 if size == "large" else 224},
    )
    for size, patch_px, dim in (
        ("small", 8, 384),
        ("small", 16, 384),
        ("base", 8, 768),
        ("base", 16, 768),
        ("large", 14, 1024),
    )
)
_MIDNIGHT = _dinov2(
    replace(
        _KAIKO,
        name="midnight-12k",
        dim=3072,
        licence="MIT",
        precision="float16",
        pooling="cls+mean",
        description="ViT-g/14 of kaiko.ai, trained with DINOv2 on the 12,000 slides of TCGA.",
    ),
    "kaiko-ai/midnight: model.safetensors",
    (1536, 40, 24),
    image_size=518,
    patch_size=14,
    use_swiglu_ffn=True,
)
_RESNET50 = replace(
    _given(
        replace(
            _CARD,
            name="resnet50-imagenet",
            dim=2048,
            licence="BSD-3-Clause",
            precision="float32",
            mpp=None,
            pooling="mean",
            n_prefix_tokens=None,
            description="ResNet-50 trained on ImageNet's photographs: a baseline.",
        ),
        "timm/resnet50.tv_in1k: model.safetensors",
        "resnet50",
        {"num_classes": 0, "global_pool": ""},
    ),
    left_out=("fc.",),
)

DECLARATIONS: tuple[Declaration, ...] = (
    _UNI,
    _UNI2,
    _CONCH,
    *_VIRCHOWS,
    _GIGAPATH,
    _H_OPTIMUS_0,
    _H_OPTIMUS_1,
    _H0_MINI,
    _PHIKON,
    _PHIKON_V2,
    *_HIBOUS,
    *_KAIKOS,
    _MIDNIGHT,
    _RESNET50,
)
"""Every published encoder that can be named.

Source: the model cards (`card.source`) and, where these say nothing, the code that reads their
files in TRIDENT, STAMP, eva and TIAToolbox.
"""
