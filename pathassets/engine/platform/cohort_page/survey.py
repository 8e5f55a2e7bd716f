"""Features of drawn slides -> colours and a map that all slides share.

slides whose features are current ─▶ some of them, drawn ─▶ some rows of each ─▶ CohortColours
                                                        └▶ one vector of each ─▶ SlideMap
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pathassets.adapters.store.store import Store
from pathassets.adapters.zarr.row_reader import open_rows
from pathassets.core.features.feature_map import CohortColours, evenly, find_cohort_colours
from pathassets.core.features.slide_map import SlideMap, find_slide_map
from pathassets.core.recipe import Key
from pathassets.core.spec import seed_of
from pathassets.core.stages import FEATURES, SLIDE_EMBEDDING
from pathassets.engine.platform.cohort_page.outliers import Quality, quality_of
from pathassets.engine.platform.cohort_page.rows import PageRow, Shown, page_rows
from pathassets.engine.platform.cohort_page.sampled_rows import sample_rows
from pathassets.engine.platform.platform import Platform
from pathassets.engine.platform.standing.refresh import refresh_wanted
from pathassets.engine.stages.slide_embedding import EMBEDDING
from pathassets.errors import PathAssetsError

MAX_DRAWN = 512
"""Slides that colours and map are found on."""
FIT_ROWS = 8_192
"""Rows of all of them that the colours are found on: of 1,536 numbers each, 2 s."""

Place = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What slides are compared by."""

    colours: CohortColours | None = None
    """None where there are no features."""
    map: SlideMap | None = None
    map_of: str = ""
    """What stands for a slide on the map, such as `slide_embedding/mean`."""
    quality: Quality | None = None
    """None where the recipe has no patch quality: focus and colour are those of some squares."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vector:
    """What stands for a slide on the map, and some rows of its features."""

    vector: np.ndarray
    rows: np.ndarray


def with_current(platform: Platform, key: Key | None) -> set[str]:
    """Slides of which what an entry makes is current."""
    if key is None:
        return set()
    return platform.catalog.slides_in(refresh_wanted(platform), [key], ("current",))


def draw_slides(slide_ids: Collection[str]) -> list[str]:
    """Those of some slides that stand for all of them: the same ones each time."""
    return sorted(sorted(slide_ids, key=lambda one: seed_of("cohort page", one))[:MAX_DRAWN])


def survey(platform: Platform, shown: Shown, drawn: Collection[str]) -> Survey:
    """Find what slides are compared by: colours and map on those that were drawn."""
    quality = (
        None
        if shown.quality is None
        else quality_of(platform, refresh_wanted(platform), platform.recipe.entry(shown.quality))
    )
    vectors = [v for row in page_rows(platform, drawn, shown) if (v := _try_vector(platform, row))]
    vectors = _alike(vectors)
    if shown.features is None or not vectors:
        return Survey(quality=quality)
    each = -(-FIT_ROWS // len(vectors))
    rows = np.concatenate([one.rows[evenly(len(one.rows), each)] for one in vectors])
    return Survey(
        colours=find_cohort_colours(rows),
        map=find_slide_map(np.stack([one.vector for one in vectors])),
        map_of=_words(shown.features, shown.embedding),
        quality=quality,
    )


def _words(features: Key, embedding: Key | None) -> str:
    return f"mean of {'/'.join(features)}" if embedding is None else "/".join(embedding)


def place_of(platform: Platform, row: PageRow, found: Survey) -> Place | None:
    """Place of a slide on the map; None where it has no features, or other ones."""
    vector = None if found.map is None else _try_vector(platform, row)
    if vector is None or found.map is None:
        return None
    if len(vector.vector) != len(found.map.components.mean):
        return None
    x, y = found.map.places_of(vector.vector[None])[0].tolist()
    return round(x, 4), round(y, 4)


def _try_vector(platform: Platform, row: PageRow) -> Vector | None:
    """What stands for a slide; None where it cannot be read, which its look will say."""
    try:
        return _vector(platform.store, row)
    except PathAssetsError:
        return None


def _vector(store: Store, row: PageRow) -> Vector | None:
    features = row.artifacts.get(FEATURES)
    if features is None:
        return None
    rows = sample_rows(store.fetch(features))
    embedding = row.artifacts.get(SLIDE_EMBEDDING)
    vector = (
        rows.mean(axis=0) if embedding is None and len(rows)
        else _embedding(store.fetch(embedding)) if embedding is not None
        else np.zeros(0)
    )  # fmt: skip
    return Vector(vector=vector, rows=rows) if len(vector) and len(rows) else None


def _embedding(artifact: Path) -> np.ndarray:
    return open_rows(artifact / EMBEDDING / "embedding").read()


def _alike(vectors: Iterable[Vector]) -> list[Vector]:
    """Those that have as many numbers as the first."""
    found = list(vectors)
    shapes = [(len(one.vector), one.rows.shape[1]) for one in found]
    return [one for one, shape in zip(found, shapes, strict=True) if shape == shapes[0]]
