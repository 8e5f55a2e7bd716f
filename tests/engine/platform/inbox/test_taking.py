from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pytest

from pathassets.catalog.records import ChangedBy, CohortFacts
from pathassets.engine.platform.cohorts.imports import Members, label_by_hand, tag_by_hand
from pathassets.engine.platform.inbox import tables as inbox_tables
from pathassets.engine.platform.inbox.overview import overview, retry
from pathassets.engine.platform.inbox.tables import TableOutcome
from pathassets.engine.platform.inbox.taking import forget_gone, take
from pathassets.engine.platform.ingestion.ingest import Registration, ingest
from pathassets.engine.platform.platform import Platform
from pathassets.engine.slides import inspect_files
from pathassets.errors import CatalogError, ResourcesShort
from tests.engine.conftest import write_slide
from tests.unprivileged import bound_by_modes

pytestmark = pytest.mark.usefixtures("here")


@pytest.fixture
def inbox(platform: Platform) -> Path:
    (folder,) = platform.settings.inboxes
    folder.mkdir()
    return folder


def taken(platform: Platform, *files: Path) -> dict[str, str]:
    """Take files; returns what became of each, by name."""
    return {
        Path(one.path).name: one.note if isinstance(one, Registration) and one.note else one.state
        for one in take(platform, map(str, files))
    }


def outcomes(platform: Platform, *files: Path) -> list[TableOutcome]:
    return [one for one in take(platform, map(str, files)) if isinstance(one, TableOutcome)]


def labels(platform: Platform) -> dict[str, tuple[str | None, str | None]]:
    """Patient and label of each slide, by the name of its file."""
    return {one.slide_id[:-11]: (one.patient, one.label) for one in platform.catalog.slides()}


def test_tables_are_taken_after_the_slides_and_patients_after_those_who_bring_them(
    platform: Platform, inbox: Path
) -> None:
    slide = write_slide(inbox / "b.svs", seed=1)
    clinical = inbox / "a.tsv"
    clinical.write_text("patient\tlabel.age\nP1\t61\nP9\t70\n")
    table = inbox / "c.csv"
    table.write_text("file,patient,label\nb.svs,P1,x\n")
    assert taken(platform, clinical, slide, table) == {
        "b.svs": "new", "c.csv": "taken", "a.tsv": "taken"
    }  # fmt: skip
    assert labels(platform) == {"b": ("P1", "x")}
    assert platform.catalog.cohort_state().patients["P1"] == {"label.age": "61"}
    assert platform.catalog.taken_tables()[str(clinical)].open_lines == (3,)
    (change, *_) = platform.catalog.cohort_history("P1")
    assert change.by.who == "inbox"


def test_a_table_is_taken_once_for_each_content_and_what_a_person_corrected_stands(
    platform: Platform, inbox: Path
) -> None:
    slide = write_slide(inbox / "a.svs", seed=1)
    table = inbox / "t.csv"
    text = "file,patient,label\na.svs,P1,x\nb.svs,P2,y\nc.svs,P3,z\n"
    table.write_text(text)
    (first,) = outcomes(platform, slide, table)
    assert str(first).endswith("2 changes, 2 of 3 lines about what nobody knows yet")
    (slide_id,) = (one.slide_id for one in platform.catalog.slides())
    label_by_hand(platform.catalog, "slide", slide_id, {"label": "corrected"}, who="Ann")

    os.utime(table)
    copy = inbox / "copy.csv"
    copy.write_text(text)
    assert taken(platform, table, copy) == {"t.csv": "known", "copy.csv": "known"}
    table.unlink()  # its open lines are the copy's now

    b = write_slide(inbox / "b.svs", seed=2)
    assert taken(platform, b) == {"b.svs": "new", "copy.csv": "taken"}
    assert labels(platform) == {"a": ("P1", "corrected"), "b": ("P2", "y")}
    assert platform.catalog.taken_tables()[str(copy)].open_lines == (4,)

    copy.write_text(text.replace("P1,x", "P1,edited"))
    assert taken(platform, copy) == {"copy.csv": "taken"}
    assert labels(platform)["a"] == ("P1", "edited")


