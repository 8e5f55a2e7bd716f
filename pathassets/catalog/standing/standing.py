"""What recipes want of each slide, kept; where that stands, asked for by query.

    recipe ─▶ plan ─▶ wanted: one row for each entry and each slide, and for what is drawn on it

Rows are entered in the transaction that reads what they follow from, and deleted in that of
whatever changes it: a slide has none, or those that hold. How states follow is `states`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Select, and_, delete, exists, func, insert, literal, select
from sqlalchemy import update as update_rows

from pathassets.catalog.database.connect import reading, writing
from pathassets.catalog.database.dialects import IN_VALUES, lock_for_standing
from pathassets.catalog.external import ADOPTED, adopted_by_slide
from pathassets.catalog.forgotten import is_staying
from pathassets.catalog.human_inputs import is_newest
from pathassets.catalog.part import CatalogPart, now, portions
from pathassets.catalog.states import derive_states, is_made_as_wanted
from pathassets.catalog.tables import (
    annotation,
    artifact,
    dataset_rows,
    mpp_override,
    plan,
    slide,
    wanted,
)
from pathassets.core.external import Adopted

Key = tuple[str, str]
"""(stage, name)."""

N_PLANS = 3
"""Recipes whose rows are kept: a process that serves the page may hold the one before."""
USED_EVERY = timedelta(hours=1)
"""How exactly it is noted when a plan was last used."""
NOT_CURRENT = ("stale", "damaged", "failed", "blocked", "missing")
NOT_THERE = ("stale", "failed", "blocked", "missing")
"""States of what a run does not make unless it is asked for; what is damaged and needed it does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlideFacts:
    """All of a slide that decides what is wanted of it."""

    slide_id: str
    fingerprint: str
    mpp: float | None
    """Micrometres per level-0 pixel in force."""
    drawn: Mapping[str, str]
    """Digest of what is drawn on it, by name; what was withdrawn is not in it."""
    adopted: Sequence[Adopted] = ()
    """Features of other tools that stand in for an entry's, the last first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One artifact that is wanted of a slide."""

    stage: str
    name: str
    digest: str
    lacks: str = ""
    """Annotations without which it cannot be made, and that are not recorded."""


PlanSlide = Callable[[SlideFacts], Iterable[Wanted]]


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedCell:
    """One asset of one slide, by its state."""

    slide_id: str
    key: Key
    reason: str


