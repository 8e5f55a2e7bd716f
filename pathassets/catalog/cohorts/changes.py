"""CohortChange -> tables and history: each thing that is said, where it stands."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any, cast

from sqlalchemy import Connection, Table, bindparam, delete, select, tuple_, update

from pathassets.catalog.cohorts.state import LABEL, NAMED, read_state
from pathassets.catalog.database.dialects import IN_VALUES, upsert
from pathassets.catalog.history import enter_changes
from pathassets.catalog.human_inputs import state_mpp
from pathassets.catalog.part import now
from pathassets.catalog.records import ChangedBy, CohortChange, MppOverride, SlideRecord, Subject
from pathassets.catalog.tables import (
    cohort,
    cohort_slide,
    patient,
    patient_label,
    slide,
    slide_label,
    slide_tag,
)
from pathassets.core.text import quoted
from pathassets.errors import CatalogError

COHORT_FACTS = ("patient", "label")
"""What a slide has beside it that a cohort's table states."""


def keys_of(changes: Iterable[CohortChange], subject: Subject) -> set[str]:
    """Slides, or patients, of which something is changed."""
    return {one.key for one in changes if one.subject == subject}


def require_unchanged(connection: Connection, changes: Sequence[CohortChange]) -> None:
    """Let changes through of which every old value is in force still.

    Raises:
        CatalogError: one is not.
    """
    state = read_state(connection, keys_of(changes, "slide"), keys_of(changes, "patient"))
    said = {"slide": state.slides, "patient": state.patients}
    for one in changes:
        if one.field in _MANY:
            continue
        found = said[one.subject].get(one.key, {}).get(one.field)
        if found != one.old:
            raise CatalogError(
                f"{one.subject} {quoted(one.key)}: its {one.field} is {_told(found)} by now, "
                f"and was {_told(one.old)}",
                remedy="Somebody changed it meanwhile: look again, and state it again",
            )


def _told(value: str | None) -> str:
    return "not stated" if value is None else quoted(value)


def apply_changes(
    connection: Connection, changes: Sequence[CohortChange], by: ChangedBy, at: datetime
) -> None:
    """Make the changes, those of one field at once."""
    of_field: defaultdict[tuple[str, str], list[CohortChange]] = defaultdict(list)
    for one in changes:
        of_field[one.subject, one.field.partition(".")[0]].append(one)
    _enter_patients(connection, changes)
    for place, some in of_field.items():
        _APPLIED[place](connection, some, by)
    enter_changes(connection, changes, by, at)


def _enter_patients(connection: Connection, changes: Iterable[CohortChange]) -> None:
    """Know the patients that slides get."""
    new = {one.new for one in changes if one.field == "patient" and one.new is not None}
    if new:
        rows = [{"patient": name, "site": None} for name in sorted(new)]
        upsert(connection, patient, rows, keep_known=["site"])


def _beside_slide(connection: Connection, changes: Sequence[CohortChange], _by: ChangedBy) -> None:
    """Patient, stain, and the label called `label`: columns of the slide."""
    field = changes[0].field
    of_slide = slide.c.slide_id == bindparam("of_slide")
    connection.execute(
        update(slide).where(of_slide).values({field: bindparam("said")}),
        [{"of_slide": one.key, "said": one.new} for one in changes],
    )


def _slide_labels(connection: Connection, changes: Sequence[CohortChange], by: ChangedBy) -> None:
    beside = [one for one in changes if one.field == LABEL]
    if beside:
        _beside_slide(connection, beside, by)
    _labels(connection, slide_label, [one for one in changes if one.field != LABEL], by)


def _patient_labels(connection: Connection, changes: Sequence[CohortChange], by: ChangedBy) -> None:
    _labels(connection, patient_label, changes, by)


