"""Verdicts from a table that anybody may have written."""

from __future__ import annotations

import hashlib

import pytest

from pathassets import report
from pathassets.catalog.records import Verdict
from pathassets.engine.platform.quality.verdict_table import preview_verdicts, take_verdicts
from pathassets.errors import SpecError
from tests.catalog.hostile_words import HOSTILE, path_of, slide_of


@pytest.fixture
def catalog(platform):
    for name in ("a", "b"):
        platform.catalog.register_slide(slide_of(name), path_of(name))
    return platform.catalog


@pytest.fixture
def preview(catalog, tmp_path):
    def preview(*lines, header="slide,verdict,why,who"):
        table = tmp_path / "verdicts.csv"
        table.write_text("\n".join((header, *lines)) + "\n")
        return preview_verdicts(catalog, table, who="Ann")

    return preview


def test_lines_are_stated_all_at_once_with_the_table_they_are_from(catalog, preview, tmp_path):
    found = preview("a,Reject,folds,", "/scans/b.svs,review,pale,Bob")
    take_verdicts(catalog, found)
    source = str(tmp_path / "verdicts.csv")
    sha256 = hashlib.sha256((tmp_path / "verdicts.csv").read_bytes()).hexdigest()
    from_table = {"file": source, "sha256": sha256}
    assert catalog.verdicts() == [
        Verdict(slide_id="a", verdict="reject", who="Ann", why="folds", **from_table),
        Verdict(slide_id="b", verdict="review", who="Bob", why="pale", **from_table),
    ]
    again = preview("a,reject,folds,", "b,accept,looked again,Bob", "b,accept,looked again,Bob")
    assert (len(again.verdicts), again.n_same) == (1, 1)
    assert again.conflicts == ()


def test_what_speaks_against_a_line_is_told_by_its_number_and_nothing_is_stated(
    catalog, preview, capsys
):
    found = preview(
        "a,accept,fine,", "a,reject,no,", "c,accept,x,", "b,fail,x,", "b,accept,,",
        ",accept,x,", f"b,{HOSTILE['terminal']},x,",
    )  # fmt: skip
    assert [(one.line, one.kind) for one in found.conflicts] == [
        (3, "contradiction"), (4, "unknown_slide"), (5, "other_word"), (6, "no_why"),
        (7, "unknown_slide"), (8, "other_word"),
    ]  # fmt: skip
    with pytest.raises(SpecError, match=r"verdicts.csv:3: .*; nothing was stated"):
        take_verdicts(catalog, found)
    assert catalog.verdicts() == []
    report.verdict_preview(found, as_json=False)
    said = capsys.readouterr().out
    assert "6 conflicts" in said
    assert "\x1b" not in said


def test_a_line_that_names_two_slides_is_refused(preview):
    header = "slide,file,verdict,why"
    found = preview("a,a.svs,accept,x", "a,b.svs,reject,x", "b,gone.svs,accept,x", header=header)
    (conflict,) = found.conflicts
    assert (conflict.line, conflict.kind) == (3, "contradiction")
    assert conflict.message.endswith("verdicts.csv:3: 'a' is slide a, and 'b.svs' is b")
    assert conflict.remedy == "Name one slide in a line"
    assert [one.slide_id for one in found.verdicts] == ["a", "b"]


def test_columns_that_are_left_alone_are_told(preview):
    found = preview("a,accept,x,12", header="slide,verdict,why,Remark no")
    assert found.notes == ("columns that are left alone: Remark no",)


def test_of_a_name_with_a_line_break_it_is_said_how_to_write_it(preview):
    written, broken, plain = preview(
        "a\\nb.svs,accept,x,", '"a\nb.svs",accept,x,', "c,accept,x,"
    ).conflicts
    assert all("within quotation marks" in one.remedy for one in (written, broken))
    assert "quotation marks" not in plain.remedy


@pytest.mark.parametrize(
    ("header", "line", "said"),
    [
        ("slide,verdict", "a,accept", "no column 'why'"),
        ("slide,why", "a,x", "no column 'verdict'"),
        ("name,verdict,why", "a,accept,x", "no column 'slide'"),
        ("slide,verdict,why,why", "a,accept,x,y", "two columns are called 'why'"),
        ("slide,verdict,why,who", f"a,accept,x,{'w' * 201}", "has 201 characters"),
    ],
)
def test_a_table_that_is_none_of_verdicts_is_refused(preview, header, line, said):
    with pytest.raises(SpecError, match=said):
        preview(line, header=header)


def test_a_table_that_is_not_there_is_not_called_one_of_a_cohort(catalog, tmp_path):
    with pytest.raises(SpecError, match=r"none\.csv: cannot read the table: No such file"):
        preview_verdicts(catalog, tmp_path / "none.csv", who="Ann")