def test_open_lines_are_tried_again_for_a_while(
    platform: Platform, inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = inbox / "t.csv"
    table.write_text("file,patient\nlater.svs,P1\n")
    assert taken(platform, table) == {"t.csv": "taken"}
    monkeypatch.setattr(inbox_tables, "OPEN_FOR", timedelta(0))
    assert taken(platform, write_slide(inbox / "later.svs", seed=1)) == {"later.svs": "new"}
    assert labels(platform) == {"later": (None, None)}


def test_open_lines_of_several_tables_are_applied_in_the_order_of_their_taking(
    platform: Platform, inbox: Path
) -> None:
    older, newer, newest = inbox / "b.csv", inbox / "a.csv", inbox / "c.csv"
    for table, label in ((older, "OLD"), (newer, "NEW")):
        table.write_text(f"file,label\na.svs,{label}\nb.svs,{label}\n")
        assert taken(platform, table) == {table.name: "taken"}
    a = write_slide(inbox / "a.svs", seed=1)
    assert [*taken(platform, a)] == ["a.svs", "b.csv", "a.csv"]
    assert labels(platform) == {"a": (None, "NEW")}

    newest.write_text("file,label\nb.svs,NEWEST\n")  # which comes along with its slide
    b = write_slide(inbox / "b.svs", seed=2)
    assert [*taken(platform, b, newest)] == ["b.svs", "c.csv", "b.csv", "a.csv"]
    assert labels(platform)["b"] == (None, "NEWEST")


def test_open_lines_of_slides_are_applied_before_those_of_patients_whom_they_bring(
    platform: Platform, inbox: Path
) -> None:
    clinical, table = inbox / "a.csv", inbox / "b.csv"
    clinical.write_text("patient,site,label.age\nP1,North,61\n")
    assert taken(platform, clinical) == {"a.csv": "taken"}
    table.write_text("file,patient,site\na.svs,P1,South\n")
    assert taken(platform, table) == {"b.csv": "taken"}
    taken(platform, write_slide(inbox / "a.svs", seed=1))
    state = platform.catalog.cohort_state()
    assert state.patients["P1"] == {"site": "South", "label.age": "61"}  # the newer table's


def test_an_open_line_does_not_change_what_was_stated_since_and_says_so(
    platform: Platform, inbox: Path
) -> None:
    table = inbox / "t.csv"
    table.write_text(
        "file,patient,site,label,label.grade,tag\na.svs,P1,North,TABLE,2,x\nb.svs,P2,,y,,\n"
    )
    assert taken(platform, table) == {"t.csv": "taken"}
    catalog = platform.catalog
    (one,) = ingest(platform, [write_slide(inbox / "a.svs", seed=1)])
    label_by_hand(catalog, "slide", one.slide_id, {"label": "HAND"}, who="dr")
    for is_removed in (False, True):
        tag = Members(what="tag", names=("x",))
        tag_by_hand(catalog, tag, [one.slide_id], who="dr", is_removed=is_removed)
    facts = CohortFacts(slide_id=one.slide_id, patient="P7", label=None)
    catalog.set_cohort_facts([facts], ChangedBy(who="cohort table", file="u.csv", sha256="0"))

    *_, outcome = take(platform, [str(write_slide(inbox / "other.svs", seed=2))])
    assert isinstance(outcome, TableOutcome)
    assert (outcome.state, outcome.n_changes, outcome.n_open) == ("taken", 1, 1)
    state = catalog.cohort_state()
    assert state.slides[one.slide_id] | {"mpp": ""} == {
        "patient": "P7", "label": "HAND", "label.grade": "2", "mpp": ""
    }  # fmt: skip
    assert "P1" not in state.patients
    assert state.tags == {}
    said = str(outcome)
    slide = f"of slide {one.slide_id}"
    assert f"line 2: label {slide} stays 'HAND', as dr stated later (" in said
    assert f"line 2: patient {slide} stays 'P7', as cohort table (u.csv) stated later (" in said
    assert "), and does not become 'P1'; line 2: " in said
    assert said.endswith("; and 1 more")
    kept = catalog.taken_tables()[str(table)]
    assert (kept.open_lines, kept.overtaken_lines) == ((3,), (2,))
    assert taken(platform, write_slide(inbox / "more.svs", seed=3)) == {"more.svs": "new"}
    (listed,) = overview(platform).tables
    assert listed.note == "what was stated since stands against line 2, which waited"

    table.write_text("file,label\na.svs,TABLE\n")  # another content is a statement of now
    assert taken(platform, table) == {"t.csv": "taken"}
    assert labels(platform)["a"] == ("P7", "TABLE")


def test_a_table_never_moves_a_patient_and_is_tried_again_when_a_person_says_so(
    platform: Platform, inbox: Path
) -> None:
    slide = write_slide(inbox / "a.svs", seed=1)
    table = inbox / "t.csv"
    table.write_text("file,patient\na.svs,P1\n")
    assert taken(platform, slide, table)["t.csv"] == "taken"
    table.write_text("file,patient,label\na.svs,P2,x\n")
    (refused,) = outcomes(platform, table)
    assert "is of patient 'P1', and would become 'P2'" in str(refused)
    assert f"--move-patients (pathassets cohort import {table})" in str(refused)
    assert f"as it is: pathassets inbox retry {table}" in str(refused)
    assert labels(platform) == {"a": ("P1", None)}
    (kept,) = overview(platform).refused
    assert (kept.path, kept.reason) == (str(table), "table_refused")
    assert overview(platform).waiting == ()
    retry(platform, table)
    assert overview(platform).refused == ()
    (waits,) = overview(platform).waiting
    assert waits.why == "unchanged for 0 of 60 s"
    with pytest.raises(CatalogError, match=r"neither refused nor waiting. pathassets inbox lists"):
        retry(platform, slide)


def told_of_tables(platform: Platform) -> dict[str, tuple[int, int, str]]:
    """Changes, open lines and note of each table that is listed as taken, by name."""
    found = overview(platform).tables
    return {Path(one.path).name: (one.n_changes, len(one.open_lines), one.note) for one in found}


def test_open_lines_that_are_refused_are_told_as_such_alone(
    platform: Platform, inbox: Path
) -> None:
    whole, part = inbox / "whole.csv", inbox / "part.csv"
    slide = write_slide(inbox / "a.svs", seed=1)
    whole.write_text("file,site\nb.svs,North\nc.svs,South\n")  # of patients whom nobody knows
    part.write_text("file,patient,site\na.svs,P1,\nb.svs,,North\n")
    taken(platform, slide, whole, part)
    assert told_of_tables(platform) == {"whole.csv": (0, 2, ""), "part.csv": (1, 1, "")}

    *_, first, second = take(platform, [str(write_slide(inbox / "b.svs", seed=2))])
    assert (first.state, second.state) == ("refused", "refused")
    assert "; nothing of its 2 waiting lines was changed. " in str(second)
    assert [Path(one.path).name for one in overview(platform).refused] == ["part.csv", "whole.csv"]
    refused = "what waits is refused"
    assert told_of_tables(platform) == {"part.csv": (1, 1, refused)}

    part.write_text("file,site\nb.svs,North\n")
    taken(platform, part)
    assert told_of_tables(platform) == {
        "part.csv": (1, 1, "another content by now, which is refused")
    }


def test_a_copy_of_a_table_and_one_that_is_gone_are_told_as_such(
    platform: Platform, inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slide = write_slide(inbox / "a.svs", seed=1)
    table, copy = inbox / "t.csv", inbox / "copy.csv"
    table.write_text("file,patient,label\na.svs,P1,x\nb.svs,P2,y\n")
    taken(platform, slide, table)
    copy.write_bytes(table.read_bytes())
    assert taken(platform, copy) == {"copy.csv": "known"}
    same = f"the same content as {table}"
    assert told_of_tables(platform) == {"copy.csv": (0, 1, same), "t.csv": (2, 1, "")}

    monkeypatch.setattr(inbox_tables, "MAX_OPEN", 1)
    table.unlink()
    gone = "the file is gone: what waits is tried only once it is back"
    assert told_of_tables(platform) == {"copy.csv": (0, 1, same), "t.csv": (2, 1, gone)}
    newer = inbox / "newer.csv"
    newer.write_text("file,label\nc.svs,z\n")
    taken(platform, newer)
    passed = "what waits is not tried: 1 newer tables wait, too"
    assert told_of_tables(platform)["copy.csv"] == (0, 1, f"{same}; {passed}")
    newer.unlink()  # and takes no other's place
    assert "copy.csv" in taken(platform, write_slide(inbox / "b.svs", seed=2))
    assert told_of_tables(platform)["copy.csv"] == (2, 0, "")
    assert told_of_tables(platform)["t.csv"] == (2, 1, f"the same content as {copy}; {gone}")

    newer.write_text("file,label\nc.svs,z\n")
    monkeypatch.setattr(inbox_tables, "OPEN_FOR", timedelta(0))
    old = "what waits is not tried any more, 0 days after its taking"
    assert told_of_tables(platform)["newer.csv"] == (0, 1, old)


def test_what_says_nothing_of_a_file_is_no_refusal(
    platform: Platform, inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slide = write_slide(inbox / "a.svs", seed=1)
    gone, gone_table = inbox / "moved.svs", inbox / "moved.csv"
    assert taken(platform, gone, gone_table) == {}

    def grows(path: Path) -> None:
        with path.open("ab") as file:
            file.write(b"x")

    read = inspect_files.fingerprint_of
    monkeypatch.setattr(
        inspect_files, "fingerprint_of", lambda members: grows(members[0]) or read(members)
    )
    assert taken(platform, slide) == {"a.svs": "refused"}
    assert overview(platform).refused == ()
    monkeypatch.undo()

    def has_no_memory(*_: object) -> None:
        raise ResourcesShort("no memory")

    monkeypatch.setattr(inspect_files, "open_slide", has_no_memory)
    assert taken(platform, slide) == {"a.svs": "refused"}
    assert [Path(one.path).name for one in overview(platform).waiting] == ["a.svs"]


def test_refusals_of_what_is_gone_are_forgotten_unless_its_disk_is(
    platform: Platform, inbox: Path
) -> None:
    (inbox / "disk").mkdir()
    odd = Path(os.fsdecode(bytes(inbox) + b"/\xff.svs"))
    for path in (inbox / "a.svs", inbox / "disk" / "b.svs", odd):
        path.write_bytes(b"no slide")
    names = [str(inbox / "a.svs"), str(inbox / "disk" / "b.svs"), str(inbox / "\\xff.svs")]
    assert [one.state for one in take(platform, names)] == ["refused"] * 3
    assert forget_gone(platform) == 0
    (inbox / "a.svs").unlink()
    (inbox / "disk").rename(inbox.parent / "unmounted")
    assert forget_gone(platform) == 1
    assert [one.reason for one in overview(platform).refused] == ["bad_name", "not_a_slide"]
    odd.unlink()
    assert forget_gone(platform) == 1


def test_broken_links_are_refused_and_taken_once_they_lead_to_a_slide(
    platform: Platform, inbox: Path
) -> None:
    elsewhere = inbox.parent / "elsewhere.svs"
    links = {"a.svs": elsewhere, "b.svs": "b.svs", "t.csv": inbox / "nowhere.csv"}
    for name, target in links.items():
        (inbox / name).symlink_to(target)
    files = [inbox / name for name in links]
    assert [one.path for one in overview(platform).waiting] == [*map(str, files)]
    assert taken(platform, *files) == dict.fromkeys(links, "refused")
    found = {Path(one.path).name: one.reason for one in overview(platform).refused}
    assert found == {"a.svs": "dangling_link", "b.svs": "link_loop", "t.csv": "dangling_link"}
    assert overview(platform).waiting == ()
    assert forget_gone(platform) == 0

    write_slide(elsewhere, seed=1)
    assert [one.path for one in overview(platform).waiting] == [str(files[0])]
    assert taken(platform, files[0]) == {"a.svs": "new"}
    elsewhere.rename(elsewhere.with_suffix(".unmounted"))  # as a slide that is gone is no refusal
    assert overview(platform).waiting == ()
    files[1].unlink()
    assert forget_gone(platform) == 1
    assert [one.path for one in overview(platform).refused] == [str(files[2])]


def test_what_may_not_be_read_is_refused_and_seen_again_when_it_may(
    platform: Platform, inbox: Path
) -> None:
    locked = inbox / "locked"
    locked.mkdir()
    files = [locked / "a.svs", locked / "t.csv", inbox / "b.svs", inbox / "u.csv"]
    for path in files:
        path.write_bytes(b"x")
    modes = {locked: 0o400, files[2]: 0, files[3]: 0}
    for path, mode in modes.items():
        path.chmod(mode)
    with bound_by_modes():
        waiting = [one.path for one in overview(platform).waiting]
        assert waiting == sorted(map(str, files))
        assert {*taken(platform, *files).values()} == {"refused"}
        assert {one.reason for one in overview(platform).refused} == {"no_permission"}
        assert overview(platform).waiting == ()
        assert forget_gone(platform) == 0
    for path in modes:
        path.chmod(0o700)
    assert [one.path for one in overview(platform).waiting] == waiting
