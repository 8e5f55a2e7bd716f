"""What a recipe may say of a dataset: which slides, of what quality, in which parts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass as spec_dataclass

from pathassets.core.quality.rules import PatchRules, SlideRules
from pathassets.core.spec import STRICT, EntryName, Share

CODE_VERSION = "1"

SplitBy = Literal["shares", "stratified", "site"]
CohortName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
"""A cohort that is a part of its own: its name is the part's."""

MIN_STRATIFIED_SHARE = 0.01
"""What has to be looked ahead to keep within one patient grows with one over the share."""


def _default_split() -> dict[str, float]:
    return {"train": 0.7, "val": 0.15, "test": 0.15}


@spec_dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class DatasetSpec:
    """Which slides make the dataset, and how it is split.

    A patient is in one part alone, whatever is said here; a slide without a patient is its own.
    """

    split: dict[EntryName, Share] = Field(default_factory=_default_split)
    """Name and share of each part, in any order; the shares add up to 1."""
    seed: Annotated[int, Field(ge=0)] = 0
    min_patches: Annotated[int, Field(ge=0)] = 1
    """Slides with fewer patches are left out, and listed."""
    slides: str = ""
    """Expression that selects slides, such as `cohort:luad & stain:HE`; empty: all there are.
    What it does not select is not asked for, and so is not listed as left out."""
    label: str | None = None
    """Name of the label that the dataset has; a slide without it is left out. None: `label`, and a
    slide without one is kept."""
    min_tissue_mm2: Annotated[float, Field(ge=0.0)] = 0.0
    """Slides with less tissue are left out."""
    max_bad_patch_share: Share = 1.0
    """Slides of which a larger share of the patches cannot be read are left out."""
    verdict: Literal["any", "not_rejected", "accepted", "decides"] = "any"
    """What people said of slides. `not_rejected` leaves out those that they rejected; `decides`
    as well, and keeps those that they accepted whatever `slide_rules` say; `accepted` leaves out
    all but those."""
    slide_rules: SlideRules | None = None
    """Slides that break one are left out."""
    patch_rules: PatchRules | None = None
    """Patches that break one are not used: their features stay, and need not be made again. What
    else counts patches, counts those that are used."""
    split_by: SplitBy = "shares"
    """`shares`: each patient is drawn by seed and name alone. `stratified`: the shares hold within
    each label, to one patient. `site`: all patients of a site are in one part."""
    n_folds: Annotated[int, Field(ge=2, le=100)] | None = None
    """Parts fold_1, fold_2, … of equal shares, instead of `split`."""
    split_file: str | None = None
    """CSV file that says each patient's or slide's part, instead of a draw; relative to the
    recipe. Who is not in it is left out."""
    external: Annotated[tuple[CohortName, ...], Field(strict=False)] = ()
    """Cohorts for testing: each is a part of its own, beside the others, called like it."""

    SILENT: ClassVar[Mapping[str, Any]] = MappingProxyType(
        {
            "slides": "",
            "label": None,
            "min_tissue_mm2": 0.0,
            "max_bad_patch_share": 1.0,
            "verdict": "any",
            "slide_rules": {},
            "patch_rules": {},
            "split_by": "shares",
            "n_folds": None,
            "split_file": None,
            "external": [],
        }
    )
    """What later fields are where nothing is said of them, in plain JSON. Then they are no part of
    the digest, so that recipes of before keep their versions."""

    @model_validator(mode="after")
    def _shares_add_up(self) -> Self:
        if not math.isclose(sum(self.split.values()), 1.0, abs_tol=1e-6):
            raise ValueError(f"the shares add up to {sum(self.split.values()):g}, not to 1")
        return self

    @model_validator(mode="after")
    def _says_one_split(self) -> Self:
        if self.split_file is not None and (self.n_folds or self.split_by != "shares"):
            raise ValueError("split_file says every part: n_folds and split_by say it again")
        if self.n_folds and self.split != _default_split():
            raise ValueError("n_folds makes the parts: split names others")
        if twice := sorted({*self.external} & {*self.parts}):
            raise ValueError(f"external names {twice[0]}, which is a part of the split already")
        if len({*self.external}) < len(self.external):
            raise ValueError("external names a cohort twice")
        return self

    @model_validator(mode="after")
    def _has_shares_that_can_be_kept(self) -> Self:
        least = min((share for share in self.parts.values() if share > 0), default=1.0)
        if self.split_by == "stratified" and least < MIN_STRATIFIED_SHARE:
            raise ValueError(
                f"a stratified part has {MIN_STRATIFIED_SHARE:.0%} of the patients or more, "
                f"one has {least:.2%}"
            )
        return self

    @property
    def parts(self) -> dict[str, float]:
        """Name and share of each part that is drawn for: no external cohorts."""
        if self.n_folds is None:
            return dict(self.split)
        width = len(str(self.n_folds))  # fold_01 where there are ten: names sort as numbers do
        return {f"fold_{i + 1:0{width}}": 1 / self.n_folds for i in range(self.n_folds)}

    @property
    def remembers(self) -> bool:
        """Whether a patient's part follows from who came before, and so must be kept."""
        return self.split_file is None and self.split_by != "shares"
