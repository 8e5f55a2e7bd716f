import codecs
import logging
import os
import threading
import time
import unicodedata
from pathlib import Path

import pytest

from pathassets.adapters.tables import csv_table
from pathassets.engine.platform.ingestion.cohort_table import (
    NO_COHORT,
    Cohort,
    CohortRow,
    read_cohort,
)
from pathassets.errors import SpecError

ZERO_WIDTH, NO_BREAK, MARK = "\u200b", "\u00a0", "\ufeff"


def read(tmp_path, text, **given):
    path = tmp_path / "cohort.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_cohort(path, **given)


def test_a_table_is_read_with_what_it_has(tmp_path):
    cohort = read(
        tmp_path,
        "file,patient,label,mpp,slide_id,ward\na.svs,007,tumour,0.25,S1,3\nb/c.svs,,,,,\n",
    )
    assert cohort.rows == (
        CohortRow(file="a.svs", patient="007", label="tumour", mpp=0.25, slide_id="S1"),
        CohortRow(file="b/c.svs"),
    )
    assert cohort.source == str(tmp_path / "cohort.csv")


def test_a_table_may_have_the_file_column_alone(tmp_path):
    assert read(tmp_path, "file\na.svs\n").rows == (CohortRow(file="a.svs"),)


def test_spaces_blank_lines_and_a_byte_order_mark_do_no_harm(tmp_path):
    text = b"\xef\xbb\xbffile , patient\r\n a.svs , p 1 \r\n\r\n,\r\nb.svs,\xc2\xa0p2\r\n"
    cohort = read(tmp_path, text)
    assert cohort.rows == (
        CohortRow(file="a.svs", patient="p 1"),
        CohortRow(file="b.svs", patient="p2"),
    )
    assert [row.line for row in cohort.rows] == [2, 5]


# What means unknown


@pytest.mark.parametrize(
    "word", ["NA", "na", "N/A", "#N/A", "<NA>", "NULL", "nan", "None", "", " "]
)
def test_a_word_that_programs_write_for_nothing_means_unknown(tmp_path, word):
    text = f'"file","patient","label","mpp","slide_id"\n"a.svs","{word}",{word},{word},{word}\n'
    assert read(tmp_path, text).rows == (CohortRow(file="a.svs"),)


def test_what_means_unknown_can_be_stated_and_what_was_taken_so_is_told(tmp_path):
    text = "file,patient,label\na.svs,NA,None\nb.svs,?,NA\n"
    assert read(tmp_path, text).reading == (
        "2 lines, UTF-8, separated by commas; taken as unknown: 'NA' twice, 'None' once"
    )
    assert read(tmp_path, text, unknown=["?"]).rows == (
        CohortRow(file="a.svs", patient="NA", label="None"),
        CohortRow(file="b.svs", label="NA"),
    )
    stated = read(tmp_path, text, unknown=[])
    assert [row.patient for row in stated.rows] == ["NA", "?"]
    assert stated.reading == "2 lines, UTF-8, separated by commas"


def test_columns_that_are_left_alone_are_told(tmp_path):
    text = "file,label.grade,patient,\x1b[31m\na.svs,2,p1,x\n"
    assert read(tmp_path, text).reading == (
        "1 line, UTF-8, separated by commas; "
        "left alone, pathassets cohort import takes more: label.grade, \\x1b[31m"
    )


# What programs write


