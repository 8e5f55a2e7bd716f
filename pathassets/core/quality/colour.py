"""Colours of a cohort's slides -> how far each is from the others: it changes as the cohort grows.

    z of a channel = |median density of the slide - median of the cohort| / (1.4826 MAD)

The largest of red, green and blue counts. Median and MAD are not moved by the slides that are far
off, as mean and standard deviation would be (Leys et al. 2013, doi:10.1016/j.jesp.2013.03.013).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

COLOURS = ("od_red", "od_green", "od_blue")
MAD_SCALE = 1.4826
"""Of a normal distribution, the standard deviation is so many times the MAD."""
MIN_SLIDES = 5
"""Fewer tell nothing of a cohort."""
MIN_DEVIATION_OD = 0.01
"""Standard deviation that slides of one scanner and stainer have at least: a density of 0.01 is two
grey levels, and what differs by less has the same colour."""


def colour_deviations(facts: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """How far each slide's colour is from that of all: robust z, by slide; O(slides).

    Slides without a colour, as those without patches, have none; of fewer than 5 nobody has.
    """
    known = {s: [f.get(name) for name in COLOURS] for s, f in facts.items()}
    known = {slide_id: colour for slide_id, colour in known.items() if None not in colour}
    if len(known) < MIN_SLIDES:
        return {}
    colours = np.array([*known.values()], np.float64)
    apart = np.abs(colours - np.median(colours, axis=0))
    deviation = np.maximum(MAD_SCALE * np.median(apart, axis=0), MIN_DEVIATION_OD)
    return dict(zip(known, (apart / deviation).max(axis=1).tolist(), strict=True))
