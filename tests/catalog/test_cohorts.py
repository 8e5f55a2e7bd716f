from __future__ import annotations

import threading
import time
from dataclasses import replace
from datetime import timedelta

import pytest

from pathassets.catalog import human_inputs
from pathassets.catalog.catalog import Catalog
from pathassets.catalog.cohorts import cohorts
from pathassets.catalog.records import (
    ChangedBy,
    CohortChange,
    CohortFacts,
    Label,
    PastChange,
    Verdict,
)
from pathassets.errors import CatalogError
from tests.catalog.hostile_words import HOSTILE, path_of, slide_of

BY = ChangedBy(who="Ann", file="/tables/a.csv", sha256="f" * 64)


@pytest.fixture
def two(catalog: Catalog) -> Catalog:
    for slide_id in ("a", "b"):
        catalog.register_slide(slide_of(slide_id), path_of(slide_id))
    return catalog


def of_slide(field, new, *, key="a", old=None, kind=None) -> CohortChange:
    return CohortChange(subject="slide", key=key, field=field, old=old, new=new, kind=kind)


def of_patient(field, new, *, key="P1", old=None, kind=None) -> CohortChange:
    return CohortChange(subject="patient", key=key, field=field, old=old, new=new, kind=kind)


ALL = (
    of_slide("patient", "P1"),
    of_slide("label", "tumour", kind="category"),
    of_slide("label.grade", "2", kind="number"),
    of_slide("stain", "HE"),
    of_slide("mpp", "0.25", old="0.5"),
    of_slide("tag", "biopsy"),
    of_slide("cohort", "luad"),
    of_patient("site", "Lyon"),
    of_patient("label.os_months", "12.5", kind="number"),
)


def test_every_thing_that_is_said_is_kept_and_stands_in_the_state(two) -> None:
    two.record_changes(ALL, BY)
    state = two.cohort_state()
    assert state.slides == {
        "a": {
            "patient": "P1", "label": "tumour", "label.grade": "2", "stain": "HE", "mpp": "0.25"
        },
        "b": {"mpp": "0.5"},
    }  # fmt: skip
    assert state.patients == {"P1": {"site": "Lyon", "label.os_months": "12.5"}}
    assert (state.tags, state.cohorts) == ({"a": {"biopsy"}}, {"a": {"luad"}})
    record = two.slide("a")
    assert (record.patient, record.label, record.stain) == ("P1", "tumour", "HE")
    assert two.overrides()["a"].mpp == 0.25
    assert two.slide_labels("a") == [
        Label(name="grade", value="2", kind="number", source=BY.file),
        Label(name="os_months", value="12.5", kind="number", source=BY.file),
    ]
    assert (two.site_of("a"), two.site_of("b")) == ("Lyon", None)
    assert two.slides_of_patients(["P1"]) == two.cohort_slides("luad") == ["a"]
    assert two.cohort_sizes() == {"luad": 1}


def test_labels_of_one_name_are_of_one_kind_whoever_has_them(two) -> None:
    two.record_changes(ALL, BY)
    of_patient_too = of_patient("label.grade", "3", kind="number")
    two.record_changes([of_patient_too], BY)
    assert two.label_kinds() == {"grade": "number", "os_months": "number"}
    with pytest.raises(CatalogError, match="label 'grade': is of the kind number by now"):
        two.record_changes([of_slide("label.grade", "x", key="b", kind="category")], BY)
    with pytest.raises(CatalogError, match="'2' is of another kind than boolean"):
        two.set_label_kind("grade", "boolean", BY, fits=lambda _: False)
    with pytest.raises(CatalogError, match=r"nobody stated any of this name.*mean \"grade\""):
        two.set_label_kind("grades", "text", BY, fits=lambda _: True)
    changed = CohortChange(subject="label", key="grade", field="kind", old="number", new="text")
    assert two.set_label_kind("grade", "text", BY, fits=lambda _: True) == [changed]
    assert {one.kind for one in two.slide_labels("a") if one.name == "grade"} == {"text"}
    assert two.label_kinds()["grade"] == "text"
    assert [one.change for one in two.cohort_history("grade")] == [changed]


def test_every_change_has_its_row_in_the_history_newest_first(two) -> None:
    two.record_changes(ALL, BY)
    two.record_changes([of_slide("patient", None, old="P1")], ChangedBy(who="Bob"))
    gone, *first = two.cohort_history("a")
    assert gone == PastChange(change=of_slide("patient", None, old="P1"), by=ChangedBy(who="Bob"))
    expected = [PastChange(change=replace(one, kind=None), by=BY) for one in ALL if one.key == "a"]
    assert sorted(first, key=repr) == sorted(expected, key=repr)
    assert len(two.cohort_history("P1")) == 2


