"""What people state about slides: their resolution, and what is drawn on them.

Statements are never changed. The newest is in force, and the history says who made which, and why.
"""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    RowMapping,
    Select,
    Table,
    func,
    insert,
    select,
)

from pathassets.catalog.database.connect import writing
from pathassets.catalog.database.dialects import IN_VALUES, lock_for_cohort, lock_for_standing
from pathassets.catalog.forgotten import find_gone, read_forgotten
from pathassets.catalog.history import enter_changes
from pathassets.catalog.part import CatalogPart, now
from pathassets.catalog.records import AnnotationRecord, ChangedBy, CohortChange, MppOverride
from pathassets.catalog.rows import flat
from pathassets.catalog.states import forget_plans
from pathassets.catalog.tables import annotation, merged_slide, mpp_override, slide, slide_path
from pathassets.errors import CatalogError

MAX_COMPARED = 2_000
"""Ids that an unknown one is compared with."""

_OVERRIDE = [column for column in mpp_override.c if column.name != "id"]
_ANNOTATION = [column for column in annotation.c if column.name != "id"]


class HumanInputs(CatalogPart):
    """The part of the catalog that people fill."""

    # Resolution

    def override_mpp(
        self, slide_id: str, mpp: float, *, who: str, why: str, by: ChangedBy | None = None
    ) -> None:
        """State a slide's micrometres per pixel; the newest statement is in force.

        `by` is what the history keeps, where it is from a file.

        Raises:
            CatalogError: there is no such slide.
        """
        new = MppOverride(slide_id=slide_id, mpp=mpp, who=who, why=why)
        in_force = select(*_OVERRIDE).where(mpp_override.c.slide_id == slide_id)
        audited = select(slide.c.mpp).where(slide.c.slide_id == slide_id)
        with writing(self._engine) as connection:
            lock_for_standing(connection)
            lock_for_cohort(connection)
            check_known(connection, [slide_id])
            newest = in_force.order_by(mpp_override.c.id.desc()).limit(1)
            said = connection.execute(newest).mappings().one_or_none()
            old = said["mpp"] if said else connection.execute(audited).scalar()
            state_mpp(connection, [new])
            change = CohortChange(
                subject="slide", key=slide_id, field="mpp",
                old=None if old is None else repr(float(old)), new=repr(mpp),
            )  # fmt: skip
            enter_changes(connection, [change], by or ChangedBy(who=who), now())

    def overrides(self, slide_ids: Collection[str] | None = None) -> dict[str, MppOverride]:
        """The statement in force of every slide, or of some, that has one."""
        found = self._rows_of(overrides_in_force(), mpp_override.c.slide_id, slide_ids)
        return {row["slide_id"]: MppOverride(**row) for row in found}

    def mpp_history(self, slide_id: str) -> list[MppOverride]:
        """All statements about a slide, newest first."""
        of_slide = select(*_OVERRIDE).where(mpp_override.c.slide_id == slide_id)
        return [
            MppOverride(**row) for row in self._rows(of_slide.order_by(mpp_override.c.id.desc()))
        ]

    # Annotations

    def record_annotation(self, new: AnnotationRecord) -> bool:
        """State what is drawn on a slide under a name; the newest statement is in force.

        One that says in every word what is in force already is not entered again. Returns whether
        it was entered.

        Raises:
            CatalogError: there is no such slide.
        """
        of_name = (annotation.c.slide_id == new.slide_id) & (annotation.c.name == new.name)
        newest = select(*_ANNOTATION).where(of_name).order_by(annotation.c.id.desc()).limit(1)
        with writing(self._engine) as connection:
            lock_for_standing(connection)
            check_known(connection, [new.slide_id])
            old = connection.execute(newest).mappings().one_or_none()
            if old is not None and AnnotationRecord(**old) == new:
                return False
            connection.execute(insert(annotation), flat(new) | {"made_at": now()})
            forget_plans(connection, [new.slide_id])
            return True

    def annotations(
        self, slide_ids: Collection[str] | None = None
    ) -> dict[str, Mapping[str, AnnotationRecord]]:
        """What is in force of every slide that was ever drawn on, by name; withdrawals, too.

        Of some slides, or of all.
        """
        in_force = select(*_ANNOTATION).where(is_newest(annotation, "slide_id", "name"))
        in_order = in_force.order_by(annotation.c.name)
        found: dict[str, dict[str, AnnotationRecord]] = defaultdict(dict)
        for row in self._rows_of(in_order, annotation.c.slide_id, slide_ids):
            found[row["slide_id"]][row["name"]] = AnnotationRecord(**row)
        return dict(found)

    def annotation_history(self, slide_id: str) -> list[AnnotationRecord]:
        """All that was drawn on a slide and withdrawn, newest first."""
        of_slide = select(*_ANNOTATION).where(annotation.c.slide_id == slide_id)
        return [
            AnnotationRecord(**row) for row in self._rows(of_slide.order_by(annotation.c.id.desc()))
        ]


def is_newest(table: Table, *key: str) -> ColumnElement[bool]:
    """Whether a statement is the newest of its key, and so in force."""
    other = table.alias("other")
    same = (other.c[name] == table.c[name] for name in key)
    return table.c.id == select(func.max(other.c.id)).where(*same).scalar_subquery()


