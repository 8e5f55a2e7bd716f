"""Dataset entries -> the version that each would be now, worked out once for the same slides.

rows that it follows from ─▶ known? ─yes─▶ digest
                              │no
                              ▼
                the whole version planned ─▶ digest, kept in the catalog beside the rows'
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pathassets.core.address import ALL_SLIDES, Address
from pathassets.core.recipe import Entry
from pathassets.engine.platform.datasets.inputs import inputs_of, note_version
from pathassets.engine.platform.platform import Platform

if TYPE_CHECKING:
    from pathassets.engine.platform.datasets.plan import PlannedDataset


def dataset_address(platform: Platform, plan_id: int, entry: Entry) -> Address:
    """Where the version of a dataset is, or would be, that the catalog stands for now."""
    return planned_version(platform, plan_id, entry)[0]


def planned_version(
    platform: Platform, plan_id: int, entry: Entry
) -> tuple[Address, PlannedDataset | None]:
    """The same, and the version itself where it had to be worked out."""
    inputs = inputs_of(platform, plan_id, entry)
    digest = platform.catalog.find_dataset_plan(entry.name, inputs)
    if digest is not None:
        return Address(*entry.key, ALL_SLIDES, digest), None
    planned = _plan(platform, entry)
    note_version(platform, plan_id, entry, inputs, planned.address.digest)
    return planned.address, planned


def known_address(platform: Platform, plan_id: int, entry: Entry) -> Address | None:
    """The same where it was worked out before, or no version of the dataset ever was; else None."""
    inputs = inputs_of(platform, plan_id, entry)
    digest = platform.catalog.find_dataset_plan(entry.name, inputs)
    if digest is None and not platform.catalog.has_dataset_plan(entry.name):
        return dataset_address(platform, plan_id, entry)
    return None if digest is None else Address(*entry.key, ALL_SLIDES, digest)


def mended_address(platform: Platform, entry: Entry) -> Address:
    """The version that it is once all that is damaged was made anew. It is worked out each time."""
    return _plan(platform, entry, is_mended=True).address


def _plan(platform: Platform, entry: Entry, *, is_mended: bool = False) -> PlannedDataset:
    from pathassets.engine.platform.datasets.plan import (  # noqa: PLC0415 - pandas: half a second
        plan_dataset,
    )

    return plan_dataset(platform, entry, is_looking=False, is_mended=is_mended)