@pytest.mark.parametrize(
    ("encode", "charset"),
    [
        (lambda text: text.encode(), "UTF-8"),
        (lambda text: text.encode("utf-8-sig"), "UTF-8"),
        (lambda text: text.encode("cp1252"), "Windows-1252"),
        (lambda text: codecs.BOM_UTF16_LE + text.encode("utf-16-le"), "UTF-16"),
        (lambda text: codecs.BOM_UTF16_BE + text.encode("utf-16-be"), "UTF-16"),
    ],
    ids=["utf8", "utf8-mark", "cp1252", "utf16-le", "utf16-be"],
)
@pytest.mark.parametrize("separator", [";", "\t", ",", "|"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_what_a_spreadsheet_of_a_european_lab_writes_is_read(
    tmp_path, encode, charset, separator, newline
):
    lines = [["FILE ", "Patient", "Label", "MPP", "Stage"], ["ä.svs", "Müller", "x", "0,25", "a"]]
    cells = [[f'"{cell}"' if separator in cell else cell for cell in line] for line in lines]
    text = "".join(separator.join(line) + newline for line in cells)
    cohort = read(tmp_path, encode(text))
    assert cohort.rows == (CohortRow(file="ä.svs", patient="Müller", label="x", mpp=0.25),)
    assert charset in cohort.reading


def test_the_line_by_which_excel_states_the_separator_is_not_the_header(tmp_path):
    cohort = read(tmp_path, "sep=;\r\nfile;patient,s\r\na.svs;1\r\n")
    assert cohort.rows == (CohortRow(file="a.svs"),)
    assert cohort.rows[0].line == 3


def test_headers_with_blanks_and_cells_of_several_lines_are_read(tmp_path):
    text = f'\n {MARK}file,Slide ID,notes\na.svs,S1,"bleeding;\nsee ""ward 3"""\nb.svs,S2,\n'
    cohort = read(tmp_path, text)
    assert cohort.rows == (
        CohortRow(file="a.svs", slide_id="S1"),
        CohortRow(file="b.svs", slide_id="S2"),
    )
    assert [row.line for row in cohort.rows] == [3, 5]


def test_other_columns_may_have_one_name_or_none(tmp_path):
    assert read(tmp_path, "x,x,,file,\n1,2,3,a.svs,\n").rows == (CohortRow(file="a.svs"),)


def test_a_table_from_a_pipe_is_read(tmp_path):
    path = tmp_path / "pipe.csv"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_text, args=("file\na.svs\n",))
    writer.start()
    assert read_cohort(path).rows == (CohortRow(file="a.svs"),)
    writer.join()


# Which line is about which file


def test_the_line_with_the_longest_end_of_the_path_is_about_a_file():
    rows = [CohortRow(file=file) for file in ("x.svs", "b/x.svs", "a/b/x.svs", "/r/b/x.svs")]
    cohort = Cohort(tuple(rows))
    assert cohort.row_of(Path("/data/x.svs")) == rows[0]
    assert cohort.row_of(Path("/data/b/x.svs")) == rows[1]
    assert cohort.row_of(Path("/data/a/b/x.svs")) == rows[2]
    assert cohort.row_of(Path("/r/b/x.svs")) == rows[3]
    assert cohort.row_of(Path("/data/y.svs")) is None
    assert cohort.row_of(Path("/data/xx.svs")) is None
    assert NO_COHORT.row_of(Path("/data/x.svs")) is None


def test_a_file_may_be_named_without_its_suffix_and_in_any_spelling_of_its_accents():
    rows = [CohortRow(file="S1"), CohortRow(file="S1.tif"), CohortRow(file="b/S1.2")]
    cohort = Cohort((*rows, CohortRow(file=unicodedata.normalize("NFD", "Präparat.svs"))))
    assert cohort.row_of(Path("/data/S1.svs")) == rows[0]
    assert cohort.row_of(Path("/data/S1.ome.tiff")) == rows[0]
    assert cohort.row_of(Path("/data/S1.tif")) == rows[1]
    assert cohort.row_of(Path("/b/S1.2.svs")) == rows[2]
    assert cohort.row_of(Path("/c/S1.2.svs")) is None
    for form in ("NFC", "NFD"):
        path = Path(unicodedata.normalize(form, "/data/Präparat.svs"))
        assert cohort.row_of(path) == cohort.rows[3]


def test_ten_thousand_lines_for_ten_thousand_files_take_no_time():
    cohort = Cohort(tuple(CohortRow(file=f"{i}.svs", patient=str(i)) for i in range(10_000)))
    started_s = time.process_time()
    found = [cohort.row_of(Path(f"/data/{i}.svs")).patient for i in range(10_000)]
    assert time.process_time() - started_s < 3
    assert found == [str(i) for i in range(10_000)]


# What is told


@pytest.mark.parametrize(
    ("one", "other", "said"),
    [
        ("P1", "p1", "patient 'P1' (line 2) and 'p1' (line 3) are taken as 2 different ones"),
        ("P 1", "P1", "2 different ones"),
        ("P1", f"P{ZERO_WIDTH}1", r"'P\u200b1' (line 3) are taken as 2 different ones"),
        ("P 1", f"P{NO_BREAK}1", r"'P\xa01' (line 3) are taken as 2 different ones"),
        ("Zoë", unicodedata.normalize("NFD", "Zoë"), r"'Zoe\u0308' (line 3) are taken as 2"),
        ("P1", "P1 ", "patient 'P1' (line 2) and 'P1 ' (line 3) are taken as one"),
        ("P1", f"{NO_BREAK}P1", "are taken as one"),
    ],
)
def test_patients_that_a_person_takes_for_one_are_told(tmp_path, caplog, one, other, said):
    with caplog.at_level(logging.WARNING):
        cohort = read(tmp_path, f"file,patient,label\na.svs,{one},x\nb.svs,{other},x\n")
    assert said in caplog.text
    assert [row.patient for row in cohort.rows] == [one.strip(), other.strip()]


def test_labels_are_told_too_and_five_hundred_of_them_in_ten_lines(tmp_path, caplog):
    lines = [f"{i}{case}.svs,c,{case}{i}" for i in range(500) for case in "aA"]
    with caplog.at_level(logging.WARNING):
        read(tmp_path, "\n".join(["file,patient,label", *lines]))
    assert len(caplog.records) == 11
    assert "label: 490 more are like these" in caplog.text
    caplog.clear()
    read(tmp_path, "file,patient,label\na.svs,NA,x\nb.svs,na,x\n")
    assert caplog.text == ""


# What is refused


@pytest.mark.parametrize(
    ("lines", "number", "n_cells"),
    [
        (["a.svs,p1,x,", "b.svs,p2,y,"], 2, 4),
        (["a.svs,p1,x,", "b.svs,p2,y"], 2, 4),
        (["a.svs,p1,x", "b.svs,p2,carcinoma, invasive"], 3, 4),
        (["a.svs,p1,x", "", "b.svs,p2"], 4, 2),
        (["1,a.svs,p1,x", "2,b.svs,p2,y"], 2, 4),
        (['a.svs,"p', '1",x', "b.svs"], 4, 1),
    ],
)
def test_a_line_of_more_or_fewer_cells_than_the_header_is_refused(tmp_path, lines, number, n_cells):
    with pytest.raises(SpecError) as e:
        read(tmp_path, "\n".join(["file,patient,label", *lines]))
    assert f"cohort.csv:{number}: {n_cells} cells, where the header has 3" in e.value.message
    assert e.value.remedy


@pytest.mark.parametrize(
    ("text", "said", "remedy"),
    [
        ("", "cannot read the table: it is empty", "CSV"),
        (b"file\n\x81\xfe.svs\n", "it is no text that can be told", "CSV"),
        ("file\na.svs\n".encode("utf-16-le"), "it is no text that can be told", "CSV"),
        (b"PK\x03\x04\x14\0\6\0", "it is a workbook (.xlsx, .xls, .ods), no CSV", "as CSV"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1", "it is a workbook", "as CSV"),
        ('file\n"a.svs\n', "csv:2: cannot read the table: unexpected end", "not closed"),
        ('file,label\na.svs,x\nb.svs,"x"y\n', "csv:3: cannot read the table", "twice"),
        ("name,patient\na,1\n", "no column 'file', found name, patient", "semicolons"),
        ("\x1b[31m,patient\na,1\n", r"found \x1b[31m, patient", "semicolons"),
        ("File,file\na,b\n", "two columns are called 'file'", "Rename"),
        ("file,patient\n", "no line below the header", "one for each slide"),
        ("file\na.svs\nb.svs\n a.svs\n", "a.svs is in it twice, in lines 2 and 4", "one line"),
        ("file,mpp\na.svs,0.5\n\nb.svs,half\n", "csv:4: mpp 'half' is not a number", "Give"),
        ("file,mpp\na.svs,1_0\n", "csv:2: mpp '1_0' is not a number", "Give"),
        ("file,mpp\na.svs,inf\n", "csv:2: mpp 'inf' is not a number", "Give"),
        ("file,mpp\na.svs,0.00025\n", "csv:2: 0.00025 um per pixel is not between", "millimetres"),
        ("file,mpp\na.svs,-0.25\n", "csv:2: -0.25 um per pixel is not between", "millimetres"),
        ("file,patient\n,p1\n", "csv:2: no file is named", "Name"),
        ("file,patient\nNA,p1\n", "csv:2: no file is named", "Name"),
        ("file,patient\na.svs,\x1b]0;x\n", r"csv:2: patient '\x1b]0;x' holds a control", "Remove"),
        ('file,label\na.svs,"x\ny"\n', r"csv:2: label 'x\ny' holds a control", "line break"),
        ("file\na.svs\n\u202egpj.svs\n", r"csv:3: file '\u202egpj.svs' holds a control", "Remove"),
        ("file,label\na.svs," + "x" * 201, "xxx …' has 201 characters", "up to 200"),
        ("file,label\na.svs," + "x" * 200_000, "csv:2: cannot read the table: field", ""),
    ],
)
def test_what_is_wrong_with_a_table_is_told_with_its_line(tmp_path, text, said, remedy):
    with pytest.raises(SpecError) as e:
        read(tmp_path, text)
    assert str(tmp_path / "cohort.csv") in e.value.message
    assert said in e.value.message
    assert remedy in e.value.remedy
    assert len(str(e.value)) < 500


def test_a_table_that_is_not_there_says_so(tmp_path):
    with pytest.raises(SpecError, match=r"none\.csv: cannot read the table"):
        read_cohort(tmp_path / "none.csv")


def test_a_table_that_is_endless_is_refused(monkeypatch):
    monkeypatch.setattr(csv_table, "MAX_BYTES", 2**20)
    with pytest.raises(SpecError, match="it is larger than 1 MB"):
        read_cohort(Path("/dev/zero"))
