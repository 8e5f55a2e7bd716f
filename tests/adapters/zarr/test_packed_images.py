import hashlib
from itertools import pairwise

import cv2
import numpy as np
import pytest
import zarr

from pathassets.adapters.zarr import packed_images as packed_zarr
from pathassets.adapters.zarr.packed_images import PackedZarr
from tests.adapters.encoded_patches import encoded, pixels_of


def pack(path, patches, n_batch=7):
    packed = PackedZarr(path, attributes={"image_type": "png"})
    rows = []
    for start in range(0, len(patches), n_batch):
        for patch in patches[start : start + n_batch]:
            packed.store(patch)
        rows += packed.write(patches[start : start + n_batch])
    packed.close()
    return rows


def content(folder):
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in folder.rglob("*")
        if p.is_file()
    }


@pytest.mark.parametrize("n", [0, 1, 50])
def test_plain_zarr_and_any_decoder_read_each_image(tmp_path, n):
    rows = pack(tmp_path / "p.zarr", [encoded(i) for i in range(n)])
    group = zarr.open_group(tmp_path / "p.zarr", mode="r")
    offsets, data = group["offsets"][:], group["data"]
    assert group.metadata.zarr_format == 3
    assert offsets.shape == (n + 1,)
    assert data.shape == (offsets[-1],)
    assert [row["row"] for row in rows] == list(range(n))
    for i in range(n):
        bgr = cv2.imdecode(np.asarray(data[offsets[i] : offsets[i + 1]]), cv2.IMREAD_COLOR)
        assert np.array_equal(bgr[..., ::-1], pixels_of(i))


def test_images_that_cross_shards_read_back(tmp_path, monkeypatch):
    monkeypatch.setattr(packed_zarr, "CHUNK_BYTES", 64)
    monkeypatch.setattr(packed_zarr, "SHARD_BYTES", 256)
    patches = [encoded(i) for i in range(40)]
    pack(tmp_path / "p.zarr", patches)
    group = zarr.open_group(tmp_path / "p.zarr", mode="r")
    offsets, data = group["offsets"][:], np.asarray(group["data"][:])
    assert data.nbytes > 256 * 5
    assert [bytes(data[a:b]) for a, b in pairwise(offsets)] == [patch.data for patch in patches]


def test_one_image_costs_a_chunk_or_two_and_files_are_few(tmp_path):
    patches = [encoded(i) for i in range(5)]
    pack(tmp_path / "p.zarr", patches)
    data = zarr.open_group(tmp_path / "p.zarr", mode="r")["data"]
    assert data.chunks == (256 * 1024,)
    assert data.shards == (64 * 2**20,)
    assert len(content(tmp_path / "p.zarr")) == 5  # three of metadata, data, offsets


def test_the_same_images_give_the_same_bytes_for_any_batches(tmp_path):
    patches = [encoded(i) for i in range(30)]
    for name, n_batch in (("a", 1), ("b", 30)):
        pack(tmp_path / name, patches, n_batch)
    assert content(tmp_path / "a") == content(tmp_path / "b")


def test_the_group_says_how_it_is_read(tmp_path):
    pack(tmp_path / "p.zarr", [encoded(0)])
    attributes = zarr.open_group(tmp_path / "p.zarr", mode="r").attrs.asdict()
    assert attributes["image_type"] == "png"
    assert "data[offsets[i]:offsets[i + 1]]" in attributes["layout"]
