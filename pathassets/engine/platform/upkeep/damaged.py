"""Rows whose files are gone or damaged -> findings, each with what ends it.

in force          ─▶ a run makes it anew; drawn or imported, or made from what was, a person enters
                     that again
needed otherwise  ─▶ a note: a dataset or a release names it, and no recipe in force makes it
needed by nobody  ─▶ clearing drops it
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import timedelta
from functools import cached_property
from itertools import islice

from pathassets.adapters.store.damage import Damage
from pathassets.catalog.part import now
from pathassets.core.address import Address
from pathassets.core.recipe import ANNOTATIONS, DATASET
from pathassets.engine.platform.platform import Platform
from pathassets.engine.platform.presence import find_damage, tool_of
from pathassets.engine.platform.standing.damaged import remedy_once_noted
from pathassets.engine.platform.upkeep.clearing.garbage import OLDER_THAN_DAYS
from pathassets.engine.platform.upkeep.clearing.needed import (
    Needs,
    Versions,
    needs_of,
    versions_of,
    versions_once_mended,
)
from pathassets.engine.platform.upkeep.finding import GC, RUN, Finding
from pathassets.engine.stages.outcomes import import_again
from pathassets.engine.stages.recorded_annotation import record_again

_N_ASKED = 200
"""Artifacts that the catalog is asked about at once."""
_NOT_IN_FORCE = "and the recipe in force does not make it"


def tell_damaged(
    platform: Platform, found: Iterable[tuple[Address, Damage]], *, is_noted: bool
) -> Iterator[Finding]:
    """Say of artifacts that are not whole what that means, and what helps.

    Of what is to be noted, for no other look finds it, the remedy is what helps once it is.
    """
    known = platform.readable  # where weights are gone, nobody can tell what is in force of them
    versions: Versions | None = None
    entered = _Entered(platform)
    mended: set[Address] | None = None
    pages = iter(found)
    while page := list(islice(pages, _N_ASKED)):
        versions = versions or versions_of(known)
        before = now() - timedelta(days=OLDER_THAN_DAYS)
        slide_ids = sorted({address.partition_key for address, _ in page})
        needs = needs_of(known, slide_ids, versions.lost, before)
        in_force = needs.in_force | versions.in_force
        if any(one.stage == DATASET and one not in in_force for one, _ in page):
            # Without damaged features it is another now: that of before is, once a run made them.
            mended = versions_once_mended(known) if mended is None else mended
            in_force |= mended
        for address, damage in page:
            is_in_force = address in in_force
            one = _damaged(entered, address, damage, needs, is_in_force=is_in_force)
            if is_noted and (is_in_force or address.stage == ANNOTATIONS):
                remedy = remedy_once_noted(platform, address, damage, by="doctor", usual=one.remedy)
                one = replace(one, remedy=remedy)
            yield one


def _damaged(
    entered: _Entered, address: Address, damage: Damage, needs: Needs, *, is_in_force: bool
) -> Finding:
    platform = entered.platform
    evidence, is_note = str(damage), False
    if (tool := tool_of(platform, address)) and is_in_force:
        remedy = import_again(address, tool)
    elif address.stage == ANNOTATIONS:
        remedy = record_again(address.partition_key, address.name)
    elif is_in_force or address.key in platform.recipe.left_out:
        lost = entered.find_lost(address)
        remedy = f"{RUN} makes it anew" if lost is None else _enter_first(lost)
    elif address not in needs.for_good:
        evidence += f", {_NOT_IN_FORCE}"
        remedy = f"{GC} drops it" if address in needs.gone else f"{GC} --older-than 0 drops it"
    elif address.stage == DATASET and not _is_released(platform, address):
        evidence += f", {_NOT_IN_FORCE}"
        remedy = f"Move its folder out of the store, then {GC} drops its row"
    else:
        evidence += f", {_NOT_IN_FORCE}; it stays known for what names it"
        remedy, is_note = "Only the recipe of then makes it again: lineage tells it", True
    return Finding(
        kind="artifact_gone" if damage.is_gone else "artifact_damaged",
        subject=str(address),
        evidence=evidence,
        remedy=remedy,
        is_note=is_note,
    )


class _Entered:
    """What no run can make, where what is not whole was made from it: drawn, or imported."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform

    @cached_property
    def _imported(self) -> set[str]:
        return {one.digest for some in self.platform.catalog.adopted().values() for one in some}

    @cached_property
    def _noted(self) -> set[Address]:
        return {one.address for one in self.platform.catalog.failed_though_made()}

    def find_lost(self, made: Address) -> Address | None:
        """The first that a run would need and that is not whole; None where it can make all.

        No run asks for what lies behind something whole. Of a dataset's features, which may be
        those of all slides, the store is asked only about what was imported.
        """
        for one in self.platform.catalog.parents_of(made):
            is_entered = one.stage == ANNOTATIONS or one.digest in self._imported
            is_asked = is_entered or made.stage != DATASET
            if not (one in self._noted or (is_asked and find_damage(self.platform, one))):
                continue
            if found := one if is_entered else self.find_lost(one):
                return found
        return None


def _enter_first(entered: Address) -> str:
    doing = "Record" if entered.stage == ANNOTATIONS else "Import"
    return f"{doing} {entered} again, as its line says: then it is made anew"


def _is_released(platform: Platform, address: Address) -> bool:
    return address in platform.catalog.held([])
