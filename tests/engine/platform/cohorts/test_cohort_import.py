from __future__ import annotations

import shutil
import time
from dataclasses import replace
from datetime import UTC, datetime

import openpyxl
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pathassets.catalog.catalog import Catalog
from pathassets.catalog.database.connect import writing
from pathassets.catalog.records import ChangedBy, CohortChange
from pathassets.catalog.rows import flat, slide_row
from pathassets.catalog.tables import slide, slide_path
from pathassets.engine.platform.cohorts.imports import (
    Members,
    label_by_hand,
    set_kind_by_hand,
    tag_by_hand,
    take_table,
)
from pathassets.engine.platform.cohorts.preview import Leniency, preview_table
from pathassets.engine.platform.cohorts.sheet import read_sheet
from pathassets.engine.platform.cohorts.words import check_name, kind_of
from pathassets.engine.platform.selections.names import slide_named, slides_named
from pathassets.errors import CatalogError, SpecError
from tests.catalog.hostile_words import HOSTILE, path_of, slide_of
from tests.catalog.merges import remember_merge

STRICT = Leniency()
LENIENT = Leniency(may_move=True, may_skip=True)


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    """A catalog that knows nothing: to make its tables is most of what a new one costs."""
    path = tmp_path_factory.mktemp("empty") / "catalog.db"
    Catalog.open(f"sqlite:///{path}").close()
    return path


@pytest.fixture
def catalog(tmp_path, empty):
    shutil.copyfile(empty, tmp_path / "catalog.db")
    with Catalog.open(f"sqlite:///{tmp_path / 'catalog.db'}") as opened:
        opened.register_slide(slide_of("a"), path_of("a", "/scans/one/a.svs"))
        opened.register_slide(slide_of("b"), path_of("b", "/scans/two/b.ome.tif"))
        opened.register_slide(slide_of("c"), path_of("c", "/scans/two/a.svs"))
        yield opened


@pytest.fixture
def table(tmp_path):
    def write(text):
        path = tmp_path / "cohort.csv"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    return write


def look(catalog, path, leniency=STRICT, cohort=""):
    return preview_table(catalog, read_sheet(path), cohort=cohort, leniency=leniency)


def take(catalog, path, **how):
    preview = look(catalog, path, **how)
    take_table(catalog, preview, who="Ann")
    return preview


def said(preview):
    return [(c.subject, c.key, c.field, c.old, c.new) for c in preview.changes]


def kinds(preview):
    return [(c.line, c.kind) for c in preview.conflicts]


# Taking a table


def test_a_table_is_shown_and_then_taken_and_the_second_time_changes_nothing(catalog, table):
    path = table(
        "slide,patient,site,label,label.grade,split,mpp,stain,tags,cohort\n"
        'a,P1,Lyon,tumour,2,train,"0,25",HE,"x; y",luad\n'
        "b,P2,,normal,1,test,,,,\n"
    )
    shown = look(catalog, path)
    assert said(shown)[:4] == [
        ("slide", "a", "patient", None, "P1"),
        ("slide", "a", "stain", None, "HE"),
        ("slide", "a", "mpp", "0.5", "0.25"),
        ("slide", "a", "label", None, "tumour"),
    ]
    assert (shown.n_lines, shown.n_slides, shown.restated) == (2, 2, ["a"])
    assert catalog.cohort_state().slides["a"] == {"mpp": "0.5"}
    assert take(catalog, path) == shown
    state = catalog.cohort_state()
    assert state.slides["b"] == {
        "patient": "P2", "label": "normal", "label.grade": "1", "label.split": "test", "mpp": "0.5"
    }  # fmt: skip
    assert (state.tags, state.cohorts) == ({"a": {"x", "y"}}, {"a": {"luad"}})
    assert state.patients == {"P1": {"site": "Lyon"}, "P2": {}}
    assert catalog.overrides()["a"].why == str(path)
    assert {one.kind for one in catalog.slide_labels("a")} == {"number", "category"}
    assert look(catalog, path).changes == ()
    [*_, first] = catalog.cohort_history("a")
    assert (first.by.who, first.by.file, first.by.sha256) == ("Ann", str(path), shown.sha256)


def test_slides_are_named_by_id_path_end_of_a_path_or_file_name(catalog, table):
    path = table("file,label\na,1\n/scans/two/b.ome.tif,2\ntwo/a.svs,3\n")
    assert [c[1] for c in said(look(catalog, path))] == ["a", "b", "c"]
    path = table("file,label\nb,x\n")
    assert [c[1] for c in said(look(catalog, path))] == ["b"]
    path = table("file,label\nb.ome,x\n")
    assert kinds(look(catalog, path)) == []


