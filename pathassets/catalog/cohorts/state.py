"""Tables -> CohortState: what is said of slides and patients now, each thing under its field."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, select, true

from pathassets.catalog.database.dialects import IN_VALUES
from pathassets.catalog.human_inputs import overrides_in_force
from pathassets.catalog.records import CohortState
from pathassets.catalog.tables import (
    cohort_slide,
    patient,
    patient_label,
    slide,
    slide_label,
    slide_tag,
)

LABEL = "label"
"""Field, and what the label is called that stands beside the slide."""
NAMED = "label."
"""What the field of any other label begins with."""


def _some(column: ColumnElement[Any], chosen: Collection[str] | None) -> ColumnElement[bool]:
    """Condition on a column: in what was chosen; of all, or too many for one statement, none."""
    if chosen is None or len(chosen) > IN_VALUES:
        return true()
    return column.in_(sorted(chosen))


def read_state(
    connection: Connection, slide_ids: Collection[str] | None, patients: Collection[str] | None
) -> CohortState:
    """Read what is said of slides and patients: of all, or of those that are named."""
    slides: dict[str, dict[str, str]] = {}
    query = select(slide.c.slide_id, slide.c.patient, slide.c.label, slide.c.stain, slide.c.mpp)
    for row in connection.execute(query.where(_some(slide.c.slide_id, slide_ids))):
        said = dict(zip(("patient", LABEL, "stain"), row[1:4], strict=True))
        slides[row[0]] = {name: value for name, value in said.items() if value is not None}
        if row[4] is not None:
            slides[row[0]]["mpp"] = repr(float(row[4]))
    stated = overrides_in_force().subquery()
    some = select(stated.c.slide_id, stated.c.mpp).where(_some(stated.c.slide_id, slide_ids))
    for slide_id, mpp in connection.execute(some):
        if slide_id in slides:
            slides[slide_id]["mpp"] = repr(float(mpp))
    for slide_id, name, value in connection.execute(
        select(slide_label.c.slide_id, slide_label.c.name, slide_label.c.value).where(
            _some(slide_label.c.slide_id, slide_ids)
        )
    ):
        if slide_id in slides:
            slides[slide_id][NAMED + name] = value
    return CohortState(
        slides=slides,
        patients=_patients(connection, slides, patients),
        tags=_sets(connection, slide_tag.c.slide_id, slide_tag.c.tag, slide_ids),
        cohorts=_sets(connection, cohort_slide.c.slide_id, cohort_slide.c.cohort, slide_ids),
    )


def _patients(
    connection: Connection,
    slides: Mapping[str, Mapping[str, str]],
    chosen: Collection[str] | None,
) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for said in slides.values():
        if "patient" in said and (chosen is None or said["patient"] in chosen):
            found.setdefault(said["patient"], {})
    query = select(patient.c.patient, patient.c.site).where(_some(patient.c.patient, chosen))
    for name, site in connection.execute(query):
        found.setdefault(name, {}).update({} if site is None else {"site": site})
    for name, label, value in connection.execute(
        select(patient_label.c.patient, patient_label.c.name, patient_label.c.value).where(
            _some(patient_label.c.patient, chosen)
        )
    ):
        field = LABEL if label == LABEL else NAMED + label
        found.setdefault(name, {})[field] = value
    return found


def _sets(
    connection: Connection, key: Column[Any], value: Column[Any], chosen: Collection[str] | None
) -> dict[str, frozenset[str]]:
    found: defaultdict[str, set[str]] = defaultdict(set)
    for one, said in connection.execute(select(key, value).where(_some(key, chosen))):
        found[one].add(said)
    return {one: frozenset(said) for one, said in found.items()}
