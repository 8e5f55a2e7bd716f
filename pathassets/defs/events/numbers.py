"""Facts -> metadata as people write them; Dagster plots over partitions what is a number.

what differs from slide to slide                        a number, of three digits at least
what a recipe, an encoder or a slide's format fixes     text: a curve of it says nothing
"""

import math
from collections.abc import Mapping
from typing import Any

import dagster as dg

from pathassets.defs.text import text_value

FIXED = frozenset(
    """
    mpp mask_mpp patch_mpp trained_mpp slide_mpp downsample level asked_level patch_px side_px0 dim
    blurred_below width_px0 height_px0 n_levels objective_power
    """.split()  # noqa: SIM905 - a list of them takes fifteen lines
)
"""Numbers that are not plotted."""
N_DIGITS = 3
TEXT_CHARS = 500
"""Longest text of an event's metadata; the artifact has all of it."""


def fact_value(name: str, value: Any) -> dg.MetadataValue:
    """A fact as the page shows it."""
    if isinstance(value, bool):
        return dg.MetadataValue.bool(value)
    if isinstance(value, int | float) and name in FIXED:
        return text_value(written(value))
    if isinstance(value, int):
        return dg.MetadataValue.int(value)
    if isinstance(value, float):
        return dg.MetadataValue.float(rounded(value))
    if isinstance(value, Mapping):
        return dg.MetadataValue.json(dict(value))
    return text_value(str(value), n_chars=TEXT_CHARS)


def fact_values(facts: Mapping[str, Any]) -> dict[str, dg.MetadataValue]:
    """All of some facts."""
    return {name: fact_value(name, value) for name, value in facts.items()}


def rounded(value: float) -> float:
    """To three digits, and no whole digit lost.

    >>> [rounded(n) for n in (0.141234, 12.345, 1234.56, 0.0, 2e-7, float("inf"))]
    [0.141, 12.3, 1235.0, 0.0, 2e-07, inf]
    """
    if not value or not math.isfinite(value):
        return value
    return round(value, max(0, N_DIGITS - 1 - math.floor(math.log10(abs(value)))))


def written(value: float) -> str:
    """A number that is fixed: all of a whole one, four digits of another.

    >>> written(46920), written(0.25), written(0.50009), written(1.0), written(256)
    ('46,920', '0.25', '0.5001', '1', '256')
    """
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"
