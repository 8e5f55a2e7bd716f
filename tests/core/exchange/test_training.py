from __future__ import annotations

import pytest

from pathassets.core.exchange.training import TrainingRow, columns_of, splits_of
from pathassets.errors import SpecError

CLAM = ("train", "val", "test")


def rows(*parts: str) -> list[TrainingRow]:
    return [
        TrainingRow(slide_id=f"{n}-x", name=str(n), patient=f"p{n}", label="x", part=part)
        for n, part in enumerate(parts)
    ]


def test_columns_have_each_slide_once_in_its_part():
    lines = list(columns_of(rows("test", "train", "train", "val"), CLAM))
    assert lines == [("1", "3", "0"), ("2", "", "")]


def test_each_fold_is_tested_once_and_validates_once():
    folds = [f"fold_{n}" for n in range(1, 12)]
    splits = splits_of(rows(*folds), CLAM, "CLAM")
    assert len(splits) == 11
    for number, split in enumerate(splits):
        parts = {row.name: row.part for row in split}
        assert parts.pop(str(number)) == "test"
        assert parts.pop(str((number + 1) % 11)) == "val"
        assert set(parts.values()) == {"train"}


def test_without_a_val_all_other_folds_are_trained_on():
    first, second = splits_of(rows("fold_1", "fold_2"), ("train", "test"), "STAMP")
    assert [row.part for row in first] == ["test", "train"]
    assert [row.part for row in second] == ["train", "test"]


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        (("train", "tcga"), "the dataset has tcga"),
        (("fold_1", "fold_2", "tcga"), "the dataset has fold_1, fold_2, tcga"),
        (("fold_1", "fold_2"), "the dataset has 2 folds"),
    ],
)
def test_parts_that_a_tool_has_no_word_for_are_refused(parts, said):
    with pytest.raises(SpecError, match=said):
        splits_of(rows(*parts), CLAM, "CLAM")
