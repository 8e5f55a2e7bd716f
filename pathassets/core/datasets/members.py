"""A dataset's manifest -> the slides of a part, each with the number of its class.

The classes are those of the whole manifest, in the order of their names, whatever part is asked
for: a class has the same number in training and in the test.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from pathassets.core.near_names import did_you_mean
from pathassets.core.text import quoted
from pathassets.errors import SpecError

UNLABELLED = -100
"""Number of a slide without a class: what `torch.nn.CrossEntropyLoss` leaves out of the loss."""
N_NAMED = 3
"""Slides that an error names of many."""
_FOLD = re.compile(r"fold_0*([1-9][0-9]*)")

UnknownLabel = Literal["refuse", "keep", "drop"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One slide of a dataset."""

    slide_id: str
    patient: str
    """Empty where nobody said whose it is."""
    label: str
    """Empty where it has none."""
    split: str
    n_patches: int
    features_uri: str
    """Its Zarr group, relative to what holds all features, with forward slashes."""
    features_sha256: str
    """Of all files of the artifact that the group is in."""
    used_bits: bytes | None = None
    """A bit for each patch that is used; None: all are."""
    code: int = UNLABELLED
    """Number of its class."""


def members_of(manifest: pd.DataFrame, label: str) -> tuple[Member, ...]:
    """Slides of a manifest, in its order; `label` is the column that says the class.

    Raises:
        SpecError: there is no such column.
    """
    if label not in manifest.columns:
        remedy = did_you_mean(label, map(str, manifest.columns), "The manifest has")
        raise SpecError(f"label {quoted(label)}: the manifest has no such column", remedy=remedy)
    names = ("slide_id", "patient", label, "split", "features_uri", "features_sha256")
    texts = [manifest[name].astype("string").fillna("").tolist() for name in names]
    counts = manifest["n_patches"].tolist()
    return tuple(
        Member(
            slide_id=slide_id, patient=patient, label=said, split=split, n_patches=int(n),
            features_uri=uri, features_sha256=sha256,
        )
        for slide_id, patient, said, split, uri, sha256, n in zip(*texts, counts, strict=True)
    )  # fmt: skip


def parts_asked_for(
    known: Collection[str], split: str | Sequence[str] | None, fold: int | None
) -> frozenset[str]:
    """Parts of a dataset that are meant; without a fold, those that are named, or all.

    With a fold, `test` is that fold, `train` are all other folds.

    Raises:
        SpecError: there is no such part or fold, or a fold is asked for as something else.

    >>> folds = ["fold_1", "fold_2", "fold_3", "elsewhere"]
    >>> sorted(parts_asked_for(folds, "train", 2)), sorted(parts_asked_for(folds, "test", 2))
    (['fold_1', 'fold_3'], ['fold_2'])
    """
    if fold is not None:
        return _parts_of_fold(known, split, fold)
    if split is None:
        return frozenset(known)
    asked = [split] if isinstance(split, str) else list(split)
    for one in asked:
        if one not in known:
            remedy = did_you_mean(one, sorted(known), "Parts with slides are")
            remedy = remedy if known else "The dataset is empty: left_out.parquet says why"
            raise SpecError(f"split {quoted(one)}: no slide is in such a part", remedy=remedy)
    return frozenset(asked)


def _parts_of_fold(
    known: Collection[str], split: str | Sequence[str] | None, fold: int
) -> frozenset[str]:
    folds = {int(found[1]): part for part in known if (found := _FOLD.fullmatch(part))}
    if fold not in folds:
        there = ", ".join(map(str, sorted(folds)))
        remedy = f"There are {there}" if there else "It was not split into folds: name a split"
        raise SpecError(f"fold {fold!r}: the dataset has no such fold", remedy=remedy)
    if split not in ("train", "test"):
        raise SpecError(
            f"split {split!r}: says nothing of fold {fold}",
            remedy="'test' is that fold, 'train' are all others",
        )
    if split == "test":
        return frozenset({folds.pop(fold)})
    return frozenset(part for number, part in folds.items() if number != fold)


def classes_of(members: Sequence[Member], stated: Sequence[str] | None) -> tuple[str, ...]:
    """Classes in the order of their numbers: as stated, else all labels in the order of names.

    Raises:
        SpecError: one is stated twice.
    """
    if stated is None:
        return tuple(sorted({one.label for one in members} - {""}))
    if len({*stated}) < len(stated):
        raise SpecError(f"classes {list(stated)}: one is named twice", remedy="Name each once")
    return tuple(stated)


def refuse_or_drop(
    members: Sequence[Member], classes: Sequence[str], unknown: UnknownLabel
) -> tuple[Member, ...]:
    """Members of a part without those of no class, where they are to be dropped.

    Raises:
        SpecError: one is of no class, and that is refused; or there is no such choice.
    """
    if unknown not in ("refuse", "keep", "drop"):
        raise SpecError(
            f"unknown_label {unknown!r}: is no choice", remedy="Write 'refuse', 'keep' or 'drop'"
        )
    astray = [one for one in members if one.label not in classes]
    if astray and unknown == "refuse":
        first = astray[0]
        said = f"label {quoted(first.label)} is no class" if first.label else "it has no label"
        raise SpecError(
            f"slide {first.slide_id}: {said}, as with {len(astray)} of {len(members)} slides",
            remedy=f"unknown_label='drop' leaves them out, 'keep' gives them {UNLABELLED}",
        )
    return tuple(one for one in members if unknown == "keep" or one.label in classes)
