"""Measures of patches -> focus and colour of their slide: of the middle patch, by nearest rank."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

import numpy as np

from pathassets.core.quality.patch_measures import MEASURES

WHITE = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class SlideMeasures:
    """Focus and colour of a slide, as `slide_facts` and `v_quality` have them; None: not known."""

    focus_median: float | None = None
    """Variance of the Laplacian of grey on tissue, in grey levels squared."""
    od_red: float | None = None
    """Optical density of the tissue in red."""
    od_green: float | None = None
    od_blue: float | None = None

    @classmethod
    def of_facts(cls, facts: Mapping[str, Any]) -> Self:
        """Those that stand among a slide's facts."""
        return cls(**{one.name: facts.get(one.name) for one in fields(cls)})

    @classmethod
    def of_patches(cls, measures: np.ndarray) -> Self:
        """Those of patches that were measured, float (n, len(MEASURES)); NaN is left out."""
        by_name = dict(zip(MEASURES, measures.T, strict=True))
        colours = {
            name: percentile(by_name[name], 50) for name in ("od_red", "od_green", "od_blue")
        }
        return cls(focus_median=percentile(by_name["focus"], 50), **colours)

    @property
    def facts(self) -> dict[str, float | None]:
        """By the names that facts have."""
        return asdict(self)

    @property
    def rgb(self) -> tuple[int, int, int] | None:
        """The colour that lets through so much light, to look at; None where it is not known.

        >>> SlideMeasures(od_red=0.0, od_green=1.0, od_blue=0.3).rgb
        (255, 26, 128)
        """
        densities = (self.od_red, self.od_green, self.od_blue)
        red, green, blue = (None if od is None else round(WHITE * 10**-od) for od in densities)
        return None if red is None or green is None or blue is None else (red, green, blue)


def percentile(values: np.ndarray, percent: int) -> float | None:
    """By nearest rank, of what is known: always a value that was seen.

    >>> percentile(np.array([3.0, np.nan, 1.0, 2.0]), 50)
    2.0
    """
    known = np.sort(values[~np.isnan(values)].astype(np.float64))
    return float(known[-(-len(known) * percent // 100) - 1]) if len(known) else None