def test_changes_after_a_moment_come_in_the_order_in_which_they_were_made(two) -> None:
    two.record_changes([of_slide("label", "x")], BY)
    (first,) = two.cohort_history("a")
    two.record_changes([of_slide("label", "y", key="b")], BY)
    two.override_mpp("a", 0.25, who="Ann", why="")
    two.set_cohort_facts([CohortFacts(slide_id="a", patient="P1", label=None)])
    found = two.changes_after(["a", "b", "nobody"], first.at)
    assert [(one.change.key, one.change.field) for one in found] == [
        ("b", "label"), ("a", "mpp"), ("a", "patient")
    ]  # fmt: skip
    assert [one.change.field for one in two.changes_after(["a"], first.at)] == ["mpp", "patient"]
    assert two.changes_after(["a", "b"], found[-1].at) == []


def test_a_patient_and_a_label_that_come_with_files_have_their_rows_too(two) -> None:
    two.set_cohort_facts([CohortFacts(slide_id="a", patient="P1", label="x")], BY)
    two.set_cohort_facts([CohortFacts(slide_id="a", patient=None, label="x")], BY)
    two.set_cohort_facts([CohortFacts(slide_id="a", patient="P2", label=None)], BY)
    said = [(p.change.field, p.change.old, p.change.new) for p in two.cohort_history("a")]
    assert said == [("patient", "P1", "P2"), ("label", None, "x"), ("patient", None, "P1")]
    registered = replace(slide_of("a"), patient="P3")
    two.register_slide(registered, path_of("a"))
    newest = two.cohort_history("a")[0]
    assert (newest.change.old, newest.change.new, newest.by.who) == ("P2", "P3", "registration")
    two.register_slide(registered, path_of("a"))
    assert two.cohort_history("a")[0] == newest
    assert set(two.cohort_state().patients) == {"P1", "P2", "P3"}


def test_a_stain_that_a_person_stated_stands_though_the_file_says_another(two) -> None:
    told = replace(slide_of("a"), stain="H&E", scanner="Aperio SS1")
    two.register_slide(told, path_of("a"))
    assert (two.slide("a").stain, two.slide("a").scanner) == ("H&E", "Aperio SS1")
    two.record_changes([of_slide("stain", "CD30", old="H&E")], BY)
    two.register_slide(replace(told, scanner=None), path_of("a"))
    assert (two.slide("a").stain, two.slide("a").scanner) == ("CD30", "Aperio SS1")


def test_two_facts_of_one_slide_are_both_taken(two) -> None:
    whose = CohortFacts(slide_id="a", patient="P1", label=None)
    two.set_cohort_facts([whose, CohortFacts(slide_id="a", patient=None, label="x")], BY)
    assert (two.slide("a").patient, two.slide("a").label) == ("P1", "x")


def test_a_resolution_that_is_stated_by_hand_has_its_row_too(two) -> None:
    two.override_mpp("a", 0.25, who="Ann", why="caliper")
    two.override_mpp("a", 0.3, who="Bob", why="caliper")
    said = [(p.change.old, p.change.new, p.by.who) for p in two.cohort_history("a")]
    assert said == [("0.25", "0.3", "Bob"), ("0.5", "0.25", "Ann")]


def test_what_was_changed_meanwhile_is_refused_and_nothing_is_changed(two) -> None:
    two.record_changes([of_slide("label", "x")], BY)
    late = [of_slide("patient", "P1"), of_slide("label", "y")]
    with pytest.raises(CatalogError, match="its label is 'x' by now, and was not stated"):
        two.record_changes(late, BY)
    assert two.cohort_state().slides["a"] == {"label": "x", "mpp": "0.5"}
    unknown = [of_slide("patient", "P1"), of_slide("patient", "P1", key="aa")]
    with pytest.raises(CatalogError, match="slide aa: not in the catalog"):
        two.record_changes(unknown, BY)
    assert "patient" not in two.cohort_state().slides["a"]
    assert len(two.cohort_history("a")) == 1


def test_labels_tags_and_cohorts_are_taken_away_and_the_history_keeps_them(two) -> None:
    two.record_changes(ALL, BY)
    two.record_changes(
        [
            of_slide("label.grade", None, old="2"),
            of_slide("tag", None, old="biopsy"),
            of_slide("cohort", None, old="luad"),
            of_patient("label.os_months", None, old="12.5"),
        ],
        BY,
    )
    state = two.cohort_state()
    assert (state.tags, state.cohorts) == ({}, {})
    assert two.slide_labels("a") == []
    assert two.cohort_sizes() == {"luad": 0}
    assert len(two.cohort_history("a")) == 7 + 3


