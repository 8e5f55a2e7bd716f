"""Feature artifacts of many slides -> a manifest one can train on."""

from __future__ import annotations

import hashlib
import math
from typing import Annotated, Self

import pandas as pd
from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass as spec_dataclass

from pathassets.core.spec import STRICT, EntryName, Share
from pathassets.errors import SpecError

CODE_VERSION = "1"

MANIFEST_COLUMNS = (
    "slide_id",
    "patient",
    "label",
    "split",
    "n_patches",
    "features_uri",
    "features_sha256",
    "slide_sha256",
    "slide_mpp",
    "slide_version",
    "tissue_mask_digest",
    "patch_locations_digest",
    "features_digest",
)
"""One row a slide. `features_uri` is relative to the store; the last six: what it was made from."""

_NUMBERS = {"n_patches": "int64", "slide_mpp": "float64"}
_LEFT_OUT_COLUMNS = ("slide_id", "patient", "label", "why")


def _default_split() -> dict[str, float]:
    return {"train": 0.7, "val": 0.15, "test": 0.15}


@spec_dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class DatasetSpec:
    """Which slides make the dataset, and how it is split."""

    split: dict[EntryName, Share] = Field(default_factory=_default_split)
    """Name and share of each part, in any order; the shares add up to 1."""
    seed: Annotated[int, Field(ge=0)] = 0
    min_patches: Annotated[int, Field(ge=0)] = 1
    """Slides with fewer patches are left out, and listed."""

    @model_validator(mode="after")
    def _shares_add_up(self) -> Self:
        if not math.isclose(sum(self.split.values()), 1.0, abs_tol=1e-6):
            raise ValueError(f"the shares add up to {sum(self.split.values()):g}, not to 1")
        return self


def split_of(group: str, spec: DatasetSpec) -> str:
    """Part of the split that a patient belongs to: by seed and name alone.

    Adding slides or patients never moves a patient from one part to another, so a test patient of
    one version is never a training patient of the next. The parts share [0, 1) in the order of
    their names, for the digest of a spec does not know any other.

    >>> split_of("patient-1", DatasetSpec(split={"train": 1.0, "test": 0.0}))
    'train'
    """
    drawn = hashlib.sha256(f"{spec.seed}:{group}".encode()).digest()
    point = int.from_bytes(drawn[:8]) / 2**64
    parts = sorted((name, share) for name, share in spec.split.items() if share > 0)
    edge = 0.0
    for name, share in parts:
        edge += share
        if point < edge:
            return name
    return parts[-1][0]  # the shares may add up to a little less than 1


def build_manifest(rows: pd.DataFrame, spec: DatasetSpec) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Split the slides that have features: (manifest, left out), both sorted by slide_id.

    `rows` has the manifest's columns but `split`, and `why` (empty where features exist). A slide
    without a patient is a group of its own. Columns have the same types with no row as with many.

    Raises:
        SpecError: two slides have one content: it could be in two parts of the split.
    """
    rows = rows.astype({name: _NUMBERS.get(name, "string") for name in rows.columns})
    rows = rows.sort_values("slide_id", ignore_index=True)
    few = (rows["why"] == "") & (rows["n_patches"] < spec.min_patches)
    rows.loc[few, "why"] = f"fewer than {spec.min_patches} patches"
    left_out = rows.loc[rows["why"] != "", list(_LEFT_OUT_COLUMNS)]
    kept = rows[rows["why"] == ""]
    _require_distinct(kept)
    groups = kept["patient"].replace("", pd.NA).fillna(kept["slide_id"])
    parts = pd.Series([split_of(group, spec) for group in groups], kept.index, dtype="string")
    manifest = kept.assign(split=parts).loc[:, list(MANIFEST_COLUMNS)]
    return manifest.reset_index(drop=True), left_out.reset_index(drop=True)


def _require_distinct(kept: pd.DataFrame) -> None:
    """Let slides through of which no two hold the same."""
    twice = kept.loc[kept["slide_sha256"].duplicated(keep=False), ["slide_sha256", "slide_id"]]
    if len(twice):
        sha256 = twice["slide_sha256"].iloc[0]
        ids = twice.loc[twice["slide_sha256"] == sha256, "slide_id"]
        raise SpecError(
            f"slides {' and '.join(ids)}: hold the same content, SHA-256 {sha256}",
            remedy="It would count twice, and could be in two parts of the split: keep one of them",
        )
