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
            one = _damaged(platform, address, damage, needs, is_in_force=is_in_force)
            if is_noted and (is_in_force or address.stage == ANNOTATIONS):
                remedy = remedy_once_noted(platform, address, damage, by="doctor", usual=one.remedy)
                one = replace(one, remedy=remedy)
            yield one


def _damaged(
    platform: Platform, address: Address, damage: Damage, needs: Needs, *, is_in_force: bool
) -> Finding:
    evidence, is_note = str(damage), False
    if (tool := tool_of(platform, address)) and is_in_force:
        remedy = import_again(address, tool)
    elif address.stage == ANNOTATIONS:
        remedy = record_again(address.partition_key, address.name)
    elif is_in_force or address.key in platform.recipe.left_out:
        awaited = _awaited(platform, address)
        remedy = f"{RUN} makes it anew" if awaited is None else _import_first(awaited)
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


def _awaited(platform: Platform, address: Address) -> Address | None:
    """Imported features that a dataset had, and that are not whole: the first of them."""
    if address.stage != DATASET:
        return None
    imported = {one.digest for some in platform.catalog.adopted().values() for one in some}
    had = [one for one in platform.catalog.parents_of(address) if one.digest in imported]
    noted = {one.address for one in platform.catalog.failed_though_made()} if had else set()
    return next((one for one in had if one in noted or find_damage(platform, one)), None)


def _import_first(features: Address) -> str:
    return f"Import {features} again, as its line says: then it is made anew"


def _is_released(platform: Platform, address: Address) -> bool:
    return address in platform.catalog.held([])
