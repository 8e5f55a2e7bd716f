"""A slide's focus and colour are those of its middle patch, whoever measured the patches."""

from __future__ import annotations

import numpy as np

from pathassets.core.quality.patch_measures import measure
from pathassets.core.quality.slide_measures import SlideMeasures


def even(level: int) -> np.ndarray:
    return np.full((8, 8, 3), level, np.uint8)


def test_glass_counts_for_nothing_and_the_colour_lets_the_light_of_the_patches_through() -> None:
    found = SlideMeasures.of_patches(measure(np.stack([even(60), even(255), even(120), even(90)])))
    assert found.focus_median == 0.0
    assert found.rgb == (90, 90, 90)
    assert SlideMeasures.of_facts({**found.facts, "n_patches": 3}) == found


def test_of_glass_alone_nothing_is_known() -> None:
    found = SlideMeasures.of_patches(measure(even(255)[None]))
    assert (found, found.rgb) == (SlideMeasures(), None)