def test_a_slide_may_be_named_in_two_ways_which_say_the_same(catalog, table):
    path = table("slide,label,label.x\nb,1,\nb.ome.tif,1,2\ntwo/b.ome,,2\n/scans/two/b.ome.tif,,\n")
    shown = look(catalog, path)
    assert (said(shown), shown.conflicts) == (
        [("slide", "b", "label", None, "1"), ("slide", "b", "label.x", None, "2")], ()
    )  # fmt: skip
    shown = look(catalog, table("slide,label\nb.ome.tif,x\nb,y\none/a,x\none/a.svs,z\n"))
    assert kinds(shown) == [(3, "contradiction"), (5, "contradiction")]
    assert (
        "cohort.csv:3: label of slide 'b' is 'y', and 'x' in line 2" in shown.conflicts[0].message
    )
    shown = look(catalog, table("slide,file,label\nb,two/b.ome,x\nb,a.svs,x\nb,elsewhere,x\n"))
    assert kinds(shown) == [(3, "contradiction")]
    assert "'b' is slide b, and 'a.svs' is a" in shown.conflicts[0].message


def test_a_file_s_whole_name_counts_before_that_of_another_without_its_suffix(catalog, table):
    catalog.register_slide(slide_of("d"), path_of("d", "/scans/b.ome"))
    assert [c[1] for c in said(look(catalog, table("file,label\nb.ome,x\n")))] == ["d"]
    assert kinds(look(catalog, table("file,label\nb,x\n"))) == []  # an id
    assert slides_named(catalog, ["b.ome", "two/b", "d", "b.ome.tif"]) == ["d", "b"]
    with pytest.raises(CatalogError, match=r"'a\.svs' fits 2 slides, such as a and c"):
        slide_named(catalog, "a.svs")
    with pytest.raises(CatalogError, match="slide bb: not in the catalog"):
        slide_named(catalog, "bb")


def test_an_id_that_was_merged_away_stands_for_the_slide_it_became(catalog, table):
    remember_merge(catalog, "old", into="c")
    assert [c[1] for c in said(look(catalog, table("slide,label\nold,x\n")))] == ["c"]


def test_all_slides_of_a_table_come_into_the_cohort_that_is_named(catalog, table):
    take(catalog, table("slide\na\nb\n"), cohort="luad")
    assert catalog.cohort_slides("luad") == ["a", "b"]


def test_a_clinical_table_is_about_patients(catalog, table):
    take(catalog, table("slide,patient\na,P1\nb,P1\nc,P2\n"))
    path = table("patient,site,label,label.os_months,cohort\nP1,Lyon,luad,12.5,study\n")
    shown = take(catalog, path)
    assert said(shown)[:3] == [
        ("patient", "P1", "site", None, "Lyon"),
        ("patient", "P1", "label", None, "luad"),
        ("patient", "P1", "label.os_months", None, "12.5"),
    ]
    assert catalog.cohort_slides("study") == ["a", "b"]
    assert {(one.name, one.kind) for one in catalog.slide_labels("a")} == {
        ("label", "category"), ("os_months", "number")
    }  # fmt: skip
    assert catalog.cohort_state().slides["a"].get("label") is None


def test_a_blank_cell_says_nothing_and_erases_nothing(catalog, table):
    take(catalog, table("slide,patient,label\na,P1,x\n"))
    assert look(catalog, table("slide,patient,label\na,,NA\n")).changes == ()


def test_labels_are_called_as_they_are_in_the_header_whatever_that_is(catalog, table):
    names = ["Größe (mm)", "ß", "T = 1: a & b", '"x"', "2nd\nline", "ﬁ", "Label.Grade"]
    header = ",".join(f'"Label. {name.replace(chr(34), chr(34) * 2)}"' for name in names)
    path = table(f"\ufeffSlide ID,{header},LABEL,label.Split\na{',1' * len(names)},x,train\n")
    assert [one.name for one in take(catalog, path).labels] == [*names, "label", "split"]
    state = catalog.cohort_state().slides["a"]
    assert {f"label.{name}" for name in (*names, "split")} | {"label", "mpp"} == {*state}
    assert look(catalog, path).changes == ()
    set_kind_by_hand(catalog, "Größe (mm)", "category", who="Ann")
    label_by_hand(catalog, "slide", "a", dict.fromkeys([*names, "split"], ""), who="Ann")
    assert catalog.slide_labels("a") == []


