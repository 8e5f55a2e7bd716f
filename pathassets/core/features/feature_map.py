"""Features of a slide -> a colour for each patch, drawn over the slide.

    rows (n, d) ─▶ standardised ─▶ first three principal components ─▶ red, green, blue

Like patches have like colours: a person sees structure, or sees that something is wrong. What the
colours are means nothing. They can be compared between slides where components and scale were found
on rows of all of them (`CohortColours`), and else not.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from pathassets.core.locations.overlay import shrink_to

FIT_ROWS = 1024
"""Rows that the components are found on: of 1,536 numbers each, 0.3 s."""
N_COMPONENTS = 3
GREY = 128
LOW, HIGH = 2, 98
"""Percentiles of a component that become 0 and 255: a few odd patches hide nothing."""
LEAST = 1e-6
"""Share of the first component's spread below which another is rounding, not structure."""
TINY = float(np.finfo(np.float32).tiny)
FADE = 0.6
"""How far the slide under the colours is made lighter."""


def evenly(n: int, most: int) -> np.ndarray:
    """Places of at most so many of `n` rows, evenly spread: int64, ascending.

    >>> evenly(10, 4).tolist(), evenly(2, 4).tolist(), evenly(0, 4).tolist()
    ([0, 3, 6, 9], [0, 1], [])
    """
    return np.unique(np.linspace(0, max(0, n - 1), min(n, most)).round().astype(np.int64))


def fit_places(n: int) -> np.ndarray:
    """Rows of `n` that the components are found on.

    >>> fit_places(3).tolist()
    [0, 1, 2]
    """
    return evenly(n, FIT_ROWS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Components:
    """Three directions in the space of features."""

    mean: np.ndarray
    """float64 (d,)."""
    axes: np.ndarray
    """float64 (d, 3), of rows with the mean taken off; it divides by their deviation, too."""

    def project(self, rows: np.ndarray) -> np.ndarray:
        """Place of rows (m, d) along the components: float64 (m, 3)."""
        return np.asarray((rows.astype(np.float64) - self.mean) @ self.axes)


def find_components(rows: np.ndarray) -> Components:
    """Find the principal components of rows (m, d); where there are fewer than three, zeros.

    A component and its opposite are the same: the one whose largest number is positive is taken.
    """
    rows = rows.astype(np.float64)
    mean = rows.mean(axis=0) if len(rows) else np.zeros(rows.shape[1])
    deviation = rows.std(axis=0) if len(rows) else np.zeros(rows.shape[1])
    varies = deviation > LEAST * np.maximum(np.abs(mean), TINY)
    scale = np.where(varies, 1 / np.where(varies, deviation, 1.0), 0.0)
    axes = np.zeros((rows.shape[1], N_COMPONENTS))
    found = _principal((rows - mean) * scale)
    axes[:, : found.shape[1]] = found * scale[:, None]
    return Components(mean=mean, axes=axes)


def _principal(rows: np.ndarray) -> np.ndarray:
    """Directions of greatest spread of centred rows (m, d): (d, k), k up to 3, signs settled."""
    m, d = rows.shape
    if not m or not d:
        return np.zeros((d, 0))
    if m < d:  # the smaller of the two products has the same components
        values, vectors = np.linalg.eigh(rows @ rows.T)
        vectors = rows.T @ vectors
    else:
        values, vectors = np.linalg.eigh(rows.T @ rows)
    order = np.argsort(values, kind="stable")[::-1][:N_COMPONENTS]
    least = LEAST * max(float(values[order[0]]), TINY)
    order = order[values[order] > least]
    axes = vectors[:, order] / np.linalg.norm(vectors[:, order], axis=0)
    largest = np.abs(axes).argmax(axis=0)
    return np.asarray(axes * np.sign(axes[largest, np.arange(axes.shape[1])]))


@dataclass(frozen=True, slots=True, kw_only=True)
class ColourScale:
    """Which place along each component becomes 0, and which 255."""

    low: np.ndarray
    """float64 (3,)."""
    spread: np.ndarray
    """float64 (3,): from there to 255; 0 where all are alike, and grey."""

    def colours_of(self, places: np.ndarray) -> np.ndarray:
        """Colours of patches by their places along the components (n, 3): RGB uint8 (n, 3)."""
        varies = self.spread > 0
        share = np.clip((places - self.low) / np.where(varies, self.spread, 1.0), 0.0, 1.0)
        return np.where(varies, np.rint(share * 255), GREY).astype(np.uint8)


def find_scale(places: np.ndarray) -> ColourScale:
    """Find the scale of places (n, 3) on which they differ most, but for a few odd ones."""
    if not len(places):
        return ColourScale(low=np.zeros(N_COMPONENTS), spread=np.zeros(N_COMPONENTS))
    low, high = np.percentile(places, [LOW, HIGH], axis=0)
    spread = high - low
    varies = spread > LEAST * max(float(spread.max()), TINY)
    return ColourScale(low=low, spread=np.where(varies, spread, 0.0))


def colours_of(places: np.ndarray) -> np.ndarray:
    """Colours of the patches of one slide, on a scale of their own.

    Where all are alike they are grey.
    """
    return find_scale(places).colours_of(places)


@dataclass(frozen=True, slots=True, kw_only=True)
class CohortColours:
    """Components and scale that slides share: the same features have the same colour on each."""

    components: Components
    scale: ColourScale

    @property
    def n_columns(self) -> int:
        """How many numbers a row has that it can colour."""
        return len(self.components.mean)

    def colours_of(self, rows: np.ndarray) -> np.ndarray:
        """Colours of rows (n, d): RGB uint8 (n, 3)."""
        return self.scale.colours_of(self.components.project(rows))


def find_cohort_colours(rows: np.ndarray) -> CohortColours:
    """Find colours for features of which these rows (n, d), drawn from many slides, are some."""
    components = find_components(rows)
    return CohortColours(components=components, scale=find_scale(components.project(rows)))


def draw_colours(
    overview: np.ndarray, boxes_px0: np.ndarray, colours: np.ndarray, *, width_px0: int
) -> np.ndarray:
    """Fill the boxes with their colours on a small, faded copy of the overview of a slide."""
    preview = shrink_to(overview)
    preview = np.rint(preview * (1 - FADE) + 255 * FADE).astype(np.uint8)
    x_scale = preview.shape[1] / width_px0
    # The preview's narrow side is rounded to whole pixels, so its two scales differ.
    y_scale = overview.shape[1] / width_px0 * preview.shape[0] / overview.shape[0]
    corners = (boxes_px0 * np.array([x_scale, y_scale, x_scale, y_scale])).round().astype(int)
    for (x0, y0, x1, y1), colour in zip(corners.tolist(), colours.tolist(), strict=True):
        cv2.rectangle(preview, (x0, y0), (max(x0, x1 - 1), max(y0, y1 - 1)), colour, cv2.FILLED)
    return preview
