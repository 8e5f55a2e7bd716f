from __future__ import annotations

import csv

import pytest

from pathassets.adapters.exchange.parts.output import csv_file
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
