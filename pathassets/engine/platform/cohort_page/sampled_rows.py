"""features.zarr -> rows of it: evenly spread ones, as many as a picture or a mean needs."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pathassets.adapters.zarr.row_reader import StoredRows, open_rows
from pathassets.core.features.feature_map import evenly
from pathassets.engine.stages.features import ROWS
from pathassets.errors import ArtifactCorrupt

MAP_ROWS = 16_384
"""Rows of which a map is coloured: more cells than it has."""
SAMPLE_ROWS = 64
"""Rows of a slide that its mean is taken of: its error is an eighth of the rows' deviation."""


def sample_rows(artifact: Path) -> np.ndarray:
    """Draw some rows of an artifact, float32 (m, d).

    Raises:
        ArtifactMissing, ArtifactCorrupt: they cannot be read.
    """
    features = open_rows(artifact / ROWS / "features")
    return _read(features, evenly(len(features), SAMPLE_ROWS))


def map_rows(artifact: Path, *, n_columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Boxes int64 (m, 4) and rows float32 (m, d) of an artifact, all of them or some.

    Raises:
        ArtifactMissing, ArtifactCorrupt: they cannot be read, or have other columns.
    """
    features, boxes = (open_rows(artifact / ROWS / name) for name in ("features", "coordinates"))
    if len(boxes) != len(features) or features.shape[1:2] != (n_columns,):
        raise ArtifactCorrupt(
            artifact,
            f"has {len(boxes)} boxes and features {features.shape}, not of {n_columns} columns",
            remedy="Make it again",
        )
    places = evenly(len(features), MAP_ROWS)
    return boxes.read(places).astype(np.int64), _read(features, places)


def _read(features: StoredRows, places: np.ndarray) -> np.ndarray:
    """Some rows; of maps the mean over their places."""
    rows = features.read(places).astype(np.float32)
    if rows.ndim < 2:  # noqa: PLR2004
        raise ArtifactCorrupt(
            features.path, f"its shape is {features.shape}", remedy="Make it again"
        )
    return np.asarray(rows.mean(axis=tuple(range(2, rows.ndim)))) if rows.ndim > 2 else rows  # noqa: PLR2004
