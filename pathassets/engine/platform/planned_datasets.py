"""Dataset entries -> the version that each would be now, worked out once for the same slides.

rows that it follows from ─▶ known? ─yes─▶ digest
                              │no
                              ▼
                the whole version planned ─▶ digest, kept in the catalog beside the rows'
"""

from __future__ import annotations

import hashlib

from pathassets.core.address import ALL_SLIDES, Address
from pathassets.core.recipe import Entry
from pathassets.core.spec import canonical_json
from pathassets.engine.platform.plan import plan_slides
from pathassets.engine.platform.platform import Platform
from pathassets.engine.platform.presence import stored_artifacts


def dataset_address(platform: Platform, plan_id: int, entry: Entry) -> Address:
    """Where the version of a dataset is, or would be, that the catalog stands for now."""
    inputs = _inputs(platform, plan_id, entry)
    digest = platform.catalog.find_dataset_plan(entry.name, inputs)
    if digest is None:
        digest = _plan(platform, entry)
        if _inputs(platform, plan_id, entry) == inputs:  # nothing changed meanwhile
            platform.catalog.note_dataset_plan(entry.name, inputs, digest)
    return Address(*entry.key, ALL_SLIDES, digest)


def _inputs(platform: Platform, plan_id: int, entry: Entry) -> str:
    """SHA-256 of the entry and of all rows that its version follows from."""
    if entry.parent is None:
        raise ValueError(f"{entry.key}: a dataset is made from features")
    found = hashlib.sha256(canonical_json([entry.parent, entry.identity]).encode())
    for row in platform.catalog.dataset_inputs(plan_id, entry.parent):
        found.update(repr(row).encode())
    return found.hexdigest()


def _plan(platform: Platform, entry: Entry) -> str:
    from pathassets.engine.platform.datasets.plan import (  # noqa: PLC0415 - pandas: half a second
        plan_dataset,
    )

    slides = plan_slides(platform)
    known = stored_artifacts(platform, slides, entry.parent)
    return plan_dataset(platform, entry, slides, known).address.digest
