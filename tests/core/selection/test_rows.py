from __future__ import annotations

import pytest

from pathassets.core.selection.nodes import Saved
from pathassets.core.selection.parser import parse
from pathassets.core.selection.rows import Row, matches

ROW: Row = {
    "id": "TCGA-05-1",
    "patient": "P 1",
    "cohort": ("luad", "pilot"),
    "label": "tumour",
    "label.age": "61",
    "label.grade": 2,
    "stain": None,
    "mpp": 0.25,
    "path": ["/a/my slides/x.svs", "/b/x.svs"],
    "state.tissue_mask/otsu": "current",
    "state.features/stats": "failed",
    "reason.features/stats": "tile_unreadable",
    "n_patches.patch_locations/grid": 120,
    "focus.patch_quality/numbers": 40.5,
    "n_bad_tiles": 3,
}


@pytest.mark.parametrize(
    "text",
    [
        "TCGA-*",
        "id:TCGA-??-1",
        "cohort:luad & cohort:pilot",
        "cohort:other,pilot",
        "patient:'P 1'",
        r"patient:P\ ?",
        "!stain:*",
        "label:tumour & label.age>=61 & label.age<61.5",
        "label.grade=2 & label.grade:2",
        r"path:*/my\ slides/*",
        "state:failed & state:current & !state:missing",
        "state.features/stats:failed & !state.tissue_mask/otsu:failed",
        "reason:tile_*",
        "n_patches>100 & !n_patches.features/stats>0",
        "focus<41 & n_bad_tiles>=3 & !coverage>=0",
        "mpp=0.25 & !mpp<0.25 & !(mpp>0.25)",
        "!label.other:* & !label.other<1",
    ],
)
def test_a_slide_is_meant(text: str) -> None:
    assert matches(parse(text), ROW)
    assert not matches(parse(f"!({text})"), ROW)


@pytest.mark.parametrize("text", ["tcga-*", "id:TCGA", "label:Tumour", "stain:*", "label>1"])
def test_what_differs_in_case_or_is_not_known_is_not_meant(text: str) -> None:
    assert not matches(parse(text), ROW)


def test_what_a_saved_selection_stands_for_must_have_been_put_in() -> None:
    with pytest.raises(ValueError, match="@pilot: not expanded"):
        matches(Saved(name="pilot"), ROW)
