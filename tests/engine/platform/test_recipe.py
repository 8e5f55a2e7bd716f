import os

import pytest

from pathassets.adapters import files
from pathassets.engine.platform import recipe as recipes
from pathassets.engine.platform.ledgers import encoders_of
from pathassets.engine.platform.plan import Planner
from pathassets.engine.platform.recipe import HASHES, WeightsHasher, open_recipe
from pathassets.errors import SpecError

RECIPE = """\
tissue_mask:
  otsu: {mpp: 8.0}
patch_locations:
  grid: {tissue_mask: otsu, patch_px: 64, mpp: 0.5}
features:
  mine: {patch_locations: grid, encoder: {name: "my.models:make", weights: WEIGHTS}}
slide_embedding:
  mean: {features: mine}
"""


@pytest.fixture
def weights(settings):
    path = settings.home / "models" / "w.pt"
    path.parent.mkdir()
    path.write_bytes(b"one")
    return path


@pytest.fixture
def read(settings):
    def read(weights: str, recipe: str = RECIPE):
        settings.recipe.write_text(recipe.replace("WEIGHTS", str(weights)))
        return open_recipe(settings)

    return read


def digests(recipe):
    return {entry.name: entry.digest(["v"]) for entry in recipe.entries}


def test_weights_are_told_by_their_content_wherever_they_are(read, weights, settings):
    entry = read("models/w.pt").entry(("features", "mine"))
    assert entry.weights_sha256 == files.fingerprint_of([weights])
    assert entry.spec.encoder.weights == str(weights)
    moved = settings.home / "elsewhere.bin"
    moved.write_bytes(b"one")
    again = read(moved).entry(("features", "mine"))
    assert again.digest(["v"]) == entry.digest(["v"])
    assert again.parameters == entry.parameters
    assert str(settings.home) not in str(again.parameters)


def test_other_weights_at_the_same_place_are_another_artifact(read, weights):
    before = digests(read("models/w.pt"))
    weights.write_bytes(b"two")
    after = digests(read("models/w.pt"))
    assert {name for name in before if before[name] != after[name]} == {"mine"}


def test_a_file_is_hashed_once_and_again_when_it_changed(read, weights, monkeypatch):
    n_hashed = []
    monkeypatch.setattr(
        recipes, "fingerprint_of", lambda m: n_hashed.append(m) or files.fingerprint_of(m)
    )
    read("models/w.pt")
    read(weights)
    assert len(n_hashed) == 1
    before = weights.stat()
    weights.write_bytes(b"two")  # of the same size, and made to look as old
    os.utime(weights, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert read(weights).entry(("features", "mine")).weights_sha256 == files.fingerprint_of(
        [weights]
    )
    assert len(n_hashed) == 2


@pytest.mark.parametrize("left", ["", "0" * 63, "x" * 64])
def test_a_note_that_was_cut_short_is_no_hash(read, weights, settings, left):
    read(weights)
    [note] = (settings.home / HASHES).iterdir()
    note.write_text(left)
    assert read(weights).entry(("features", "mine")).weights_sha256 == files.fingerprint_of(
        [weights]
    )


def test_a_missing_file_is_told_with_its_line_by_whatever_needs_its_digest_and_by_nothing_else(
    read, settings
):
    recipe = read("models/none.pt")
    mine = recipe.entry(("features", "mine"))
    for ask in (lambda: mine.weights_sha256, lambda: mine.digest(["v"]), lambda: Planner(recipe)):
        with pytest.raises(SpecError) as caught:
            ask()
        assert f"{settings.recipe}:6: " in caught.value.message
        assert "none.pt: no such file" in caught.value.message
        assert "relative path begins at the recipe" in caught.value.remedy
    others = [entry for entry in recipe.entries if entry != mine]
    assert [entry.unread for entry in others] == [None] * 3
    assert len({entry.digest(["v"]) for entry in others}) == 3
    assert mine.parameters["encoder"] == "my.models:make"
    assert list(encoders_of(recipe)) == []


def test_a_folder_is_told_by_all_its_files(tmp_path):
    folder = tmp_path / "model"
    (folder / "deep").mkdir(parents=True)
    hasher = WeightsHasher(folder=tmp_path, kept=tmp_path / "kept")
    with pytest.raises(SpecError, match="an empty folder"):
        hasher.hash_weights("model")
    (folder / "config.json").write_text("{}")
    path, one = hasher.hash_weights("model")
    assert path == str(folder)
    (folder / "deep" / "w").write_text("1")
    assert hasher.hash_weights("model")[1] != one


def test_a_home_that_cannot_be_written_costs_time_alone(tmp_path, caplog):
    (tmp_path / "w").write_text("1")
    (tmp_path / "kept").write_text("a file in its place")
    _, sha256 = WeightsHasher(folder=tmp_path, kept=tmp_path / "kept").hash_weights("w")
    assert sha256 == files.fingerprint_of([tmp_path / "w"])
    assert "cannot be kept" in caplog.text


def test_an_encoder_s_keys_are_looked_at(read):
    for bad, said in (
        ("{name: resnet18, wieghts: x}", "unknown encoder's key: 'wieghts'"),
        ("{name: resnet18, pooling: huge}", "pooling = 'huge'"),
        ("{name: resnet18, preprocessing: {resize_px: 0}}", "preprocessing.resize_px = 0"),
        ("{weights: models/w.pt}", "name: Field required"),
        ("[resnet18]", "encoder = ['resnet18']"),
    ):
        with pytest.raises(SpecError) as caught:
            read("", RECIPE.replace('{name: "my.models:make", weights: WEIGHTS}', bad))
        assert said in caught.value.message
        assert ".yaml:6: " in caught.value.message