def test_to_enter_a_tag_or_a_cohort_again_is_no_fault(two) -> None:
    for _ in range(2):
        two.record_changes([of_slide("tag", "x"), of_slide("cohort", "c")], BY)
    assert two.cohort_state().tags == {"a": {"x"}}


def test_words_of_strangers_come_back_as_they_went_in(two) -> None:
    before: dict[str, str | None] = dict.fromkeys(("patient", "label", "label.x", "stain"))
    for word in HOSTILE.values():
        by = ChangedBy(who=word, file=word, sha256="")
        changes = [of_slide(name, word, old=old) for name, old in before.items()]
        two.record_changes([*changes, of_patient("site", word, key=word)], by)
        before = dict.fromkeys(before, word)
        said = two.cohort_state().slides["a"]
        assert {said[name] for name in before} == {word}
        assert two.cohort_state([], [word]).patients == {word: {"site": word}}
        assert PastChange(change=changes[0], by=by) in two.cohort_history("a")


def test_a_cohort_that_there_is_not_is_answered_with_those_that_are(two) -> None:
    with pytest.raises(CatalogError, match="cohort 'x': there is none of this name"):
        two.cohort_slides("x")
    two.record_changes([of_slide("cohort", "luad")], BY)
    with pytest.raises(CatalogError, match="There are luad"):
        two.cohort_slides("x")


def test_the_newest_verdict_is_in_force_and_all_are_kept(two) -> None:
    words = ("reject", "accept")
    said = [Verdict(slide_id="a", verdict=word, who="Ann", why="blur") for word in words]
    for one in said:
        two.set_verdict(one)
    assert two.verdicts() == [said[1]]
    assert two.verdict_history("a") == said[::-1]
    with pytest.raises(CatalogError, match="not in the catalog"):
        two.set_verdict(replace(said[0], slide_id="c"))


def test_a_verdict_replaces_the_one_that_was_seen_and_no_other(two) -> None:
    said = [Verdict(slide_id="a", verdict="accept", who=who, why="fine") for who in "ABC"]
    is_kept, first = two.replace_verdict(said[0], None)
    assert (is_kept, [first]) == (True, two.verdicts())
    assert first.made_at == two.verdicts()[0].made_at
    assert two.replace_verdict(said[1], None) == (False, first)
    assert two.replace_verdict(said[1], first.made_at - timedelta(microseconds=1)) == (False, first)
    assert two.replace_verdict(said[1], first.made_at) == (True, said[1])
    two.set_verdict(said[2])  # without a look, as `qc set` does
    assert two.replace_verdict(said[0], first.made_at) == (False, said[2])
    assert two.verdict_history("a") == said[::-1]
    assert two.replace_verdict(replace(said[0], slide_id="b"), first.made_at) == (False, None)
    with pytest.raises(CatalogError, match="not in the catalog"):
        two.replace_verdict(replace(said[0], slide_id="c"), None)


@pytest.fixture
def between(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Set once a verdict was looked at, half a second before the one over it is entered."""
    looked = threading.Event()

    def check_known(*said: object) -> None:
        if not looked.is_set():
            looked.set()
            time.sleep(0.5)
        human_inputs.check_known(*said)

    monkeypatch.setattr(cohorts, "check_known", check_known)
    return looked


@pytest.mark.parametrize("is_by_hand", [False, True])
def test_what_is_given_between_look_and_verdict_waits_and_is_not_lost(
    two, between, is_by_hand
) -> None:
    said = [Verdict(slide_id="a", verdict="reject", who=who, why="blur") for who in "AB"]
    first = threading.Thread(target=two.replace_verdict, args=(said[0], None))
    first.start()
    assert between.wait(timeout=30)
    if is_by_hand:
        two.set_verdict(said[1])
    else:
        assert two.replace_verdict(said[1], None) == (False, said[0])
    first.join()
    assert two.verdict_history("a") == (said[::-1] if is_by_hand else said[:1])


def test_eight_writers_at_once_lose_no_change(two) -> None:
    failed = []

    def tag(number: int) -> None:
        try:
            for one in range(3):
                two.record_changes([of_slide("tag", f"t{number}-{one}")], BY)
        except CatalogError as error:
            failed.append(error)

    threads = [threading.Thread(target=tag, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert len(two.cohort_state().tags["a"]) == len(two.cohort_history("a")) == 24
