import json
import tarfile
from collections import defaultdict

import numpy as np
import pytest

from pathassets.adapters.images.encode import decode_image
from pathassets.adapters.images.webdataset import WebDataset
from pathassets.core.patches.patch_set import row_of
from pathassets.errors import StoreError
from tests.adapters.encoded_patches import encoded, pixels_of


def pack(folder, patches, *, n_batch=8, shard_bytes=10**9, key="CMU-1-0a1b2c3d"):
    folder.mkdir(exist_ok=True)
    packed = WebDataset(folder, key=key, image_type="png", shard_bytes=shard_bytes)
    rows = []
    for start in range(0, len(patches), n_batch):
        batch = patches[start : start + n_batch]
        rows += [row_of(p, where) for p, where in zip(batch, packed.write(batch), strict=True)]
    packed.close()
    return rows


def samples_in(folder):
    """What webdataset makes of shards: files of one key, which ends at the first dot."""
    samples = defaultdict(dict)
    for shard in sorted(folder.glob("shard-*.tar")):
        with tarfile.open(shard) as tar:
            for member in tar:
                key, _, suffix = member.name.partition(".")
                assert suffix not in samples[key]
                samples[key][suffix] = tar.extractfile(member).read()
    return dict(samples)


def test_a_patch_is_a_sample_of_an_image_and_what_it_is(tmp_path):
    rows = pack(tmp_path, [encoded(n, label="T/x") for n in range(10)])
    samples = samples_in(tmp_path)
    assert list(samples) == [f"CMU-1-0a1b2c3d_{n:08d}" for n in range(10)]
    for n, sample in enumerate(samples.values()):
        assert {*sample} == {"png", "json"}
        assert np.array_equal(decode_image(sample["png"]), pixels_of(n))
        told = json.loads(sample["json"])
        assert told == {k: v for k, v in rows[n].items() if k not in {"file", "key", "start"}}
        assert (told["x_px0"], told["label"], told["level"], told["mpp"]) == (
            n * 256,
            "T/x",
            0,
            None,
        )


def test_a_set_is_one_sample_with_an_image_for_each_resolution(tmp_path):
    patches = [encoded(n, r, is_set=True) for n in range(5) for r in (0, 1.0, 2.5)]
    pack(tmp_path, patches, n_batch=3)
    samples = samples_in(tmp_path)
    assert len(samples) == 5
    for n, sample in enumerate(samples.values()):
        assert {*sample} == {"level0.png", "mpp1.0.png", "mpp2.5.png", "json"}
        assert np.array_equal(decode_image(sample["mpp2.5.png"]), pixels_of(n, 2))
        told = json.loads(sample["json"])
        assert told["mpp1.0.png"]["mpp"] == 1.0
        assert told["level0.png"]["set"] == n + 1


def test_a_row_tells_where_an_image_begins_in_its_shard(tmp_path):
    patches = [encoded(n) for n in range(40)]
    rows = pack(tmp_path, patches, shard_bytes=20_000)
    assert len({row["file"] for row in rows}) > 2
    for patch, row in zip(patches, rows, strict=True):
        data = (tmp_path / row["file"]).read_bytes()
        assert data[row["start"] : row["start"] + row["n_bytes"]] == patch.data
        with tarfile.open(tmp_path / row["file"]) as tar:
            assert tar.extractfile(row["key"]).read() == patch.data


def test_a_shard_ends_before_it_is_too_large_and_cuts_no_sample(tmp_path):
    patches = [encoded(n, r, is_set=True) for n in range(20) for r in (0, 1)]
    pack(tmp_path, patches, n_batch=4, shard_bytes=16_384)
    shards = sorted(tmp_path.iterdir())
    assert [shard.name for shard in shards] == [f"shard-{n:06d}.tar" for n in range(len(shards))]
    assert len(shards) > 2
    assert all(len(sample) == 3 for sample in samples_in(tmp_path).values())
    with tarfile.open(shards[0]) as tar:
        last = tar.getmembers()[-1]
        assert last.offset_data + last.size <= 16_384


def test_a_sample_larger_than_a_shard_has_one_of_its_own(tmp_path):
    pack(tmp_path, [encoded(n) for n in range(3)], shard_bytes=1)
    assert len(list(tmp_path.iterdir())) == 3
    assert len(samples_in(tmp_path)) == 3


def test_headers_hold_no_clock_and_no_owner_and_bytes_depend_on_images_alone(tmp_path):
    patches = [encoded(n) for n in range(20)]
    for name, n_batch in (("a", 1), ("b", 20)):
        pack(tmp_path / name, patches, n_batch=n_batch, shard_bytes=30_000)
    shards = sorted((tmp_path / "a").iterdir())
    assert [s.read_bytes() for s in shards] == [
        (tmp_path / "b" / s.name).read_bytes() for s in shards
    ]
    with tarfile.open(shards[0]) as tar:
        for member in tar:
            assert (member.mtime, member.uid, member.gid, member.uname, member.gname) == (
                0, 0, 0, "", "",
            )  # fmt: skip
            assert member.isreg()
            assert member.mode == 0o644


def test_no_images_make_no_shard(tmp_path):
    pack(tmp_path, [])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("key", ["a" * 150])
def test_a_long_key_is_read_back(tmp_path, key):
    pack(tmp_path, [encoded(0)], key=key)
    assert list(samples_in(tmp_path)) == [f"{key}_00000000"]


def test_a_folder_that_is_gone_is_told(tmp_path):
    packed = WebDataset(tmp_path / "gone", key="k", image_type="png", shard_bytes=10**6)
    with pytest.raises(StoreError, match="cannot be written"):
        packed.write([encoded(0)])