def state_mpp(connection: Connection, new: Sequence[MppOverride]) -> None:
    """Enter resolutions of known slides: the one place that makes another one be in force.

    The caller holds `lock_for_standing`.
    """
    at = now()
    connection.execute(insert(mpp_override), [flat(one) | {"made_at": at} for one in new])
    forget_plans(connection, [one.slide_id for one in new])


def overrides_in_force() -> Select[Any]:
    """The newest statement of every slide that has one."""
    return select(*_OVERRIDE).where(is_newest(mpp_override, "slide_id"))


def check_known(connection: Connection, slide_ids: Sequence[str]) -> None:
    """Let slides pass that are in the catalog.

    Raises:
        SlideForgotten: one was taken out.
        CatalogError: one is not; the remedy names ids like it.
    """
    for start in range(0, len(slide_ids), IN_VALUES):
        some = slide_ids[start : start + IN_VALUES]
        found = connection.execute(select(slide.c.slide_id).where(slide.c.slide_id.in_(some)))
        known = set(found.scalars())
        for slide_id in some:
            if slide_id not in known:
                raise unknown_slide(connection, slide_id)


def unknown_slide(connection: Connection, slide_id: str) -> CatalogError:
    """Build the error of a slide that is not there; of one that was taken out no other is named."""
    heir = find_heir(connection, slide_id)
    if heir is not None:
        return CatalogError(
            f"slide {slide_id}: was found to be the same content as {heir}",
            remedy=f"Name that one: {heir}",
        )
    gone = find_gone(read_forgotten(connection), slide_id)
    if gone is not None:
        return gone.error(slide_id)
    near = _near(slide_id, _ids_like(connection, slide_id))
    return CatalogError(
        f"slide {slide_id}: not in the catalog",
        remedy=f"Did you mean {' or '.join(near)}?"
        if near
        else "pathassets status lists the slides, pathassets ingest PATH registers new ones",
    )


def _near(slide_id: str, ids: Sequence[str]) -> list[str]:
    """Ids that begin with one, which lacks its hash, else those that are spelt like it."""
    begun = sorted(one for one in ids if one.startswith(slide_id))
    return begun[:3] or difflib.get_close_matches(slide_id, ids)


def _ids_like(connection: Connection, slide_id: str) -> list[str]:
    """Ids that one may be a misspelling of: all of a small cohort, else neighbours by name.

    Comparing takes 45 us an id.
    """
    ids = select(slide.c.slide_id)
    few = connection.execute(ids.limit(MAX_COMPARED + 1)).scalars().all()
    if len(few) <= MAX_COMPARED:
        return list(few)
    half = MAX_COMPARED // 2
    before = ids.where(slide.c.slide_id < slide_id).order_by(slide.c.slide_id.desc()).limit(half)
    after = ids.where(slide.c.slide_id >= slide_id).order_by(slide.c.slide_id).limit(half)
    return [one for query in (before, after) for one in connection.execute(query).scalars()]


def find_heir(connection: Connection, slide_id: str) -> str | None:
    """The slide that an id was merged into; None where it never was."""
    into = select(merged_slide.c.into_slide_id).where(merged_slide.c.slide_id == slide_id)
    return connection.execute(into).scalar()


def require_free(connection: Connection, slide_id: str, path: str) -> None:
    """Let an id through that no other content has: two slides would become one.

    That of a slide which was taken out neither: datasets that name it would mean the new one.

    Raises:
        CatalogError: content at another place has it, had it until both were found to be one, or
            had it and was taken out.
    """
    others = select(slide_path.c.path).where(
        slide_path.c.slide_id == slide_id, slide_path.c.path != path
    )
    other = connection.execute(others.order_by(slide_path.c.path)).scalar()
    heir = find_heir(connection, slide_id)
    gone = find_gone(read_forgotten(connection), slide_id)
    if other is not None or heir is not None:
        fact = f"{other or heir} has its id {slide_id}, and other content"
    elif gone is not None:
        fact = f"its id {slide_id} is that of a slide which was {gone.told}, and had other content"
    else:
        return
    raise CatalogError(
        f"{path}: {fact}",
        remedy="Give it another slide_id in the cohort table, with --id-scheme manifest",
    )


def disputes(merged: Iterable[RowMapping]) -> list[str]:
    """Say what was stated of slides before they were found to be one, where that is in dispute.

    Rows are of `merged_slide`, by slide, with what the slide has now.
    """
    found: dict[tuple[str, str], dict[str, str]] = defaultdict(dict)
    for row in merged:
        into = row["into_slide_id"]
        for name in ("patient", "label"):
            if row[f"{name}_now"] is None and row[name] is not None:
                if row[f"into_{name}"] is not None:
                    found[into, name][into] = row[f"into_{name}"]
                found[into, name][row["slide_id"]] = row[name]
    return [
        f"slide {into}: its {name} was stated as "
        + " and ".join(f"{said!r} of {slide_id}" for slide_id, said in stated.items())
        + "; it has none until you state which it is: pathassets ingest FILE --cohort TABLE"
        for (into, name), stated in found.items()
    ]
