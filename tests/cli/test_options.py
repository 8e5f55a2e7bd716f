"""What options take: numbers that mean something, words that are text."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from pathassets.cli import main


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATHASSETS_HOME", str(tmp_path))


@pytest.mark.parametrize(
    "words",
    [
        ("gc", "--older-than"),
        ("scrub", "--share"),
        ("scrub", "--minutes"),
        ("sql", "SELECT 1", "--timeout"),
        ("sql", "SELECT 1", "--limit"),
        ("import", "trident", ".", "--features", "x", "--rate"),
        ("import", "trident", ".", "--features", "x", "--max-off"),
    ],
)
@pytest.mark.parametrize("number", ["nan", "inf", "1e300", "9" * 25])
def test_a_number_that_an_option_cannot_mean_is_refused(
    words: tuple[str, ...], number: str
) -> None:
    said = CliRunner().invoke(main, [*words, number])
    assert (said.exit_code, said.exception.__class__) == (2, SystemExit)
    assert f"Invalid value for '{words[-1]}'" in said.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("select", "show", "id:\udcff"),
        ("qc", "show", "\udcff"),
        ("cohort", "history", "\udcff"),
        ("dataset", "show", "\udcff"),
        ("lineage", "\udcff"),
        ("sql", "SELECT '\udcff'"),
    ],
)
def test_bytes_that_are_no_text_are_refused_as_such(words: tuple[str, ...]) -> None:
    said = CliRunner().invoke(main, words)
    assert said.exit_code == 2
    assert "\\udcff" in said.stderr
    assert "codec" not in said.stderr


def test_who_states_something_is_text() -> None:
    said = CliRunner().invoke(main, ["mpp", "set", "x", "0.5", "--who", "a\udcff", "--why", "b"])
    assert said.exit_code == 2
    assert "bytes that are no text" in said.stderr
