"""Rows that a dataset follows from -> the version that they gave, if it was ever worked out."""

from __future__ import annotations

import hashlib

from pathassets.core.recipe import Entry
from pathassets.core.spec import canonical_json
from pathassets.engine.platform.platform import Platform
from pathassets.engine.platform.selection import choose_for


def rows_of(platform: Platform, plan_id: int, entry: Entry) -> str:
    """SHA-256 of a dataset's entry and of all that its version follows from but who was placed.

    Of 100,000 slides it takes a second; the version itself takes a minute.
    """
    if entry.parent is None:
        raise ValueError(f"{entry.key}: a dataset is made from features")
    said = platform.catalog.said_of_dataset(entry.name)
    chosen = choose_for(platform, entry) if entry.spec.slides else ()
    first = canonical_json([entry.parent, entry.identity, said, chosen])
    found = hashlib.sha256(first.encode())
    for rows in platform.catalog.dataset_inputs(plan_id, entry.parent):
        found.update(repr([*map(tuple, rows)]).encode())
    return found.hexdigest()


def inputs_of(platform: Platform, plan_id: int, entry: Entry) -> str:
    """The same with who was placed: what a version is known by that was worked out before."""
    return _with_placed(platform, entry, rows_of(platform, plan_id, entry))


def note_version(platform: Platform, plan_id: int, entry: Entry, inputs: str, digest: str) -> None:
    """Remember the version that inputs gave, unless they changed while it was worked out."""
    if inputs_of(platform, plan_id, entry) == inputs:
        platform.catalog.note_dataset_plan(entry.name, inputs, digest)


def note_built(platform: Platform, plan_id: int, entry: Entry, rows: str, digest: str) -> None:
    """Remember a version that was built, unless the rows changed meanwhile.

    Its build placed its members: worked out again, from there, it is the same.
    """
    if rows_of(platform, plan_id, entry) == rows:
        inputs = _with_placed(platform, entry, rows)
        platform.catalog.note_dataset_plan(entry.name, inputs, digest)


def _with_placed(platform: Platform, entry: Entry, rows: str) -> str:
    return f"{rows}+{platform.catalog.n_placed(entry.name)}"
