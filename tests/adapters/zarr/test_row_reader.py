"""The fast way beside zarr, which says what is right."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from pathassets.adapters.zarr import row_reader
from pathassets.adapters.zarr.row_reader import open_rows
from pathassets.errors import ArtifactCorrupt, ArtifactMissing
from tests.adapters.feature_files import boxes_of, rows_of, write_on


def write(path, rows, *, chunk_rows=8, **given):
    shutil.rmtree(path, ignore_errors=True)
    array = zarr.create_array(
        store=str(path), shape=rows.shape, dtype=rows.dtype,
        chunks=(chunk_rows, *(max(1, n) for n in rows.shape[1:])),
        **({"compressors": None, "fill_value": 0} | given),
    )  # fmt: skip
    array[:] = rows
    return path


def by_zarr(path, rows=slice(None)):
    return zarr.open_array(store=str(path), mode="r")[:][rows]


@st.composite
def arrays(draw):
    shape = draw(st.sampled_from([(3,), (1,), (2, 3), (2, 2, 2)]))
    dtype = draw(st.sampled_from(["float16", "float32", "float64", "int64"]))
    n = draw(st.integers(0, 40))
    rows = 1 + np.arange(n * np.prod(shape)).reshape(n, *shape)
    chosen = draw(st.none() | st.sets(st.integers(0, max(0, n - 1)), max_size=n))
    chosen = None if chosen is None or not n else np.array(sorted(chosen), np.int64)
    return rows.astype(dtype), draw(st.integers(1, 50)), chosen


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("rows")


@settings(max_examples=40)
@given(arrays(), st.sampled_from([0, 1, 64, 1 << 16]))
def test_rows_are_those_that_zarr_reads_whatever_shape_chunks_and_choice(folder, given, run_bytes):
    rows, chunk_rows, chosen = given
    path = write(folder / "array", rows, chunk_rows=chunk_rows)
    stored = open_rows(path)
    assert stored.is_plain
    assert (stored.shape, stored.dtype) == (rows.shape, rows.dtype)
    kept, row_reader.RUN_BYTES = row_reader.RUN_BYTES, run_bytes
    try:
        found = stored.read(chosen)
    finally:
        row_reader.RUN_BYTES = kept
    expected = by_zarr(path, slice(None) if chosen is None else chosen)
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


OTHER = {
    "compressed": {"compressors": zarr.codecs.BloscCodec(cname="lz4")},
    "big-endian": {"serializer": zarr.codecs.BytesCodec(endian="big")},
    "sharded": {"shards": (16, 3)},
    "other keys": {"chunk_key_encoding": {"name": "v2", "separator": "."}},
}


@pytest.mark.parametrize("way", OTHER)
def test_what_was_written_in_another_way_is_read_by_zarr(tmp_path, way):
    rows = rows_of(37, (3,))
    path = write(tmp_path / "array", rows, **OTHER[way])
    stored = open_rows(path)
    assert not stored.is_plain
    np.testing.assert_array_equal(stored.read(), rows)
    chosen = np.array([0, 7, 8, 30, 36])
    np.testing.assert_array_equal(stored.read(chosen), rows[chosen])


def test_columns_in_several_chunks_are_read_by_zarr(tmp_path):
    rows = rows_of(20, (6,))
    array = zarr.create_array(
        store=str(tmp_path / "a"), shape=rows.shape, dtype="float32", chunks=(8, 4),
        compressors=None,
    )  # fmt: skip
    array[:] = rows
    assert not open_rows(tmp_path / "a").is_plain
    np.testing.assert_array_equal(open_rows(tmp_path / "a").read(np.array([3, 19])), rows[[3, 19]])


def test_features_of_a_stage_are_read_without_zarr_being_imported(tmp_path):
    write_on(tmp_path / "f.zarr", 2050)
    script = f"""