def test_a_label_that_is_spelled_otherwise_than_before_is_that_of_before(catalog, table):
    label_by_hand(catalog, "slide", "a", {"grösse": "1", "Tumour_stage": "II"}, who="Ann")
    shown = take(catalog, table("slide,label.Größe,label.tumour-stage\nb,2,II\n"))
    assert [c[2:] for c in said(shown)] == [
        ("label.grösse", None, "2"), ("label.Tumour_stage", None, "II")
    ]  # fmt: skip
    assert shown.notes == (
        "label 'grösse' is what the catalog calls the table's 'Größe'",
        "label 'Tumour_stage' is what the catalog calls the table's 'tumour-stage'",
    )
    [change] = label_by_hand(catalog, "slide", "a", {"GRÖSSE": "3"}, who="Ann")
    assert change.field == "label.grösse"
    assert set_kind_by_hand(catalog, "Größe", "text", who="Ann")[0].key == "grösse"
    change = replace(change, field="label.Größe", old=None, kind="number")  # of an older version
    catalog.record_changes([change], ChangedBy(who="Ann"))
    with pytest.raises(SpecError, match="label 'GRÖSSE' may be 'Größe' or 'grösse'"):
        look(catalog, table("slide,label.GRÖSSE\nb,2\n"))
    assert look(catalog, table("slide,label.Größe\nb,2\n")).labels[0].name == "Größe"


def test_it_is_told_of_which_kind_labels_become_and_how_many_values_they_have(catalog, table):
    path = table(
        "slide;label;label.os;label.n;label.share;label.is_x\n"
        "a;1,5;1,5;1,234;50 %;true\nb;2;-2;2,500;60 %;false\nc;2;1e3;7;60 %;true\n"
    )
    shown = take(catalog, path)
    assert [(one.name, one.kind, one.n_values) for one in shown.labels] == [
        ("label", "category", 2), ("os", "number", 3), ("n", "category", 3),
        ("share", "category", 2), ("is_x", "boolean", 2),
    ]  # fmt: skip
    state = catalog.cohort_state().slides["a"]
    assert [state[name] for name in ("label", "label.os", "label.n")] == ["1,5", "1.5", "1,234"]
    unclear = "'1,234' may be a thousand or a decimal, and is taken for neither"
    assert shown.notes == (
        "label 'label': its decimal commas stay, for it is of the kind category",
        "label 'os': its commas are decimal ones, '1,5' is '1.5'",
        f"label 'n': {unclear}: write 1.234 or 1234",
    )
    assert look(catalog, path).changes == ()
    shown = look(catalog, table("slide;label.share;label.os;label.is_x\na;0,5;1.5;0,5\n"))
    assert [c[2:] for c in said(shown)] == [("label.share", "50 %", "0,5")]
    assert shown.notes == tuple(
        f"label {name!r}: its decimal commas stay, for it is of the kind {kind}"
        for name, kind in (("share", "category"), ("is_x", "boolean"))
    )
    assert kinds(shown) == [(2, "other_kind")]
    shown = look(catalog, table("slide\tlabel.new\na\t0,123\nb\t1234\n"))
    assert [c[4] for c in said(shown)] == ["0.123", "1234"]
    shown = look(catalog, table('slide,label.new\na,"1,5"\n'))
    assert [(c[4], shown.labels[0].kind) for c in said(shown)] == [("1,5", "category")]


# What speaks against one


def test_two_lines_that_contradict_each_other_are_a_conflict_with_both_lines(catalog, table):
    shown = look(catalog, table("slide,label\na,x\nb,x\na,y\n"))
    assert kinds(shown) == [(4, "contradiction")]
    assert (
        "cohort.csv:4: label of slide 'a' is 'y', and 'x' in line 2" in shown.conflicts[0].message
    )
    with pytest.raises(SpecError, match="nothing was changed"):
        take_table(catalog, shown, who="Ann")
    assert catalog.cohort_history("b") == []
    shown = look(catalog, table("slide,patient,site\na,P1,Lyon\nb,P1,Paris\n"))
    assert kinds(shown) == [(3, "contradiction")]


def test_a_slide_that_would_change_its_patient_is_a_conflict_unless_it_may(catalog, table):
    take(catalog, table("slide,patient\na,P1\n"))
    path = table("slide,patient\na,P2\n")
    assert kinds(look(catalog, path)) == [(2, "patient_moves")]
    label_by_hand(catalog, "patient", "P1", {"vital": "true"}, who="Ann")
    shown = take(catalog, path, leniency=replace(STRICT, may_move=True))
    assert catalog.slide("a").patient == "P2"
    assert shown.notes == ("patient 'P1' has no slide then; label.vital stay with that name",)