class Standing(CatalogPart):
    """Plans, and the states of what they want."""

    # Plans

    def open_plan(self, recipe_digest: str) -> int:
        """Number of a recipe's plan, which is begun where there is none; the oldest is dropped."""
        query = select(plan.c.plan_id, plan.c.used_at).where(plan.c.recipe_digest == recipe_digest)
        found = self._rows(query)
        if found and now() - found[0]["used_at"] < USED_EVERY:
            return int(found[0]["plan_id"])
        with writing(self._engine) as connection:
            lock_for_standing(connection)
            return _begin_or_use(connection, recipe_digest)

    def unplanned(self, plan_id: int) -> list[str]:
        """Slides of which a plan has no row: new ones, and those of which a fact has changed."""
        query = select(slide.c.slide_id).where(~_has_row(plan_id), is_staying())
        query = query.order_by(slide.c.slide_id)
        with reading(self._engine) as connection:
            return list(connection.execute(query).scalars())

    def plan_some(self, plan_id: int, slide_ids: Collection[str], plan_slide: PlanSlide) -> None:
        """Enter what a plan wants of slides that have no row of it, and where that stands.

        Their facts are read in the same transaction, so that nothing can change between the two.
        """
        with writing(self._engine) as connection:
            lock_for_standing(connection)
            for some in portions(slide_ids):
                drawn = _drawn(connection, some)
                rows = [
                    _row(plan_id, facts.slide_id, one)
                    for facts in _read_facts(connection, some, ~_has_row(plan_id), drawn=drawn)
                    for one in plan_slide(facts)
                ]
                if rows:
                    connection.execute(insert(wanted), rows)
                    derive_states(connection, some, plan_id)
                    _doubt_look(connection, plan_id, some)

    # States

    def n_slides(self) -> int:
        """How many slides there are, without those whose removal was begun."""
        query = select(func.count()).select_from(slide).where(is_staying())
        with reading(self._engine) as connection:
            return connection.execute(query).scalar_one()

    def state_counts(
        self, plan_id: int, slide_ids: Collection[str] | None = None
    ) -> dict[Key, dict[str, int]]:
        """How many slides, of all or of some, stand in each state at each entry."""
        columns = (wanted.c.stage, wanted.c.name, wanted.c.state)
        query = select(*columns, func.count().label("n")).where(wanted.c.plan_id == plan_id)
        in_order = query.group_by(*columns).order_by(*columns)
        found: dict[Key, Counter[str]] = defaultdict(Counter)
        for row in self._rows_of(in_order, wanted.c.slide_id, slide_ids):
            found[row["stage"], row["name"]][row["state"]] += row["n"]
        return {key: dict(counts) for key, counts in found.items()}

    def slides_in(
        self, plan_id: int, keys: Iterable[Key], states: Collection[str], *, is_final: bool = False
    ) -> set[str]:
        """Slides that stand in one of some states at one of some entries, for good or anyhow."""
        found: set[str] = set()
        with reading(self._engine) as connection:
            for stage, name in keys:
                query = select(wanted.c.slide_id).where(
                    wanted.c.plan_id == plan_id, wanted.c.stage == stage, wanted.c.name == name,
                    wanted.c.state.in_(states),
                )  # fmt: skip
                if is_final:
                    query = query.where(wanted.c.is_final)
                found.update(connection.execute(query).scalars())
        return found

    def cells_in(self, plan_id: int, state: str) -> Iterator[WantedCell]:
        """What stands in a state, slide by slide in order of registration, read as asked for."""
        query = (
            select(wanted.c.slide_id, wanted.c.stage, wanted.c.name, wanted.c.reason)
            .join(slide, slide.c.slide_id == wanted.c.slide_id)
            .where(wanted.c.plan_id == plan_id, wanted.c.state == state)
            .order_by(slide.c.registered_at, slide.c.slide_id)
        )
        with reading(self._engine) as connection:
            for row in connection.execution_options(yield_per=IN_VALUES).execute(query):
                yield WantedCell(slide_id=row[0], key=(row[1], row[2]), reason=row[3])

    # Pages

    def standing_of(
        self, plan_id: int, stage: str, slide_ids: Collection[str]
    ) -> Iterator[tuple[str, str, str, str]]:
        """Slide, name, state and reason of what some slides have of a stage, by name."""
        columns = (wanted.c.slide_id, wanted.c.name, wanted.c.state, wanted.c.reason)
        query = select(*columns).where(wanted.c.plan_id == plan_id, wanted.c.stage == stage)
        for row in self._rows_of(query.order_by(wanted.c.name), wanted.c.slide_id, slide_ids):
            yield row["slide_id"], row["name"], row["state"], row["reason"]

    def slide_facts(self, slide_ids: Collection[str]) -> Iterator[SlideFacts]:
        """What decides the data version of slides; what is drawn on them is left out."""
        for some in portions(slide_ids):
            with reading(self._engine) as connection:
                yield from _read_facts(connection, some)

    def slide_pages(self, n_rows: int = IN_VALUES) -> Iterator[list[str]]:
        """Ids of all slides in order of registration, so many at a time."""
        last: tuple[datetime, str] | None = None
        while True:
            query = select(slide.c.registered_at, slide.c.slide_id).where(is_staying())
            page = self._rows(_in_order(query, last).limit(n_rows))
            if page:
                yield [row["slide_id"] for row in page]
            if len(page) < n_rows:
                return
            last = (page[-1]["registered_at"], page[-1]["slide_id"])

    def first_slides(self, plan_id: int, n_rows: int, *, is_open: bool) -> list[str]:
        """The first slides by order of registration that have open work, or that have none."""
        work = _row_of(plan_id, wanted.c.state.in_(NOT_CURRENT))
        query = select(slide.c.slide_id).where(work if is_open else ~work, is_staying())
        with reading(self._engine) as connection:
            return list(connection.execute(_in_order(query, None).limit(n_rows)).scalars())


def _in_order(query: Select[Any], last: tuple[datetime, str] | None) -> Select[Any]:
    """Slides in order of registration, those after one of them."""
    at, slide_id = slide.c.registered_at, slide.c.slide_id
    if last is not None:
        query = query.where((at > last[0]) | ((at == last[0]) & (slide_id > last[1])))
    return query.order_by(at, slide_id)


