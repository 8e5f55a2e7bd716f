import pandas as pd
import pytest

from pathassets.core.datasets.members import (
    Member,
    classes_of,
    members_of,
    parts_asked_for,
    refuse_or_drop,
)
from pathassets.errors import SpecError

PARTS = ("train", "val", "test", "hospital_b")
FOLDS = tuple(f"fold_{n:02}" for n in range(1, 11))


def member(slide_id, label):
    return Member(
        slide_id=slide_id, patient="", label=label, split="train", n_patches=1, features_uri="f/g",
        features_sha256="",
    )  # fmt: skip


LABELLED = (member("s1", "b"), member("s2", "a"), member("s3", ""))


def test_a_row_of_the_manifest_is_a_member_and_what_is_unknown_is_empty():
    table = pd.DataFrame(
        {
            "slide_id": ["s1"], "patient": [None], "label": ["x"], "grade": [None],
            "split": ["train"], "n_patches": [3], "features_uri": ["features/a"],
            "features_sha256": ["0"],
        }
    )  # fmt: skip
    [one] = members_of(table, "label")
    assert (one.patient, one.label, one.n_patches, one.features_uri) == ("", "x", 3, "features/a")
    [other] = members_of(table, "grade")
    assert other.label == ""
    with pytest.raises(SpecError, match=r"label 'lable': .* Did you mean 'label'\?"):
        members_of(table, "lable")


def test_no_split_is_every_part_and_several_are_several():
    assert parts_asked_for(PARTS, None, None) == {*PARTS}
    assert parts_asked_for(PARTS, "hospital_b", None) == {"hospital_b"}
    assert parts_asked_for(PARTS, ["train", "val"], None) == {"train", "val"}


def test_a_part_that_there_is_not_is_refused_with_the_one_that_is_meant():
    with pytest.raises(SpecError, match=r"split 'tset': no slide .* Did you mean 'test'\?"):
        parts_asked_for(PARTS, "tset", None)
    with pytest.raises(SpecError, match="Parts with slides are test, train"):
        parts_asked_for(("train", "test"), "xyz", None)
    with pytest.raises(SpecError, match=r"The dataset is empty: left_out.parquet says why"):
        parts_asked_for((), "train", None)


@pytest.mark.parametrize("fold", range(1, 11))
def test_a_fold_is_the_test_of_all_the_others(fold):
    test = parts_asked_for((*FOLDS, "hospital_b"), "test", fold)
    train = parts_asked_for((*FOLDS, "hospital_b"), "train", fold)
    assert test == {f"fold_{fold:02}"}
    assert train == {*FOLDS} - test


def test_a_fold_that_there_is_not_or_that_is_asked_for_as_something_else_is_refused():
    with pytest.raises(SpecError, match=r"fold 11: .* There are 1, 2, 3"):
        parts_asked_for(FOLDS, "train", 11)
    with pytest.raises(SpecError, match=r"fold 1: .* not split into folds"):
        parts_asked_for(PARTS, "train", 1)
    for split in (None, "val", ["train"]):
        with pytest.raises(SpecError, match="'test' is that fold, 'train' are all others"):
            parts_asked_for(FOLDS, split, 1)


def test_classes_are_all_labels_in_the_order_of_their_names_unless_they_are_stated():
    assert classes_of(LABELLED, None) == ("a", "b")
    assert classes_of(LABELLED, ["b", "a", "c"]) == ("b", "a", "c")
    with pytest.raises(SpecError, match="one is named twice"):
        classes_of(LABELLED, ["a", "a"])


def test_slides_of_no_class_are_refused_kept_or_dropped():
    with pytest.raises(SpecError, match="slide s3: it has no label, as with 1 of 3 slides"):
        refuse_or_drop(LABELLED, ("a", "b"), "refuse")
    with pytest.raises(SpecError, match="slide s1: label 'b' is no class, as with 2 of 3 slides"):
        refuse_or_drop(LABELLED, ("a",), "refuse")
    assert refuse_or_drop(LABELLED, ("a",), "keep") == LABELLED
    assert refuse_or_drop(LABELLED, ("a",), "drop") == LABELLED[1:2]
    with pytest.raises(SpecError, match="unknown_label 'ignore': is no choice"):
        refuse_or_drop(LABELLED, ("a",), "ignore")  # type: ignore[arg-type]
