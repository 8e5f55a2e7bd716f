from __future__ import annotations

import datetime as dt
import zipfile

import openpyxl
import pytest

from pathassets.adapters.tables import excel
from pathassets.adapters.tables.reading import read_table
from pathassets.errors import SpecError
from tests.catalog.hostile_words import HOSTILE

SEEN = {name: word for name, word in HOSTILE.items() if name not in ("terminal", "newline")}
"""A workbook holds no escape characters, and one kind of line break."""


def write(path, *rows, title="cohort", **others):
    book = openpyxl.Workbook()
    book.active.title = title
    for row in rows:
        book.active.append(row)
    for name, lines in others.items():
        sheet = book.create_sheet(name)
        for row in lines:
            sheet.append(row)
    book.save(path)
    return book


def read(path, **given):
    return read_table(path, any_of=("file", "patient"), **given)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "cohort.xlsx"


def cells(table):
    return [line.cells for line in table.lines]


def test_a_sheet_is_read_with_its_row_numbers(path):
    write(path, ("File", "Patient ID", "note"), ("a.svs", "P1", None), (), ("b.svs", "", "x"))
    table = read(path)
    assert table.columns == ("file", "patient_id", "note")
    assert [line.number for line in table.lines] == [2, 4]
    assert cells(table) == [("a.svs", "P1", ""), ("b.svs", "", "x")]
    assert table.taken_for == "sheet 'cohort' of a workbook"
    assert len(table.sha256) == 64


def test_words_of_strangers_are_read_as_they_are(path):
    write(path, ("file", *SEEN), ("a.svs", *SEEN.values()))
    book = openpyxl.load_workbook(path)
    for cell in book.active[2]:
        cell.data_type = "s"  # text, also where it begins with '='
    book.save(path)
    [found] = cells(read(path))
    assert found == ("a.svs", *SEEN.values())


def test_dates_booleans_and_numbers_are_written_in_one_way(path):
    row = ("a.svs", dt.date(2020, 1, 31), dt.datetime(2020, 1, 31, 12, 30), True, 7, 7.0, 0.1)  # noqa: DTZ001
    write(path, ("file", "d", "t", "b", "i", "w", "f"), row)
    [found] = cells(read(path))
    assert found == ("a.svs", "2020-01-31", "2020-01-31 12:30:00", "true", "7", "7", "0.1")


def test_numbers_that_were_ids_are_counted_unless_their_format_has_the_zeros(path):
    book = write(path, ("file", "patient"), ("a", 7), ("b", 8), ("c", "009"))
    book.active["B3"].number_format = "00000"
    book.save(path)
    table = read(path)
    assert [row[1] for row in cells(table)] == ["7", "00008", "009"]
    assert table.n_numbers == {"patient": 1}


def test_a_formula_is_its_value_and_one_without_is_refused(path):
    write(path, ("file", "label"), ("a", "=1+1"))
    with pytest.raises(SpecError, match=r":2: cell B2 has a formula whose value is not in"):
        read(path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    sheet = "xl/worksheets/sheet1.xml"
    members[sheet] = members[sheet].replace(b"<v></v>", b"<v>2</v>").replace(b"<v/>", b"<v>2</v>")
    members[sheet] = members[sheet].replace(b"<v />", b"<v>2</v>")
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    table = read(path)
    assert cells(table) == [("a", "2")]
    assert "cells with formulas: 1" in table.notes[0]


def test_merged_cells_and_errors_are_refused_with_their_place(path):
    book = write(path, ("file", "patient"), ("a", "P1"), ("b", None))
    book.active.merge_cells("B2:B3")
    book.save(path)
    with pytest.raises(SpecError, match=r"xlsx:2: cells B2:B3 are merged"):
        read(path)
    book = write(path, ("file", "patient"), ("a", "P1"))
    book.active["B2"] = "#REF!"
    book.active["B2"].data_type = "e"
    book.save(path)
    with pytest.raises(SpecError, match=r"cell B2 holds the error '#REF!'"):
        read(path)


def test_a_merged_title_above_the_header_is_no_matter(path):
    book = write(path, ("file", "x", "y"), ("a", "1", "2"))
    book.active.insert_rows(1)
    book.active.merge_cells("A1:C1")
    book.save(path)
    assert cells(read(path)) == [("a", "1", "2")]


def test_the_sheet_is_the_one_that_has_the_column_and_else_must_be_named(path):
    write(path, ("x",), ("1",), title="notes", slides=[("file",), ("a",)])
    assert cells(read(path)) == [("a",)]
    write(path, ("file",), ("b",), title="old", slides=[("file",), ("a",)])
    with pytest.raises(SpecError, match=r"several sheets .* --sheet NAME"):
        read(path)
    assert cells(read(path, sheet="slides")) == [("a",)]
    with pytest.raises(SpecError, match="no sheet 'x'"):
        read(path, sheet="x")


def test_a_cell_beside_the_header_and_an_empty_sheet_are_refused(path):
    write(path, ("file",), ("a", "beside"))
    with pytest.raises(SpecError, match=":2: a cell beside the last column"):
        read(path)
    write(path)
    with pytest.raises(SpecError, match="it is empty"):
        read(path)
    write(path, ("slides",), ("a",))
    with pytest.raises(SpecError, match="no column 'file' or 'patient', found slides"):
        read(path)


@pytest.mark.parametrize("data", [b"PK\x03\x04rest", b"PK\x03\x04"])
def test_a_zip_that_is_no_workbook_is_refused(path, data):
    path.write_bytes(data)
    with pytest.raises(SpecError, match="no workbook that can be read"):
        read(path)


def test_another_archive_is_refused(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("word/document.xml", "<x/>")
    with pytest.raises(SpecError, match="no workbook that can be read"):
        read(path)


def test_a_workbook_that_unpacks_to_a_disk_full_is_refused_unread(path, monkeypatch):
    write(path, ("file",), *[("a" * 1000,)] * 100)
    monkeypatch.setattr(excel, "MAX_UNPACKED_BYTES", 10_000)
    with pytest.raises(SpecError, match="too large"):
        read(path)


def test_an_old_workbook_or_one_with_a_password_is_refused(path):
    path.write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")
    with pytest.raises(SpecError, match=r"an \.xls file, or a workbook with a password"):
        read(path)
