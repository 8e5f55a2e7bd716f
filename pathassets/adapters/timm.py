"""The only door to timm: its models, and the architectures of published encoders ─▶ nn.Module.

timm is an optional extra. It imports torchvision, which must be the build that goes with torch.
"""

from __future__ import annotations

import difflib
import importlib
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from torch import nn

from pathassets.adapters.torch.attention_pool import AttentionalPooler, PooledTrunk
from pathassets.adapters.torch.weights import load_weights
from pathassets.core.features.encoder import Argument, EncoderCard
from pathassets.core.features.preprocessing import Preprocessing
from pathassets.core.features.published_encoders import Declaration
from pathassets.errors import EncoderError

_POOLS = {"token": "cls", "avg": "mean"}
"""What timm calls the ways of pooling that have a name here, too."""
_POOLER = ("n_queries", "n_heads", "pooler_dim")


def open_model(
    name: str, *, weights: str | None, kwargs: Mapping[str, Argument], card: EncoderCard
) -> tuple[nn.Module, EncoderCard]:
    """Open a model by timm's name, on the CPU, without its classifier unless `kwargs` has one.

    Args:
        name: `ARCHITECTURE`, `ARCHITECTURE.TAG`, or `hf-hub:OWNER/NAME`.
        weights: A local file; None for the published ones, from timm's hub.
        kwargs: Of timm's `create_model`.
        card: What was asked for; its preprocessing is kept unless it is the default.

    Raises:
        EncoderError: timm does not know it, or cannot make it so, or the weights do not fit.
    """
    timm = _import_timm(card.name)
    _require_known(timm, name, card.name)
    if weights is None:
        module = _pretrained(timm, name, kwargs, card.name)
    else:
        module = _create(timm, name, {"num_classes": 0, **kwargs}, card.name)
        load_weights(module, weights, card.name, left_out=_classifiers(module))
    if getattr(module, "output_fmt", "NCHW") == "NHWC":
        module.register_forward_hook(_channels_first)
    return module, _describe(timm, module, kwargs, card)


def build(declared: Declaration) -> nn.Module:
    """Build the architecture of a published encoder, without its weights.

    Raises:
        EncoderError: timm is missing, or cannot make it.
    """
    name = declared.card.name
    timm = _import_timm(name)
    if declared.library != "conch":
        return _create(timm, declared.architecture, declared.kwargs, name)
    kwargs: dict[str, Any] = dict(declared.kwargs)
    n_queries, n_heads, dim = (kwargs.pop(key) for key in _POOLER)
    trunk: Any = _create(timm, declared.architecture, kwargs, name)
    pooler = AttentionalPooler(trunk.embed_dim, dim=dim, n_heads=n_heads, n_queries=n_queries)
    return PooledTrunk(trunk, pooler)


def _import_timm(encoder: str) -> Any:
    try:
        return importlib.import_module("timm")
    except ModuleNotFoundError as error:
        raise EncoderError(
            encoder, f"{error.name} is not installed", remedy="pip install 'pathassets[timm]'"
        ) from error
    except (RuntimeError, ImportError) as error:
        if "torchvision" not in str(error):
            raise
        raise EncoderError(
            encoder,
            f"timm needs torchvision, which was built for another torch: {error}",
            remedy="Install the torchvision of the same index and build as torch: "
            "pip install --force-reinstall --no-deps torchvision --index-url INDEX_OF_TORCH",
        ) from error


def _require_known(timm: Any, name: str, encoder: str) -> None:
    if ":" in name:  # a model of the hub, or of a folder
        return
    architecture, _, tag = name.partition(".")
    if not timm.is_model(architecture):
        close = difflib.get_close_matches(architecture, timm.list_models(), n=3)
        hint = f"Did you mean {' or '.join(close)}?" if close else "timm.list_models() tells."
        raise EncoderError(encoder, f"timm knows no {architecture!r}", remedy=hint)
    known = [full.partition(".")[2] for full in timm.list_pretrained(f"{architecture}.*")]
    if tag and tag not in known:
        raise EncoderError(
            encoder, f"timm knows no weights {tag!r} of {architecture}",
            remedy=f"It knows: {', '.join(known) or 'none'}.",
        )  # fmt: skip


def _create(
    timm: Any, name: str, kwargs: Mapping[str, object], encoder: str, *, pretrained: bool = False
) -> nn.Module:
    arguments = {key: _find_layer(timm, key, value) for key, value in kwargs.items()}
    try:
        module: nn.Module = timm.create_model(name, pretrained=pretrained, **arguments)
    except Exception as error:  # whatever the network, the hub, a file or an argument does
        is_remote = pretrained or ":" in name
        raise _refusal(error, name, encoder, is_remote=is_remote) from error
    return module.eval()


