"""What a stranger's file leads to, runs or becomes: refused with the reason, the others taken."""

from __future__ import annotations

import json
import os
import shutil
import zipfile
import zlib
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
import zarr
from numcodecs import GZip, Pickle

from tests.engine.imports import (
    states,
    take,
    trident_file,
    write_raw2features,
    write_slide2vec,
)

pytestmark = pytest.mark.usefixtures("here", "slides")


def import_trident(platform, folder):
    return {one.path.stem: one for one in take(platform, "trident", folder / "trident")}


def refused_alone(done) -> str:
    """Why a's file was refused, and b's was not."""
    assert (done["a"].state, done["b"].state) == ("refused", "adopted")
    return done["a"].said


def replace_features(path: Path, **how) -> h5py.Dataset:
    """Other features in a file, with the attributes of the old."""
    with h5py.File(path, "r+") as file:
        said = dict(file["features"].attrs)
        del file["features"]
        made = file.create_dataset("features", **how)
        for name, value in said.items():
            made.attrs[name] = value


# What leads elsewhere


def test_a_link_out_of_the_folder_is_not_followed(platform, exported):
    path = trident_file(exported)
    shutil.move(path, exported / "elsewhere.h5")
    path.symlink_to(exported / "elsewhere.h5")
    assert "leads out of the folder, to" in refused_alone(import_trident(platform, exported))


def test_a_folder_that_is_a_link_out_of_it_is_not_followed(platform, exported):
    folder = trident_file(exported).parent
    shutil.move(folder, exported / "elsewhere")
    folder.symlink_to(exported / "elsewhere")
    done = take(platform, "trident", exported / "trident")
    assert states(done) == ["refused", "refused"]
    assert "leads out of the folder" in done[0].said


def test_a_link_within_the_folder_is(platform, exported):
    path = trident_file(exported)
    shutil.move(path, exported / "trident" / "kept.h5")
    path.symlink_to(exported / "trident" / "kept.h5")
    assert states(take(platform, "trident", exported / "trident")) == ["adopted", "adopted"]


def test_a_pipe_is_not_waited_for(platform, exported):
    path = trident_file(exported)
    path.unlink()
    os.mkfifo(path)
    assert "is no file" in refused_alone(import_trident(platform, exported))


def test_numbers_of_another_file_are_not_read_as_a_virtual_dataset(platform, exported, tmp_path):
    path = trident_file(exported)
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["x"] = np.zeros((3, 25), np.float32)
    layout = h5py.VirtualLayout((3, 25), "f4")
    layout[:] = h5py.VirtualSource(str(tmp_path / "secret.h5"), "x", (3, 25))
    with h5py.File(path, "r+") as file:
        del file["features"]
        file.create_virtual_dataset("features", layout)
    assert "no dataset 'features' of its own" in refused_alone(import_trident(platform, exported))


# What becomes more than it is


def test_rows_that_nobody_wrote_are_not_taken_for_zeros(platform, exported):
    path = trident_file(exported)
    with h5py.File(path) as file:
        shape = file["features"].shape
    replace_features(path, shape=shape, dtype="f4", chunks=(1, 25))
    assert "not all of it was written" in refused_alone(import_trident(platform, exported))


def test_a_chunk_that_fills_a_memory_is_not_read(platform, exported):
    replace_features(
        trident_file(exported), shape=(3 * 10**6, 25), dtype="f4", chunks=(3 * 10**6, 25)
    )
    said = refused_alone(import_trident(platform, exported))
    assert "keeps features in chunks of 300,000,000 bytes" in said


def test_a_compressed_chunk_that_becomes_more_than_it_should_is_not_read(platform, exported):
    path = trident_file(exported)
    with h5py.File(path) as file:
        rows = file["features"][:]
    replace_features(path, data=rows, chunks=rows.shape, compression="gzip")
    bomb = zlib.compress(bytes(3_000_000), 9)
    with h5py.File(path, "r+") as file:
        file["features"].id.write_direct_chunk((0, 0), bomb)
    said = refused_alone(import_trident(platform, exported))
    assert "becomes more than that" in said


def test_rows_that_are_compressed_by_gzip_are_read_as_they_are(platform, exported):
    for name in "ab":
        path = trident_file(exported, name)
        with h5py.File(path) as file:
            rows = file["features"][:]
        replace_features(path, data=rows, chunks=(7, 25), compression="gzip", shuffle=True,
                         fletcher32=True)  # fmt: skip
    assert states(take(platform, "trident", exported / "trident")) == ["adopted", "adopted"]


def test_a_filter_that_nobody_can_look_into_is_refused(platform, exported):
    path = trident_file(exported)
    with h5py.File(path) as file:
        rows = file["features"][:]
    replace_features(path, data=rows, chunks=rows.shape, compression="lzf")
    said = refused_alone(import_trident(platform, exported))
    assert "other filters than gzip: h5repack" in said


def test_an_attribute_of_many_values_is_not_read(platform, exported):
    with h5py.File(trident_file(exported), "r+") as file:
        file["coords"].attrs["name"] = ["a" * 1000] * 1000
    done = take(platform, "trident", exported / "trident")
    assert states(done) == ["adopted", "adopted"]


@pytest.mark.parametrize("value", [[1, 2], np.inf])
def test_a_slide_s_size_that_is_no_number_is_no_size(platform, exported, value):
    with h5py.File(trident_file(exported), "r+") as file:
        file["coords"].attrs["level0_width"] = value
    done = import_trident(platform, exported)
    assert [one.state for one in done.values()] == ["adopted", "adopted"]


# Tensors and arrays of slide2vec


