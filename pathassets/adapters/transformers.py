"""The only door to transformers: folders of its models, and published encoders ─▶ nn.Module.

A module from here gives all its tokens (n, t, d), which are pooled as the card says: a pooler that
nobody trained has no part in features. transformers is an optional extra.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import pickle
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import safetensors
import torch
from torch import nn

from pathassets.adapters.named_files import read_named
from pathassets.core.features.encoder import EncoderCard
from pathassets.core.features.preprocessing import Preprocessing
from pathassets.core.features.published_encoders import Declaration
from pathassets.errors import EncoderError

_FAULTS = (
    OSError, RuntimeError, ValueError, KeyError, TypeError, ImportError,
    pickle.UnpicklingError, safetensors.SafetensorError,
)  # fmt: skip
"""What transformers raises over a folder."""
_RESAMPLE = {2: "bilinear", 3: "bicubic"}
"""Pillow's numbers, which the files have."""
_CLASS_TOKENS = ("cls_token", "class_embedding", "class_token")


class Tokens(nn.Module):
    """A model of transformers, whose weights keep their names, as its tokens or its own pooling."""

    def __init__(self, inner: Any, *, is_pooled: bool = False) -> None:
        super().__init__()
        self.inner = inner
        self.is_pooled = is_pooled

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Give last_hidden_state, or pooler_output where the model pools by itself."""
        output = self.inner(pixel_values=pixels)
        pooled = output.get("pooler_output") if self.is_pooled else None
        found: torch.Tensor = output["last_hidden_state"] if pooled is None else pooled
        return found.flatten(1) if pooled is not None else found

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """Give the weights by the model's own names."""
        return self.inner.state_dict(*args, **kwargs)

    def load_state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """Take the weights by the model's own names."""
        return self.inner.load_state_dict(*args, **kwargs)

    def renamed(self, found: Mapping[str, object]) -> dict[str, object]:
        """Rename weights as this version of transformers does those of earlier ones.

        What is missing is missing from the result; what is left over stays in it.
        """
        kind = type(self.inner)
        extra = _extra(kind.__name__)
        with _quiet():
            loaded, info = kind.from_pretrained(
                None, config=self.inner.config, state_dict=dict(found),
                output_loading_info=True, dtype=torch.float32, **extra,
            )  # fmt: skip
        missing = set(info["missing_keys"])
        own = {k: v for k, v in loaded.state_dict().items() if k not in missing}
        return own | {key: found.get(key) for key in info["unexpected_keys"]}


def open_folder(folder: str, *, card: EncoderCard) -> tuple[nn.Module, EncoderCard]:
    """Open a model from a local folder, on the CPU; no code of the folder is executed.

    Its preprocessing is that of preprocessor_config.json, unless the card has another than the
    default.

    Raises:
        EncoderError: the folder is absent or incomplete, or its model is not one for images alone.
    """
    config = _read_json(Path(folder), "config.json", card.name)
    transformers = _import_transformers(card.name)
    try:
        with _quiet():
            inner, info = transformers.AutoModel.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False, dtype=torch.float32,
                output_loading_info=True,
            )  # fmt: skip
    except _FAULTS as error:
        raise _cannot_open(folder, config, error, card.name) from error
    if inner.main_input_name != "pixel_values":
        raise EncoderError(
            card.name, f"{type(inner).__name__} takes {inner.main_input_name}, not pixels alone",
            remedy="Save the folder of its vision model alone.",
        )  # fmt: skip
    has_token = any(name.endswith(_CLASS_TOKENS) for name, _ in inner.named_parameters())
    is_pooled = not has_token and not card.pooling
    _require_all(inner, info, card.name, is_pooled=is_pooled)
    n_registers = getattr(inner.config, "num_register_tokens", 0)
    if card.preprocessing == Preprocessing():
        card = replace(card, preprocessing=_read_preprocessing(Path(folder), card.name))
    return Tokens(inner.eval(), is_pooled=is_pooled), _pooled(
        card, _hidden_size(inner.config), 1 + n_registers if has_token else 0
    )


def build(declared: Declaration) -> nn.Module:
    """Build the architecture of a published encoder, without its weights.

    Raises:
        EncoderError: transformers is missing, or has no such class.
    """
    name = declared.card.name
    transformers = _import_transformers(name)
    try:
        kind = getattr(transformers, declared.architecture)
        config = kind.config_class(**declared.kwargs)
        inner = kind(config, **_extra(declared.architecture))
    except (AttributeError, *_FAULTS) as error:
        raise EncoderError(
            name, f"transformers cannot make {declared.architecture}: {error}",
            remedy="pip install --upgrade 'pathassets[transformers]'",
        ) from error  # fmt: skip
    return Tokens(inner.eval())


def _extra(kind: str) -> dict[str, bool]:
    """Arguments that keep a class from having a pooler: of published encoders only ViT's has."""
    return {"add_pooling_layer": False} if kind == "ViTModel" else {}


