from __future__ import annotations

import datetime as dt

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pathassets.adapters.tables.reading import read_table
from pathassets.errors import SpecError
from tests.catalog.hostile_words import HOSTILE


def read(path):
    return read_table(path, any_of=("slide", "file"))


def cells(table):
    return [line.cells for line in table.lines]


def test_parquet_of_pandas_is_read_as_text(tmp_path):
    path = tmp_path / "cohort.parquet"
    frame = pd.DataFrame(
        {
            "Slide": ["a", "b"], "patient": [7.0, None], "age": [1, 2], "ok": [True, None],
            "day": [dt.datetime(2020, 1, 31), None], "grade": pd.Categorical(["x", "y"]),  # noqa: DTZ001
            "score": [0.1, 2.5], "many": [[1], [2]],
        }
    )  # fmt: skip
    frame.to_parquet(path)
    table = read(path)
    assert table.columns == ("slide", "patient", "age", "ok", "day", "grade", "score")
    assert cells(table) == [
        ("a", "7", "1", "true", "2020-01-31", "x", "0.1"),
        ("b", "", "2", "", "", "y", "2.5"),
    ]
    assert table.n_numbers["patient"] == 1
    assert table.notes == ("column 'many' is left alone: it holds list<element: int64>",)


@pytest.mark.parametrize("word", HOSTILE.values(), ids=HOSTILE)
def test_words_of_strangers_are_read_as_they_are(tmp_path, word):
    path = tmp_path / "cohort.parquet"
    pq.write_table(pa.table({"file": [word], "label": [word]}), path)
    assert cells(read(path)) == [(word, word)]


def test_a_damaged_parquet_file_is_refused(tmp_path):
    path = tmp_path / "cohort.parquet"
    path.write_bytes(b"PAR1 and no more")
    with pytest.raises(SpecError, match="no Parquet file"):
        read(path)


def test_a_file_is_told_by_its_bytes_and_not_by_its_name(tmp_path):
    path = tmp_path / "cohort.csv"
    pq.write_table(pa.table({"file": ["a"]}), path)
    assert read(path).taken_for == "Parquet"
    path = tmp_path / "cohort.xlsx"
    path.write_text("file\tpatient\na\tP1\n")
    assert read(path).taken_for == "UTF-8, separated by tabs"


def test_a_sheet_of_what_is_no_workbook_is_refused(tmp_path):
    path = tmp_path / "cohort.csv"
    path.write_text("file\na\n")
    with pytest.raises(SpecError, match="has no sheets"):
        read_table(path, any_of=("file",), sheet="x")
    with pytest.raises(SpecError, match="No such file"):
        read(tmp_path / "missing.csv")