@pytest.fixture
def theirs(exports, tmp_path):
    for name, (rows, boxes_px0) in exports[1].items():
        write_slide2vec(tmp_path / "theirs", name, rows, boxes_px0)
    return tmp_path / "theirs"


def import_slide2vec(platform, folder, **how):
    return {one.path.stem: one for one in take(platform, "slide2vec", folder, **how)}


def test_a_few_numbers_are_not_the_rows_of_a_terabyte(platform, theirs):
    rows = torch.zeros(1, 25).expand(10**9, 25)
    torch.save(rows, theirs / "tile_embeddings" / "a.pt")
    said = refused_alone(import_slide2vec(platform, theirs))
    assert "holds a view of other numbers" in said


def test_a_tensor_that_is_compressed_is_refused(platform, theirs):
    path = theirs / "tile_embeddings" / "a.pt"
    with zipfile.ZipFile(path) as members:
        whole = {one: members.read(one) for one in members.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as members:
        for name, data in whole.items():
            members.writestr(name, data)
    assert "is compressed" in refused_alone(import_slide2vec(platform, theirs))


def test_an_array_that_declares_more_than_it_has_is_refused(platform, theirs):
    path = theirs / "tiles" / "a.coordinates.npz"
    header = {"descr": "<i8", "fortran_order": False, "shape": (10**12,)}
    with zipfile.ZipFile(path, "w") as members:
        for name in "xy":
            with members.open(f"{name}.npy", "w") as member:
                np.lib.format.write_array_header_1_0(member, header)
    assert "is more than there is" in refused_alone(import_slide2vec(platform, theirs))


def test_a_sidecar_that_is_none_is_refused_or_says_nothing(platform, theirs):
    texts = (
        "[" * 100_000, '{"tiling": 3}', '{"slide": {"dimensions": [1]}}', "\x00", "3",
        '{"slide": {"dimensions": [Infinity, 1]}}', '{"tiling": {"tile_size_lv0": 1e999}}',
    )  # fmt: skip
    for text in texts:
        (theirs / "tiles" / "a.coordinates.meta.json").write_text(text)
        done = import_slide2vec(platform, theirs, is_dry=True)
        assert done["b"].state == "adopted"
        assert done["a"].state == "adopted" or done["a"].said, text


def test_coordinates_that_are_a_link_out_of_the_folder_are_refused(platform, theirs, tmp_path):
    path = theirs / "tiles" / "a.coordinates.npz"
    shutil.move(path, tmp_path / "elsewhere.npz")
    path.symlink_to(tmp_path / "elsewhere.npz")
    assert "leads out of the folder" in refused_alone(import_slide2vec(platform, theirs))


# Zarr stores of raw2features


@pytest.fixture
def stores(exports, tmp_path):
    for name, (rows, boxes_px0) in exports[1].items():
        write_raw2features(tmp_path / "stores", name, rows, boxes_px0)
    return tmp_path / "stores"


def import_stores(platform, folder):
    done = take(platform, "raw2features", folder)
    return {one.path.relative_to(folder).parts[0][0]: one for one in done}


def features_of(stores: Path) -> Path:
    return stores / "a.embeddings.zarr" / "grids" / "mpp0.5_px64" / "features" / "colour_stats"


def rewrite(where: Path, **changes) -> None:
    said = json.loads((where / ".zarray").read_text())
    (where / ".zarray").write_text(json.dumps({**said, **changes}))


def test_a_codec_that_runs_code_is_not_asked(platform, stores, tmp_path, monkeypatch):
    class Trap:
        def __reduce__(self):
            return Path.touch, (tmp_path / "sprung",)

    monkeypatch.setattr("numcodecs.pickles.ALLOW_UNSAFE_PICKLE_DECODE", True, raising=False)
    where = features_of(stores)
    (where / "0.0").write_bytes(Pickle().encode(np.array([Trap()], object)))
    rewrite(where, compressor={"id": "pickle", "protocol": 5})
    assert "pickle" in refused_alone(import_stores(platform, stores))
    assert not (tmp_path / "sprung").exists()


def test_chunks_that_become_more_than_they_should_are_not_opened(platform, stores):
    where = features_of(stores)
    rewrite(where, compressor={"id": "gzip", "level": 9})
    (where / "0.0").write_bytes(GZip(9).encode(bytes(3_000_000)))
    assert "is opened by gzip" in refused_alone(import_stores(platform, stores))


def test_a_chunk_within_a_chunk_is_not_opened(platform, stores):
    rewrite(features_of(stores), filters=[{"id": "zstd", "level": 1}])
    assert "is opened by blosc, zstd, not" in refused_alone(import_stores(platform, stores))


def test_chunks_that_say_another_size_are_not_opened(platform, stores):
    where = features_of(stores)
    shape = zarr.open_array(where, mode="r").shape
    shutil.rmtree(where)
    group = zarr.open_group(where.parent, mode="r+", zarr_format=2)
    large = group.create_array("colour_stats", shape=(shape[0], 25), chunks=(10**5, 25), dtype="f4")
    large[:] = 1.0
    chunk = (where / "0.0").read_bytes()
    rewrite(where, chunks=[shape[0], 25])
    (where / "0.0").write_bytes(chunk)
    assert "becomes another size than a chunk" in refused_alone(import_stores(platform, stores))


def test_features_whose_chunks_were_never_written_are_refused(platform, stores):
    (features_of(stores) / "0.0").unlink()
    assert "not all of it was written" in refused_alone(import_stores(platform, stores))


def test_a_store_with_a_link_in_it_is_refused(platform, stores, tmp_path):
    path = features_of(stores) / "0.0"
    shutil.move(path, tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert "is a link, and no part of the store" in refused_alone(import_stores(platform, stores))