def _row_of(plan_id: int, *conditions: Any) -> Any:
    """Whether a slide has a row of a plan for which conditions hold."""
    of_slide = and_(wanted.c.plan_id == plan_id, wanted.c.slide_id == slide.c.slide_id)
    return exists(select(literal(1)).where(of_slide, *conditions))


def _has_row(plan_id: int) -> Any:
    return _row_of(plan_id)


def _begin_or_use(connection: Connection, recipe_digest: str) -> int:
    is_it = plan.c.recipe_digest == recipe_digest
    known = connection.execute(select(plan.c.plan_id).where(is_it)).scalar()
    if known is not None:
        connection.execute(update_rows(plan).where(is_it).values(used_at=now()))
        return int(known)
    at = now()
    row = {"recipe_digest": recipe_digest, "made_at": at, "used_at": at}
    made = connection.execute(insert(plan), row).inserted_primary_key
    by_use = select(plan.c.plan_id).order_by(plan.c.used_at.desc(), plan.c.plan_id.desc())
    old = list(connection.execute(by_use.offset(N_PLANS)).scalars())
    for table in (wanted, dataset_rows, plan):
        connection.execute(delete(table).where(table.c.plan_id.in_(old)))
    return int(made[0])  # type: ignore[index]  # it has one


def _doubt_look(connection: Connection, plan_id: int, slide_ids: list[str]) -> None:
    """Forget when all was last looked at where what comes into force was seen before, or never."""
    noted = select(plan.c.looked_at).where(plan.c.plan_id == plan_id).scalar_subquery()
    seen_at = artifact.c.seen_whole_at
    older = (
        select(literal(1))
        .join(wanted, is_made_as_wanted())
        .where(wanted.c.plan_id == plan_id, wanted.c.slide_id.in_(slide_ids))
        .where(seen_at.is_(None) | (seen_at < noted))
    )
    of_plan = (plan.c.plan_id == plan_id) & plan.c.looked_at.is_not(None) & exists(older)
    connection.execute(update_rows(plan).where(of_plan).values(looked_at=None))


def _row(plan_id: int, slide_id: str, one: Wanted) -> dict[str, Any]:
    """A row as it is before its state is derived."""
    return {
        "plan_id": plan_id, "slide_id": slide_id, "stage": one.stage, "name": one.name,
        "digest": one.digest, "lacks": one.lacks, "state": "missing", "reason": "",
        "is_final": False,
    }  # fmt: skip


def _read_facts(
    connection: Connection, slide_ids: list[str], *conditions: Any,
    drawn: Mapping[str, Mapping[str, str]] | None = None,
) -> Iterator[SlideFacts]:  # fmt: skip
    """What plans follow from, of those of some slides that are still there."""
    stated = _stated(connection, slide_ids)
    of_others = ADOPTED.where(artifact.c.partition_key.in_(slide_ids))
    adopted = adopted_by_slide(connection.execute(of_others).mappings())
    query = select(slide.c.slide_id, slide.c.fingerprint, slide.c.mpp)
    of_these = query.where(slide.c.slide_id.in_(slide_ids), is_staying(), *conditions)
    for slide_id, fingerprint, mpp in connection.execute(of_these):
        yield SlideFacts(
            slide_id=slide_id, fingerprint=fingerprint, mpp=stated.get(slide_id, mpp),
            drawn=(drawn or {}).get(slide_id, {}), adopted=adopted.get(slide_id, ()),
        )  # fmt: skip


def _stated(connection: Connection, slide_ids: list[str]) -> dict[str, float]:
    of_these = mpp_override.c.slide_id.in_(slide_ids) & is_newest(mpp_override, "slide_id")
    query = select(mpp_override.c.slide_id, mpp_override.c.mpp).where(of_these)
    return {row[0]: row[1] for row in connection.execute(query)}


def _drawn(connection: Connection, slide_ids: list[str]) -> dict[str, dict[str, str]]:
    of_these = annotation.c.slide_id.in_(slide_ids) & is_newest(annotation, "slide_id", "name")
    columns = (annotation.c.slide_id, annotation.c.name, annotation.c.digest)
    query = select(*columns).where(of_these, annotation.c.digest != "").order_by(*columns)
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for slide_id, name, digest in connection.execute(query):
        found[slide_id][name] = digest
    return dict(found)
