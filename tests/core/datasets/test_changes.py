from __future__ import annotations

import pandas as pd

from pathassets.core.datasets.changes import VersionTables, compare
from pathassets.core.datasets.manifest import build_manifest
from pathassets.core.datasets.report import split_counts, split_report
from pathassets.core.datasets.spec import DatasetSpec
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