def _refusal(error: Exception, name: str, encoder: str, *, is_remote: bool) -> EncoderError:
    said = str(error).strip().partition("\n")[0] or type(error).__name__
    if is_remote:
        return EncoderError(
            encoder, f"timm cannot get {name}: {said}",
            remedy="Check the network and the kwargs, or name a file: weights.",
        )  # fmt: skip
    return EncoderError(encoder, f"timm cannot make {name}: {said}", remedy="Look at its kwargs.")


def _pretrained(timm: Any, name: str, kwargs: Mapping[str, Argument], encoder: str) -> nn.Module:
    """Get published weights; timm is strict about their names only while the classifier is on."""
    module = _create(timm, name, kwargs, encoder, pretrained=True)
    if "num_classes" not in kwargs:
        reset: Callable[..., None] = getattr(module, "reset_classifier")  # noqa: B009 - of timm's
        reset(0)
    return module


def _find_layer(timm: Any, key: str, value: object) -> object:
    """Find the layer that a string names; timm resolves the names of some, and not of all."""
    if not key.endswith("_layer") or not isinstance(value, str):
        return value
    found = getattr(timm.layers, value, None)
    return found if callable(found) else value


def _channels_first(_module: nn.Module, _inputs: object, output: Any) -> Any:
    return output.permute(0, 3, 1, 2) if output.ndim == 4 else output  # noqa: PLR2004 - a map


def _classifiers(module: Any) -> tuple[str, ...]:
    """The beginnings of the names of a classifier's weights, where the module has none."""
    named = module.pretrained_cfg.get("classifier") or ()
    names = (named,) if isinstance(named, str) else tuple(named)
    own = tuple(module.state_dict())
    return tuple(f"{n}." for n in names if not any(key.startswith(f"{n}.") for key in own))


def _describe(
    timm: Any, module: Any, kwargs: Mapping[str, Argument], card: EncoderCard
) -> EncoderCard:
    known = module.pretrained_cfg
    n_prefix = getattr(module, "num_prefix_tokens", None)
    global_pool = kwargs.get("global_pool", known.get("global_pool") or _own_pool(module))
    pooling = card.pooling or _POOLS.get(str(global_pool), "")
    if n_prefix == 0 and pooling in ("cls", "cls+mean"):
        raise EncoderError(
            card.name, f"has no class token, and cannot be pooled as {pooling!r}",
            remedy="Set pooling to mean.",
        )  # fmt: skip
    if not pooling and global_pool == "" and n_prefix == 0:
        pooling = "mean"
    hub, origin = known.get("hf_hub_id"), known.get("origin_url")
    where = f"https://huggingface.co/{hub}" if hub else origin or ""
    card = replace(card, pooling=pooling, n_prefix_tokens=n_prefix, source=card.source or where)
    return replace(
        _with_pixels(timm, module, kwargs, card),
        dim=_dim(module, pooling, kwargs),
        licence=str(known.get("license") or card.licence),
    )


def _own_pool(module: Any) -> str:
    """What a model does by itself, where it says so."""
    found = getattr(module, "global_pool", "")
    return found if isinstance(found, str) else ""


def _dim(module: Any, pooling: str, kwargs: Mapping[str, Argument]) -> int:
    if n_classes := kwargs.get("num_classes"):
        return int(n_classes)
    dim = int(getattr(module, "head_hidden_size", None) or module.num_features)
    return 2 * dim if pooling == "cls+mean" else dim


def _with_pixels(
    timm: Any, module: Any, kwargs: Mapping[str, Argument], card: EncoderCard
) -> EncoderCard:
    side = kwargs.get("img_size")
    arguments = {"img_size": int(side)} if side else {}
    config = timm.data.resolve_model_data_config(module, args=arguments)
    height, width = (int(n) for n in config["input_size"][1:])
    given = card.preprocessing
    if given != Preprocessing():
        is_fixed = module.pretrained_cfg.get("fixed_input_size") and not (
            given.crop_px or given.resize_px or kwargs.get("dynamic_img_size")
        )
        return replace(card, input_px=height) if is_fixed else card
    if height != width or config["interpolation"] not in ("bilinear", "bicubic"):
        raise EncoderError(
            card.name,
            f"was trained on {width} x {height} px, resampled {config['interpolation']}",
            remedy="Set its preprocessing: a square, bilinear or bicubic.",
        )
    # timm's ways to crop (center, squash, border) are one and the same for a square patch.
    preprocessing = Preprocessing(
        resize_px=max(height, math.floor(height / config["crop_pct"])),
        crop_px=height,
        interpolation=config["interpolation"],
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
    )
    return replace(card, preprocessing=preprocessing)
