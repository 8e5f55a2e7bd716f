"""One slide's features, and several of them, as torch takes them.

They are named tuples, not dataclasses: `DataLoader` pins their memory, moves them between processes
and collates bags of one size as it does with a tuple or a dict, and a dataclass it refuses. So no
field is None: a slide without a patient has an empty one, without a class the number -100.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from pathassets.core import display


class Bag(NamedTuple):
    """The patches of one slide; `features, coordinates, label, *_ = bag` works, too."""

    features: torch.Tensor
    """(n, d), of a map (n, d, height, width): a row a patch, in the order of the locations."""
    coordinates: torch.Tensor
    """int64 (n, 4): x0, y0, x1, y1 of each patch in level-0 pixels, the last two exclusive."""
    label: int
    """Number of its class in `BagDataset.classes`; -100 where it has none."""
    patient: str
    """Empty where nobody said whose it is."""
    slide_id: str
    """Its name in the catalog."""

    def __repr__(self) -> str:
        return display.line(
            self, display.label(self.slide_id), display.count(len(self.features), "patch"),
            f"label {self.label}",
        )  # fmt: skip


class PaddedBags(NamedTuple):
    """Some bags, each made as long as the longest."""

    features: torch.Tensor
    """(b, n, d), zeros after the last patch of each."""
    coordinates: torch.Tensor
    """int64 (b, n, 4) in level-0 pixels, zeros likewise."""
    mask: torch.Tensor
    """bool (b, n): where there is a patch."""
    labels: torch.Tensor
    """int64 (b,)."""
    patients: list[str]
    """Of each bag."""
    slide_ids: list[str]
    """Of each bag."""

    def __repr__(self) -> str:
        return display.line(
            self, display.count(len(self.slide_ids), "bag"), f"padded to {self.mask.shape[1]}"
        )


class ConcatenatedBags(NamedTuple):
    """Some bags, one after the other: nothing is padded."""

    features: torch.Tensor
    """(n, d): patches of the first bag, then of the second, …"""
    coordinates: torch.Tensor
    """int64 (n, 4) in level-0 pixels."""
    offsets: torch.Tensor
    """int64 (b + 1,): bag i has the rows from offsets[i] to offsets[i + 1]."""
    labels: torch.Tensor
    """int64 (b,)."""
    patients: list[str]
    """Of each bag."""
    slide_ids: list[str]
    """Of each bag."""

    def __repr__(self) -> str:
        return display.line(
            self,
            display.count(len(self.slide_ids), "bag"),
            display.count(len(self.features), "patch"),
        )


def pad_bags(bags: list[Bag]) -> PaddedBags:
    """Collate bags of any length into one tensor and a mask: `DataLoader(collate_fn=pad_bags)`."""
    lengths = torch.tensor([len(bag.features) for bag in bags])
    n_most = int(lengths.max())
    return PaddedBags(
        features=_padded([bag.features for bag in bags], n_most),
        coordinates=_padded([bag.coordinates for bag in bags], n_most),
        mask=torch.arange(n_most) < lengths[:, None],
        labels=torch.tensor([bag.label for bag in bags]),
        patients=[bag.patient for bag in bags],
        slide_ids=[bag.slide_id for bag in bags],
    )


def _padded(rows: list[torch.Tensor], n_most: int) -> torch.Tensor:
    batch = rows[0].new_zeros((len(rows), n_most, *rows[0].shape[1:]))
    for place, one in enumerate(rows):
        batch[place, : len(one)] = one
    return batch


def concatenate_bags(bags: list[Bag]) -> ConcatenatedBags:
    """Collate bags of any length without padding: `DataLoader(collate_fn=concatenate_bags)`."""
    lengths = torch.tensor([0, *(len(bag.features) for bag in bags)])
    return ConcatenatedBags(
        features=torch.cat([bag.features for bag in bags]),
        coordinates=torch.cat([bag.coordinates for bag in bags]),
        offsets=lengths.cumsum(0),
        labels=torch.tensor([bag.label for bag in bags]),
        patients=[bag.patient for bag in bags],
        slide_ids=[bag.slide_id for bag in bags],
    )
