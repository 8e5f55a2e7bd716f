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


PATHS = {"path", "file", "directory", "filename"}
"""What click calls its types of paths."""


def _asked(given: str, kinds: set[str]) -> Iterator[list[str]]:
    """Each option and argument that takes something, given a text, after what comes before it."""
    for path, command in _commands(main, []):
        before: list[str] = []
        for param in command.params:
            is_filled = param.type.name in kinds
            is_option = param.param_type_name == "option"
            if is_filled and param.name != "na_values":
                yield [*path, param.opts[0], given] if is_option else [*path, *before, given]
            if not is_option:
                choices = getattr(param.type, "choices", ["."])
                before.append(choices[0])


@pytest.mark.parametrize("empty", ["", " ", ","])
def test_an_empty_option_or_argument_means_nothing_and_is_refused(empty: str) -> None:
    asked = list(_asked(empty, {*PATHS, "text", "path or url"}))
    assert {"--select", "--slides", "--to", "--search"} <= {words[-2] for words in asked}
    for words in asked:
        if empty == "," and words[-2] in {"--who", "--why"}:
            continue
        said = CliRunner().invoke(main, words)
        told = " ".join(said.stderr.split())
        assert said.exit_code == 2, words
        assert "it is empty: give it a value" in told or "it says nothing" in told, words


@pytest.mark.parametrize(
    "url", ["s3://bucket/x", "gs:/bucket/x", "s3:bucket/x", "https://lab.example/x?sig=SECRET"]
)
def test_a_url_is_refused_where_only_a_disk_is_read_or_written(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    asked = list(_asked(url, PATHS))
    assert {"export", "import", "sample", "init", "backup", "restore", "doctor"} <= {
        words[0] for words in asked
    }
    for words in asked:
        said = CliRunner().invoke(main, words)
        told = " ".join(said.stderr.split())
        assert said.exit_code == 2, words
        assert "is a URL, and this is " in told, words
        assert "with your storage's own tool" in told, words
        assert "SECRET" not in told, words
    assert list(tmp_path.iterdir()) == []


def test_what_is_written_is_not_told_as_read() -> None:
    for words, fact in (
        (["metrics", "--to", "s3://b/x"], "'s3://b/x': is a URL, and this is written to a disk"),
        (["restore", "s3://b/x"], "'s3://b/x': is a URL, and this is read from a disk"),
    ):
        assert fact in CliRunner().invoke(main, words).stderr


def test_a_file_called_like_a_url_that_lacks_a_part_is_written_by_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said = CliRunner().invoke(main, ["sample", "--patients", "0", "s3:x"])
    assert "a path of that name begins with ./" in said.stderr
    assert (
        "is a URL" not in CliRunner().invoke(main, ["sample", "--patients", "0", "./s3:x"]).stderr
    )
