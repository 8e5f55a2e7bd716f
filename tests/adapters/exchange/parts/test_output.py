from __future__ import annotations

import csv

import pytest

from pathassets.adapters.exchange.parts.output import as_read, csv_file
from pathassets.errors import SpecError


def written(tmp_path, rows):
    file = csv_file("t.csv", ("name", "label"), rows)
    file.write(tmp_path / "t.csv")
    with (tmp_path / "t.csv").open(newline="", encoding="utf-8") as opened:
        return list(csv.reader(opened))[1:]


def test_labels_of_any_text_are_read_back_as_they_are(tmp_path):
    rows = [
        ["+", "-"],
        ["a;b", 'said "x"'], ["two\nlines", "# *md* [l](x)"], ["größe", "腫瘍"], ["-1.5", ""],
    ]  # fmt: skip
    assert written(tmp_path, rows) == rows


@pytest.mark.parametrize("cell", ["=1+1", "@SUM(A1)", "+cmd|x", "-2+3", "\t=1", "\r=1"])
def test_a_cell_that_a_spreadsheet_would_compute_is_refused(cell):
    with pytest.raises(SpecError, match="is a formula to a spreadsheet"):
        csv_file("t.csv", ("name",), [[cell]])


@pytest.mark.parametrize(
    ("cell", "said"),
    [("007", "'007' in name is read as 7"), ("1e3", "read as 1000.0"), ("1.10", "read as 1.1")],
)
def test_a_cell_that_pandas_takes_for_another_number_is_refused_where_no_type_is_asked(cell, said):
    file = csv_file("t.csv", ("name", "label"), [[cell, "x"]])
    with pytest.raises(SpecError, match=said):
        as_read(file, "CLAM")
    assert as_read(file, "STAMP", str) is file


@pytest.mark.parametrize("cell", ["NA", "None", "null", "nan", "n/a"])
def test_a_cell_that_pandas_takes_for_none_is_refused(cell):
    file = csv_file("t.csv", ("name", "label"), [["a", cell]])
    with pytest.raises(SpecError, match=f"'{cell}' in label is read as nan"):
        as_read(file, "STAMP", str)


def test_a_column_with_blanks_that_has_to_be_whole_numbers_is_refused():
    file = csv_file("t.csv", ("", "train", "val"), [[0, "1", "2"], [1, "3", ""]])
    with pytest.raises(SpecError, match="cannot be read"):
        as_read(file, "CLAM", {"train": "int64", "val": "int64"})


def test_what_is_read_as_it_is_written_passes():
    rows = [["a;b", 'said "x"'], ["two\nlines", ""], [" a ", "größe"], ["12", "True"]]
    file = csv_file("t.csv", ("name", "label"), rows)
    assert as_read(file, "CLAM") is file
    assert as_read(csv_file("t.csv", ("name",), []), "CLAM").path == "t.csv"
