"""The stations of the chain: what an entry of each holds, and what it is made from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from pydantic.dataclasses import dataclass as spec_dataclass

from pathassets.core import dataset
from pathassets.core.features import embedding, features
from pathassets.core.locations import locations
from pathassets.core.patches import patch_set
from pathassets.core.patches import read_plan as patches
from pathassets.core.spec import STRICT
from pathassets.core.tissue import tissue_mask as tissue

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


@spec_dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class AnnotationSpec:
    """What is drawn under this name; nothing that decides a byte."""

    about: str = ""
    """In words, for the page."""


def _no_drawing(spec: Any) -> Need:
    del spec
    return "refused"


def _drawing_goes_first(spec: Any) -> Need:
    """Annotations of a slide that has some stand in for what would be computed."""
    del spec
    return "optional"


def _drawing_by_region(spec: locations.LocationSpec) -> Need:
    return "refused" if spec.region == "tissue" else "required"


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One station: what its entries hold, and what they are made from."""

    name: str
    spec: type[Any]
    parent: str
    """Section before it, `slide` for the first."""
    code_version: str
    """Changes when the same spec and parents would give other bytes."""
    scope: Scope = "slide"
    drawing: Callable[[Any], Need] = _no_drawing
    """Whether an entry with that spec names annotations, too."""

    @property
    def may_name_annotations(self) -> bool:
        """Whether any entry of it does."""
        return self.drawing is not _no_drawing


SECTIONS = {
    s.name: s
    for s in (
        Section(
            name=ANNOTATIONS,
            spec=AnnotationSpec,
            parent=SLIDE,
            code_version="1",
            scope="recorded",
        ),
        Section(
            name="tissue_mask",
            spec=tissue.TissueSpec,
            parent=SLIDE,
            code_version=f"{tissue.CODE_VERSION}.{patches.CODE_VERSION}",
            drawing=_drawing_goes_first,
        ),
        Section(
            name="patch_locations",
            spec=locations.LocationSpec,
            parent="tissue_mask",
            code_version=locations.CODE_VERSION,
            drawing=_drawing_by_region,
        ),
        Section(
            name="patch_set",
            spec=patch_set.PatchSetSpec,
            parent="patch_locations",
            code_version=f"{patch_set.CODE_VERSION}.{patches.CODE_VERSION}",
        ),
        Section(
            name=FEATURES,
            spec=features.FeatureSpec,
            parent="patch_locations",
            code_version=f"{features.CODE_VERSION}.{patches.CODE_VERSION}",
        ),
        Section(
            name="slide_embedding",
            spec=embedding.EmbeddingSpec,
            parent=FEATURES,
            code_version=embedding.CODE_VERSION,
        ),
        Section(
            name=DATASET,
            spec=dataset.DatasetSpec,
            parent=FEATURES,
            code_version=dataset.CODE_VERSION,
            scope="cohort",
        ),
    )
}
"""In the order of the data flow."""
