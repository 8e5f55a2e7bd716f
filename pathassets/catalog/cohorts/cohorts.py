"""The part of the catalog that says whose slides are, and what they are called.

    state of now ─▶ changes (old ─▶ new) ─▶ is old still so? ─▶ tables + history, in one transaction

Who plans changes looks first and shows them to a person; what was changed meanwhile is refused, not
overwritten.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, func, insert, select

from pathassets.catalog.cohorts.changes import (
    COHORT_FACTS,
    apply_changes,
    keys_of,
    require_unchanged,
)
from pathassets.catalog.cohorts.kinds import change_kind, read_kinds, require_kinds
from pathassets.catalog.cohorts.state import LABEL, read_state
from pathassets.catalog.database.connect import reading, writing
from pathassets.catalog.database.dialects import lock_for_cohort, lock_for_standing
from pathassets.catalog.forgotten import find_gone, is_staying, read_forgotten
from pathassets.catalog.history import enter_changes, past_change
from pathassets.catalog.human_inputs import check_known, disputes, find_heir
from pathassets.catalog.part import CatalogPart, now, portions
from pathassets.catalog.records import (
    ChangedBy,
    CohortChange,
    CohortFacts,
    CohortState,
    Label,
    LabelKind,
    PastChange,
    Verdict,
)
from pathassets.catalog.rows import flat
from pathassets.catalog.tables import (
    cohort,
    cohort_change,
    cohort_slide,
    merged_slide,
    patient,
    patient_label,
    slide,
    slide_label,
    verdict,
)
from pathassets.core.text import quoted
from pathassets.errors import CatalogError

_BY_HAND = ChangedBy()
_VERDICT = [column for column in verdict.c if column.name != "id"]


class Cohorts(CatalogPart):
    """What is said of slides and patients."""

    # What is said

    def cohort_state(
        self, slide_ids: Collection[str] | None = None, patients: Collection[str] | None = None
    ) -> CohortState:
        """What is said of slides and patients now: of all, or of some hundreds of them."""
        with reading(self._engine) as connection:
            return read_state(connection, slide_ids, patients)

    def slide_labels(self, slide_id: str) -> list[Label]:
        """Labels of a slide, and behind them those of its patient, by name."""
        own = select(slide_label).where(slide_label.c.slide_id == slide_id)
        of_patient = (
            select(patient_label)
            .join(slide, slide.c.patient == patient_label.c.patient)
            .where(slide.c.slide_id == slide_id)
        )
        with reading(self._engine) as connection:
            rows = [
                row
                for query, table in ((own, slide_label), (of_patient, patient_label))
                for row in connection.execute(query.order_by(table.c.name)).mappings()
            ]
        names = ("name", "value", "kind", "source")
        return [Label(**{name: row[name] for name in names}) for row in rows]

    def site_of(self, slide_id: str) -> str | None:
        """Site of a slide's patient; None where nobody said."""
        query = select(patient.c.site).join(slide, slide.c.patient == patient.c.patient)
        with reading(self._engine) as connection:
            return connection.execute(query.where(slide.c.slide_id == slide_id)).scalar()

    def slides_of_patients(self, patients: Collection[str]) -> list[str]:
        """Slides of some hundreds of patients, by id."""
        query = select(slide.c.slide_id).where(slide.c.patient.in_(sorted(patients)))
        with reading(self._engine) as connection:
            return list(connection.execute(query.order_by(slide.c.slide_id)).scalars())

    def disputed(self) -> list[str]:
        """What merged slides contradict each other in, as sentences, until somebody states it."""
        merged = merged_slide.c
        of_slide = slide.c.slide_id == merged.into_slide_id
        is_open = slide.c.patient.is_(None) & merged.patient.is_not(None)
        is_open |= slide.c.label.is_(None) & merged.label.is_not(None)
        stand = (slide.c[name].label(f"{name}_now") for name in COHORT_FACTS)
        query = select(merged_slide, *stand).join(slide, of_slide).where(is_open)
        with reading(self._engine) as connection:
            in_order = query.order_by(merged.into_slide_id, merged.slide_id)
            return disputes(connection.execute(in_order).mappings().all())

    def cohort_sizes(self) -> dict[str, int]:
        """Slides of every cohort, by name."""
        query = (
            select(cohort.c.name, func.count(cohort_slide.c.slide_id))
            .select_from(cohort)
            .outerjoin(
                cohort_slide,
                (cohort_slide.c.cohort == cohort.c.name) & is_staying(cohort_slide.c.slide_id),
            )
            .group_by(cohort.c.name)
            .order_by(cohort.c.name)
        )
        with reading(self._engine) as connection:
            return {name: n for name, n in connection.execute(query)}  # noqa: C416 - rows, no pairs

    def cohort_slides(self, name: str) -> list[str]:
        """Slides of a cohort, by id.

        Raises:
            CatalogError: there is no such cohort.
        """
        staying = is_staying(cohort_slide.c.slide_id)
        query = select(cohort_slide.c.slide_id).where(cohort_slide.c.cohort == name, staying)
        with reading(self._engine) as connection:
            known = connection.execute(select(cohort.c.name)).scalars().all()
            if name not in known:
                raise CatalogError(
                    f"cohort {quoted(name)}: there is none of this name",
                    remedy=f"There are {', '.join(sorted(known))}"
                    if known
                    else "Make one: pathassets cohort import TABLE --name NAME",
                )
            return list(connection.execute(query.order_by(cohort_slide.c.slide_id)).scalars())

    def cohort_history(self, key: str) -> list[PastChange]:
        """All changes of a slide, be it named by an id of before it was merged, or of a patient.

        The newest come first.

        Raises:
            SlideForgotten: it is a slide that was taken out, with its history.
        """
        with reading(self._engine) as connection:
            keys = {key, find_heir(connection, key) or key}
            query = select(cohort_change).where(cohort_change.c.key.in_(sorted(keys)))
            found = connection.execute(query.order_by(cohort_change.c.id.desc())).mappings().all()
            gone = None if found else find_gone(read_forgotten(connection), key)
            if gone is not None:
                raise gone.error(key)
            return [past_change(row) for row in found]

    def changes_after(self, keys: Collection[str], moment: datetime) -> list[PastChange]:
        """Changes of slides and patients, by id, that were made after a moment, oldest first."""
        query = select(cohort_change).where(cohort_change.c.at > moment)
        of_keys = (query.where(cohort_change.c.key.in_(some)) for some in portions(keys))
        rows = [row for one in of_keys for row in self._rows(one)]
        return [past_change(row) for row in sorted(rows, key=lambda row: row["id"])]

    def label_kinds(self) -> dict[str, LabelKind]:
        """Of what kind the labels of each name are."""
        with reading(self._engine) as connection:
            return read_kinds(connection)

    # Changing it

    def set_label_kind(
        self, name: str, kind: LabelKind, by: ChangedBy, *, fits: Callable[[str], bool]
    ) -> list[CohortChange]:
        """Let the labels of a name be of another kind, if each fits; returns what changed.

        Raises:
            CatalogError: there are none, or one does not fit; then nothing is changed.
        """
        with writing(self._engine) as connection:
            lock_for_cohort(connection)
            changes = change_kind(connection, name, kind, fits)
            enter_changes(connection, changes, by, now())
        return changes

    def record_changes(self, changes: Sequence[CohortChange], by: ChangedBy) -> None:
        """Make changes, all or none, and enter them into the history.

        Raises:
            CatalogError: a slide is unknown, or something, or the kind of a label, is not any more
                as the change says; then nothing is changed.
        """
        if not changes:
            return
        with writing(self._engine) as connection:
            lock_for_standing(connection)
            lock_for_cohort(connection)
            check_known(connection, sorted(keys_of(changes, "slide")))
            require_unchanged(connection, changes)
            require_kinds(connection, changes)
            apply_changes(connection, changes, by, now())

    def set_cohort_facts(self, facts: Iterable[CohortFacts], by: ChangedBy = _BY_HAND) -> None:
        """State patient and label of slides; None says nothing, and erases nothing.

        Raises:
            CatalogError: a slide is unknown; then none is changed.
        """
        stated: defaultdict[str, dict[str, str]] = defaultdict(dict)
        for one in facts:
            said = {name: getattr(one, name) for name in COHORT_FACTS}
            stated[one.slide_id] |= {name: new for name, new in said.items() if new is not None}
        if not stated:
            return
        with writing(self._engine) as connection:
            lock_for_cohort(connection)
            check_known(connection, sorted(stated))
            known = read_state(connection, stated, ()).slides
            changes = [
                CohortChange(
                    subject="slide", key=slide_id, field=name, old=known[slide_id].get(name),
                    new=new, kind="category" if name == LABEL else None,
                )
                for slide_id, said in stated.items()
                for name, new in said.items()
                if new != known[slide_id].get(name)
            ]  # fmt: skip
            apply_changes(connection, changes, by, now())

    # Verdicts

    def set_verdict(self, new: Verdict) -> None:
        """State whether a slide is fit for use; the newest statement is in force.

        Raises:
            CatalogError: there is no such slide.
        """
        self.set_verdicts([new])

    def set_verdicts(self, new: Sequence[Verdict]) -> None:
        """The same of many slides, all or none.

        Raises:
            CatalogError: a slide is unknown; then nothing is stated.
        """
        if not new:
            return
        with writing(self._engine) as connection:
            lock_for_cohort(connection)
            _enter_verdicts(connection, new)

    def replace_verdict(self, new: Verdict, seen: datetime | None) -> tuple[bool, Verdict | None]:
        """State one in place of the one that was `seen`, by its `made_at`, or of none.

        Returns whether it was stated, and the one that is in force: where that is another than was
        seen, nothing is stated.

        Raises:
            CatalogError: there is no such slide.
        """
        newest = select(*_VERDICT).where(verdict.c.slide_id == new.slide_id)
        newest = newest.order_by(verdict.c.id.desc()).limit(1)
        with writing(self._engine) as connection:
            lock_for_cohort(connection)
            row = connection.execute(newest).mappings().one_or_none()
            if (None if row is None else row["made_at"]) != seen:
                return False, None if row is None else Verdict(**row)
            made_at = _enter_verdicts(connection, [new])
        return True, replace(new, made_at=made_at)

    def verdicts(self) -> list[Verdict]:
        """The verdict in force of every slide that has one, by slide."""
        newest = select(func.max(verdict.c.id)).group_by(verdict.c.slide_id)
        return self._verdicts(
            select(*_VERDICT).where(verdict.c.id.in_(newest)).order_by(verdict.c.slide_id)
        )

    def verdict_history(self, slide_id: str) -> list[Verdict]:
        """All verdicts on a slide, newest first."""
        of_slide = select(*_VERDICT).where(verdict.c.slide_id == slide_id)
        return self._verdicts(of_slide.order_by(verdict.c.id.desc()))

    def _verdicts(self, query: Select[Any]) -> list[Verdict]:
        with reading(self._engine) as connection:
            return [Verdict(**row) for row in connection.execute(query).mappings()]


def _enter_verdicts(connection: Connection, new: Sequence[Verdict]) -> datetime:
    """Enter verdicts on slides that are known; returns when that was.

    The caller holds `lock_for_cohort`.
    """
    check_known(connection, sorted({one.slide_id for one in new}))
    made_at = now()
    connection.execute(insert(verdict), [flat(one) | {"made_at": made_at} for one in new])
    return made_at
