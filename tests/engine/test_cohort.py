import time
from pathlib import Path

import pytest

from pathassets.engine.cohort import NO_COHORT, Cohort, CohortRow, read_cohort
from pathassets.errors import SpecError


def read(tmp_path, text):
    path = tmp_path / "cohort.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_cohort(path)


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
    text = b"\xef\xbb\xbffile , patient\r\n a.svs , p 1 \r\n\r\n,\r\nb.svs,NA\r\n"
    assert read(tmp_path, text).rows == (
        CohortRow(file="a.svs", patient="p 1"),
        CohortRow(file="b.svs", patient="NA"),
    )


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


def test_ten_thousand_lines_for_ten_thousand_files_take_no_time():
    cohort = Cohort(tuple(CohortRow(file=f"{i}.svs", patient=str(i)) for i in range(10_000)))
    started_s = time.process_time()
    found = [cohort.row_of(Path(f"/data/{i}.svs")).patient for i in range(10_000)]
    assert time.process_time() - started_s < 3
    assert found == [str(i) for i in range(10_000)]


@pytest.mark.parametrize(
    ("text", "said", "remedy"),
    [
        ("", "cannot read the cohort table", "UTF-8"),
        (b"file\n\xff\xfe.svs\n", "cannot read the cohort table", "UTF-8"),
        ('file\n"a.svs\n', "cannot read the cohort table", "CSV"),
        ("name,patient\na,1\n", "no column 'file', found name, patient", "commas"),
        ("file;patient\na.svs;1\n", "found file;patient", "commas"),
        ("file\na.svs\nb.svs\n a.svs\n", "a.svs is in it twice", "one line"),
        ("file,mpp\na.svs,0.5\n\nb.svs,half\n", "csv:4: mpp 'half' is not a number", "Give"),
        ("file,mpp\na.svs,0.00025\n", "csv:2: 0.00025 um per pixel is not between", "millimetres"),
        ("file,mpp\na.svs,nan\n", "csv:2: nan um per pixel", "Give"),
        ("file,patient\n,p1\n", "csv:2: no file is named", "Name"),
    ],
)
def test_what_is_wrong_with_a_table_is_told_with_its_line(tmp_path, text, said, remedy):
    with pytest.raises(SpecError) as e:
        read(tmp_path, text)
    assert str(tmp_path / "cohort.csv") in e.value.message
    assert said in e.value.message
    assert remedy in e.value.remedy


def test_a_table_that_is_not_there_says_so(tmp_path):
    with pytest.raises(SpecError, match=r"none\.csv: cannot read the cohort table"):
        read_cohort(tmp_path / "none.csv")
