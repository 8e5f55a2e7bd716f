import hashlib
import json

import numpy as np
import pytest
import zarr

from pathassets.adapters.zarr import CHUNK_ROWS, FeatureWriter, load_mask, save_mask
from pathassets.core.tissue import TissueMask
from pathassets.errors import ArtifactCorrupt

DIM = 7


def rows_of(n):
    return np.arange(n * DIM, dtype=np.float32).reshape(n, DIM) + 0.25


def boxes_of(n):
    return np.arange(4 * n, dtype=np.int64).reshape(n, 4) - 5


def write(path, n, step):
    with FeatureWriter(path, boxes_of(n), dim=DIM, attributes={"encoder": "e", "mpp": 0.5}) as out:
        for start in range(0, n, step):
            out.write(rows_of(n)[start : start + step])


def hashes_of(folder):
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def mask_of(shape=(1500, 40)):
    rng = np.random.default_rng(0)
    return TissueMask(tissue=rng.random(shape) < 0.5, downsample=15.9, slide_mpp=0.2521)


@pytest.mark.parametrize("n", [0, 1, 1023, 1024, 1025, 3000])
@pytest.mark.parametrize("step", [1, 64, 1000, 4000])
def test_rows_come_back_as_they_were_written(tmp_path, n, step):
    write(tmp_path / "f.zarr", n, step if n < 2000 else max(step, 37))
    group = zarr.open_group(tmp_path / "f.zarr", mode="r")
    assert group["features"].dtype == np.float32
    assert group["coordinates"].dtype == np.int64
    assert np.array_equal(group["features"][:], rows_of(n))
    assert np.array_equal(group["coordinates"][:], boxes_of(n))
    assert dict(group.attrs) == {"encoder": "e", "mpp": 0.5}


def test_batches_of_any_size_give_the_same_bytes(tmp_path):
    for name, step in (("a", 64), ("b", 1111)):
        write(tmp_path / name, 2500, step)
    assert hashes_of(tmp_path / "a") == hashes_of(tmp_path / "b")
    assert len(hashes_of(tmp_path / "a")) == 3 + 2 * 3


def test_a_chunk_is_written_once_and_whole(tmp_path):
    chunks = tmp_path / "f.zarr" / "features" / "c"
    rows = rows_of(2500)
    with FeatureWriter(tmp_path / "f.zarr", boxes_of(2500), dim=DIM, attributes={}) as out:
        out.write(rows[:1000])
        assert not chunks.exists()
        out.write(rows[1000:1100])
        first = chunks / "0" / "0"
        assert first.stat().st_size == CHUNK_ROWS * DIM * 4
        before = first.stat()
        out.write(rows[1100:])
        assert sorted(p.name for p in chunks.iterdir()) == ["0", "1"]
    assert sorted(p.name for p in chunks.iterdir()) == ["0", "1", "2"]
    assert (first.stat().st_ino, first.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_too_few_rows_are_an_error(tmp_path):
    with (
        pytest.raises(ValueError, match="9 rows written of 10"),
        FeatureWriter(tmp_path / "f.zarr", boxes_of(10), dim=DIM, attributes={}) as out,
    ):
        out.write(rows_of(9))


@pytest.mark.parametrize("n", [0, 10, 1024])
def test_too_many_rows_are_an_error(tmp_path, n):
    with (
        pytest.raises(ValueError, match=f"{n + 1} rows for {n} boxes"),
        FeatureWriter(tmp_path / "f.zarr", boxes_of(n), dim=DIM, attributes={}) as out,
    ):
        out.write(rows_of(n + 1))


def test_an_error_inside_the_block_is_not_hidden_by_the_missing_rows(tmp_path):
    with (
        pytest.raises(KeyError, match="tile"),
        FeatureWriter(tmp_path / "f.zarr", boxes_of(10), dim=DIM, attributes={}),
    ):
        raise KeyError("tile")


@pytest.mark.parametrize(
    ("n", "left_out"),
    [(10, [0]), (10, [3, 9]), (1030, range(10)), (2500, range(100, 700)), (3, [0, 1, 2])],
)
def test_boxes_that_are_left_out_have_no_row(tmp_path, n, left_out):
    kept = np.delete(np.arange(n), list(left_out))
    with FeatureWriter(tmp_path / "f.zarr", boxes_of(n), dim=DIM, attributes={}) as out:
        out.write(rows_of(n)[kept])
        out.leave_out(list(left_out))
    group = zarr.open_group(tmp_path / "f.zarr", mode="r")
    assert np.array_equal(group["features"][:], rows_of(n)[kept])
    assert np.array_equal(group["coordinates"][:], boxes_of(n)[kept])


def test_a_missing_chunk_reads_as_nan(tmp_path):
    write(tmp_path / "f.zarr", 1500, 64)
    (tmp_path / "f.zarr" / "features" / "c" / "1" / "0").unlink()
    features = zarr.open_group(tmp_path / "f.zarr", mode="r")["features"][:]
    assert np.isnan(features[1024:]).all()
    assert np.array_equal(features[:1024], rows_of(1500)[:1024])


@pytest.mark.parametrize("shape", [(1, 1), (1500, 40)])
def test_a_mask_comes_back_with_its_frame(tmp_path, shape):
    mask = mask_of(shape)
    save_mask(tmp_path / "m.zarr", mask)
    loaded = load_mask(tmp_path / "m.zarr")
    assert np.array_equal(loaded.tissue, mask.tissue)
    assert loaded.tissue.dtype == bool
    assert (loaded.downsample, loaded.slide_mpp) == (15.9, 0.2521)


def test_bare_glass_comes_back(tmp_path):
    save_mask(
        tmp_path / "m.zarr",
        TissueMask(tissue=np.zeros((30, 40), bool), downsample=16, slide_mpp=0.5),
    )
    loaded = load_mask(tmp_path / "m.zarr")
    assert loaded.tissue.shape == (30, 40)
    assert not loaded.tissue.any()


def test_the_same_mask_gives_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        save_mask(tmp_path / name, mask_of())
    assert hashes_of(tmp_path / "a") == hashes_of(tmp_path / "b")


def lose_all(folder):
    for path in folder.rglob("*"):
        if path.is_file():
            path.unlink()


def scramble_metadata(folder):
    (folder / "zarr.json").write_text("{")


def scramble_chunk(folder):
    (folder / "c" / "0" / "0").write_bytes(b"\xff" * 50)


def state_no_frame(folder):
    data = json.loads((folder / "zarr.json").read_text())
    del data["attributes"]["downsample"]
    (folder / "zarr.json").write_text(json.dumps(data))


def state_an_odd_frame(folder):
    data = json.loads((folder / "zarr.json").read_text())
    data["attributes"]["downsample"] = [16]
    (folder / "zarr.json").write_text(json.dumps(data))


@pytest.mark.parametrize(
    "damage", [lose_all, scramble_metadata, scramble_chunk, state_no_frame, state_an_odd_frame]
)
def test_a_damaged_mask_is_corrupt_and_named(tmp_path, damage):
    save_mask(tmp_path / "m.zarr", mask_of())
    damage(tmp_path / "m.zarr")
    with pytest.raises(ArtifactCorrupt, match=r"m\.zarr: cannot be read") as e:
        load_mask(tmp_path / "m.zarr")
    assert e.value.remedy == "Make it again"
