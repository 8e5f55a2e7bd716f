"""What is asked of patch locations: squares of which size, where, how sampled, how many."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from pydantic.dataclasses import dataclass as spec_dataclass
from pydantic_core import ArgsKwargs

from pathassets.core import display
from pathassets.core.spec import STRICT, Mpp, Share

MPP = 0.5
"""Micrometres per pixel where neither a resolution nor a level is asked for."""
MIN_AREA_SHARE = 0.5
LONGEST_UM = 1_000_000.0
"""A glass slide is 76 mm long."""

Um = Annotated[float, Field(gt=0.0, le=LONGEST_UM)]
"""A length on the glass, in micrometres."""


def _as_tuple(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value  # YAML knows no tuples


def _in_order(labels: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(set(labels)))


Labels = Annotated[tuple[str, ...], BeforeValidator(_as_tuple), AfterValidator(_in_order)]
"""Labels of annotations, letter by letter; "" is an annotation without one. Kept in order, each
once: the same labels are the same request."""


@spec_dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class LocationSpec:
    """Square patches: how large, where, and how many.

    A patch is `patch_px` pixels wide at `mpp`, or of a stored `level`. Where `patch_um` is given as
    well as one of `patch_px` and `mpp`, the other follows; alone, it goes with the default `mpp`.
    """

    patch_px: Annotated[int, Field(ge=1, le=8192)] = 256
    """Side of a patch, in pixels at `mpp` or of `level`."""
    mpp: Mpp | None = MPP
    """Resolution of the patches, um per pixel; None where a level is asked for."""
    level: Annotated[int, Field(ge=0, le=63)] | None = None
    """Stored level whose pixels are the patch's, in place of `mpp`."""
    patch_um: Um | None = None
    """Side of a patch on the glass; what is given here becomes `patch_px` (to the nearest pixel)
    or `mpp`, and None: a patch of 128 um is the one of 256 px at 0.5 um."""
    stride_px: Annotated[int, Field(ge=1, le=65536)] | None = None
    """Step of the grid in pixels at `mpp`; the patch side where no stride is given."""
    stride_um: Um | None = None
    """Step of the grid on the glass, in place of `stride_px`."""
    min_tissue_share: Share = 0.5
    """A patch is kept when at least this share of it is tissue."""
    within_bound: bool = True
    """Whether patches that reach beyond the slide are left out."""
    sampler: Literal["grid", "random", "poisson_disk"] = "grid"
    """One grid over the slide from (0, 0), whatever the areas; draws; or draws that keep apart."""
    n_patches: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """Random patches in each area, all different."""
    spacing_um: Um | None = None
    """Least distance of two Poisson disks' upper left corners; the patch side where none is given.
    """
    region: Literal["tissue", "annotations", "outside_annotations"] = "tissue"
    """Where patches may lie; tissue is asked for everywhere."""
    included_labels: Labels = ()
    """Labels of the annotations that count; all, where there are none here."""
    excluded_labels: Labels = ()
    """Labels of the annotations that do not."""
    min_area_share: Share = MIN_AREA_SHARE
    """Share of a patch that must lie within its annotation, or outside of all."""
    buffer_um: Annotated[float, Field(ge=-LONGEST_UM, le=LONGEST_UM)] = 0.0
    """How far annotations grow beforehand, on all sides; below 0 they shrink."""
    contained_as_holes: bool = True
    """Whether an annotation is a hole in those that it lies within; else patches are in both."""
    max_patches: Annotated[int, Field(ge=1)] | None = None
    """Most patches of a slide: of more, a seeded choice is kept, in order."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Another seed gives other draws; which ones, slide and spec decide together."""

    def __repr__(self) -> str:
        return display.spec_line(self)

    @model_validator(mode="before")
    @classmethod
    def _settle(cls, data: Any) -> Any:
        """Bring size and resolution into one form: two requests for the same are the same."""
        given = dict((data.kwargs or {}) if isinstance(data, ArgsKwargs) else data)
        if given.get("level") is not None:
            given.setdefault("mpp", None)
        elif _is_length(given.get("patch_um")):
            _fit_um(given)
        return given

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        for is_wrong, why in self._conflicts():
            if is_wrong:
                raise ValueError(why)
        return self

    def _conflicts(self) -> tuple[tuple[bool, str], ...]:
        is_tissue, is_inside = self.region == "tissue", self.region == "annotations"
        has_labels = bool(self.included_labels or self.excluded_labels)
        return (
            (self.level is None and self.mpp is None, "mpp or level: give one of them"),
            (self.level is not None and self.mpp is not None, "mpp and level: give one of them"),
            (
                self.patch_um is not None,
                "patch_um and level: a level's patch has the same pixels on every slide; give mpp",
            ),
            (
                self.stride_px is not None and self.stride_um is not None,
                "stride_px and stride_um: give one of them",
            ),
            (
                self.sampler != "grid" and bool(self.stride_px or self.stride_um),
                f"stride: the sampler is {self.sampler}, and only a grid has one",
            ),
            (
                (self.n_patches is not None) != (self.sampler == "random"),
                "n_patches: give it for sampler random, and for no other",
            ),
            (
                self.spacing_um is not None and self.sampler != "poisson_disk",
                "spacing_um: give it for sampler poisson_disk alone",
            ),
            (
                bool(self.included_labels and self.excluded_labels),
                "included_labels and excluded_labels: give one of them",
            ),
            (is_tissue and has_labels, "labels: region tissue looks at no annotations"),
            (is_tissue and self.buffer_um != 0, "buffer_um: region tissue has no annotations"),
            (
                is_tissue and self.min_area_share != MIN_AREA_SHARE,
                "min_area_share: region tissue has no annotations; see min_tissue_share",
            ),
            (
                not self.contained_as_holes and not is_inside,
                "contained_as_holes: it is for region annotations alone",
            ),
        )


def _is_length(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0


def _fit_um(given: dict[str, Any]) -> None:
    """Let `patch_um` become what is missing of `patch_px` and `mpp`; fields judge the rest."""
    if "patch_px" in given and "mpp" in given:
        raise ValueError("patch_um, patch_px and mpp: two of them fix the third; leave out one")
    known = given.get("patch_px", given.get("mpp", MPP))
    if not _is_length(known):
        return
    ratio = given.pop("patch_um") / known
    given.update({"mpp": ratio} if "patch_px" in given else {"patch_px": max(1, round(ratio))})
