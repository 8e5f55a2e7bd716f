"""The name of an encoder ─▶ its card, without torch: what a recipe is validated against.

    colour_stats, resnet18 │ published encoders │ timm:…, transformers:…, a factory, a program
         made here         │     declared       │     known once they are open: dim is None
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import PurePath
from types import MappingProxyType
from typing import Literal

from pathassets.core.encoder import COLOUR_STATS_CARD, RESNET18_CARD, EncoderCard, EncoderRequest
from pathassets.core.pathology_encoders import DECLARATIONS, Declaration
from pathassets.errors import SpecError

Kind = Literal["own", "published", "timm", "transformers", "program", "factory"]

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

PROGRAMS = (".pt2", ".ts", ".torchscript")
_FACTORY = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
_LIBRARIES: Mapping[str, Kind] = MappingProxyType({"timm": "timm", "transformers": "transformers"})


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
    close = difflib.get_close_matches(name, CARDS, n=1)
    hint = f"Did you mean {close[0]}? " if close else ""
    raise SpecError(
        f"encoder {name}: there is no such encoder",
        remedy=f"{hint}The known encoders are: {', '.join(CARDS)}. Others: timm:MODEL, "
        "transformers:FOLDER, package.module:factory, a program (.pt2, .ts, .torchscript).",
    )


def card_of(request: EncoderRequest | str) -> EncoderCard:
    """Find or make the card of an encoder; what only the open encoder can tell is not on it.

    Raises:
        SpecError: there is no such encoder, or it is asked for what it has not.
    """
    if isinstance(request, str):
        request = EncoderRequest(name=request)
    kind = kind_of(request.name)
    if kind == "own":
        return _own(request)
    declared = PUBLISHED.get(request.name)
    card = declared.card if declared else _unknown(request.name, kind)
    if declared and request.weights is None:
        terms = ", which are given out on request," if card.is_gated else ""
        raise SpecError(
            f"encoder {card.name}: no file with its weights is named",
            remedy=f"Get its weights{terms} from {declared.weights_file} ({card.source}) and name "
            "the file: weights",
        )
    return replace(
        card,
        version=request.version or card.version,
        preprocessing=request.preprocessing or card.preprocessing,
        pooling=card.pooling if request.pooling == "auto" else request.pooling,
        # What is pooled in another way than declared has another length.
        dim=card.dim if request.pooling in ("auto", card.pooling) else None,
    )


def _own(request: EncoderRequest) -> EncoderCard:
    """The card of an encoder that is made here, and has nothing to choose."""
    given = [
        field
        for field, default in (
            ("weights", None), ("kwargs", None), ("version", ""), ("preprocessing", None),
            ("pooling", "auto"),
        )
        if getattr(request, field) != default
    ]  # fmt: skip
    if request.precision not in ("auto", "float32"):
        given.append("precision")
    if given:
        raise SpecError(
            f"encoder {request.name}: has no {', '.join(given)} to choose",
            remedy="Name the encoder alone, or another one.",
        )
    return OWN[request.name]


def _unknown(name: str, kind: Kind) -> EncoderCard:
    described = {
        "timm": "A model of timm, as timm declares it.",
        "transformers": "A model of transformers, from a folder.",
        "program": "A program that was exported with its weights.",
        "factory": "A module that a function of the user's makes.",
    }
    return EncoderCard(
        name=name,
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
