import numpy as np
import psutil
import pytest
import zarr

from pathassets.adapters.zarr.feature_writer import CHUNK_ROWS, is_finished
from pathassets.errors import StoreError
from tests.adapters.feature_files import (
    ATTRIBUTES,
    DIM,
    boxes_of,
    hashes_of,
    open_writer,
    rows_of,
    write_on,
)


@pytest.mark.parametrize("n", [0, 1, 1023, 1024, 1025, 2500])
@pytest.mark.parametrize("step", [37, 1000, 4000])
def test_rows_and_boxes_come_back_as_they_were_written(tmp_path, n, step):
    write_on(tmp_path / "f.zarr", n, step=step)
    group = zarr.open_group(tmp_path / "f.zarr", mode="r")
    assert sorted(group.keys()) == ["coordinates", "coordinates_px0", "features"]
    features = group["features"]
    chunk_rows = min(max(n, 1), CHUNK_ROWS)  # no room for rows that will never come
    assert (features.dtype, features.chunks) == (np.float32, (chunk_rows, DIM))
    assert (features.compressors, np.isnan(features.fill_value)) == ((), True)
    assert np.array_equal(features[:], rows_of(n))
    assert group["coordinates"].dtype == np.int64
    assert np.array_equal(group["coordinates"][:], boxes_of(n))
    assert np.array_equal(group["coordinates_px0"][:], 2 * boxes_of(n))
    assert group["coordinates"].chunks == group["coordinates_px0"].chunks == (chunk_rows, 4)
    assert dict(group.attrs) == ATTRIBUTES | {"n_skipped": 0, "is_complete": True}


@pytest.mark.parametrize("shape", [(), (3, 4, 5), (0,)])
def test_features_may_have_any_shape(tmp_path, shape):
    write_on(tmp_path / "f.zarr", 1100, shape=shape)
    features = zarr.open_group(tmp_path / "f.zarr", mode="r")["features"]
    assert np.array_equal(features[:], rows_of(1100, shape))


def test_a_chunk_of_long_rows_has_fewer_of_them(tmp_path):
    shape = (70_000,)
    write_on(tmp_path / "f.zarr", 130, shape=shape, step=50, stop_at=100)
    files = [p for p in (tmp_path / "f.zarr/features").rglob("*") if p.is_file()]
    assert [p.stat().st_size for p in files] == [59 * 4 * 70_000]
    write_on(tmp_path / "f.zarr", 130, shape=shape)
    features = zarr.open_group(tmp_path / "f.zarr", mode="r")["features"]
    assert features.chunks == (59, 70_000)
    assert np.array_equal(features[:], rows_of(130, shape))


def test_zarr_itself_writes_the_same_chunks(tmp_path):
    write_on(tmp_path / "f.zarr", 1500)
    array = zarr.create_array(
        store=str(tmp_path / "z"), shape=(1500, DIM), chunks=(CHUNK_ROWS, DIM), dtype="float32",
        compressors=None, fill_value=float("nan"),
    )  # fmt: skip
    array[:] = rows_of(1500)
    assert hashes_of(tmp_path / "z") == hashes_of(tmp_path / "f.zarr" / "features")


def test_a_missing_chunk_reads_as_nan(tmp_path):
    write_on(tmp_path / "f.zarr", 1500)
    (tmp_path / "f.zarr/features/c/1/0").unlink()
    features = zarr.open_group(tmp_path / "f.zarr", mode="r")["features"][:]
    assert np.isnan(features[1024:]).all()


