"""Slides of a dataset -> bags, read from the disk when they are asked for.

Nothing is held but the list of slides, and no file stays open: it is pickled as it is for worker
processes, by fork or spawn, and memory holds the bags that are under way. Which patches a bag has
follows from seed, epoch and slide alone, whoever reads it.
"""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import Dataset

from pathassets.adapters.torch.bags.bag import Bag
from pathassets.adapters.zarr.row_reader import REMEDY, StoredRows, open_rows
from pathassets.core import display
from pathassets.core.datasets.members import Member
from pathassets.core.datasets.row_sampling import choose_rows, first_not_finite
from pathassets.core.datasets.used_patches import used_rows
from pathassets.core.datasets.withdrawn import Withdrawn
from pathassets.errors import BagUnreadable, StoreError

N_EDGES = 4
"""Numbers of a patch's box."""


def _shared_epoch() -> torch.Tensor:
    """An epoch that worker processes which live on see change."""
    epoch = torch.zeros((), dtype=torch.int64)
    epoch.share_memory_()  # type: ignore[no-untyped-call] # torch says no types of it
    return epoch


@dataclass(frozen=True, kw_only=True, eq=False)
class BagDataset(Dataset[Bag]):
    """Bags of a dataset's slides; made by `load_dataset`."""

    name: str
    """What was loaded."""
    root: Path
    """What the slides' features are relative to: a store, or a copied folder."""
    members: tuple[Member, ...]
    """The slides, in the order of the manifest, which is that of their ids."""
    classes: tuple[str, ...]
    """Labels, by the number that stands for each: of the whole dataset, whatever the split."""
    withdrawn: tuple[Withdrawn, ...] = ()
    """Slides of the parts asked for that were taken out since, and are left out."""
    max_patches: int | None = None
    """Patches of a slide that has more of them are drawn, anew in each epoch; None takes all."""
    seed: int = 0
    """Of that draw."""
    dtype: torch.dtype | None = None
    """Of the features; None keeps what is stored."""
    _epoch: torch.Tensor = field(default_factory=_shared_epoch, init=False, repr=False)

    def __len__(self) -> int:
        return len(self.members)

    def __iter__(self) -> Iterator[Bag]:
        return (self[index] for index in range(len(self)))

    def __repr__(self) -> str:
        counts = Counter(one.label for one in self.members).most_common(display.N_LABELS)
        said = (f"{n:,} {display.label(label) if label else 'without'}" for label, n in counts)
        count = display.count(len(self), "bag")
        gone = f"{len(self.withdrawn)} forgotten left out" if self.withdrawn else ""
        return display.line(self, display.label(self.name), count, gone, *said)

    @property
    def labels(self) -> list[int]:
        """Number of each slide's class, without reading features: for samplers and weights."""
        return [one.code for one in self.members]

    @property
    def slide_ids(self) -> list[str]:
        """Of each bag."""
        return [one.slide_id for one in self.members]

    @property
    def patients(self) -> list[str]:
        """Of each bag; empty where nobody said."""
        return [one.patient for one in self.members]

    @property
    def epoch(self) -> int:
        """Epoch that patches are drawn for."""
        return int(self._epoch)

    def set_epoch(self, epoch: int) -> None:
        """Draw other patches from now on, in this process and in the workers of loaders over it.

        To be called before an epoch's loop begins; without it all epochs have the same patches.
        """
        self._epoch.fill_(epoch)

    def __getitem__(self, index: int) -> Bag:
        """Read a slide's bag.

        Raises:
            IndexError: there are not so many.
            BagUnreadable: its features are gone, damaged, other than the dataset says, or hold NaN.
        """
        member = self.members[operator.index(index)]
        try:
            features, coordinates = self._read(member)
        except StoreError as error:
            raise BagUnreadable(
                f"slide {member.slide_id}: {error.message}", uri=error.uri, remedy=error.remedy
            ) from error
        rows = torch.from_numpy(features)
        return Bag(
            features=rows if self.dtype is None else rows.to(self.dtype),
            coordinates=torch.from_numpy(coordinates),
            label=member.code,
            patient=member.patient,
            slide_id=member.slide_id,
        )

    def _read(self, member: Member) -> tuple[np.ndarray, np.ndarray]:
        group = self.root / member.features_uri
        stored, boxes = open_rows(group / "features"), open_rows(group / "coordinates")
        _require(stored, member, is_fit=len(stored.shape) > 1 and stored.dtype.kind == "f")
        _require(boxes, member, is_fit=boxes.shape[1:] == (N_EDGES,) and boxes.dtype.kind == "i")
        rows = self._rows(member)
        features = stored.read(rows)
        bad = first_not_finite(features)
        if bad is not None:
            row = bad if rows is None else int(rows[bad])
            raise _unlike(stored, f"holds NaN or infinity in row {row}")
        return features, boxes.read(rows)

    def _rows(self, member: Member) -> np.ndarray | None:
        """Rows of a bag: those that are used, of them as many as are wanted; None for all."""
        bits, n_most = member.used_bits, self.max_patches
        used = None if bits is None else used_rows(bits, member.n_patches)
        n_rows = member.n_patches if used is None else len(used)
        if n_most is None or n_rows <= n_most:
            return used
        drawn = choose_rows(n_rows, n_most, self.seed, self.epoch, member.slide_id)
        return drawn if used is None else used[drawn]


def _require(array: StoredRows, member: Member, *, is_fit: bool) -> None:
    """Let an array through that is of the kind that it should be, with a row for each patch."""
    if not is_fit:
        raise _unlike(array, f"holds {array.dtype} {array.shape}")
    if len(array) != member.n_patches:
        raise _unlike(array, f"has {len(array)} rows, the dataset says {member.n_patches}")


def _unlike(array: StoredRows, fact: str) -> StoreError:
    return StoreError(array.path, fact, remedy=REMEDY)
