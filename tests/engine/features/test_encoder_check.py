import dataclasses
import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from pathassets.core.features.encoder import COLOUR_STATS_CARD, EncoderRequest
from pathassets.core.features.preprocessing import Preprocessing
from pathassets.engine.features import encoder_check
from pathassets.engine.features.encoder_check import GOLDEN, check_encoder, differ, tolerance_of
from pathassets.engine.features.encoders import open_encoder
from pathassets.engine.features.golden_tiles import FLAT, TILE_PX, TILES, TILES_SHA256, draw_tiles
from pathassets.errors import ArtifactCorrupt, EncoderError, FeaturesNotFinite, SpecError
from tests.engine.encoder_factories import Means

MEANS = EncoderRequest(name="tests.engine.encoder_factories:make_means")


def odd(way):
    name = "tests.engine.encoder_factories:make_odd"
    return EncoderRequest(name=name, kwargs={"way": way})


def check(request, home, **more):
    return check_encoder(request, device="cpu", home=home, **more)


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """The first check of an encoder, whose kept features are in a home."""
    return check(MEANS, tmp_path_factory.mktemp("first"))


@pytest.fixture
def golden(first, tmp_path):
    """The kept features of a first check, in a home of the test's own."""
    kept = Path(first.golden)
    (tmp_path / GOLDEN).mkdir()
    return Path(shutil.copy(kept, tmp_path / GOLDEN / kept.name))


def kept_in(home):
    return sorted((home / GOLDEN).iterdir())


def test_the_tiles_are_the_same_bytes_everywhere_and_no_two_alike():
    tiles = draw_tiles(TILE_PX)
    assert hashlib.sha256(tiles.tobytes()).hexdigest() == TILES_SHA256
    assert (tiles.shape, tiles.dtype) == ((16, 256, 256, 3), np.uint8)
    assert len({tile.tobytes() for tile in tiles}) == len(TILES) == 16
    assert all((tile == tile[0, 0]).all() for tile in tiles[: len(FLAT)])


@pytest.mark.parametrize("side_px", [1, 64, 224, 300, 600])
def test_tiles_of_another_side_are_cut_or_repeated(side_px):
    tiles, whole = draw_tiles(side_px), np.tile(draw_tiles(TILE_PX), (1, 3, 3, 1))
    assert (tiles == whole[:, :side_px, :side_px]).all()


@pytest.mark.parametrize("name", ["colour_stats", pytest.param("resnet18", marks=pytest.mark.slow)])
def test_the_encoders_made_here_are_the_same_here(name, tmp_path):
    found = check(EncoderRequest(name=name), tmp_path)
    assert not found.is_first
    assert found.largest_difference <= found.tolerance
    assert (found.n_tiles, found.side_px) == (16, 256)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(SpecError, match="part of the package"):
        check(EncoderRequest(name=name), tmp_path, update=True)


def test_colour_statistics_must_be_the_same_bytes():
    assert tolerance_of(COLOUR_STATS_CARD) == 0
    halved = dataclasses.replace(open_encoder(MEANS).card, precision="bfloat16")
    assert tolerance_of(halved) > tolerance_of(open_encoder(MEANS).card) > 0


def test_the_first_check_keeps_features_that_the_next_compares_also_on_another_machine(
    first, golden, tmp_path
):
    assert first.is_first
    again = check(MEANS, tmp_path)
    assert (again.is_first, again.largest_difference) == (False, 0.0)
    assert kept_in(tmp_path) == [golden]
    assert golden.suffix == ".npz"


def test_features_that_are_not_those_kept_are_refused_until_they_are_meant(golden, tmp_path):
    with np.load(golden) as kept:
        rows, identity = kept["features"], kept["identity"]
    rows[7] *= 1.002
    np.savez_compressed(golden, features=rows, identity=identity)
    with pytest.raises(
        EncoderError, match=r"not the same here: tile 7 \(tissue 3\).*0\.002"
    ) as bad:
        check(MEANS, tmp_path)
    assert "--update" in bad.value.remedy
    assert check(MEANS, tmp_path, update=True).is_first
    assert check(MEANS, tmp_path).largest_difference == 0


def test_a_little_rounding_is_the_same(golden, tmp_path):
    with np.load(golden) as kept:
        rows, identity = kept["features"] * np.float32(1.0001), kept["identity"]
    np.savez_compressed(golden, features=rows, identity=identity)
    assert check(MEANS, tmp_path).largest_difference == pytest.approx(1e-4, rel=0.01)


def test_other_weights_or_another_preprocessing_have_features_of_their_own(golden, tmp_path):
    torch.manual_seed(9)
    torch.save(Means().state_dict(), tmp_path / "w.pt")
    with_file = dataclasses.replace(MEANS, weights=str(tmp_path / "w.pt"))
    assert check(with_file, tmp_path).is_first
    how = Preprocessing(resize_px=64, mean=(0.5, 0.5, 0.5))
    found = check(dataclasses.replace(MEANS, preprocessing=how), tmp_path)
    assert (found.is_first, found.side_px) == (True, 64)
    assert len({*kept_in(tmp_path)} - {golden}) == 2


@pytest.mark.parametrize(
    ("way", "kind", "said"),
    [
        ("dropout", EncoderError, "other features each time"),
        ("batch norm", EncoderError, "other features .* than in company"),
        ("nan", FeaturesNotFinite, r"NaN or infinity for tile 5 \(tissue 1\)"),
        ("constant", EncoderError, r"gives tile 0 \(glass\) and tile 3 \(noise\) the same"),
    ],
)
def test_a_module_that_goes_wrong_is_found_before_any_slide_and_nothing_is_kept(
    way, kind, said, tmp_path
):
    with pytest.raises(kind, match=said) as caught:
        check(odd(way), tmp_path)
    assert caught.value.remedy
    assert not (tmp_path / GOLDEN).exists()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"no zip"])
def test_a_damaged_file_of_kept_features_is_said_and_not_replaced(golden, content, tmp_path):
    with open(golden, "wb") as file:  # noqa: PTH123
        file.write(content)
    with pytest.raises(ArtifactCorrupt, match="holds no kept features"):
        check(MEANS, tmp_path)


def test_a_file_of_another_encoder_is_said(golden, tmp_path):
    with np.load(golden) as kept:
        rows = kept["features"]
    np.savez_compressed(golden, features=rows, identity=np.array("{}"))
    with pytest.raises(ArtifactCorrupt, match="is of another encoder"):
        check(MEANS, tmp_path)


def test_objects_are_never_unpickled(golden, tmp_path):
    np.savez(golden, features=np.array([{}], dtype=object), identity=np.array("{}"))
    with pytest.raises(ArtifactCorrupt, match="holds no kept features"):
        check(MEANS, tmp_path)


def test_tiles_that_are_drawn_otherwise_are_refused(monkeypatch):
    monkeypatch.setattr("pathassets.engine.features.golden_tiles.SEED", 1)
    with pytest.raises(EncoderError, match="the tiles drawn here have the SHA-256"):
        draw_tiles(8)


def test_distances_are_of_each_tile_over_its_own_length():
    kept = np.array([[3.0, 4.0], [0.0, 0.0], [0.0, 0.0]])
    found = kept + np.array([[0.0, 0.5], [0.0, 0.0], [0.0, 1.0]])
    assert differ(found, kept).tolist() == [0.1, 0.0, np.inf]
    assert encoder_check.FLOAT32_TOLERANCE < encoder_check.HALF_TOLERANCE
