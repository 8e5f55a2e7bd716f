"""Patches -> features: one row of numbers for every patch."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from pydantic.dataclasses import dataclass as spec_dataclass

from pathassets.core.encoder import Encoder
from pathassets.core.locations import PatchLocations
from pathassets.core.patches import read_patches
from pathassets.core.slide import Slide
from pathassets.core.spec import STRICT
from pathassets.errors import EncoderError

CODE_VERSION = "1"

N_BATCH = 64
"""Patches read before the encoder is called: 12 MB of pixels at 256 px."""


@spec_dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class FeatureSpec:
    """Which encoder looks at the patches."""

    encoder: str
    """Name of a known encoder; `pathassets encoders` lists them."""


def encode_patches(
    slide: Slide, locations: PatchLocations, encoder: Encoder
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield (index of the first row, float32 (m, dim)) in location order.

    Raises:
        TileUnreadable: the pixels of a patch cannot be decoded.
        EncoderError: a feature is not finite.
    """
    for start, batch in read_patches(slide, locations, n_batch=N_BATCH):
        rows = encoder.encode(batch)
        bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
        if bad.size:
            i = start + int(bad[0])
            raise EncoderError(
                encoder.card.name,
                f"features of patch {i} at level-0 point "
                f"({locations.x_px0[i]}, {locations.y_px0[i]}) are not finite",
                remedy="Look at that patch, and at the encoder's preprocessing and precision",
            )
        yield start, rows
