"""An open line and what was stated since its table was taken -> which of the two stands.

A table of the inbox speaks as of its taking, whenever its lines find their slides: by that its
statements are held against each other, and against those of people.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from pathassets.catalog.catalog import Catalog
from pathassets.catalog.inbox import TakenTable
from pathassets.catalog.records import CohortChange, PastChange

WHO = "inbox"
"""Who states what such a table says."""


def stated_later(
    catalog: Catalog, table: TakenTable, changes: Collection[CohortChange]
) -> dict[CohortChange, PastChange]:
    """Of changes that open lines of a table would make, what was stated of the same later.

    Costs the history of what would be changed.
    """
    of_tables = {one.sha256: one.taken_at for one in catalog.taken_tables().values()}
    newest = {
        _thing(past.change): past
        for past in catalog.changes_after({one.key for one in changes}, table.taken_at)
        if _spoke_at(past, of_tables) > table.taken_at
    }
    return {one: newest[_thing(one)] for one in changes if _thing(one) in newest}


def _spoke_at(past: PastChange, of_tables: dict[str, datetime]) -> datetime:
    """As of when a statement is meant: a line of the inbox may have waited for its slide."""
    return min(past.at, of_tables.get(past.by.sha256, past.at)) if past.by.who == WHO else past.at


def _thing(one: CohortChange) -> tuple[str, ...]:
    """What a change is about: of what a slide has many, one of them."""
    name = one.new or one.old or "" if one.field in ("tag", "cohort") else ""
    return one.subject, one.key, one.field, name
