"""Patches -> features: one row of numbers for every patch."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from typing import Annotated, Any

import numpy as np
from pydantic import BeforeValidator
from pydantic.dataclasses import dataclass as spec_dataclass

from pathassets.core.features.encoder import EncoderRequest
from pathassets.core.features.encoder_cards import (
    FOLDER_PREFIX,
    PROGRAMS,
    known_request,
    plain_name,
)
from pathassets.core.locations.locations import PatchLocations
from pathassets.core.patches.read_plan import ReadSpec
from pathassets.core.spec import STRICT, canonical_json
from pathassets.errors import FeaturesNotFinite

CODE_VERSION = "3"


def _as_request(value: object) -> object:
    if isinstance(value, str | EncoderRequest):
        return known_request(value)
    raise ValueError("an encoder is a name, or a mapping with a name")


@spec_dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class FeatureSpec(ReadSpec):
    """Which encoder looks at the patches, and how they are read."""

    encoder: Annotated[EncoderRequest, BeforeValidator(_as_request)]
    """Its name, or a mapping of its name, weights, …; `pathassets encoders` lists the known."""

    @property
    def reading(self) -> ReadSpec:
        """How patches are read: encoders that share it can share the reading, too."""
        return ReadSpec(**{f.name: getattr(self, f.name) for f in fields(ReadSpec)})


def files_of(request: EncoderRequest) -> dict[str, str]:
    """Files and folders that an encoder is opened from, by the field that names them."""
    found = {} if request.weights is None else {"weights": request.weights}
    if request.name.endswith(PROGRAMS):
        found["name"] = request.name
    elif request.name.startswith(FOLDER_PREFIX):
        found["name"] = request.name.removeprefix(FOLDER_PREFIX)
    return found


def with_files(request: EncoderRequest, paths: dict[str, str]) -> EncoderRequest:
    """The same request with other paths, by the field that names them."""
    changed: dict[str, Any] = dict(paths)
    if "name" in paths and request.name.startswith(FOLDER_PREFIX):
        changed["name"] = FOLDER_PREFIX + paths["name"]
    return replace(request, **changed)


def recipe_value(request: EncoderRequest) -> Any:
    """What of a request decides the features, in plain JSON: no folder, and no default.

    >>> recipe_value(EncoderRequest(name="resnet18"))
    'resnet18'
    >>> recipe_value(EncoderRequest(name="/models/mine.pt2", precision="bfloat16"))
    {'name': 'mine.pt2', 'precision': 'bfloat16'}
    """
    name = plain_name(request.name)
    plain = json.loads(canonical_json(replace(request, name=name, weights=None)))
    default = json.loads(canonical_json(EncoderRequest(name="")))
    changed = {f: value for f, value in sorted(plain.items()) if value != default[f]}
    return name if changed == {"name": name} else changed


def require_finite(
    rows: np.ndarray, indices: np.ndarray, locations: PatchLocations, encoder: str
) -> None:
    """Refuse features (m, …) of some locations that are not finite.

    Raises:
        FeaturesNotFinite: one is not; it names the patch.
    """
    bad = np.flatnonzero(~np.isfinite(rows).all(axis=tuple(range(1, rows.ndim))))
    if bad.size:
        i = int(indices[bad[0]])
        raise FeaturesNotFinite(
            encoder,
            f"features of patch {i} at level-0 point "
            f"({locations.x_px0[i]}, {locations.y_px0[i]}) are not finite",
            remedy="Look at that patch, and at the encoder's preprocessing and precision",
        )
