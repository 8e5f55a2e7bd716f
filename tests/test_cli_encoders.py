"""The commands about encoders, run as a user does."""

import json

import pytest
from click.testing import CliRunner

from pathassets.cli import main
from pathassets.core.features.encoder_cards import CARDS


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setenv("PATHASSETS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "300")

    def invoke(*words):
        return CliRunner().invoke(main, ["encoders", *words])

    return invoke


def test_all_encoders_are_listed_with_where_their_weights_are(run):
    shown = run("list")
    assert shown.exit_code == 0
    assert all(name in shown.output for name in CARDS)
    assert "MahmoodLab/UNI: pytorch_model.bin" in shown.output
    assert "…" not in shown.output
    assert run().output == shown.output
    rows = json.loads(run("list", "--json").output)
    assert [row["name"] for row in rows] == list(CARDS)
    assert {row["name"]: row["dim"] for row in rows}["virchow2"] == 2560
    assert {row["name"]: row["weights"] for row in rows}["resnet18"] == "untrained"


def test_an_encoder_is_checked_and_its_features_are_kept_the_first_time(run):
    name = "tests.engine.encoder_factories:make_means"
    first = run("check", name)
    assert first.exit_code == 0, first.output
    assert "the first check of it" in first.output
    assert "same: largest difference 0," in run("check", name).output
    found = json.loads(run("check", name, "--json").output)
    assert (found["is_first"], found["dim"], found["n_tiles"]) == (False, 4, 16)
    assert found["patches_per_s"] > 0
    assert "the first check of it" in run("check", name, "--update").output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("check", "resnet_19"), "Did you mean resnet18?"),
        (("check", "uni"), "no file with its weights is named"),
        (("check", "uni", "--weights", "none.bin"), "none.bin"),
        (("check", "resnet18", "--device", "cuda:77"), "there is no device 'cuda:77'"),
        (("check", "no.such:thing"), "cannot be imported"),
    ],
)
def test_what_cannot_be_checked_is_exit_code_2_and_says_why(run, words, said):
    shown = run(*words)
    assert shown.exit_code == 2
    assert said in shown.output