def test_an_unknown_slide_is_a_conflict_with_what_is_near_unless_it_may_be_left_out(catalog, table):
    path = table("file,label\nb.ome.tiff,x\n/scans/one/a.svs,y\n")
    shown = look(catalog, path)
    assert kinds(shown) == [(2, "unknown_slide")]
    remedy = shown.conflicts[0].remedy
    assert "Did you mean 'b.ome.tif'? Register it: pathassets ingest FILE; or " in remedy
    assert remedy.endswith(f"pathassets cohort import {path} --skip-unknown")
    shown = take(catalog, path, leniency=LENIENT)
    assert (shown.n_skipped, catalog.slide("a").label) == (1, "y")


def test_an_unknown_patient_of_a_clinical_table_is_one_too(catalog, table):
    take(catalog, table("slide,patient\na,P-100\n"))
    path = table("patient,label\nP-10O,x\n")
    shown = look(catalog, path)
    assert kinds(shown) == [(2, "unknown_patient")]
    assert "'P-100'" in shown.conflicts[0].remedy
    assert look(catalog, path, leniency=LENIENT).n_skipped == 1


def test_a_name_of_two_slides_and_a_site_of_nobody_are_conflicts(catalog, table):
    assert kinds(look(catalog, table("file,label\na.svs,x\n"))) == [(2, "two_slides")]
    assert kinds(look(catalog, table("slide,site\nb,Lyon\n"))) == [(2, "no_patient")]


def test_patients_that_a_person_takes_for_one_are_pointed_at(catalog, table):
    take(catalog, table("slide,patient\na,P 1\n"))
    shown = look(catalog, table("slide,patient\nb,p1\n"))
    assert shown.notes == ("patients 'P 1' and 'p1' are taken as 2 different ones",)


def test_what_was_changed_between_the_look_and_the_taking_is_refused(catalog, table):
    shown = look(catalog, table("slide,label\na,x\nb,x\n"))
    label_by_hand(catalog, "slide", "a", {"label": "y"}, who="Bob")
    with pytest.raises(CatalogError, match="its label is 'y' by now"):
        take_table(catalog, shown, who="Ann")
    assert catalog.slide("b").label is None


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("slide,label,label\na,x,y\n", "two columns are called 'label'"),
        ("slide,slide_id\na,b\n", "two columns are called 'slide'"),
        ("slide,label,label.label\na,x,y\n", "two columns state one label"),
        ("slide,Label.Grade,label.grade\na,1,2\n", "two columns are called 'label.grade'"),
        ("slide,label.T stage,Label.t_Stage\na,1,2\n", "two columns are called 'label.t_stage'"),
        ("slide,label, label.LABEL\na,x,y\n", "two columns state one label"),
        ("slide,label. \u200b\na,x\n", ":1: label '\\u200b' has no name that can be seen"),
        ("slide,label." + "x" * 201 + "\na,x\n", ":1: label's name"),
        ("slide,label\n", "no line below the header"),
        ("slide,label\n\n,\n", "no line below the header"),
        ("", "it is empty"),
        ("name,label\na,x\n", "no column 'slide' or 'slide_id' or 'file'"),
        ("slide,label\na,x\nb\n", ":3: 1 cells, where the header has 2"),
        ("slide,label\na,x\nb,y,z\n", ":3: 3 cells, where the header has 2"),
        ("slide,mpp\na,0.25\nb,fine\n", ":3: mpp 'fine' is not a number"),
        ("slide,mpp\na,250\n", ":2: 250 um per pixel is not between"),
        ("slide,patient\n,P1\n", ":2: no slide is named"),
        ("patient,label\nNA,x\n", ":2: no patient is named"),
        ("patient,mpp\nP1,0.25\n", "cannot state the mpp of their slides"),
        ("slide,tag\na,x y\n", ":2: tag 'x y' cannot be a name"),
        ("slide,cohort\na,a/b\n", ":2: cohort 'a/b' cannot be a name"),
        ("slide,patient\na," + "x" * 201 + "\n", "has 201 characters"),
        ('slide,label\na,"x\n', "not closed"),
    ],
)
def test_a_table_that_cannot_be_read_is_refused_with_line_and_remedy(table, text, error):
    with pytest.raises(SpecError) as caught:
        read_sheet(table(text))
    assert error in str(caught.value)
    assert caught.value.remedy