def _labels(
    connection: Connection, table: Table, changes: Sequence[CohortChange], by: ChangedBy
) -> None:
    owner = table.primary_key.columns[0].name
    keys = [{owner: one.key, "name": one.field.removeprefix(NAMED)} for one in changes]
    gone = [key for key, one in zip(keys, changes, strict=True) if one.new is None]
    said = [
        key | {"value": one.new, "kind": one.kind or "category", "source": by.file}
        for key, one in zip(keys, changes, strict=True)
        if one.new is not None
    ]
    _remove(connection, table, gone)
    if said:
        upsert(connection, table, said)


def _sites(connection: Connection, changes: Sequence[CohortChange], _by: ChangedBy) -> None:
    upsert(connection, patient, [{"patient": one.key, "site": one.new} for one in changes])


def _resolutions(connection: Connection, changes: Sequence[CohortChange], by: ChangedBy) -> None:
    why = by.file or "stated by hand"
    new = [
        MppOverride(slide_id=one.key, mpp=float(cast("str", one.new)), who=by.who, why=why)
        for one in changes
    ]
    state_mpp(connection, new)


def _tags(connection: Connection, changes: Sequence[CohortChange], _by: ChangedBy) -> None:
    _members(connection, slide_tag, "tag", changes)


def _cohorts(connection: Connection, changes: Sequence[CohortChange], _by: ChangedBy) -> None:
    names = sorted({one.new for one in changes if one.new is not None})
    if names:
        rows = [{"name": name, "made_at": now()} for name in names]
        upsert(connection, cohort, rows, keep_first=["made_at"])
    _members(connection, cohort_slide, "cohort", changes)


def _members(
    connection: Connection, table: Table, column: str, changes: Sequence[CohortChange]
) -> None:
    """Put slides into what may have many, or take them out."""
    _remove(
        connection,
        table,
        [{"slide_id": one.key, column: one.old} for one in changes if one.old is not None],
    )
    new = [{"slide_id": one.key, column: one.new} for one in changes if one.new is not None]
    if new:
        upsert(connection, table, new)


def _remove(connection: Connection, table: Table, keys: Sequence[Mapping[str, Any]]) -> None:
    if not keys:
        return
    for page in _pages(keys, IN_VALUES // 2):
        columns = [table.c[name] for name in page[0]]
        rows = [tuple(key.values()) for key in page]
        connection.execute(delete(table).where(tuple_(*columns).in_(rows)))


def _pages(rows: Sequence[Any], n: int) -> Iterator[Sequence[Any]]:
    return (rows[start : start + n] for start in range(0, len(rows), n))


_MANY = frozenset({"tag", "cohort"})
"""Of which a slide may have several: to enter one again, or to take out one that is gone, is no
fault."""
_Apply = Callable[[Connection, Sequence[CohortChange], ChangedBy], None]
_APPLIED: Mapping[tuple[str, str], _Apply] = MappingProxyType(
    {
        ("slide", "patient"): _beside_slide,
        ("slide", "stain"): _beside_slide,
        ("slide", LABEL): _slide_labels,
        ("slide", "mpp"): _resolutions,
        ("slide", "tag"): _tags,
        ("slide", "cohort"): _cohorts,
        ("patient", "site"): _sites,
        ("patient", LABEL): _patient_labels,
    }
)
"""What makes the changes of each field."""


def enter_registered(
    connection: Connection, slide_id: str, record: SlideRecord, at: datetime
) -> None:
    """Enter patient and label that a registration brings along; those of the slide stand still."""
    said = {name: getattr(record, name) for name in COHORT_FACTS}
    if not any(said.values()):
        return
    query = select(slide.c.patient, slide.c.label).where(slide.c.slide_id == slide_id)
    old = connection.execute(query).mappings().one_or_none() or dict.fromkeys(COHORT_FACTS)
    changes = [
        CohortChange(subject="slide", key=slide_id, field=name, old=old[name], new=new)
        for name, new in said.items()
        if new is not None and new != old[name]
    ]
    _enter_patients(connection, changes)
    enter_changes(connection, changes, ChangedBy(who="registration"), at)
