"""`load_dataset`: one part of a dataset, as bags that torch trains on."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from pathassets.adapters.torch.bags.dataset import BagDataset
from pathassets.core.datasets.members import (
    UNLABELLED,
    UnknownLabel,
    classes_of,
    members_of,
    parts_asked_for,
    refuse_or_drop,
)
from pathassets.core.datasets.withdrawn import told, without_withdrawn
from pathassets.engine.datasets.find import open_dataset
from pathassets.engine.datasets.folder import DatasetFolder
from pathassets.errors import SpecError, StoreError

logger = logging.getLogger(__name__)


def load_dataset(  # noqa: PLR0913 - the public door: each has a default
    what: str | Path,
    *,
    split: str | Sequence[str] | None = None,
    fold: int | None = None,
    label: str = "label",
    classes: Sequence[str] | None = None,
    unknown_label: UnknownLabel = "refuse",
    max_patches: int | None = None,
    seed: int = 0,
    dtype: torch.dtype | None = None,
    verify: bool = False,
    without_forgotten: bool = False,
    store: Path | str | None = None,
) -> BagDataset:
    """Open a dataset for torch: a `Dataset` of one bag for each slide, in the order of slide ids.

    Bags are read when they are asked for. Batches of bags of different length are made by
    `DataLoader(…, collate_fn=pathassets.pad_bags)` or `pathassets.concatenate_bags`.

    Args:
        what: `luad` for the version that was built last, `luad@3` for a release, or a path: of a
            dataset's own folder in a store, or of a folder that it was copied to.
        split: the part, or several; None for all.
        fold: number of a fold, of a dataset that was split into folds: `test` is that fold,
            `train` all others.
        label: column of the manifest that says the class.
        classes: labels, in the order of their numbers; None takes all labels of the dataset, in
            the order of their names, and so the same for every split.
        unknown_label: of a slide without a label, or with one that is none of `classes`: `refuse`,
            `keep` (its number is -100, which torch's losses leave out) or `drop`.
        max_patches: where a slide has more, so many are drawn, by `seed`, slide and epoch alone;
            see `BagDataset.set_epoch`.
        seed: of that draw.
        dtype: of the features; None keeps what is stored.
        verify: read every byte before, and compare it with what the dataset names. It takes as
            long as hashing all of it.
        without_forgotten: where slides were taken out since (`pathassets forget`), take the rest,
            warn of each, and name them in `BagDataset.withdrawn`; without it that is an error. The
            classes and their numbers are those of the whole dataset either way.
        store: store to look for a name in, with its own catalog; None is the home's.

    Raises:
        SpecError: there is no such dataset, split, fold or label, or a slide's label is unknown.
        CatalogError: there is no such release, or the catalog cannot be read.
        MembersForgotten: slides of these parts were taken out since, and the rest is not asked for.
        StoreError: the folder holds no dataset, or it or its features are damaged.
    """
    if max_patches is not None and max_patches < 1:
        raise SpecError(
            f"max_patches: {max_patches} is not 1 or more", remedy="None takes all patches"
        )
    folder = open_dataset(what, store)
    _require_here(folder, str(what))
    everyone = members_of(folder.manifest, label)
    parts = parts_asked_for({one.split for one in everyone}, split, fold)
    known = classes_of(everyone, classes)
    asked = [one for one in everyone if one.split in parts]
    left, lost = without_withdrawn(str(what), asked, folder.withdrawn, is_meant=without_forgotten)
    if lost:
        logger.warning("%s: left out: %s", what, told(lost))
    chosen = refuse_or_drop(left, known, unknown_label)
    if verify:
        for one in chosen:
            folder.check(one)
    code = {name: number for number, name in enumerate(known)}
    return BagDataset(
        name=str(what),
        root=folder.root,
        members=tuple(
            replace(
                one,
                code=code.get(one.label, UNLABELLED),
                used_bits=folder.used.get(one.slide_id),
            )
            for one in chosen
        ),
        classes=known,
        withdrawn=lost,
        max_patches=max_patches,
        seed=seed,
        dtype=dtype,
    )


def _require_here(folder: DatasetFolder, what: str) -> None:
    """Refuse features in a bucket: training reads each many times, and by processes that fork.

    Raises:
        StoreError: they are.
    """
    if folder.bucket is not None:
        raise StoreError(
            folder.bucket.where,
            f"has the features of {what}, and training reads them from a disk",
            remedy=f"Copy it, and load the copy by its path: pathassets dataset copy {what} FOLDER",
        )
