"""What options take: numbers that mean something, words that are text."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
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


def _commands(command: click.Command, path: list[str]) -> Iterator[tuple[list[str], click.Command]]:
    if not isinstance(command, click.Group):
        yield path, command
        return
    for name in command.list_commands(click.Context(command)):
        below = command.get_command(click.Context(command), name)
        assert below is not None
        yield from _commands(below, [*path, name])


def _asked_empty(empty: str) -> Iterator[list[str]]:
    """Each option and argument that takes text or a path, empty, after what comes before it."""
    for path, command in _commands(main, []):
        before: list[str] = []
        for param in command.params:
            is_filled = param.type.name in {"text", "path", "file", "directory", "path or url"}
            is_option = param.param_type_name == "option"
            if is_filled and param.name != "na_values":
                yield [*path, param.opts[0], empty] if is_option else [*path, *before, empty]
            if not is_option:
                choices = getattr(param.type, "choices", ["."])
                before.append(choices[0])


@pytest.mark.parametrize("empty", ["", " ", ","])
def test_an_empty_option_or_argument_means_nothing_and_is_refused(empty: str) -> None:
    asked = list(_asked_empty(empty))
    assert {"--select", "--slides", "--to", "--search"} <= {words[-2] for words in asked}
    for words in asked:
        if empty == "," and words[-2] in {"--who", "--why"}:
            continue
        said = CliRunner().invoke(main, words)
        told = " ".join(said.stderr.split())
        assert said.exit_code == 2, words
        assert "it is empty: give it a value" in told or "it says nothing" in told, words
