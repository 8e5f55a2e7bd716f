"""Features -> slide embedding: one vector for the whole slide.

features.zarr ─▶ embedding.zarr
"""

from __future__ import annotations

import numpy as np

from pathassets.adapters.zarr.arrays import FeatureRows, save_embedding
from pathassets.core.features.embedding import EmbeddingSpec, max_of, mean_of
from pathassets.core.stages import FEATURES
from pathassets.engine.software import software_versions
from pathassets.engine.stages.context import SlideContext
from pathassets.engine.stages.features import ROWS
from pathassets.engine.stages.job import Facts, StageJob
from pathassets.errors import FeaturesNotFinite, SpecError

EMBEDDING = "embedding.zarr"
_INHERITED = (
    "slide_id", "slide_sha256", "slide_mpp", "encoder", "encoder_version", "weights",
    "weights_sha256", "precision", "patch_px", "patch_mpp",
)  # fmt: skip
"""Attributes of the features that hold for their embedding."""


def make_slide_embedding(context: SlideContext, job: StageJob) -> Facts:
    """Make one vector of all features of the slide; of none, one of no number."""
    spec: EmbeddingSpec = job.spec
    address = job.parents[FEATURES]
    _, folder = context.artifact(address)
    rows = FeatureRows(folder / ROWS)
    if rows.is_map:
        raise SpecError(
            f"{'/'.join(job.address.key)}: {'/'.join(address.key)} keeps a map of each patch",
            remedy="Make it from features whose encoder has another pooling than none",
        )
    vector = _vector_of(rows, spec, context.share.device)
    save_embedding(job.folder / EMBEDDING, vector, {
        **{name: rows.attributes[name] for name in _INHERITED},
        "features": address.digest,
        "method": spec.method,
        "embedding_weights_sha256": job.weights_sha256,
        "n_patches": len(rows),
        "embedding_software": software_versions(),
    })  # fmt: skip
    return {
        "n_patches": len(rows),
        "dim": len(vector),
        "norm": float(np.linalg.norm(vector.astype(np.float64))),
        "method": spec.method,
    }


def _vector_of(rows: FeatureRows, spec: EmbeddingSpec, device: str) -> np.ndarray:
    if not len(rows):
        return np.zeros(0, np.float32)
    if spec.has_module:
        return _aggregate(spec, np.concatenate(list(rows.chunks())), device)
    return (mean_of if spec.method == "mean" else max_of)(rows.chunks())


def _aggregate(spec: EmbeddingSpec, bag: np.ndarray, device: str) -> np.ndarray:
    """What a user's module makes of a bag (n, d)."""
    from pathassets.adapters.torch.aggregator import aggregate  # noqa: PLC0415 - torch takes seconds

    vector: np.ndarray = aggregate(spec.method, spec.weights, bag, device=device)
    if not np.isfinite(vector).all():
        raise FeaturesNotFinite(
            spec.method, "the embedding is not finite", remedy="Look at the module and its weights"
        )
    return vector
