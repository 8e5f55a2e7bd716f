import hashlib
import json
import shutil

import numpy as np
import pytest
import zarr

from pathassets.adapters.zarr.arrays import FeatureRows, load_mask, save_embedding, save_mask
from pathassets.adapters.zarr.feature_writer import FeatureWriter
from pathassets.core.tissue.tissue_mask import TissueMask
from pathassets.errors import ArtifactCorrupt

DIM = 7


def rows_of(n):
    return np.arange(n * DIM, dtype=np.float32).reshape(n, DIM) + 0.25


def boxes_of(n):
    return np.arange(4 * n, dtype=np.int64).reshape(n, 4) - 5


def hashes_of(folder):
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def mask_of(shape=(1500, 40)):
    rng = np.random.default_rng(0)
    return TissueMask(tissue=rng.random(shape) < 0.5, downsample=15.9, slide_mpp=0.2521)


def write(path, rows):
    boxes = {"coordinates": boxes_of(len(rows))}
    attributes = {"encoder": "e", "mpp": 0.5}
    out = FeatureWriter(path, shape=rows.shape[1:], boxes=boxes, attributes=attributes)
    out.write(rows)
    out.finish()


@pytest.mark.parametrize("n", [0, 1, 1024, 2500])
def test_features_are_read_chunk_by_chunk(tmp_path, n):
    write(tmp_path / "f.zarr", rows_of(n))
    rows = FeatureRows(tmp_path / "f.zarr")
    assert (len(rows), rows.n_columns, rows.is_map) == (n, DIM, False)
    chunks = list(rows.chunks())
    assert [len(chunk) for chunk in chunks] == [min(1024, n - i) for i in range(0, n, 1024)]
    assert np.array_equal(np.concatenate([rows_of(0), *chunks]), rows_of(n))
    assert np.array_equal(rows.boxes_px0, boxes_of(n))
    assert rows.attributes["encoder"] == "e"


def test_maps_are_averaged_over_their_places(tmp_path):
    maps = np.random.default_rng(0).normal(size=(5, 3, 2, 4)).astype(np.float32)
    write(tmp_path / "f.zarr", maps)
    rows = FeatureRows(tmp_path / "f.zarr")
    assert (rows.is_map, rows.n_columns) == (True, 3)
    np.testing.assert_allclose(next(rows.chunks()), maps.mean(axis=(2, 3)), rtol=1e-5)


@pytest.mark.parametrize("gone", ["zarr.json", "features/zarr.json", "coordinates"])
def test_damaged_features_are_corrupt_and_named(tmp_path, gone):
    write(tmp_path / "f.zarr", rows_of(5))
    path = tmp_path / "f.zarr" / gone
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(ArtifactCorrupt, match=r"f\.zarr: cannot be read"):
        FeatureRows(tmp_path / "f.zarr")


@pytest.mark.parametrize("n", [0, 1, 25, 1536])
def test_an_embedding_comes_back(tmp_path, n):
    vector = np.arange(n, dtype=np.float32) - 3.5
    save_embedding(tmp_path / "e.zarr", vector, {"slide_id": "a"})
    group = zarr.open_group(tmp_path / "e.zarr", mode="r")
    assert group["embedding"].dtype == np.float32
    assert np.array_equal(group["embedding"][:], vector)
    assert dict(group.attrs) == {"slide_id": "a"}


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


def test_a_mask_whose_head_asks_for_all_memory_is_refused_before_it_is_read(tmp_path):
    mask = TissueMask(tissue=np.ones((3, 4), bool), downsample=2.0, slide_mpp=0.5)
    save_mask(tmp_path / "m.zarr", mask)
    head = tmp_path / "m.zarr" / "zarr.json"
    said = json.loads(head.read_text())
    said["shape"] = [1_000_000, 1_000_000]
    head.write_text(json.dumps(said))
    with pytest.raises(ArtifactCorrupt, match="1000000, 1000000"):
        load_mask(tmp_path / "m.zarr")
