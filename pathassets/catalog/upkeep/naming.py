"""Rows that name a slide or a patient in other ways than by a column of theirs -> gone, or unnamed.

    dataset_finding, accepted_finding   one, other, slides of the evidence, message   deleted
    dataset_placement                   the patient, or the slide that has none       deleted
    cohort_change of other slides       the patient, before or after                  unnamed
    attempt at a dataset                message                                       unnamed

A finding that goes is found again by the next build, where it holds without the slide.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import Connection, Table, delete, select, update

from pathassets.catalog.tables import (
    accepted_finding,
    attempt,
    cohort_change,
    dataset_finding,
    dataset_placement,
)
from pathassets.core.recipe import DATASET
from pathassets.core.text import names_one

UNNAMED = "named a slide that was taken out"
"""In place of what a failed build of a dataset said."""
_SLIDES = "slides"
"""Key of a finding's evidence under which the slides are that it is about."""


def erase_named(connection: Connection, slide_ids: Collection[str], patient: str | None) -> None:
    """Delete or unname what names slides, and a patient of whom no slide is left."""
    names = {*slide_ids} if patient is None else {*slide_ids, patient}
    for table in (dataset_finding, accepted_finding):
        _erase_findings(connection, table, slide_ids, names)
    placed = dataset_placement.c
    of_them = (placed.kind == "patient") & placed.name.in_(names)
    connection.execute(delete(dataset_placement).where(of_them))
    _unname_builds(connection, names)
    if patient is not None:
        _unname_changes(connection, patient)


def _erase_findings(
    connection: Connection, table: Table, slide_ids: Collection[str], names: Collection[str]
) -> None:
    for row in connection.execute(select(table)).mappings().all():
        if _is_about(row, slide_ids, names):
            is_it = [column == row[column.name] for column in table.primary_key]
            connection.execute(delete(table).where(*is_it))


def _is_about(row: Mapping[Any, Any], slide_ids: Collection[str], names: Collection[str]) -> bool:
    evidence = row.get("evidence") or {}
    told = {row["one"], row["other"], *evidence.get(_SLIDES, ())}
    return not told.isdisjoint(names) or names_one(row["message"], slide_ids)


def _unname_builds(connection: Connection, names: Collection[str]) -> None:
    of_datasets = select(attempt.c.id, attempt.c.message).where(attempt.c.stage == DATASET)
    for number, message in connection.execute(of_datasets).all():
        if names_one(message, names):
            of_it = update(attempt).where(attempt.c.id == number)
            connection.execute(of_it.values(message=UNNAMED))


def _unname_changes(connection: Connection, patient: str) -> None:
    """Let what other slides were once said to be of the patient stay, without the name."""
    for name in ("old", "new"):
        column = cohort_change.c[name]
        said = (cohort_change.c.field == "patient") & (column == patient)
        connection.execute(update(cohort_change).where(said).values({name: None}))
