"""What resolution is asked for -> which level to read, and how far to resample it.

Four ways to say it, as in the field's tools:

    level       index of a stored level                     0, 1, 2
    mpp         micrometres per pixel                       0.5
    power       objective power                             20
    baseline    share of level 0's pixels along a side      0.5 is half

All become one number: `downsample`, level-0 pixels per pixel, a float (2.00050555 is a real
slide's). It is never rounded to a power of two, and no resolution is rounded to a level.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from pathassets.errors import SpecError

Unit = Literal["level", "mpp", "power", "baseline"]

LevelOrMpp = int | float
"""How patch classes take a resolution: an int is a level, a float micrometres per pixel."""

LEVEL_TOLERANCE = 1.005
"""A level counts as fine enough when it is at most half a per cent coarser than asked.

Scanners store 2.0005 where 2 is meant: without it, half resolution would be read from level 0.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scales:
    """What a slide knows of its resolution."""

    level_downsamples: tuple[float, ...]
    """Level-0 pixels per pixel of each level, finest first."""
    mpp: float | None = None
    """Micrometres per level-0 pixel, where it is known."""
    objective_power: float | None = None
    """Of the scan, where it is stated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelChoice:
    """The level that is read for a downsample, and what is left to do."""

    level: int
    scale: float
    """Level pixels per pixel asked for; below 1 where the slide has fewer than asked for."""

    @property
    def is_upsampled(self) -> bool:
        """Whether the slide has fewer pixels than asked for, beyond the tolerance."""
        return self.scale * LEVEL_TOLERANCE < 1.0

    def length_px(self, length: int) -> int:
        """Level pixels, 1 or more, that become `length` pixels.

        >>> LevelChoice(level=1, scale=2.0 / 2.0005).length_px(256)
        256
        """
        return max(1, round(length * self.scale))


def downsample_for(mpp: float, slide_mpp: float) -> float:
    """Level-0 pixels per pixel of a raster at `mpp`.

    >>> downsample_for(1.0, 0.25)
    4.0
    """
    return mpp / slide_mpp


def downsample_of(value: float, unit: Unit, scales: Scales) -> float:
    """Level-0 pixels per pixel of a resolution, however it is said.

    >>> scales = Scales(level_downsamples=(1.0, 4.0), mpp=0.25, objective_power=40.0)
    >>> [downsample_of(v, u, scales) for v, u in ((1, "level"), (1.0, "mpp"), (10, "power"))]
    [4.0, 4.0, 4.0]
    >>> downsample_of(0.25, "baseline", scales)
    4.0

    Raises:
        SpecError: it is no positive number, or the slide does not know what that unit needs.
    """
    if unit == "level":
        return scales.level_downsamples[_level_of(value, scales)]
    if not 0.0 < value < math.inf:
        raise SpecError(f"resolution: {value!r} {unit} is not above 0")
    downsample = _downsample(value, unit, scales)
    if not 0.0 < downsample < math.inf:
        raise SpecError(f"resolution: {value!r} {unit} is beyond all that can be read")
    return downsample


def as_level_or_mpp(value: object) -> LevelOrMpp:
    """Tell a level from micrometres per pixel, by type; numpy's numbers become Python's.

    >>> as_level_or_mpp(np.int64(1)), as_level_or_mpp(np.float64(0.5))
    (1, 0.5)

    Raises:
        SpecError: it is neither: a truth value, a text, a negative level, no positive number.
    """
    if isinstance(value, int | np.integer) and not isinstance(value, bool) and value >= 0:
        return int(value)
    if isinstance(value, float | np.floating) and 0.0 < value < math.inf:
        return float(value)
    raise SpecError(
        f"resolution: {value!r} is neither a level nor micrometres per pixel",
        remedy="Give an int of 0 or more for a stored level, or a float above 0 for mpp",
    )


def unit_of(value: LevelOrMpp) -> Literal["level", "mpp"]:
    """What the type of a number says it is."""
    return "mpp" if isinstance(value, float) else "level"


def matching_level(level_downsamples: Sequence[float], downsample: float) -> int | None:
    """The level whose pixels are those asked for, within the tolerance; None where none is.

    >>> matching_level([1.0, 2.0005], 2.0), matching_level([1.0, 4.0], 2.0)
    (1, None)
    """
    near = [(max(d / downsample, downsample / d), i) for i, d in enumerate(level_downsamples)]
    ratio, level = min(near)
    return level if ratio <= LEVEL_TOLERANCE else None


def _downsample(value: float, unit: Unit, scales: Scales) -> float:
    if unit == "baseline":
        return 1.0 / value
    if unit == "mpp":
        known = _known(scales.mpp, unit, "State its micrometres per pixel: open it with mpp=…")
        return downsample_for(value, known)
    return _known(scales.objective_power, unit, "Ask by mpp instead") / value


def _level_of(value: float, scales: Scales) -> int:
    n_levels = len(scales.level_downsamples)
    if value not in range(n_levels):
        raise SpecError(
            f"resolution: no level {value!r}", remedy=f"The slide has levels 0 to {n_levels - 1}"
        )
    return int(value)


def _known(value: float | None, unit: Unit, remedy: str) -> float:
    if value is None or not 0.0 < value < math.inf:
        raise SpecError(f"resolution: {unit} of this slide is not known", remedy=remedy)
    return value


def coarsest_level(level_downsamples: Sequence[float], downsample: float) -> int:
    """Find the coarsest level that is at least as fine as asked; level 0 where none is.

    >>> coarsest_level([1.0, 4.0001, 16.0], 8.0)
    1
    >>> coarsest_level([1.0, 4.0001, 16.0], 4.0)
    1
    >>> coarsest_level([1.0, 4.0], 0.5)
    0
    """
    fine = [i for i, have in enumerate(level_downsamples) if have <= downsample * LEVEL_TOLERANCE]
    return max(fine, key=lambda i: level_downsamples[i], default=0)


def choose_level(level_downsamples: Sequence[float], downsample: float) -> LevelChoice:
    """Choose the level to read for a downsample: the coarsest that has all the detail asked for.

    >>> choose_level([1.0, 4.0], 8.0)
    LevelChoice(level=1, scale=2.0)
    """
    level = coarsest_level(level_downsamples, downsample)
    return LevelChoice(level=level, scale=downsample / level_downsamples[level])


def shrink_of(scale: float) -> int:
    """How far a JPEG decoder can shrink by itself and still give all the detail: 1, 2, 4 or 8.

    >>> [shrink_of(s) for s in (0.5, 1.98, 1.995, 2.0, 7.0, 100.0)]
    [1, 1, 2, 2, 4, 8]
    """
    return max((s for s in (1, 2, 4, 8) if s <= scale * LEVEL_TOLERANCE), default=1)
