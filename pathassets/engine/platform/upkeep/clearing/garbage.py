"""What was made, and what of it no recipe, dataset or person needs -> removed.

    for some hundreds of slides: what is needed (`needed.py`) stays
                                 the rest, children first: row ─▶ folder

The order is what a kill cannot spoil: a row goes before its folder, so none points at nothing, and
a folder without a row is whole and says what it is (`doctor` takes it over). A child goes before
what it was made from, so that no lineage breaks.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import chain
from pathlib import Path
from typing import Literal

from pathassets.adapters.store.opening import upkeep_of
from pathassets.adapters.store.upkeep import find_held, staging_of
from pathassets.catalog.part import now
from pathassets.core.address import ALL_SLIDES, Address
from pathassets.core.recipe import STAGES, Key
from pathassets.engine.platform.other_catalogs import require_no_other
from pathassets.engine.platform.platform import Platform
from pathassets.engine.platform.upkeep.clearing.needed import Needs, needs_of, versions_of
from pathassets.errors import StoreError

Cause = Literal["old_digest", "entry_gone", "files_gone"]
"""Made from or with what is not in force any more; of an entry that the recipe has no more; or one
of these, and without files: only a row is left."""
OLDER_THAN_DAYS = 7.0
MOST_DAYS = 36_500.0
"""A century, the longest that can be asked for: the calendar has an end."""
_RANK = {stage: n for n, stage in enumerate(STAGES)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Garbage:
    """What can go, or went."""

    n: Mapping[Cause, int] = field(default_factory=Counter)
    n_bytes: Mapping[Cause, int] = field(default_factory=Counter)
    n_kept: int = 0
    """Artifacts that stay."""


def find_garbage(platform: Platform, *, older_than_days: float = OLDER_THAN_DAYS) -> Garbage:
    """Count what could go, and touch nothing."""
    return _summed(found for found, _ in _pages(platform, older_than_days))


def remove_garbage(platform: Platform, *, older_than_days: float = OLDER_THAN_DAYS) -> Garbage:
    """Remove what nobody needs; no run begins meanwhile.

    Raises:
        StoreError: the store is not writable, a run works in it, or another catalog uses it.
    """
    require_no_other(platform.store, platform.catalog)
    found: list[Garbage] = []
    with _alone(platform) as bin_:
        for garbage, addresses in _pages(platform, older_than_days):
            drop(platform, addresses, bin_)
            found.append(garbage)
        upkeep_of(platform.store).sweep_unnamed()
    return _summed(found)


@contextmanager
def _alone(platform: Platform) -> Iterator[Path]:
    """Keep runs from beginning, once none is at work; gives a folder for what goes."""
    with (
        platform.store.staging(f"gc-{uuid.uuid4().hex}") as staging,
        without_runs(platform, besides=staging.name),
    ):
        yield staging


@contextmanager
def without_runs(platform: Platform, *, besides: str) -> Iterator[None]:
    """Keep runs from beginning while the block runs.

    Raises:
        StoreError: one is at work.
    """
    with staging_of(platform.store).lock_out():
        held = find_held(platform.store, besides=[besides])
        if held:
            raise StoreError(
                platform.store.where,
                f"run {held[0]} is working in it",
                remedy="Wait for its end, then type the same again",
            )
        yield


def drop(platform: Platform, addresses: Iterable[Address], bin_: Path) -> None:
    """Drop artifacts, children first, each row before its folder."""
    ordered = sorted(addresses, key=lambda a: (-_RANK.get(a.stage, len(_RANK)), a))
    platform.catalog.drop_artifacts(ordered)
    upkeep = upkeep_of(platform.store)
    for address in ordered:
        upkeep.remove(address, bin_)


def _pages(platform: Platform, older_than_days: float) -> Iterator[tuple[Garbage, list[Address]]]:
    """What can go of some hundreds of slides at a time, and what of them stays."""
    before = now() - timedelta(days=older_than_days)
    entries = {entry.key for entry in platform.recipe.entries}
    lost = versions_of(platform).lost
    of_slides = ([one for one in page if one != ALL_SLIDES]
                 for page in platform.catalog.made_partitions())  # fmt: skip
    for slide_ids in chain([[ALL_SLIDES]], of_slides):  # a dataset goes before its members
        needs = needs_of(platform, slide_ids, lost, before)
        yield _counted(needs, entries), sorted(needs.kept.made_at.keys() - needs.needed)


def _counted(needs: Needs, entries: Collection[Key]) -> Garbage:
    n: Counter[Cause] = Counter()
    n_bytes: Counter[Cause] = Counter()
    kept = needs.kept
    for address in kept.made_at.keys() - needs.needed:
        if address in needs.gone:
            n["files_gone"] += 1
            continue
        cause: Cause = "old_digest" if address.key in entries else "entry_gone"
        n[cause] += 1
        n_bytes[cause] += kept.n_bytes[address]
    return Garbage(n=n, n_bytes=n_bytes, n_kept=len(kept.made_at) - n.total())


def _summed(found: Iterable[Garbage]) -> Garbage:
    n: Counter[Cause] = Counter()
    n_bytes: Counter[Cause] = Counter()
    n_kept = 0
    for one in found:
        n.update(one.n)
        n_bytes.update(one.n_bytes)
        n_kept += one.n_kept
    return Garbage(n=n, n_bytes=n_bytes, n_kept=n_kept)