def _import_transformers(encoder: str) -> Any:
    try:
        return importlib.import_module("transformers")
    except ModuleNotFoundError as error:
        raise EncoderError(
            encoder, f"{error.name} is not installed",
            remedy="pip install 'pathassets[transformers]'",
        ) from error  # fmt: skip


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep transformers from drawing bars and tables: what is missing is refused in words."""
    logging = importlib.import_module("transformers").utils.logging
    level, has_bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if has_bars:
            logging.enable_progress_bar()


def _read_json(folder: Path, name: str, encoder: str) -> dict[str, Any]:
    if not folder.is_dir():
        raise EncoderError(
            encoder, f"there is no folder {folder}", remedy="Name the folder of config.json."
        )
    try:
        found = json.loads(read_named(folder / name))
    except FileNotFoundError as error:
        raise EncoderError(
            encoder, f"{folder} has no {name}",
            remedy="Get it from where the weights are from; "
            "preprocessor_config.json is not needed where preprocessing is set.",
        ) from error  # fmt: skip
    except (OSError, ValueError) as error:
        raise EncoderError(
            encoder, f"{folder / name} cannot be read: {error}", remedy="Get it again."
        ) from error
    if not isinstance(found, dict):
        raise EncoderError(encoder, f"{folder / name} is no JSON object", remedy="Get it again.")
    return found


def _cannot_open(
    folder: str, config: Mapping[str, Any], error: Exception, encoder: str
) -> EncoderError:
    if "torchvision" in str(error) and "torchvision::" in str(error):
        return EncoderError(
            encoder, f"torchvision was built for another torch: {error}",
            remedy="Install the one of torch's index, or none.",
        )  # fmt: skip
    if "auto_map" in config or "trust_remote_code" in str(error):
        return EncoderError(
            encoder, f"{folder} needs code of its own, which is not executed",
            remedy="Load the model in a function of your own and name it: package.module:factory.",
        )  # fmt: skip
    said = str(error).strip().partition("\n")[0]
    return EncoderError(
        encoder, f"transformers cannot open {folder}: {said}",
        remedy="Check that config.json and the weights (model.safetensors at best) are whole.",
    )  # fmt: skip


def _require_all(inner: Any, info: Mapping[str, Any], encoder: str, *, is_pooled: bool) -> None:
    """Refuse a model that is in part drawn at random, or that is less than its file."""
    parts = {name.partition(".")[0] for name in inner.state_dict()}
    missing = [k for k in info["missing_keys"] if is_pooled or not k.startswith("pooler.")]
    left_over = [k for k in info["unexpected_keys"] if k.partition(".")[0] in parts]
    facts = [
        f"{len(names)} weights are {what} ({', '.join(sorted(map(str, names))[:5])})"
        for what, names in (
            ("missing", missing),
            ("left over", left_over),
            ("of another shape", info["mismatched_keys"]),
        )
        if names
    ]
    if facts:
        raise EncoderError(
            encoder, f"config.json and the weights differ: {'; '.join(facts)}",
            remedy="Get both from one place.",
        )  # fmt: skip


def _hidden_size(config: Any) -> int | None:
    found = getattr(config, "hidden_size", None)
    return found if isinstance(found, int) else None


def _pooled(card: EncoderCard, dim: int | None, n_prefix: int) -> EncoderCard:
    pooling = card.pooling or ("cls" if n_prefix else "mean")
    if not n_prefix and pooling in ("cls", "cls+mean"):
        raise EncoderError(
            card.name, f"has no class token, and cannot be pooled as {pooling!r}",
            remedy="Set pooling to mean.",
        )  # fmt: skip
    dim = 2 * dim if dim and pooling == "cls+mean" else dim
    return replace(card, pooling=pooling, dim=dim, n_prefix_tokens=n_prefix)


def _read_preprocessing(folder: Path, encoder: str) -> Preprocessing:
    found = _read_json(folder, "preprocessor_config.json", encoder)
    try:
        return _preprocessing_of(found)
    except (ValueError, TypeError, KeyError) as error:
        raise EncoderError(
            encoder, f"{folder / 'preprocessor_config.json'} is not understood: {error}",
            remedy="Set the preprocessing.",
        ) from error  # fmt: skip


def _preprocessing_of(found: Mapping[str, Any]) -> Preprocessing:
    size, crop = found.get("size"), found.get("crop_size")
    resizes = found.get("do_resize", size is not None)
    normalises = found.get("do_normalize", "image_mean" in found)
    sides: dict[str, Any] = {}
    if resizes:
        sides |= {"resize_px": _side(size), "interpolation": _RESAMPLE[found["resample"]]}
    if found.get("do_center_crop", crop is not None):
        sides["crop_px"] = _side(crop)
    if normalises:
        sides |= {"mean": _rgb(found["image_mean"]), "std": _rgb(found["image_std"])}
    scale = found.get("rescale_factor", 1 / 255) if found.get("do_rescale", True) else 1.0
    return Preprocessing(**sides, scale=scale)


def _rgb(value: Any) -> tuple[float, ...]:
    return tuple(float(v) for v in value)


def _side(size: Any) -> int:
    """The side of the square; patches are square, so that a shortest edge is that as well."""
    if isinstance(size, int):
        return size
    if not isinstance(size, dict):
        raise TypeError(f"{size} is no size")
    sides = {size[key] for key in ("height", "width", "shortest_edge") if size.get(key)}
    if len(sides) != 1:
        raise ValueError(f"{size} is no square")
    return int(sides.pop())
