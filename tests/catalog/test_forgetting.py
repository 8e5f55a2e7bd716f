"""What names a slide otherwise than by a column of its tables goes with it, or goes unnamed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest
from sqlalchemy import Engine, delete, event, insert

from pathassets.catalog.catalog import Catalog
from pathassets.catalog.database import connect
from pathassets.catalog.database.connect import writing
from pathassets.catalog.database.dialects import (
    COHORT_LOCK,
    REGISTRATION_LOCK,
    RELEASE_LOCK,
    STANDING_LOCK,
)
from pathassets.catalog.forgotten import hash_salted
from pathassets.catalog.records import AttemptRecord, ChangedBy, CohortChange
from pathassets.catalog.releases.records import FindingRecord
from pathassets.catalog.rows import slide_row
from pathassets.catalog.standing.standing import Wanted
from pathassets.catalog.tables import forgotten_slide, slide
from pathassets.catalog.upkeep.naming import UNNAMED
from pathassets.core.address import ALL_SLIDES, Address
from pathassets.core.selection.parser import parse
from tests.catalog import every_table
from tests.catalog.hostile_words import path_of, slide_of
from tests.catalog.merges import remember_merge
from tests.catalog.test_releases import DRAFT, member

GONE, GONE_PATIENT = "gone-1", "Mr Gone"
OTHERS = ("kept-1", "kept-2", "gone-10")
STAYING = ("kept-1", "kept-2")
"""Slides of other content than the first."""
BY = ChangedBy(who="Ann", file="", sha256="")
DATASET = Address("dataset", "cohort", ALL_SLIDES, "d1")


def said_of_patient(slide_id: str, old: str | None, new: str) -> CohortChange:
    return CohortChange(subject="slide", key=slide_id, field="patient", old=old, new=new, kind=None)


def finding(number: int, one: str, other: str, *slides: str, message: str = "") -> FindingRecord:
    return FindingRecord(
        finding=f"f{number}", kind="same_slide", one=one, other=other, message=message, remedy="",
        evidence={"slides": list(slides)},
    )  # fmt: skip


@pytest.fixture
def named(catalog: Catalog) -> Catalog:
    """Four slides; the first and its patient are named wherever there is a place for it."""
    for slide_id in (GONE, *OTHERS):
        catalog.register_slide(slide_of(slide_id), path_of(slide_id))
    catalog.record_changes([said_of_patient("kept-1", None, GONE_PATIENT)], BY)
    catalog.record_changes(
        [
            said_of_patient("kept-1", GONE_PATIENT, "Roe"),
            said_of_patient(GONE, None, GONE_PATIENT),
        ],
        BY,
    )
    found = [
        finding(1, GONE, "kept-1", GONE, "kept-1"),
        finding(2, "kept-1", GONE),
        finding(3, "Lyon", "Lyon", "kept-1", GONE),
        finding(4, "Roe", "roe", message=f"one name in two spellings (slides kept-1; {GONE})"),
        finding(5, "Mr gone", GONE_PATIENT),
        finding(6, "kept-1", "gone-10", "kept-1", "gone-10", message="kept-1 and gone-10 alike"),
    ]
    catalog.set_findings("cohort", "d1", found)
    for one in found:
        catalog.accept_finding("cohort", one.finding, who="Ann", why="known")
    units = dict.fromkeys([GONE_PATIENT, GONE, "Roe", "gone-10"], "train")
    catalog.place("cohort", "s", "d1", {("patient", name): p for name, p in units.items()})
    catalog.keep_slide_hashes("dct", {GONE: b"1", "kept-1": b"2"})
    catalog.record_attempts(
        [
            AttemptRecord(
                run_id="r", address=DATASET, state="failed", reason="leakage",
                message=f"slides {GONE} (train) and kept-1 (test) show the same", remedy="Mend it",
            )
        ]
    )  # fmt: skip
    catalog.freeze(DRAFT, [member(GONE, patient="1"), member("kept-1", patient="2")], [])
    return catalog


def test_findings_hashes_and_placements_that_name_it_go_and_those_of_others_stay(
    named: Catalog,
) -> None:
    named.erase_slide([GONE], keep_artifacts=False)
    assert [one.finding for one in named.findings("cohort")] == ["f6"]
    assert [one.finding for one in named.accepted_findings("cohort")] == ["f3", "f6"]
    placed = {name for _, name in named.placed("cohort", "s")}
    assert placed == {"Roe", "gone-10"}
    assert named.slide_hashes("dct") == {"kept-1": b"2"}


def test_what_a_build_said_and_what_was_changed_stays_without_the_name(named: Catalog) -> None:
    named.erase_slide([GONE], keep_artifacts=False)
    (attempt,) = named.attempts(partition_key=ALL_SLIDES)
    assert (attempt.message, attempt.reason, attempt.remedy) == (UNNAMED, "leakage", "Mend it")
    changes = [(one.change.old, one.change.new) for one in named.cohort_history("kept-1")]
    assert sorted(changes, key=str) == [(None, "Roe"), (None, None)]


def test_no_row_but_a_release_s_names_slide_or_patient(named: Catalog) -> None:
    named.begin_forgetting(GONE, who="Ann", why="consent")
    named.erase_slide([GONE], keep_artifacts=False)
    left: dict[str, str] = {}

    def take(name: str, lines: Iterator[str]) -> None:
        left[name] = "\n".join(lines)

    named.dump(take)
    assert [name for name, text in left.items() if f'"{GONE}"' in text] == ["release_member"]
    assert [name for name, text in left.items() if GONE_PATIENT in text] == []


def test_of_a_patient_who_has_another_slide_all_stays_but_what_names_the_slide(
    named: Catalog,
) -> None:
    named.record_changes([said_of_patient("kept-2", None, GONE_PATIENT)], BY)
    named.erase_slide([GONE], keep_artifacts=False)
    assert [one.finding for one in named.findings("cohort")] == ["f5", "f6"]
    placed = {name for _, name in named.placed("cohort", "s")}
    assert placed == {GONE_PATIENT, "Roe", "gone-10"}
    assert GONE_PATIENT in {one.change.new for one in named.cohort_history("kept-1")}


def test_every_id_that_a_slide_had_is_known_as_forgotten(named: Catalog) -> None:
    remember_merge(named, "older", into=GONE)
    named.begin_forgetting(GONE, who="Ann", why="consent")
    named.erase_slide(named.ids_of(GONE), keep_artifacts=False)
    for slide_id, is_gone in ((GONE, True), ("older", True), ("kept-1", False)):
        assert any(one.had_id(slide_id) for one in named.forgotten()) is is_gone


def test_a_slide_whose_removal_was_begun_is_in_no_list_of_slides_to_work_on(
    named: Catalog,
) -> None:
    plan_id = named.open_plan("recipe")
    mask = Wanted(stage="tissue_mask", name="otsu", digest="m")
    named.plan_some(plan_id, [GONE, *STAYING], lambda _: [mask])
    n_changes = named.n_changes(plan_id)
    named.begin_forgetting(GONE, who="Ann", why="consent")
    named.begin_forgetting(GONE, who="Bob", why="again")
    assert {slide_id: one.who for slide_id, one in named.begun_removals().items()} == {GONE: "Ann"}
    assert named.n_changes(plan_id) > n_changes
    assert named.slides_in(plan_id, [("tissue_mask", "otsu")], ["missing"]) == {*STAYING}
    assert named.unplanned(plan_id) == []
    named.plan_some(plan_id, [GONE], lambda _: [mask])
    assert named.state_counts(plan_id) == {("tissue_mask", "otsu"): {"missing": 2}}
    assert named.n_slides() == 2
    assert named.known_slides([GONE, *STAYING]) == {*STAYING}
    assert {one.slide_id for one in named.slides()} == {*STAYING}
    assert {one for page in named.slide_pages() for one in page} == {*STAYING}
    assert GONE not in named.first_slides(plan_id, 9, is_open=False)
    assert GONE not in named.select_slides(parse("id:*"))
    assert [*named.slide_facts([GONE])] == []
    assert named.slide(GONE).slide_id == GONE
    named.erase_slide([GONE], keep_artifacts=False)
    assert named.begun_removals() == {}


def test_it_is_one_again_where_nothing_keeps_it_out_any_more(named: Catalog) -> None:
    named.begin_forgetting(GONE, who="Ann", why="consent")
    with writing(named._engine) as connection:
        connection.execute(delete(forgotten_slide))
    assert named.begun_removals() == {}
    assert named.n_slides() == 3
    named.begin_forgetting(GONE, who="Bob", why="again")
    assert [one.who for one in named.begun_removals().values()] == ["Bob"]


def test_a_removal_that_was_begun_by_an_older_version_is_known(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connect, "HEAD", "0019")
    old = connect.open_engine(url)
    monkeypatch.undo()
    at = datetime(2026, 1, 31, tzinfo=UTC)
    begun = {
        "salt": "s", "id_hash": hash_salted("s", GONE), "who": "Ann", "why": "consent",
        "content_hash": hash_salted("s", slide_of(GONE).fingerprint), "n_artifacts": 0,
        "forgotten_at": at,
    }  # fmt: skip
    with writing(old) as connection:
        for slide_id in (GONE, "kept-1"):
            row = slide_row(slide_of(slide_id)) | {"registered_at": at}
            connection.execute(insert(slide), row)
        connection.execute(insert(forgotten_slide), begun)
    old.dispose()
    with Catalog.open(url) as catalog:
        assert [*catalog.begun_removals()] == [GONE]
        assert catalog.n_slides() == 1


def test_erasing_waits_for_whoever_registers_derives_or_states(
    make_schema: Callable[[], str],
) -> None:
    taken: list[int] = []

    def note(*args: object) -> None:
        if "pg_advisory_xact_lock" in str(args[2]):
            taken.append(args[3]["key"])  # type: ignore[index]

    with Catalog.open(make_schema()) as catalog:
        every_table.fill(catalog)
        event.listen(Engine, "before_cursor_execute", note)
        try:
            catalog.erase_slide(["a"], keep_artifacts=False)
        finally:
            event.remove(Engine, "before_cursor_execute", note)
    assert taken == [REGISTRATION_LOCK, STANDING_LOCK, COHORT_LOCK, RELEASE_LOCK]
