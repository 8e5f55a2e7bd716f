from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from pathassets.core.datasets.changes import VersionTables, compare
from pathassets.core.datasets.manifest import build_manifest
from pathassets.core.datasets.report import split_counts, split_report
from pathassets.core.datasets.spec import DatasetSpec
from pathassets.core.datasets.used_patches import pack_used
from tests.core.datasets.test_manifest import table


def version(*slides: dict[str, object], **spec: object) -> VersionTables:
    given = [{"slide_sha256": f"sha of {slide['slide_id']}", **slide} for slide in slides]
    made = build_manifest(table(*given), DatasetSpec(**spec))
    return VersionTables(manifest=made.manifest, left_out=made.left_out)


BEFORE = version(
    {"slide_id": "a", "patient": "p1", "label": "x"},
    {"slide_id": "b", "patient": "p2", "label": "x"},
    {"slide_id": "c", "patient": "p3"},
    {"slide_id": "d", "n_patches": 0},
)


def rows(frame: pd.DataFrame) -> list[list[object]]:
    return frame.to_numpy().tolist()


def test_a_version_differs_from_itself_in_nothing() -> None:
    changes = compare(BEFORE, BEFORE)
    assert changes.is_none
    assert {*changes.counts.values()} == {0}


def test_each_kind_of_change_is_told_of_the_slide_that_it_is_of() -> None:
    after = version(
        {"slide_id": "a", "patient": "p1", "label": "y", "features_digest": "other"},
        {"slide_id": "b", "patient": "p2", "label": "x", "n_patches": 0},
        {"slide_id": "c", "patient": "p9"},
        {"slide_id": "e", "patient": "p5", "label": "z"},
    )
    changes = compare(BEFORE, after)
    assert changes.added["slide_id"].tolist() == ["e"]
    assert rows(changes.removed[["slide_id", "why"]]) == [["b", "fewer than 1 patches"]]
    assert rows(changes.relabelled) == [["a", "p1", "x", "y"]]
    assert rows(changes.renamed) == [["c", "p3", "p9"]]
    assert rows(changes.remade) == [["a", "features"]]
    assert rows(changes.left_out) == [
        ["b", "", "fewer than 1 patches"],
        ["d", "fewer than 1 patches", ""],
    ]


def test_who_is_in_another_part_has_moved() -> None:
    slide = {"slide_id": "a", "patient": "p1"}
    one = version(slide, split={"train": 1.0})
    other = version(slide, split={"test": 1.0})
    assert rows(compare(one, other).moved) == [["a", "p1", "train", "test"]]


def test_the_first_thing_that_differs_is_the_cause() -> None:
    one = version({"slide_id": "a"})
    other = version(
        {"slide_id": "a", "slide_version": "other", "tissue_mask_digest": "other",
         "features_digest": "other"}
    )  # fmt: skip
    assert rows(compare(one, other).remade) == [["a", "resolution of the slide"]]


def using(of: VersionTables, **used: list[int]) -> VersionTables:
    """The version with rules for patches, by which of each slide some rows are used."""
    n_patches = of.manifest.set_index("slide_id")["n_patches"]
    return replace(
        of,
        used={
            slide_id: pack_used(np.isin(np.arange(n_patches[slide_id]), places))
            for slide_id, places in used.items()
        },
    )


TWO = version({"slide_id": "a", "n_patches": 9}, {"slide_id": "b", "n_patches": 3})


def test_a_slide_of_which_other_patches_are_used_is_told_with_how_many_were_and_are() -> None:
    one, other = using(TWO, a=[0, 8], b=[1]), using(TWO, a=[0, 1, 8], b=[1])
    assert rows(compare(one, other).other_patches) == [["a", 2, 3]]
    assert rows(compare(other, one).other_patches) == [["a", 3, 2]]
    assert not compare(one, other).is_none
    assert compare(one, one).is_none


def test_as_many_patches_that_are_others_are_told() -> None:
    changes = compare(using(TWO, a=[0, 8], b=[1]), using(TWO, a=[0, 7], b=[1]))
    assert rows(changes.other_patches) == [["a", 2, 2]]


def test_without_rules_for_patches_all_are_used() -> None:
    ruled = using(TWO, a=[0], b=[0, 1, 2])
    assert rows(compare(TWO, ruled).other_patches) == [["a", 9, 1]]
    assert rows(compare(ruled, TWO).other_patches) == [["a", 1, 9]]


def test_patches_on_other_locations_are_told_as_made_anew_alone() -> None:
    other = version(
        {"slide_id": "a", "n_patches": 9, "patch_locations_digest": "other"},
        {"slide_id": "b", "n_patches": 3, "features_digest": "other"},
    )
    changes = compare(using(TWO, a=[0], b=[0]), using(other, a=[1], b=[1]))
    assert rows(changes.remade) == [["a", "patch locations"], ["b", "features"]]
    assert rows(changes.other_patches) == [["b", 1, 1]]


def test_where_used_patches_are_not_known_it_is_not_said_that_nothing_changed() -> None:
    changes = compare(replace(TWO, used=None), using(TWO, a=[0], b=[0]))
    assert changes.other_patches is None
    assert {*changes.counts.values()} == {0}
    assert not changes.is_none


def test_versions_of_no_slide_can_be_compared() -> None:
    changes = compare(version(), BEFORE)
    assert changes.counts | {"added": 3, "left_out": 1} == changes.counts
    assert compare(BEFORE, version()).counts["removed"] == 3


def test_counts_are_by_part_and_label_and_a_slide_without_patient_is_one() -> None:
    made = version(
        {"slide_id": "a", "patient": "p1", "label": "x", "n_patches": 5},
        {"slide_id": "b", "patient": "p1", "label": "x", "n_patches": 6},
        {"slide_id": "c", "label": "x", "n_patches": 7},
        {"slide_id": "d", "n_patches": 8},
        split={"train": 1.0},
    )
    assert rows(split_counts(made.manifest)) == [["train", "", 1, 1, 8], ["train", "x", 3, 2, 18]]


def test_the_report_says_the_same_with_sites_and_reasons() -> None:
    made = version(
        {"slide_id": "a", "patient": "p1", "label": "x", "site": "north"},
        {"slide_id": "b", "n_patches": 0, "site": "north"},
        split={"train": 1.0},
        split_by="site",
    )
    assert split_report(made.manifest, made.left_out) == {
        "n_slides": 1,
        "n_left_out": 1,
        "parts": {
            "train": {
                "slides": 1,
                "patients": 1,
                "patches": 100,
                "patients_by_label": {"x": 1},
                "slides_by_label": {"x": 1},
                "patients_by_site": {"north": 1},
            }
        },
        "left_out": {"fewer than 1 patches": 1},
    }
