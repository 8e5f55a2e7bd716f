from __future__ import annotations

import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import zarr
from torch.utils.data import DataLoader, Dataset

from pathassets.adapters.zarr.feature_appender import GrowingWriter
from pathassets.engine.features.extractor import DeepFeatureExtractor
from pathassets.errors import EncoderError, StoreError
from tests.engine.probe_encoder import CARD, Probe

PATCHES = np.random.default_rng(3).integers(0, 256, (2600, 4, 4, 3), dtype=np.uint8)
BOXES = np.arange(4 * 2600).reshape(2600, 4)


def batches(n_batch: int = 7):
    for start in range(0, len(PATCHES), n_batch):
        yield PATCHES[start : start + n_batch], BOXES[start : start + n_batch]


def quiet(encoder=None) -> DeepFeatureExtractor:
    return DeepFeatureExtractor(encoder or Probe(), verbose=False)


def test_rows_are_those_of_the_encoder_whatever_the_batches_and_wherever_they_are(tmp_path):
    wanted = Probe().encode(PATCHES)
    for number, n_batch in enumerate((1, 7, 1024, 5000)):
        path = tmp_path / f"{number}.zarr"
        written = quiet().infer_wsi(batches(n_batch), path, memory_threshold=100)
        kept = quiet().infer_wsi(batches(n_batch))
        group = zarr.open_group(path, mode="r")
        for found in (written, kept, {"probabilities": group["features"], **group}):
            assert (np.asarray(found["probabilities"]) == wanted).all()
            assert (np.asarray(found["coordinates"]) == BOXES).all()
        assert group.attrs["encoder"] == "probe"
        assert group.attrs["is_complete"]
        assert isinstance(written["probabilities"], np.ndarray)


def test_arrays_that_do_not_fit_are_read_from_where_they_were_written(tmp_path):
    found = quiet().infer_wsi(batches(), tmp_path / "a.zarr", memory_threshold=0)
    for array in found.values():
        assert isinstance(array, zarr.Array)
        assert Path(str(array.store_path.store.root)).is_relative_to(tmp_path / "a.zarr")
    assert (found["probabilities"][1000:1100] == Probe().encode(PATCHES[1000:1100])).all()
    assert [path.name for path in tmp_path.iterdir()] == ["a.zarr"]


@pytest.mark.parametrize(("n", "chunk_rows"), [(0, 1), (5, 5), (1024, 1024), (2600, 1024)])
def test_a_chunk_has_1024_rows_or_all_that_there_are(tmp_path, n, chunk_rows):
    few = [(PATCHES[at : at + 3], BOXES[at : at + 3]) for at in range(0, n - n % 3, 3)]
    rest = [(PATCHES[n - n % 3 : n], BOXES[n - n % 3 : n])] if n % 3 else []
    quiet().infer_wsi([*few, *rest], tmp_path / "a.zarr")
    features = zarr.open_group(tmp_path / "a.zarr", mode="r")["features"]
    assert features.chunks[0] == chunk_rows
    files = [path for path in (tmp_path / "a.zarr/features/c").rglob("*") if path.is_file()]
    assert len(files) == -(-n // chunk_rows)
    assert (features[:] == Probe().encode(PATCHES[:n])).all()


class Wide:
    """Makes much of little: 4 KB of features a patch."""

    def __init__(self):
        self.rows = 8
        self.card = replace(CARD, dim=1024)

    def encode(self, batch):
        return np.repeat(batch[:, 0, 0, :1].astype(np.float32), 1024, axis=1)

    def begin(self, batch):
        return lambda: self.encode(batch)


def test_memory_stays_flat_while_rows_are_written(tmp_path):
    def many():
        for _ in range(12):
            yield from batches(100)  # 12 x 10 MB of features

    quiet(Wide()).infer_wsi(batches(1000), tmp_path / "before.zarr")  # what it imports is no rows
    tracemalloc.start()
    try:
        found = quiet(Wide()).infer_wsi(many(), tmp_path / "a.zarr", memory_threshold=0)
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found["probabilities"].shape == (12 * 2600, 1024)
    assert peak_bytes < 30e6


@pytest.mark.parametrize("when", [0, 1500])
def test_nothing_is_left_of_a_loader_that_fails(tmp_path, when):
    def failing():
        for n, batch in enumerate(batches(1)):
            if n == when:
                raise OSError("the loader's disk is gone")
            yield batch

    with pytest.raises(OSError, match="the loader's disk is gone"):
        quiet().infer_wsi(failing(), tmp_path / "a.zarr")
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_refused_before_anything_is_encoded(tmp_path):
    (tmp_path / "a.zarr").mkdir()
    probe = Probe()
    with pytest.raises(StoreError, match="is there already"):
        quiet(probe).infer_wsi(batches(), tmp_path / "a.zarr")
    assert probe.n_encoded == 0


def test_features_that_are_not_finite_are_refused_by_their_place():
    class Dark(Probe):
        def encode(self, batch):
            rows = super().encode(batch)
            rows[(batch == PATCHES[9]).all(axis=(1, 2, 3))] = np.nan
            return rows

    with pytest.raises(EncoderError, match="features of patch 9 are not finite"):
        quiet(Dark()).infer_wsi(batches(4))


def test_no_batches_are_no_rows(tmp_path):
    for path in (None, tmp_path / "a.zarr"):
        found = quiet().infer_wsi([], path)
        assert np.asarray(found["probabilities"]).shape == (0, 15)
        assert np.asarray(found["coordinates"]).shape == (0, 4)


def test_boxes_that_are_not_as_many_as_patches_are_refused(tmp_path):
    writer = GrowingWriter(tmp_path / "a", shape=(15,), attributes={})
    with pytest.raises(ValueError, match="boxes"):
        writer.append(np.zeros((3, 15), np.float32), np.zeros((2, 4), np.int64))


class Patches(Dataset):
    def __len__(self):
        return 40

    def __getitem__(self, place):
        return {"image": torch.from_numpy(PATCHES[place]), "coords": torch.tensor(BOXES[place])}


def test_a_loader_of_torch_is_a_loader_and_its_length_is_told(capsys):
    extractor = DeepFeatureExtractor(Probe())
    found = extractor.infer_wsi(DataLoader(Patches(), batch_size=16))
    assert (found["probabilities"] == Probe().encode(PATCHES[:40])).all()
    assert "features: 100% 40/40 [" in capsys.readouterr().err
