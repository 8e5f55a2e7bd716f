"""The stages of the chain: what an entry of each holds, and what it is made from."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic.dataclasses import dataclass as spec_dataclass

from pathassets.core.datasets import spec as dataset
from pathassets.core.features import embedding, features
from pathassets.core.locations import locations
from pathassets.core.locations.location_spec import LocationSpec
from pathassets.core.patches import patch_set, read_plan
from pathassets.core.quality import patch_quality
from pathassets.core.quality.rules import PatchRules, SlideRules, limits_of
from pathassets.core.spec import STRICT, canonical_json
from pathassets.core.tissue import tissue_mask

Scope = Literal["recorded", "slide", "cohort"]
"""Recorded by a person for a slide, made of each slide, or made of all."""
Need = Literal["required", "optional", "refused"]
"""Whether an entry names annotations."""

SLIDE = "slide"
"""The root of every chain; ingestion makes it."""
DATASET = "dataset"
ANNOTATIONS = "annotations"
"""What people drew: recorded, never made."""
FEATURES = "features"
SLIDE_EMBEDDING = "slide_embedding"
PATCH_QUALITY = "patch_quality"

RULES: Mapping[str, type[Any]] = {"slide_rules": SlideRules, "patch_rules": PatchRules}
"""Rules of quality that a dataset may have, by the key that has them."""


@spec_dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class AnnotationSpec:
    """What is drawn under this name; nothing that decides a byte."""

    about: str = ""
    """In words, for the page."""


def _no_annotation(spec: Any) -> Need:
    del spec
    return "refused"


def _annotation_goes_first(spec: Any) -> Need:
    """Annotations of a slide that has some stand in for what would be computed."""
    del spec
    return "optional"


def _annotation_by_region(spec: LocationSpec) -> Need:
    return "refused" if spec.region == "tissue" else "required"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One stage: what its entries hold, and what they are made from."""

    name: str
    spec: type[Any]
    parent: str
    """Section before it, `slide` for the first."""
    code_version: str
    """Changes when the same spec and parents would give other bytes."""
    scope: Scope = "slide"
    annotation: Callable[[Any], Need] = _no_annotation
    """Whether an entry with that spec names annotations, too."""
    beside: str = ""
    """Section of which an entry may name one more that it is made from; empty where of none."""

    @property
    def may_name_annotations(self) -> bool:
        """Whether any entry of it does."""
        return self.annotation is not _no_annotation


STAGES = {
    s.name: s
    for s in (
        Stage(
            name=ANNOTATIONS,
            spec=AnnotationSpec,
            parent=SLIDE,
            code_version="1",
            scope="recorded",
        ),
        Stage(
            name="tissue_mask",
            spec=tissue_mask.TissueSpec,
            parent=SLIDE,
            code_version=f"{tissue_mask.CODE_VERSION}.{read_plan.CODE_VERSION}",
            annotation=_annotation_goes_first,
        ),
        Stage(
            name="patch_locations",
            spec=LocationSpec,
            parent="tissue_mask",
            code_version=locations.CODE_VERSION,
            annotation=_annotation_by_region,
        ),
        Stage(
            name="patch_set",
            spec=patch_set.PatchSetSpec,
            parent="patch_locations",
            code_version=f"{patch_set.CODE_VERSION}.{read_plan.CODE_VERSION}",
        ),
        Stage(
            name=PATCH_QUALITY,
            spec=patch_quality.PatchQualitySpec,
            parent="patch_locations",
            code_version=f"{patch_quality.CODE_VERSION}.{read_plan.CODE_VERSION}",
        ),
        Stage(
            name=FEATURES,
            spec=features.FeatureSpec,
            parent="patch_locations",
            code_version=f"{features.CODE_VERSION}.{read_plan.CODE_VERSION}",
        ),
        Stage(
            name=SLIDE_EMBEDDING,
            spec=embedding.EmbeddingSpec,
            parent=FEATURES,
            code_version=embedding.CODE_VERSION,
        ),
        Stage(
            name=DATASET,
            spec=dataset.DatasetSpec,
            parent=FEATURES,
            code_version=dataset.CODE_VERSION,
            scope="cohort",
            beside=PATCH_QUALITY,
        ),
    )
}
"""In the order of the data flow."""


def parameters_of(spec: Any) -> dict[str, Any]:
    """What of a spec decides an artifact's bytes, in plain JSON; no path, and nothing silent."""
    plain: dict[str, Any] = json.loads(canonical_json(spec))
    if isinstance(spec, features.FeatureSpec):
        plain["encoder"] = features.recipe_value(spec.encoder)
    if isinstance(spec, embedding.EmbeddingSpec):
        del plain["weights"]  # the path; the digest has its content
    if isinstance(spec, patch_quality.PatchQualitySpec):
        del plain["checks"]  # they judge the bytes, and decide none
    if isinstance(spec, dataset.DatasetSpec):
        plain |= {name: limits_of(getattr(spec, name)) for name in RULES}
        silent = spec.SILENT.items()
        plain = {n: v for n, v in plain.items() if (n, v) not in silent}
        plain.pop("split_file", None)  # as of weights
    return {name: plain[name] for name in spec.__dataclass_fields__ if name in plain}
