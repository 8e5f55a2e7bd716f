"""Rows of a dataset -> what the tables of other tools are made of."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

from pathassets.errors import SpecError

FOLD = re.compile(r"fold_[0-9]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRow:
    """A slide of a dataset, as a table tells it."""

    slide_id: str
    name: str
    """What its files are called in the export."""
    patient: str
    """A slide without a patient is one of its own."""
    label: str
    """Empty where it has none."""
    part: str
    """Of the split."""


def columns_of(rows: Sequence[TrainingRow], parts: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Lines of a table with a column for each part, which holds the names of its slides.

    >>> row = TrainingRow(slide_id="a-1", name="a", patient="p", label="x", part="test")
    >>> list(columns_of([row], ("train", "test")))
    [('', 'a')]
    """
    columns = [[row.name for row in rows if row.part == part] for part in parts]
    return zip_longest(*columns, fillvalue="")


def splits_of(
    rows: Sequence[TrainingRow], parts: Sequence[str], tool: str
) -> list[list[TrainingRow]]:
    """The rows, once for each training, with parts that a tool knows: train, val, test or fewer.

    Of parts fold_1, fold_2, … each is the test part of one training; where the tool knows a val,
    that is the fold after it, the first after the last; the others are trained on.

    Raises:
        SpecError: a part is neither one that the tool knows nor a fold, or the folds are too few.
    """
    found = sorted({row.part for row in rows})
    folds = sorted((part for part in found if FOLD.fullmatch(part)), key=_number_of)
    if not folds or len(folds) < len(found):
        return [list(_refuse_others(rows, parts, tool))]
    if len(folds) < len(parts):
        raise SpecError(
            f"{tool} wants {', '.join(parts)}, and the dataset has {len(folds)} folds",
            remedy=f"Make {len(parts)} folds or more",
        )
    return [[replace(row, part=_role(row.part, n, folds, parts)) for row in rows]
            for n in range(len(folds))]  # fmt: skip


def _role(part: str, n: int, folds: Sequence[str], parts: Sequence[str]) -> str:
    """What a fold is in the training whose test part is fold `n`."""
    if part == folds[n]:
        return "test"
    is_val = "val" in parts and part == folds[(n + 1) % len(folds)]
    return "val" if is_val else "train"


def _number_of(fold: str) -> int:
    return int(fold.removeprefix("fold_"))


def _refuse_others(
    rows: Sequence[TrainingRow], parts: Sequence[str], tool: str
) -> Sequence[TrainingRow]:
    others = sorted({row.part for row in rows} - {*parts})
    if others:
        raise SpecError(
            f"{tool} knows the parts {', '.join(parts)}, and the dataset has {', '.join(others)}",
            remedy=f"Name the parts of the split {', '.join(parts)}, or fold_1, fold_2, …; or "
            "leave slides out: --slides",
        )
    return rows
