"""Rows that a dataset follows from -> the version that they gave, if it was ever worked out.

number of changes as when they were hashed? ─yes─▶ their hash, kept ─▶ the version, kept
                                            └no──▶ read and hashed ─▲
"""

from __future__ import annotations

import hashlib
from contextlib import suppress

from pathassets.core.recipe import Entry
from pathassets.core.spec import canonical_json
from pathassets.engine.platform.platform import Platform
from pathassets.engine.platform.selection import choose_for
from pathassets.errors import CatalogError


def rows_of(platform: Platform, plan_id: int, entry: Entry) -> str:
    """SHA-256 of a dataset's entry and of all that its version follows from but who was placed.

    Of 100,000 slides it takes a second once anything was made or tried since; the version itself
    takes longer.
    """
    catalog = platform.catalog
    n_changes = catalog.n_changes(plan_id)
    said = _said(platform, entry)
    known = hashlib.sha256(f"{n_changes} {said}".encode()).hexdigest()
    found = catalog.find_dataset_rows(entry.name, plan_id, known)
    if found is None:
        found = _hashed(platform, plan_id, entry, said)
        if catalog.n_changes(plan_id) == n_changes:  # it is of these rows, whatever comes now
            with suppress(CatalogError):  # a disk that is full: they are read again, no more
                catalog.note_dataset_rows(entry.name, plan_id, known, found)
    return found


def _said(platform: Platform, entry: Entry) -> str:
    """What is said of a dataset besides the rows: its entry, what people stated, its selection."""
    if entry.parent is None:
        raise ValueError(f"{entry.key}: a dataset is made from features")
    said = platform.catalog.said_of_dataset(entry.name)
    chosen = choose_for(platform, entry) if entry.spec.slides else ()
    made_from = [entry.parent] if entry.beside is None else [entry.parent, entry.beside]
    return canonical_json([*made_from, entry.identity, said, chosen])


def _hashed(platform: Platform, plan_id: int, entry: Entry, said: str) -> str:
    found = hashlib.sha256(said.encode())
    for key in filter(None, (entry.parent, entry.beside)):
        for rows in platform.catalog.dataset_inputs(plan_id, key):
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
