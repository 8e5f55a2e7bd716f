"""Long rows -> three numbers that a person can look at: the components along which they differ."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from pathassets.core.exchange.bags import Bag
from pathassets.core.features.feature_map import (
    N_COMPONENTS,
    Components,
    find_components,
    fit_places,
)


def as_components(bag: Bag) -> Bag:
    """The bag with its rows' first principal components, as a feature map's colours have them."""
    found = find_components(_sample(bag))

    def chunks() -> Iterator[np.ndarray]:
        for rows in bag.chunks():
            yield _project(found, rows)

    names = [f"component {i + 1}" for i in range(N_COMPONENTS)]
    attributes = {**bag.attributes, "feature_names": names}
    return replace(bag, n_columns=N_COMPONENTS, chunks=chunks, attributes=attributes)


def _project(found: Components, rows: np.ndarray) -> np.ndarray:
    return np.asarray(found.project(rows), np.float32)


def _sample(bag: Bag) -> np.ndarray:
    wanted, start = fit_places(len(bag)), 0
    sample = [np.zeros((0, bag.n_columns), np.float32)]
    for rows in bag.chunks():
        here = wanted[(wanted >= start) & (wanted < start + len(rows))]
        sample.append(rows[here - start])
        start += len(rows)
    return np.concatenate(sample)