import sys
from pathlib import Path
from pathassets.adapters.zarr.row_reader import open_rows
found = open_rows(Path({str(tmp_path / "f.zarr" / "features")!r})).read()
print(found.shape, float(found[-1, -1]), "zarr" in sys.modules)
"""
    done = subprocess.run(  # noqa: S603  (our own script)
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.split(") ")[1].split() == [str(rows_of(2050)[-1, -1]), "False"]
    boxes = open_rows(tmp_path / "f.zarr" / "coordinates")
    assert boxes.is_plain
    np.testing.assert_array_equal(boxes.read(), boxes_of(2050))


def test_only_chunks_with_a_wanted_row_are_read(tmp_path):
    path = write(tmp_path / "array", rows_of(40))
    for chunk in (0, 1, 3):
        (path / "c" / str(chunk) / "0").unlink()
    assert open_rows(path).read(np.array([17, 33])).tolist() == rows_of(40)[[17, 33]].tolist()
    with pytest.raises(ArtifactCorrupt, match=r"c/3/0: is gone"):
        open_rows(path).read(np.array([17, 30]))


def test_what_is_gone_is_told_apart_from_what_is_damaged(tmp_path):
    with pytest.raises(ArtifactMissing, match="nothing: is gone"):
        open_rows(tmp_path / "nothing")
    path = write(tmp_path / "array", rows_of(40))
    chunk = path / "c" / "2" / "0"
    data = chunk.read_bytes()
    for damaged in (data[:-1], data + b"0", b""):
        chunk.write_bytes(damaged)
        with pytest.raises(ArtifactCorrupt, match=f"its chunk 2 has {len(damaged)} bytes, not 160"):
            open_rows(path).read()
    chunk.unlink()
    with pytest.raises(ArtifactCorrupt, match=r"c/2/0: is gone"):
        open_rows(path).read()
    os.mkfifo(chunk)
    with pytest.raises(ArtifactCorrupt, match=r"c/2/0: cannot be read: it is no file"):
        open_rows(path).read()
    chunk.unlink()
    (tmp_path / "elsewhere").write_bytes(data)
    chunk.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ArtifactCorrupt, match=r"c/2/0: cannot be read"):
        open_rows(path).read()


def test_a_chunk_that_cannot_be_decompressed_is_damage(tmp_path):
    path = write(tmp_path / "array", rows_of(40), **OTHER["compressed"])
    (path / "c" / "2" / "0").write_bytes(b"no blosc")
    with pytest.raises(ArtifactCorrupt, match="array: cannot be read"):
        open_rows(path).read()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"zarr_format": 2}, "no Zarr v3 array"),
        ({"node_type": "group"}, "no Zarr v3 array"),
        ({"shape": [-1, 5]}, "its shape is"),
        ({"shape": []}, "its shape is"),
        ({"shape": "many"}, "cannot be read"),
        ({"data_type": "string"}, "it holds 'string'"),
        ({"data_type": {"name": "x"}}, "it holds {'name': 'x'}"),
        ({"chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [0, 5]}}}, "chunks"),
        ({"chunk_grid": 3}, "cannot be read"),
        ({"codecs": None, "shape": [10**15, 5]}, "cannot be read"),
        ({"shape": [10**15, 5]}, "is gone"),  # and no memory was asked for
    ],
)
def test_metadata_that_are_none_are_refused(tmp_path, change, said):
    path = write(tmp_path / "array", rows_of(40))
    stated = json.loads((path / "zarr.json").read_text()) | change
    (path / "zarr.json").write_text(json.dumps(stated))
    with pytest.raises(ArtifactCorrupt, match=said):
        open_rows(path).read(np.array([3, 10**14]) if stated["shape"] == [10**15, 5] else None)


@pytest.mark.parametrize("text", [b"", b"[]", b"\xff", b"null", b"[" * 100_000])
def test_metadata_that_are_no_json_are_refused(tmp_path, text):
    path = write(tmp_path / "array", rows_of(4))
    (path / "zarr.json").write_bytes(text)
    with pytest.raises(ArtifactCorrupt, match="cannot be read"):
        open_rows(path)
