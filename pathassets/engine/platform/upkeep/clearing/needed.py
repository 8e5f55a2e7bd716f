"""Artifacts of some slides -> which of them are needed, by whom, and of which only rows are left.

    for good   in force, named by a dataset or a release, recorded, kept on purpose
    for now    young
               and with each all that it was made from
    gone       of the rest what has no files any more: a row that nobody misses, however young

A version of a dataset counts as long as it is in force, is released, or has files: what is left of
another names nothing any more.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from pathassets.adapters.store.opening import upkeep_of
from pathassets.catalog.upkeep.clearing import Kept
from pathassets.core.address import ALL_SLIDES, Address
from pathassets.core.recipe import ANNOTATIONS, DATASET
from pathassets.engine.platform.plan import plan_slides
from pathassets.engine.platform.planned_datasets import dataset_address, mended_address
from pathassets.engine.platform.platform import Platform
from pathassets.engine.platform.standing.refresh import refresh_wanted
from pathassets.errors import SpecError


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What was made of some slides, and what of it is needed."""

    kept: Kept
    in_force: set[Address]
    """Of slides: what the recipe wants of them."""
    for_good: set[Address]
    """However old it is."""
    needed: set[Address]
    """The same, and what is young."""
    gone: set[Address]
    """Not needed, and without files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Versions:
    """Versions of datasets: those in force, and those of which only the row is left."""

    in_force: set[Address]
    lost: set[Address]


def versions_of(platform: Platform) -> Versions:
    """Look at every version of a dataset."""
    made = {
        one for one in platform.catalog.kept_of([ALL_SLIDES]).made_at if one.stage == DATASET
    } - platform.catalog.held([])
    in_force = _datasets_in_force(platform)  # released or not
    return Versions(in_force=in_force, lost=_bare(platform, made - in_force))


def _datasets_in_force(platform: Platform) -> set[Address]:
    found: set[Address] = set()
    if not platform.recipe.datasets:
        return found
    plan_id = refresh_wanted(platform)
    for entry in platform.recipe.datasets:
        with suppress(SpecError):  # it asks for what cannot be: no version of it is in force
            found.add(dataset_address(platform, plan_id, entry))
    return found


def versions_once_mended(platform: Platform) -> set[Address]:
    """Versions of datasets that a run makes, damaged features and quality being made anew by it."""
    found: set[Address] = set()
    for entry in platform.recipe.datasets:
        with suppress(SpecError):  # as above
            found.add(mended_address(platform, entry))
    return found


def needs_of(
    platform: Platform, slide_ids: Collection[str], lost: Collection[Address], before: datetime
) -> Needs:
    """Work it out for some hundreds of slides; young is what was made after `before`.

    `lost` are versions of datasets that name nothing any more.
    """
    kept = platform.catalog.kept_of(slide_ids, without=lost)
    forgotten = platform.catalog.forgotten()
    on_purpose = {one for one in slide_ids if any(gone.had_id(one) for gone in forgotten)}
    planned = plan_slides(platform, slide_ids)
    in_force = {step.address for one in planned for step in one.steps.values()}
    held = platform.catalog.held(slide_ids)
    for_good = {
        address
        for address in kept.made_at
        if address in in_force
        or address in kept.in_datasets
        or address in held
        or address.stage == ANNOTATIONS
        or (address.stage == DATASET and address not in lost)
        or address.partition_key in on_purpose
    }
    _add_ancestors(for_good, kept)
    gone = _bare(platform, kept.made_at.keys() - for_good)
    young = {one for one, made_at in kept.made_at.items() if made_at > before}
    needed = for_good | (young - gone)
    _add_ancestors(needed, kept)
    return Needs(kept=kept, in_force=in_force, for_good=for_good, needed=needed, gone=gone - needed)


def _bare(platform: Platform, addresses: Iterable[Address]) -> set[Address]:
    upkeep = upkeep_of(platform.store)
    return {one for one in addresses if upkeep.is_bare(one)}


def _add_ancestors(needed: set[Address], kept: Kept) -> None:
    """Add all that was needed for what is needed."""
    to_do = list(needed)
    while to_do:
        for parent in kept.parents.get(to_do.pop(), ()):
            if parent not in needed:
                needed.add(parent)
                to_do.append(parent)
