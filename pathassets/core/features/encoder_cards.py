"""The name of an encoder ─▶ its card, without torch: what a recipe is validated against.

colour_stats, resnet18   declared in OWN, and made here
published encoders       declared in PUBLISHED; the user has the weights
timm:…, transformers:…   what they are is known once they are open: dim is None
a factory, a program     likewise
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import PurePath
from types import MappingProxyType
from typing import Literal

from pathassets.core.features.encoder import (
    COLOUR_STATS_CARD,
    RESNET18_CARD,
    EncoderCard,
    EncoderRequest,
)
from pathassets.core.features.published_encoders import DECLARATIONS, Declaration
from pathassets.core.near_names import closest
from pathassets.errors import SpecError

Kind = Literal["own", "published", "timm", "transformers", "program", "factory"]


def _fold(name: str) -> str:
    """A name without what differs between spellings of it."""
    return re.sub(r"[-_. ]", "", name).casefold()


OWN: Mapping[str, EncoderCard] = MappingProxyType(
    {card.name: card for card in (COLOUR_STATS_CARD, RESNET18_CARD)}
)
"""Encoders that need no file, by name."""
PUBLISHED: Mapping[str, Declaration] = MappingProxyType({d.card.name: d for d in DECLARATIONS})
"""Encoders whose weights the user has, by name."""
CARDS: Mapping[str, EncoderCard] = MappingProxyType(
    {**OWN, **{name: declared.card for name, declared in PUBLISHED.items()}}
)
"""Every encoder that has a name of its own."""

ALIASES: Mapping[str, str] = MappingProxyType(
    {
        "gigapath": "prov-gigapath",
        "resnet50": "resnet50-imagenet",
        "uni2": "uni2-h",
    }
)
"""Names that others give to encoders of ours, folded."""
_FOLDED: Mapping[str, str] = MappingProxyType({**ALIASES, **{_fold(name): name for name in CARDS}})

PROGRAMS = (".pt2", ".ts", ".torchscript")
"""Endings of files that are encoders themselves."""
FOLDER_PREFIX = "transformers:"
_FACTORY = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
_LIBRARIES: Mapping[str, Kind] = MappingProxyType({"timm": "timm", "transformers": "transformers"})


def known_name(name: str) -> str:
    """What an encoder is called here, where a name is another spelling of it; else the name.

    >>> known_name("UNI"), known_name("resnet50"), known_name("H_optimus 0"), known_name("a:b")
    ('uni', 'resnet50-imagenet', 'h-optimus-0', 'a:b')
    """
    return name if name in CARDS else _FOLDED.get(_fold(name), name)


def known_request(request: EncoderRequest | str) -> EncoderRequest:
    """The request, by the name that the encoder has here: no spelling makes another artifact."""
    if isinstance(request, str):
        return EncoderRequest(name=known_name(request))
    name = known_name(request.name)
    return request if name == request.name else replace(request, name=name)


def kind_of(name: str) -> Kind:
    """Tell what the name of an encoder means.

    Raises:
        SpecError: nothing that can be opened.

    >>> kind_of("timm:vit_small_patch16_224"), kind_of("my_models.vit:make"), kind_of("vit.pt2")
    ('timm', 'factory', 'program')
    """
    if name in CARDS:
        return "own" if name in OWN else "published"
    if PurePath(name).suffix in PROGRAMS:
        return "program"
    library, colon, rest = name.partition(":")
    if library in _LIBRARIES and colon and rest:
        return _LIBRARIES[library]
    if _FACTORY.fullmatch(name) and library not in _LIBRARIES:
        return "factory"
    close = closest(_fold(name), _FOLDED)
    hint = f"Did you mean {_FOLDED[close]}? " if close else ""
    raise SpecError(
        f"encoder {name}: there is no such encoder",
        remedy=f"{hint}The known encoders are: {', '.join(CARDS)}. Others: timm:MODEL, "
        "transformers:FOLDER, package.module:factory, a program (.pt2, .ts, .torchscript).",
    )


def plain_name(name: str) -> str:
    """What an encoder is called wherever its file or folder lies.

    >>> plain_name("/models/mine.pt2"), plain_name("transformers:/models/vit"), plain_name("uni")
    ('mine.pt2', 'transformers:vit', 'uni')
    """
    if name.startswith(FOLDER_PREFIX):
        return FOLDER_PREFIX + PurePath(name.removeprefix(FOLDER_PREFIX)).name
    return PurePath(name).name if PurePath(name).suffix in PROGRAMS else name


def card_of(request: EncoderRequest | str) -> EncoderCard:
    """Find or make the card of an encoder; what only the open encoder can tell is not on it.

    Raises:
        SpecError: there is no such encoder, or it is asked for what it has not.
    """
    request = known_request(request)
    kind = kind_of(request.name)
    _refuse_others(request, kind)
    declared = PUBLISHED.get(request.name)
    card = CARDS.get(request.name) or _unknown(request.name, kind)
    if declared and request.weights is None:
        terms = ", which are given out on request," if card.is_gated else ""
        raise SpecError(
            f"encoder {card.name}: no file with its weights is named",
            remedy=f"Get its weights{terms} from {declared.weights_file} ({card.source}) and name "
            "the file: weights",
        )
    if kind == "own":
        return card
    return replace(
        card,
        version=request.version or card.version,
        preprocessing=request.preprocessing or card.preprocessing,
        pooling=card.pooling if request.pooling == "auto" else request.pooling,
        # What is pooled in another way than declared has another length.
        dim=card.dim if request.pooling in ("auto", card.pooling) else None,
    )


_DRIVEN = frozenset({"version", "preprocessing", "pooling", "precision"})
_CHOICES: Mapping[Kind, frozenset[str]] = MappingProxyType(
    {
        "own": frozenset(),
        "published": _DRIVEN | {"weights"},
        "timm": _DRIVEN | {"weights", "kwargs"},
        "transformers": _DRIVEN,
        "program": _DRIVEN,
        "factory": _DRIVEN | {"weights", "kwargs"},
    }
)
"""What can be chosen of each kind of encoder, beside its name."""


def _refuse_others(request: EncoderRequest, kind: Kind) -> None:
    plain = EncoderRequest(name=request.name)
    changed = [
        f.name for f in fields(request) if getattr(request, f.name) != getattr(plain, f.name)
    ]
    refused = sorted(set(changed) - _CHOICES[kind])
    if refused:
        choices = ", ".join(sorted(_CHOICES[kind])) or "nothing beside its name"
        raise SpecError(
            f"encoder {request.name}: its {', '.join(refused)} cannot be chosen",
            remedy=f"Of such an encoder can be chosen: {choices}",
        )


def _unknown(name: str, kind: Kind) -> EncoderCard:
    described = {
        "timm": "A model of timm, as timm declares it.",
        "transformers": "A model of transformers, from a folder.",
        "program": "A program that was exported with its weights.",
        "factory": "A module that a function of the user's makes.",
    }
    return EncoderCard(
        name=plain_name(name),
        version="1",
        dim=None,
        input_px=None,
        is_trained=True,
        precision="float32",
        weights_sha256="",
        licence="not known here",
        description=described[kind],
        can_use_gpu=True,
    )
