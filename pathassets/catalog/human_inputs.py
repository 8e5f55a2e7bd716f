"""What people state about slides: their resolution, and what is drawn on them.

Statements are never changed. The newest is in force, and the history says who made which, and why.
"""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Engine, RowMapping, Select, func, insert, select

from pathassets.catalog.connect import reading, writing
from pathassets.catalog.dialects import lock_for_cohort
from pathassets.catalog.history import enter_changes
from pathassets.catalog.records import AnnotationRecord, ChangedBy, CohortChange, MppOverride
from pathassets.catalog.rows import flat
from pathassets.catalog.tables import annotation, merged_slide, mpp_override, slide, slide_path
from pathassets.errors import CatalogError

PAGE_ROWS = 900
"""Rows fetched at once, and values in one IN: SQLite takes 32,766 of them, an old one 999."""

_OVERRIDE = [column for column in mpp_override.c if column.name != "id"]
_ANNOTATION = [column for column in annotation.c if column.name != "id"]


class HumanInputs:
    """The part of the catalog that people fill."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

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

    def overrides(self) -> dict[str, MppOverride]:
        """The statement in force of every slide that has one."""
        with reading(self._engine) as connection:
            found = connection.execute(overrides_in_force()).mappings().all()
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
            check_known(connection, [new.slide_id])
            old = connection.execute(newest).mappings().one_or_none()
            if old is not None and AnnotationRecord(**old) == new:
                return False
            connection.execute(insert(annotation), flat(new) | {"made_at": now()})
            return True

    def annotations(self) -> dict[str, Mapping[str, AnnotationRecord]]:
        """What is in force of every slide that was ever drawn on, by name; withdrawals, too."""
        newest = select(func.max(annotation.c.id)).group_by(
            annotation.c.slide_id, annotation.c.name
        )
        in_order = (
            select(*_ANNOTATION).where(annotation.c.id.in_(newest)).order_by(annotation.c.name)
        )
        found: dict[str, dict[str, AnnotationRecord]] = defaultdict(dict)
        for row in self._rows(in_order):
            found[row["slide_id"]][row["name"]] = AnnotationRecord(**row)
        return dict(found)

    def annotation_history(self, slide_id: str) -> list[AnnotationRecord]:
        """All that was drawn on a slide and withdrawn, newest first."""
        of_slide = select(*_ANNOTATION).where(annotation.c.slide_id == slide_id)
        return [
            AnnotationRecord(**row) for row in self._rows(of_slide.order_by(annotation.c.id.desc()))
        ]

    def _rows(self, query: Select[Any]) -> Sequence[RowMapping]:
        with reading(self._engine) as connection:
            return connection.execute(query).mappings().all()


def state_mpp(connection: Connection, new: Sequence[MppOverride]) -> None:
    """Enter resolutions of known slides: the one place that makes another one be in force."""
    at = now()
    connection.execute(insert(mpp_override), [flat(one) | {"made_at": at} for one in new])


def overrides_in_force() -> Select[Any]:
    """The newest statement of every slide that has one."""
    newest = select(func.max(mpp_override.c.id)).group_by(mpp_override.c.slide_id)
    return select(*_OVERRIDE).where(mpp_override.c.id.in_(newest))


def now() -> datetime:
    """The time that a record is stamped with."""
    return datetime.now(UTC)


def check_known(connection: Connection, slide_ids: Sequence[str]) -> None:
    """Let slides pass that are in the catalog.

    Raises:
        CatalogError: one is not; the remedy names ids like it.
    """
    for start in range(0, len(slide_ids), PAGE_ROWS):
        some = slide_ids[start : start + PAGE_ROWS]
        found = connection.execute(select(slide.c.slide_id).where(slide.c.slide_id.in_(some)))
        known = set(found.scalars())
        for slide_id in some:
            if slide_id not in known:
                raise unknown_slide(connection, slide_id)


def unknown_slide(connection: Connection, slide_id: str) -> CatalogError:
    """Build the error of a slide that is not there."""
    heir = find_heir(connection, slide_id)
    if heir is not None:
        return CatalogError(
            f"slide {slide_id}: was found to be the same content as {heir}",
            remedy=f"Name that one: {heir}",
        )
    known = connection.execute(select(slide.c.slide_id)).scalars()
    near = difflib.get_close_matches(slide_id, known)
    return CatalogError(
        f"slide {slide_id}: not in the catalog",
        remedy=f"Did you mean {' or '.join(near)}?" if near else "Register it first.",
    )


def find_heir(connection: Connection, slide_id: str) -> str | None:
    """The slide that an id was merged into; None where it never was."""
    into = select(merged_slide.c.into_slide_id).where(merged_slide.c.slide_id == slide_id)
    return connection.execute(into).scalar()


def require_free(connection: Connection, slide_id: str, path: str) -> None:
    """Let an id through that content at another place does not have: two slides would become one.

    Raises:
        CatalogError: it has, or had until both were found to be one.
    """
    others = select(slide_path.c.path).where(
        slide_path.c.slide_id == slide_id, slide_path.c.path != path
    )
    other = connection.execute(others.order_by(slide_path.c.path)).scalar()
    heir = find_heir(connection, slide_id)
    if other is not None or heir is not None:
        raise CatalogError(
            f"{path}: {other or heir} has its id {slide_id}, and other content",
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
