"""What a recipe or a user asks for ─▶ an open encoder.

    colour_stats, resnet18 ─────────────────────────────────────────▶ encoder
    published name + file ─▶ architecture declared ─▶ weights loaded ─┐
    timm:…, transformers:…, .pt2, .ts ─▶ module ──────────────────────┼─▶ TorchEncoder
    package.module:factory ─▶ module of the user, or an encoder ──────┘

Torch and the libraries of models are imported when an encoder that needs them is opened.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, cast

from pathassets.core.features.colour_stats import ColourStats
from pathassets.core.features.encoder import Encoder, EncoderCard, EncoderRequest
from pathassets.core.features.encoder_cards import PUBLISHED, Kind, card_of, kind_of, known_request
from pathassets.core.features.preprocessing import Preprocessing
from pathassets.core.features.published_encoders import Declaration
from pathassets.errors import EncoderError


def open_encoder(
    request: EncoderRequest | str, *, device: str = "cpu", rows: int | None = None
) -> Encoder:
    """Open an encoder on 'cpu' or 'cuda:N'; for those on torch this costs seconds.

    Args:
        request: Its name, or the whole request.
        device: Where it computes; see `device_of`.
        rows: Patches in one pass of a model; None for what the device does well. The encoders
            that are made here have a number of their own.

    Raises:
        SpecError: there is no such encoder, or it is asked for what it has not.
        EncoderError: it cannot run on the device, or be opened with these weights.
    """
    request = known_request(request)
    card, device = card_of(request), device_of(device)
    if device != "cpu" and not card.can_use_gpu:
        raise EncoderError(
            card.name,
            f"runs on the CPU alone, not on {device!r}",
            remedy="Open it with device='cpu'.",
        )
    if request.name in _OWN:
        return _OWN[request.name](device)
    opened = _OPENERS[kind_of(request.name)](request, card, device)
    if not isinstance(opened, tuple):
        return opened
    module, card = opened
    if request.preprocessing is not None:
        card = replace(card, preprocessing=request.preprocessing)
    from pathassets.adapters.torch import TorchEncoder  # noqa: PLC0415 - torch takes seconds

    return TorchEncoder(
        module, card, device=device, rows=rows,
        precision=request.precision, pooling=request.pooling,
    )  # fmt: skip


def encoder_of_module(
    module: Any,
    *,
    name: str,
    device: str = "cpu",
    rows: int | None = None,
    weights: str | None = None,
) -> Encoder:
    """Make an encoder of a torch.nn.Module, in memory.

    It gets RGB float32 (n, 3, y, x) in [0, 1], unless it has an attribute `preprocessing` that is a
    `Preprocessing`, or the functions `preproc_func` and `infer_batch`. `weights`: a file for it.

    Raises:
        EncoderError: it cannot run on the device, or be given these weights.
    """
    from pathassets.adapters.torch import TorchEncoder  # noqa: PLC0415 - torch takes seconds

    card = replace(card_of(EncoderRequest(name="a:module")), name=name)
    module, card = _with_weights(module, card, weights)
    return TorchEncoder(module, card, device=device_of(device), rows=rows)


def device_of(device: object) -> str:
    """What a device is called here, of a name or a `torch.device`.

    >>> device_of("CPU"), device_of("gpu"), device_of("cuda"), device_of("gpu:1")
    ('cpu', 'cuda:0', 'cuda:0', 'cuda:1')
    """
    name = str(device).strip().casefold()
    if name == "gpu" or name.startswith("gpu:"):
        name = name.replace("gpu", "cuda", 1)
    return "cuda:0" if name == "cuda" else name


def _open_colour_stats(_device: str) -> Encoder:
    return ColourStats()


def _open_resnet18(device: str) -> Encoder:
    from pathassets.adapters.torch import ResNet18Encoder  # noqa: PLC0415 - torch takes seconds

    return ResNet18Encoder(device=device)


_OWN: Mapping[str, Callable[[str], Encoder]] = MappingProxyType(
    {"colour_stats": _open_colour_stats, "resnet18": _open_resnet18}
)
"""What opens each encoder that is made here. The names are those of the cards (held by a test)."""

Opened = Encoder | tuple[Any, EncoderCard]
"""An encoder, or a module of torch on the CPU, with all that is now known about it."""


def _open_published(request: EncoderRequest, card: EncoderCard, _device: str) -> Opened:
    from pathassets.adapters.torch.weights import file_sha256, load_weights  # noqa: PLC0415

    path = str(request.weights)  # the card was refused without
    sha256 = file_sha256(path)  # before an architecture is built for nothing
    declared = _with_pooling(PUBLISHED[request.name], request)
    if declared.library == "transformers":
        from pathassets.adapters.transformers import build  # noqa: PLC0415 - optional, slow
    else:
        from pathassets.adapters.timm import build  # noqa: PLC0415 - optional, and takes seconds
    module = build(declared)
    load_weights(module, path, card.name, left_out=declared.left_out)
    return module, replace(card, weights_sha256=sha256)


def _with_pooling(declared: Declaration, request: EncoderRequest) -> Declaration:
    """Keep timm from pooling itself where another pooling is asked for than it declares."""
    if request.pooling in ("auto", declared.card.pooling) or declared.library != "timm":
        return declared
    return replace(declared, kwargs={**declared.kwargs, "global_pool": ""})


def _open_timm(request: EncoderRequest, card: EncoderCard, _device: str) -> Opened:
    from pathassets.adapters.timm import open_model  # noqa: PLC0415 - optional, and takes seconds

    kwargs = dict(request.kwargs or {})
    if request.pooling != "auto":
        kwargs.setdefault("global_pool", "")
    name = request.name.partition(":")[2]
    module, card = open_model(name, weights=request.weights, kwargs=kwargs, card=card)
    return module, replace(card, weights_sha256=_weights_sha256(module, request.weights))


def _open_transformers(request: EncoderRequest, card: EncoderCard, _device: str) -> Opened:
    from pathassets.adapters.transformers import open_folder  # noqa: PLC0415 - optional, slow

    module, card = open_folder(request.name.partition(":")[2], card=card)
    return module, replace(card, weights_sha256=_weights_sha256(module, None))


def _open_program(request: EncoderRequest, card: EncoderCard, device: str) -> Opened:
    from pathassets.adapters.torch.programs import open_program  # noqa: PLC0415

    module, sha256 = open_program(request.name, device=device)
    return module, replace(card, weights_sha256=sha256)


def _open_factory(request: EncoderRequest, card: EncoderCard, _device: str) -> Opened:
    from pathassets.adapters.torch import seeded  # noqa: PLC0415 - torch takes seconds

    make = _find_factory(request.name)
    with seeded():  # a module without weights of its own is the same one in every process
        try:
            made = make(**(request.kwargs or {}))
        except TypeError as error:
            raise EncoderError(
                request.name, f"cannot be called so: {error}", remedy="Look at its kwargs."
            ) from error
    if not _is_encoder(made):
        return _with_weights(made, card, request.weights)
    if request.weights is not None:
        raise EncoderError(
            request.name, "makes an encoder, which has its weights",
            remedy="Take out weights, or let the factory make a torch.nn.Module.",
        )  # fmt: skip
    return cast("Encoder", made)


def _find_factory(name: str) -> Callable[..., object]:
    module, _, attribute = name.partition(":")
    try:
        found: object = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise EncoderError(
            name,
            f"cannot be imported: {error}",
            remedy="Install its package beside pathassets, or name its folder in PYTHONPATH.",
        ) from error
    if not callable(found):
        raise EncoderError(name, "is no function", remedy="Name one that makes the module.")
    return cast("Callable[..., object]", found)


def _is_encoder(made: object) -> bool:
    return all(hasattr(made, part) for part in ("card", "rows", "encode", "begin"))


def _with_weights(module: Any, card: EncoderCard, weights: str | None) -> tuple[Any, EncoderCard]:
    """Give a module of the user its weights, and the card what the module declares."""
    if not hasattr(module, "state_dict"):
        raise EncoderError(
            card.name, f"is a {type(module).__name__}",
            remedy="An encoder is a torch.nn.Module, or has card, rows, encode and begin.",
        )  # fmt: skip
    if weights is not None:
        from pathassets.adapters.torch.weights import load_weights  # noqa: PLC0415

        load_weights(module, weights, card.name)
    declared = getattr(module, "preprocessing", None)
    if isinstance(declared, Preprocessing):
        card = replace(card, preprocessing=declared)
    return module, replace(card, weights_sha256=_weights_sha256(module, weights))


def _weights_sha256(module: Any, weights: str | None) -> str:
    """The SHA-256 of the file that was given, else of what the module has."""
    from pathassets.adapters.torch.weights import file_sha256, weights_sha256_of  # noqa: PLC0415

    return file_sha256(weights) if weights is not None else weights_sha256_of(module)


_OPENERS: Mapping[Kind, Callable[[EncoderRequest, EncoderCard, str], Opened]] = MappingProxyType(
    {
        "published": _open_published,
        "timm": _open_timm,
        "transformers": _open_transformers,
        "program": _open_program,
        "factory": _open_factory,
    }
)
