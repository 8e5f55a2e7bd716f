"""What may be asked of a slide, and what may be answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Which = Literal["", "label", "asset"]
"""What may stand after the dot: nothing, a label's name, or stage/name of an asset."""

STATES = ("current", "stale", "damaged", "failed", "blocked", "missing")
REASONS = frozenset(
    """
    annotation_error annotations_missing archive artifact_corrupt artifact_missing bad_name
    bag_unreadable catalog_error cluster_lost damaged_structure dangling_link empty_file
    encoder_error features_not_finite file_missing folder_of_slides folder_without_slide gzip
    html_page incomplete_mrxs leakage lfs_pointer link_loop no_permission not_8bit_rgb not_a_file
    not_a_slide object_changed object_missing os_error output_exists pipe_beside plain_image
    resolution_implausible resolution_missing resources_short service_ended
    shared_memory_missing slide_changed slide_forgotten slide_image_unclear slide_unreadable
    spec_error storage_unavailable store_error striped_tiff table_refused tile_unreadable
    truncated unexpected worker_lost wrong_colours
    """.split()  # noqa: SIM905 - a list of them takes fifty lines
)
"""Every code of why something is as it is; docs/slides.md explains each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldKind:
    """What a field holds."""

    about: str
    """For a person, in words."""
    is_text: bool = True
    """Whether `:` may be asked of it."""
    is_number: bool = False
    """Whether `<` may be asked of it."""
    which: Which = ""
    values: tuple[str, ...] = ()
    """All that there are; empty where anything may be."""


def _number(about: str, which: Which = "") -> FieldKind:
    return FieldKind(about=about, is_text=False, is_number=True, which=which)


FIELDS: Mapping[str, FieldKind] = {
    "id": FieldKind(about="slide id; a word by itself is one"),
    "patient": FieldKind(about="whose slide it is"),
    "site": FieldKind(about="where the patient was seen"),
    "cohort": FieldKind(about="a named set that it was put into"),
    "tag": FieldKind(about="a word that was put on it"),
    "label": FieldKind(
        about="the label called `label`; `label.NAME` another one", is_number=True, which="label"
    ),
    "stain": FieldKind(about="such as HE"),
    "scanner": FieldKind(about="maker and model, as the file says"),
    "vendor": FieldKind(about="format of its file, as OpenSlide calls it"),
    "mpp": _number("micrometres per level-0 pixel in force"),
    "objective_power": _number("such as 20 or 40"),
    "verdict": FieldKind(about="what a person decided of its quality"),
    "path": FieldKind(about="a file that holds it"),
    "state": FieldKind(
        about="of any of its assets, or of `state.STAGE/NAME`", which="asset", values=STATES
    ),
    "reason": FieldKind(about="why an asset is as it is", which="asset"),
    "annotated": FieldKind(about="a name under which something is drawn on it"),
    "n_bad_tiles": _number("tiles that cannot be read, where anybody looked"),
    **{
        name: _number(f"{about}, of any of its current assets, or of one", which="asset")
        for name, about in (
            ("n_patches", "number of patches"),
            ("tissue_mm2", "square millimetres of tissue"),
            ("coverage", "share of the tissue that lies in patches"),
            ("focus", "median focus of its patches"),
            ("blurred_share", "share of its patches that are out of focus"),
            ("ink_share", "pen's share of the area of tissue and pen"),
            ("fold_share", "share of the tissue that is taken for folds"),
        )
    },
}
OF_QUALITY = ("focus", "blurred_share", "ink_share", "fold_share", "coverage")
"""Numbers that entries of `patch_quality` alone measure."""
FACT_OF: Mapping[str, str] = {
    **{name: name for name, kind in FIELDS.items() if kind.is_number and kind.which == "asset"},
    "focus": "focus_median",
}
"""What the facts of an artifact call a number; rules of quality name them alike."""