# Whatever the file


@pytest.mark.parametrize("word", HOSTILE.values(), ids=HOSTILE)
def test_words_of_strangers_are_taken_from_parquet_and_csv_as_they_are(catalog, tmp_path, word):
    frame = pd.DataFrame({"slide": ["a"], "patient": [word], "label": [word], "label.x": [word]})
    for name in ("cohort.parquet", "cohort.csv"):
        path = tmp_path / name
        if name.endswith(".csv"):
            frame.to_csv(path, index=False)
        else:
            frame.to_parquet(path)
        shown = look(catalog, path)
        assert {change.new for change in shown.changes} <= {word}
        take_table(catalog, shown, who=word)
    values = catalog.cohort_state().slides["a"]
    assert [values[name] for name in ("patient", "label", "label.x")] == [word] * 3
    assert look(catalog, path).changes == ()


def test_a_workbook_says_what_became_of_its_numbers(catalog, tmp_path):
    book = openpyxl.Workbook()
    book.active.append(("slide", "patient", "ward"))
    book.active.append(("a", 7, "x"))
    book.save(tmp_path / "cohort.xlsx")
    shown = take(catalog, tmp_path / "cohort.xlsx")
    assert catalog.slide("a").patient == "7"
    assert shown.notes == (
        "column 'patient': numbers, not text, in 1 of its cells: zeros they began with are lost",
        "columns that are left alone: ward",
    )


TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=20)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(rows=st.lists(st.tuples(st.sampled_from("abc"), TEXT, TEXT), max_size=6))
def test_whatever_a_table_says_is_in_the_catalog_afterwards_or_nothing_of_it(
    catalog, tmp_path, rows
):
    frame = pd.DataFrame(rows, columns=["slide", "label", "label.x"], dtype="object")
    frame.to_parquet(tmp_path / "cohort.parquet")
    before = catalog.cohort_state()
    try:
        shown = look(catalog, tmp_path / "cohort.parquet")
        take_table(catalog, shown, who="Ann")
    except SpecError:
        assert catalog.cohort_state() == before
        return
    after = catalog.cohort_state()
    for slide_id, label, other in rows:
        for field, text in (("label", label), ("label.x", other)):
            word = text.strip()
            if word and word.casefold() not in UNKNOWN:
                assert after.slides[slide_id][field] == word


UNKNOWN = {"na", "n/a", "#n/a", "<na>", "null", "nan", "none"}


# By hand


def test_labels_are_stated_and_taken_away_by_hand(catalog):
    changes = label_by_hand(catalog, "slide", "a", {"grade": "3", "label": "x"}, who="Ann")
    assert changes == [
        CohortChange(
            subject="slide", key="a", field="label.grade", old=None, new="3", kind="number"
        ),
        CohortChange(subject="slide", key="a", field="label", old=None, new="x", kind="category"),
    ]
    assert label_by_hand(catalog, "slide", "a", {"grade": "3"}, who="Ann") == []
    label_by_hand(catalog, "slide", "a", {"grade": ""}, who="Ann")
    assert catalog.slide_labels("a") == []
    with pytest.raises(SpecError, match="no slide is of this patient"):
        label_by_hand(catalog, "patient", "P1", {"x": "1"}, who="Ann")
    with pytest.raises(CatalogError, match="not in the catalog"):
        label_by_hand(catalog, "slide", "z", {"x": "1"}, who="Ann")
    with pytest.raises(SpecError, match="has no name"):
        label_by_hand(catalog, "slide", "a", {" ": "1"}, who="Ann")
    with pytest.raises(SpecError, match="label 'grade' is stated twice"):
        label_by_hand(catalog, "slide", "a", {"grade": "1", "Grade ": "2"}, who="Ann")


def test_a_patient_is_labelled_by_hand(catalog, table):
    take(catalog, table("slide,patient\na,P1\n"))
    label_by_hand(catalog, "patient", "P1", {"vital": "true"}, who="Ann")
    assert [(one.name, one.kind) for one in catalog.slide_labels("a")] == [("vital", "boolean")]


