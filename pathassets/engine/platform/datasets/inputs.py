"""Rows that a dataset follows from -> the version that they gave, if it was ever worked out."""

from __future__ import annotations

import hashlib

from pathassets.core.recipe import Entry
from pathassets.core.spec import canonical_json
from pathassets.engine.platform.platform import Platform
from pathassets.engine.platform.selection import choose_slides


def inputs_of(platform: Platform, plan_id: int, entry: Entry) -> str:
    """SHA-256 of a dataset's entry and of all rows that its version follows from.

    Of 100,000 slides it takes a second; the version itself takes a minute.
    """
    if entry.parent is None:
        raise ValueError(f"{entry.key}: a dataset is made from features")
    said = platform.catalog.said_of_dataset(entry.name)
    chosen = choose_slides(platform, [entry.spec.slides]) if entry.spec.slides else ()
    first = canonical_json([entry.parent, entry.identity, said, chosen])
    found = hashlib.sha256(first.encode())
    for rows in platform.catalog.dataset_inputs(plan_id, entry.parent):
        found.update(repr([*map(tuple, rows)]).encode())
    return found.hexdigest()


def note_version(platform: Platform, plan_id: int, entry: Entry, inputs: str, digest: str) -> None:
    """Remember the version that inputs gave, unless they changed while it was worked out."""
    if inputs_of(platform, plan_id, entry) == inputs:
        platform.catalog.note_dataset_plan(entry.name, inputs, digest)
