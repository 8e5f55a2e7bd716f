from __future__ import annotations

import csv
from decimal import Decimal

import duckdb
import pandas as pd
import pytest

from pathassets.adapters.tables.writing import write_csv, write_parquet
from pathassets.errors import SpecError
from tests.catalog.hostile_words import HOSTILE


def fails():
    yield (1,)
    raise ValueError("half way")


def test_words_of_strangers_are_written_as_they_are(tmp_path):
    rows = [(name, word) for name, word in HOSTILE.items()]
    write_csv(tmp_path / "a.csv", ["name", "word"], rows)
    with (tmp_path / "a.csv").open(newline="", encoding="utf-8") as file:
        assert [tuple(row) for row in csv.reader(file)][1:] == rows
    write_parquet(tmp_path / "a.parquet", ["name", "word"], lambda: rows)
    found = duckdb.sql(f"SELECT * FROM '{tmp_path}/a.parquet'").fetchall()  # noqa: S608
    assert found == rows


def test_cells_that_a_spreadsheet_would_run_are_counted_or_escaped(tmp_path):
    rows = [("=1+1", -1), ("+x", 2.5), ("a=b", None)]
    assert write_csv(tmp_path / "a.csv", ["x", "y"], rows) == (3, 2)
    assert (tmp_path / "a.csv").read_text() == "x,y\n=1+1,-1\n+x,2.5\na=b,\n"
    assert write_csv(tmp_path / "a.csv", ["x", "y"], rows, escape_formulas=True) == (3, 2)
    assert (tmp_path / "a.csv").read_text() == "x,y\n'=1+1,-1\n'+x,2.5\na=b,\n"


def test_parquet_has_the_types_of_all_rows_and_not_of_the_first(tmp_path):
    rows = [
        (1, 1, None, b"\x00", True, "a", None),
        (2, 2.5, 3, None, False, 1, None),
        (None, Decimal("1.5"), 2**70, b"\x01", None, b"z", None),
    ]
    columns = ["i", "f", "big", "bytes", "b", "mixed", "none"]
    assert write_parquet(tmp_path / "a.parquet", columns, lambda: rows) == 3
    found = pd.read_parquet(tmp_path / "a.parquet", dtype_backend="pyarrow")
    assert [str(t) for t in found.dtypes] == [
        "int64[pyarrow]", "double[pyarrow]", "string[pyarrow]", "binary[pyarrow]", "bool[pyarrow]",
        "string[pyarrow]", "string[pyarrow]",
    ]  # fmt: skip
    assert found["mixed"].tolist() == ["a", "1", "eg=="]
    assert found["big"].tolist()[1:] == ["3", str(2**70)]


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("a.csv", lambda place: write_csv(place, ["x"], fails())),
        ("a.parquet", lambda place: write_parquet(place, ["x"], fails)),
    ],
)
def test_what_fails_half_way_leaves_the_old_file_and_nothing_else(tmp_path, name, write):
    place = tmp_path / name
    place.write_text("old")
    with pytest.raises(ValueError, match="half way"):
        write(place)
    assert place.read_text() == "old"
    assert list(tmp_path.iterdir()) == [place]


def test_a_place_that_cannot_be_written_is_refused(tmp_path):
    with pytest.raises(SpecError, match="cannot be written"):
        write_csv(tmp_path / "no" / "a.csv", ["x"], [])


def test_a_file_is_its_owners_alone_and_a_link_in_its_place_is_replaced(tmp_path):
    other = tmp_path / "other"
    other.write_text("kept")
    (tmp_path / "a.csv").symlink_to(other)
    write_csv(tmp_path / "a.csv", ["x"], [(1,)])
    assert other.read_text() == "kept"
    assert (tmp_path / "a.csv").stat().st_mode & 0o777 == 0o600