def test_a_label_is_of_the_kind_of_its_name_by_hand_and_in_a_table(catalog, table):
    take(catalog, table("slide,label.grade,label.type,label.label2\na,2,x,true\nb,3,y,false\n"))
    said = r"slide a: labels 'grade' are numbers, and 'high' is not. .* cohort kind grade category$"
    with pytest.raises(SpecError, match=said):
        label_by_hand(catalog, "slide", "a", {"type": "7", "grade": "high"}, who="Ann")
    label_by_hand(catalog, "slide", "a", {"type": "7"}, who="Ann")
    path = table("slide,label.grade,label.type,label.label2\na,4,8,1\nb,low,9,\nc,x,,\n")
    conflicts = look(catalog, path).conflicts
    assert [(one.line, one.kind) for one in conflicts] == [
        (line, "other_kind") for line in (2, 3, 4)
    ]
    assert "labels 'label2' are true or false, and '1' is not" in conflicts[0].message
    assert of_kinds(catalog, "a", "b") == {("grade", "number"), ("type", "category"), BOOLEAN}

    for name in ("grade", "label2"):
        set_kind_by_hand(catalog, name, "category", who="Ann")
    take(catalog, path)
    assert of_kinds(catalog, "a", "b") == {(n, "category") for n in ("grade", "type", "label2")}
    with pytest.raises(
        CatalogError, match="label 'grade': its value 'low' is of another kind than"
    ):
        set_kind_by_hand(catalog, "grade", "number", who="Ann")
    assert len(set_kind_by_hand(catalog, "type", "number", who="Ann")) == 1
    assert set_kind_by_hand(catalog, "type", "number", who="Ann") == []


BOOLEAN = ("label2", "boolean")


def of_kinds(catalog, *slides):
    return {(one.name, one.kind) for slide_id in slides for one in catalog.slide_labels(slide_id)}


def test_slides_come_under_tags_and_into_cohorts_by_hand(catalog):
    tags = Members(what="tag", names=("x", "y", "x"))
    assert len(tag_by_hand(catalog, tags, ["a", "b"], who="Ann")) == 4
    assert tag_by_hand(catalog, tags, ["a"], who="Ann") == []
    assert len(tag_by_hand(catalog, tags, ["a"], who="Ann", is_removed=True)) == 2
    assert catalog.cohort_state().tags == {"b": {"x", "y"}}
    tag_by_hand(catalog, Members(what="cohort", names=("c",)), ["b"], who="Ann")
    assert catalog.cohort_slides("c") == ["b"]
    with pytest.raises(SpecError, match="cannot be a name"):
        tag_by_hand(catalog, Members(what="tag", names=("x,y",)), ["a"], who="Ann")


@pytest.mark.parametrize("name", ["luad", "TCGA-LUAD_v1.2", "Lübeck", "日本", "a+b"])
def test_what_can_be_a_name(name):
    assert check_name(name, "cohort", "x") == name


@pytest.mark.parametrize(
    ("values", "kind"),
    [(["1", "-2.5e3"], "number"), (["01"], "category"), (["1,5"], "category"),
     (["nan"], "category"), (["True"], "boolean"), (["x" * 101], "text")],
)  # fmt: skip
def test_of_what_kind_a_column_is_follows_from_all_of_its_values(values, kind):
    assert kind_of(values) == kind


@pytest.mark.slow
def test_a_table_of_a_hundred_thousand_lines_is_shown_and_taken_in_a_minute(tmp_path):
    n = 100_000
    with Catalog.open(f"sqlite:///{tmp_path / 'large.db'}") as catalog:
        fill_many(catalog, n)
        frame = pd.DataFrame(
            {
                "file": [f"s{i:06}.svs" for i in range(n)],
                "patient": [f"P{i // 3}" for i in range(n)],
                "label.grade": [i % 4 for i in range(n)],
                "tag": "x",
            }
        )
        frame.to_csv(tmp_path / "large.csv", index=False)
        frame[: n // 4].to_excel(tmp_path / "large.xlsx", index=False)
        begin_s = time.process_time()
        shown = take(catalog, tmp_path / "large.csv", cohort="all")
        assert len(shown.changes) == 4 * n
        assert time.process_time() - begin_s < 60
        begin_s = time.process_time()
        # A workbook costs by its lines alone: of a quarter of them, a quarter of the time.
        assert look(catalog, tmp_path / "large.xlsx", cohort="all").changes == ()
        assert time.process_time() - begin_s < 60 / 4


def fill_many(catalog, n):
    ids = [f"s{i:06}" for i in range(n)]
    at = datetime.now(UTC)
    with writing(catalog._engine) as connection:
        connection.execute(
            slide.insert(), [slide_row(slide_of(one)) | {"registered_at": at} for one in ids]
        )
        connection.execute(
            slide_path.insert(), [flat(path_of(one)) | {"seen_at": at} for one in ids]
        )
