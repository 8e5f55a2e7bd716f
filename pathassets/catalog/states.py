"""What was made, tried and seen -> the state of what is wanted, in one SQL expression.

    artifact: there under that digest, and whole? ─┐
    latest_attempt: failed, or blocked?           ─┼─▶ current │ stale │ damaged │ failed │ …
    any artifact of that place?                   ─┘

Whoever changes one of these, or a fact that plans follow from, calls this in the same transaction,
once the lock of `lock_for_standing` is held.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from sqlalchemy import (
    Connection,
    RowMapping,
    Select,
    Subquery,
    Update,
    and_,
    case,
    delete,
    exists,
    false,
    func,
    literal,
    or_,
    select,
    update,
)

from pathassets.catalog.database.dialects import upsert
from pathassets.catalog.part import portions
from pathassets.catalog.tables import artifact, attempt, latest_attempt, plan, wanted
from pathassets.errors import ArtifactCorrupt, ArtifactMissing

GONE = "its folder is gone"
"""Damage of an artifact of which nothing is left, as a look at the store says it."""

_KEY = tuple(column.name for column in wanted.primary_key)
_DERIVED = ("state", "reason", "is_final")


def forget_plans(connection: Connection, slide_ids: Collection[str]) -> None:
    """Forget what is wanted of slides of which a fact has changed; the next command plans them."""
    for some in portions(slide_ids):
        plans = select(plan.c.plan_id)
        of_slides = wanted.c.plan_id.in_(plans) & wanted.c.slide_id.in_(some)
        connection.execute(delete(wanted).where(of_slides))
    if slide_ids:
        count_change(connection)


def count_change(connection: Connection, plan_id: int | None = None) -> None:
    """Count that what is wanted or made may have become another, of all plans or of one."""
    counted = update(plan) if plan_id is None else update(plan).where(plan.c.plan_id == plan_id)
    connection.execute(counted.values(n_changes=plan.c.n_changes + 1))


def note_latest(connection: Connection, partition_keys: Iterable[str]) -> None:
    """Note the newest attempts of slides, once new ones are entered."""
    place = (attempt.c.partition_key, attempt.c.stage, attempt.c.name)
    newest = select(*place, func.max(attempt.c.id).label("attempt_id")).group_by(*place)
    for some in portions(sorted(set(partition_keys))):
        found = connection.execute(newest.where(attempt.c.partition_key.in_(some))).mappings()
        if rows := [dict(row) for row in found]:
            upsert(connection, latest_attempt, rows)


def derive_states(
    connection: Connection, slide_ids: Collection[str], plan_id: int | None = None
) -> None:
    """Bring the states of what is wanted of slides up to date, by all plans or by one."""
    for some in portions(slide_ids):
        changed = _changed().where(wanted.c.slide_id.in_(some), _of_plan(plan_id))
        connection.execute(_updated_from(changed.subquery("changed")))
    if slide_ids:  # be every state as it was: what was made may have been made anew
        count_change(connection, plan_id)


def find_wrong(connection: Connection, slide_ids: Collection[str]) -> list[RowMapping]:
    """What is wanted of some hundreds of slides and does not stand as it was noted.

    Its key (`of_…`), the `state` that was noted, and what follows (`new_…`).
    """
    query = _changed().add_columns(wanted.c.state)
    of_these = query.where(wanted.c.slide_id.in_(slide_ids), _of_plan(None))
    return [*connection.execute(of_these).mappings()]


def _of_plan(plan_id: int | None) -> Any:
    if plan_id is None:
        return wanted.c.plan_id.in_(select(plan.c.plan_id))
    return wanted.c.plan_id == plan_id


def _updated_from(changed: Subquery) -> Update:
    """One statement for all rows: each of its own costs a server more than deriving its state."""
    is_it = (wanted.c[name] == changed.c[f"of_{name}"] for name in _KEY)
    return update(wanted).where(*is_it).values({n: changed.c[f"new_{n}"] for n in _DERIVED})


def _changed() -> Select[Any]:
    """What is wanted and does not stand as it was noted: its key, and what holds now."""
    derived = derive()
    columns = wanted.c
    differs = (columns[name] != derived[name] for name in _DERIVED)
    return (
        select(
            *(columns[name].label(f"of_{name}") for name in _KEY),
            *(derived[name].label(f"new_{name}") for name in _DERIVED),
        )
        .select_from(_with_evidence())
        .where(or_(*differs))
    )


def _with_evidence() -> Any:
    """What is wanted, beside the newest attempt at it and the artifact, where there are any."""
    columns = wanted.c
    at_place = and_(
        latest_attempt.c.partition_key == columns.slide_id,
        latest_attempt.c.stage == columns.stage,
        latest_attempt.c.name == columns.name,
    )
    at_it = and_(attempt.c.id == latest_attempt.c.attempt_id, attempt.c.digest == columns.digest)
    return (
        wanted.outerjoin(latest_attempt, at_place)
        .outerjoin(attempt, at_it)
        .outerjoin(artifact, is_made_as_wanted())
    )


def is_made_as_wanted() -> Any:
    """Whether an artifact is what is wanted."""
    return and_(
        artifact.c.stage == wanted.c.stage,
        artifact.c.name == wanted.c.name,
        artifact.c.partition_key == wanted.c.slide_id,
        artifact.c.digest == wanted.c.digest,
    )


def derive() -> dict[str, Any]:
    """State, reason and finality of what is wanted, as expressions over `_with_evidence`.

    A failure goes first: what could not be made again is failed even where it was made once.
    """
    is_made = artifact.c.digest.is_not(None)
    is_failed, is_blocked = attempt.c.state == "failed", attempt.c.state == "blocked"
    was_made = _was_made()
    state = case(
        (is_failed, "failed"),
        (is_made & (artifact.c.damage == ""), "current"),
        (is_blocked, "blocked"),
        (is_made, "damaged"),
        (was_made, "stale"),
        else_="missing",
    )
    reason = case(
        (is_failed, attempt.c.reason),
        (is_made & (artifact.c.damage == ""), ""),
        (is_blocked, attempt.c.reason),
        (is_made & (artifact.c.damage == GONE), ArtifactMissing.reason),
        (is_made, ArtifactCorrupt.reason),
        else_="",
    )
    return {
        "state": state,
        "reason": reason,
        "is_final": case((is_failed, attempt.c.is_final), else_=false()),
    }


def _was_made() -> Any:
    """Whether anything was made at the place of what is wanted, be it from what is not in force."""
    other = artifact.alias("other")
    return exists(
        select(literal(1)).where(
            other.c.stage == wanted.c.stage,
            other.c.name == wanted.c.name,
            other.c.partition_key == wanted.c.slide_id,
        )
    )
