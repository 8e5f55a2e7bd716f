"""Vectors of slides -> a place for each on a plane: like slides lie together.

    one vector a slide (n, d) ─▶ standardised ─▶ first two principal components ─▶ x, y in [0, 1]

Coloured by scanner or site it shows batch effects: groups that the tissue does not explain.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pathassets.core.features.feature_map import Components, find_components

MIDDLE = 0.5
LOW, HIGH = 5, 95
"""Percentiles of the places along an axis between which most slides are: a few odd ones are shown
at the edge, and do not press the others together."""
WIDER = 1.6
"""Width of what is shown, by that of what is between them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlideMap:
    """A plane in the space of slides' vectors, and the part of it that is shown."""

    components: Components
    centre: np.ndarray
    """float64 (2,): what lies in the middle."""
    width: float
    """Of the part that is shown, along both axes: distances can be compared. 0: all are alike."""

    def places_of(self, vectors: np.ndarray) -> np.ndarray:
        """Places of slides by their vectors (n, d): float64 (n, 2), x to the right and y down.

        One that lies beyond those that the map was found on is shown at its edge.
        """
        if not self.width:
            return np.full((len(vectors), 2), MIDDLE)
        along = self.components.project(vectors)[:, :2]
        places = MIDDLE + (along - self.centre) / self.width
        return np.asarray(np.clip(places, 0.0, 1.0))


def find_slide_map(vectors: np.ndarray) -> SlideMap:
    """Find the plane on which slides differ most, by vectors (n, d) of some of them."""
    components = find_components(vectors)
    along = components.project(vectors)[:, :2]
    if not len(along):
        return SlideMap(components=components, centre=np.zeros(2), width=0.0)
    low, high = np.percentile(along, [LOW, HIGH], axis=0)
    width = WIDER * float((high - low).max())
    return SlideMap(components=components, centre=(low + high) / 2, width=width)
