"""Focus and colour of a cohort's slides -> which are unlike the others: as it grows, others are.

    z of a channel = |median density of the slide - median of the cohort| / (1.4826 MAD)

The largest of red, green and blue counts; of focus, how far its logarithm is below. Median and MAD
are not moved by the slides that are far off, as mean and standard deviation would be (Leys et al.
2013, doi:10.1016/j.jesp.2013.03.013).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

COLOURS = ("od_red", "od_green", "od_blue")
FOCUS = "focus_median"
DEVIATION = "colour_deviation"
"""What `beside_others` adds to the facts of a slide."""
MAD_SCALE = 1.4826
"""Of a normal distribution, the standard deviation is so many times the MAD."""
MIN_SLIDES = 5
"""Fewer tell nothing of a cohort."""
MIN_DEVIATION_OD = 0.01
"""Standard deviation that slides of one scanner and stainer have at least: a density of 0.01 is two
grey levels, and what differs by less has the same colour."""
ODD_COLOUR_FROM = 5.0
"""Standard deviations from which a colour is called odd, where nobody states another limit."""
FAR_BELOW = 3.5
"""Standard deviations below the others from which a slide is called out of focus.

Source: Iglewicz & Hoaglin 1993, How to Detect and Handle Outliers, ASQC
"""
LEAST_BLUR = 0.5
"""Share of the others' focus below which one can be called so at all."""


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


def beside_others(facts: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Facts of slides with how far the colour of each is from the others', None where unknown."""
    apart = colour_deviations(facts)
    return {slide_id: {**one, DEVIATION: apart.get(slide_id)} for slide_id, one in facts.items()}


def odd_colours(facts: Mapping[str, Mapping[str, Any]]) -> set[str]:
    """Slides of which the colour is far from that of the others."""
    return {one for one, apart in colour_deviations(facts).items() if apart > ODD_COLOUR_FROM}


def out_of_focus(facts: Mapping[str, Mapping[str, Any]]) -> set[str]:
    """Slides that are far less sharp than the others, and half as sharp at most.

    >>> sorted(out_of_focus({n: {"focus_median": f} for n, f in zip("abcdef", [9, 8, 9, 7, 9, 1])}))
    ['f']
    """
    known = {slide_id: f for slide_id, one in facts.items() if (f := one.get(FOCUS)) is not None}
    if len(known) < MIN_SLIDES:
        return set()
    logs = np.log(np.maximum([*known.values()], np.finfo(np.float64).tiny))
    below = np.median(logs) - logs
    far = max(FAR_BELOW * MAD_SCALE * float(np.median(np.abs(below))), -np.log(LEAST_BLUR))
    return {slide_id for slide_id, by in zip(known, below.tolist(), strict=True) if by > far}
