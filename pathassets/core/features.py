"""Patches -> features: one row of numbers for every patch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from pydantic.dataclasses import dataclass as spec_dataclass

from pathassets.core.encoder import Encoder
from pathassets.core.locations import PatchLocations
from pathassets.core.patches import ReadSpec
from pathassets.core.spec import STRICT
from pathassets.errors import EncoderError

CODE_VERSION = "2"


@spec_dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class FeatureSpec(ReadSpec):
    """Which encoder looks at the patches, and how they are read."""

    encoder: str
    """Name of a known encoder; `pathassets encoders` lists them."""


def encode_patches(
    batches: Iterable[tuple[np.ndarray, np.ndarray]], locations: PatchLocations, encoder: Encoder
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Encode batches of (indices of locations, RGB uint8 (m, y, x, 3)).

    Yields (the same indices, float32 (m, dim)).

    Raises:
        EncoderError: a feature is not finite.
    """
    for indices, pixels in batches:
        rows = encoder.encode(pixels)
        bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
        if bad.size:
            i = int(indices[bad[0]])
            raise EncoderError(
                encoder.card.name,
                f"features of patch {i} at level-0 point "
                f"({locations.x_px0[i]}, {locations.y_px0[i]}) are not finite",
                remedy="Look at that patch, and at the encoder's preprocessing and precision",
            )
        yield indices, rows
