"""Rows -> what selections know of slides beside them: the page's filter goes by the same.

rows ─▶ facts of the assets that are current, tiles that were looked at ─▶ Asked
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from pathassets.core.recipe import ANNOTATIONS, Key
from pathassets.core.selection.fields import FACT_OF
from pathassets.engine.platform.cohort_page.rows import PageRow
from pathassets.engine.platform.platform import Platform
from pathassets.engine.platform.standing.refresh import refresh_wanted


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What may be asked of one slide."""

    numbers: Mapping[Key, Mapping[str, float]] = field(default_factory=dict)
    """Of each asset that is current, by the names that selections have for them."""
    drawn: tuple[tuple[str, str, str], ...] = ()
    """Name, state and reason of what is drawn on it: selections count it among the assets."""
    n_bad_tiles: int | None = None
    """None where nobody looked."""


def asked_of(platform: Platform, rows: Collection[PageRow]) -> dict[str, Asked]:
    """Read it of all of some slides, by a query an entry."""
    addresses = {
        step.address
        for row in rows
        for cell in row.cells
        if cell.state == "current" and (step := row.planned.steps.get(cell.key)) is not None
    }
    ids = [row.slide_id for row in rows]
    numbers: dict[str, dict[Key, Mapping[str, float]]] = {one: {} for one in ids}
    keys = sorted({address.key for address in addresses})
    for made in platform.catalog.made_of(keys, ids):
        if made.address in addresses and (found := _numbers(made.facts)):
            numbers[made.address.partition_key][made.address.key] = found
    drawn: dict[str, list[tuple[str, str, str]]] = {one: [] for one in ids}
    for slide_id, *said in platform.catalog.standing_of(refresh_wanted(platform), ANNOTATIONS, ids):
        drawn[slide_id].append((said[0], said[1], said[2]))
    checked = platform.catalog.tiles_checked(ids)
    return {
        row.slide_id: Asked(
            numbers=numbers[row.slide_id],
            drawn=tuple(drawn[row.slide_id]),
            n_bad_tiles=row.n_bad_tiles if row.n_bad_tiles or row.slide_id in checked else None,
        )
        for row in rows
    }


def _numbers(facts: Mapping[str, Any]) -> dict[str, float]:
    known = {name: facts.get(fact) for name, fact in FACT_OF.items()}
    return {name: value for name, value in known.items() if isinstance(value, int | float)}