def test_a_chunk_is_written_once_and_whole_and_what_is_not_whole_is_not_on_the_disk(tmp_path):
    path = tmp_path / "f.zarr"
    with open_writer(path, 2500) as writer:
        writer.write(rows_of(1023))
        assert not (path / "features").exists()
        assert writer.n_done == 0
        writer.write(rows_of(2500)[1023:2049])
        assert writer.n_done == 2048
        first = path / "features/c/0/0"
        before = first.stat()
        writer.write(rows_of(2500)[2049:])
        writer.finish()
    assert (first.stat().st_ino, first.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert not [p for p in path.rglob("*") if "partial" in p.name or "journal" in p.name]


def test_what_is_begun_is_neither_a_group_nor_finished(tmp_path):
    write_on(tmp_path / "f.zarr", 1500, stop_at=1200)
    assert not is_finished(tmp_path / "f.zarr")
    assert not is_finished(tmp_path / "nothing")
    with pytest.raises(FileNotFoundError):
        zarr.open_group(tmp_path / "f.zarr", mode="r")
    write_on(tmp_path / "f.zarr", 1500)
    assert is_finished(tmp_path / "f.zarr")


def test_finished_features_are_not_written_again(tmp_path):
    write_on(tmp_path / "f.zarr", 10)
    before = hashes_of(tmp_path)
    with pytest.raises(StoreError, match=r"holds features that were finished\. Delete it"):
        open_writer(tmp_path / "f.zarr", 10)
    assert hashes_of(tmp_path) == before


def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis/text.docx").write_text("years of work")
    with pytest.raises(StoreError, match=r"something else in it\. Write elsewhere"):
        open_writer(tmp_path / "thesis", 10)
    assert (tmp_path / "thesis/text.docx").read_text() == "years of work"


@pytest.mark.parametrize(
    "left_out",
    [[0], [9], [3, 9, 2499], range(10), range(1020, 1030), range(100, 1700), range(2500),
     range(2400, 2500)],
)  # fmt: skip
@pytest.mark.parametrize("step", [64, 1000])
def test_boxes_that_are_left_out_have_no_row(tmp_path, left_out, step):
    kept = np.delete(np.arange(2500), list(left_out))
    for stop_at in (600, 1100, 2450, None):
        write_on(tmp_path / "f.zarr", 2500, step=step, left_out=left_out, stop_at=stop_at)
    write_on(tmp_path / "once", 2500, left_out=left_out)
    group = zarr.open_group(tmp_path / "f.zarr", mode="r")
    assert np.array_equal(group["features"][:], rows_of(2500)[kept])
    assert np.array_equal(group["coordinates"][:], boxes_of(2500)[kept])
    assert hashes_of(tmp_path / "f.zarr") == hashes_of(tmp_path / "once")


def test_left_out_boxes_are_known_to_who_goes_on_and_may_be_said_again(tmp_path):
    write_on(tmp_path / "f.zarr", 2500, left_out=(3, 9, 1500), stop_at=1200)
    with open_writer(tmp_path / "f.zarr", 2500) as writer:
        assert (writer.n_done, writer.left_out) == (1026, [3, 9])
        writer.leave_out([3, 9, 1500, 1500])
        assert writer.left_out == [3, 9, 1500]
        writer.write(np.delete(rows_of(2500), [3, 9, 1500], axis=0)[1024:])
        writer.finish()


@pytest.mark.parametrize("place", [-1, 10])
def test_there_is_no_such_box_to_leave_out(tmp_path, place):
    with pytest.raises(ValueError, match=f"no box {place} among 10"):
        open_writer(tmp_path / "f.zarr", 10).leave_out([place])


def test_a_box_that_has_a_row_cannot_be_left_out(tmp_path):
    writer = open_writer(tmp_path / "f.zarr", 10)
    writer.write(rows_of(4))
    with pytest.raises(ValueError, match="box 3 is left out, and a row was written"):
        writer.leave_out([3])
    writer.leave_out([4])


@pytest.mark.parametrize("n", [0, 10, 1024])
def test_too_many_rows_are_refused(tmp_path, n):
    writer = open_writer(tmp_path / "f.zarr", n)
    with pytest.raises(ValueError, match=f"{n + 1} rows for {n} boxes"):
        writer.write(rows_of(n + 1))


def test_too_few_rows_cannot_be_finished(tmp_path):
    writer = open_writer(tmp_path / "f.zarr", 10)
    writer.leave_out([2])
    writer.write(rows_of(8))
    with pytest.raises(ValueError, match="8 rows written of 9"):
        writer.finish()
    writer.write(rows_of(1))
    writer.finish()


@pytest.mark.parametrize("rows", [np.zeros((3, 4), np.float32), np.zeros((3, DIM))])
def test_rows_of_another_kind_are_refused(tmp_path, rows):
    with pytest.raises(ValueError, match="not float32"):
        open_writer(tmp_path / "f.zarr", 10).write(rows)


@pytest.mark.parametrize("text", ["", "Day 1: began the thesis.\n"])
def test_a_folder_with_somebody_else_s_journal_is_left_alone(tmp_path, text):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis/journal").write_text(text)
    (tmp_path / "thesis/text.docx").write_text("years of work")
    with pytest.raises(StoreError, match=r"something else in it\. Write elsewhere"):
        open_writer(tmp_path / "thesis", 10)
    assert (tmp_path / "thesis/text.docx").read_text() == "years of work"
    assert (tmp_path / "thesis/journal").read_text() == text


def test_a_writer_takes_no_memory_before_its_rows_come(tmp_path):
    process = psutil.Process()
    before = process.memory_info().rss
    writers = [open_writer(tmp_path / str(i), 10, shape=(4096,)) for i in range(30)]
    assert process.memory_info().rss - before < 100 * 2**20  # their chunks have 480 MB
    assert len(writers) == 30


def test_who_rewinds_goes_on_after_what_is_on_the_disk(tmp_path):
    rows = rows_of(2500)
    with open_writer(tmp_path / "f.zarr", 2500) as writer:
        writer.leave_out([7])
        writer.write(np.delete(rows[:1500], 7, axis=0))
        writer.leave_out([1600])
        writer.rewind()
        assert writer.n_done == 1025
        assert writer.left_out == [7]
        writer.write(rows[1025:])
        writer.finish()
    features = zarr.open_group(tmp_path / "f.zarr", mode="r")["features"][:]
    assert np.array_equal(features, np.delete(rows, 7, axis=0))
