from __future__ import annotations

import json
import logging
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from pathassets import report
from pathassets.engine.logs import log_as_told, log_to_stderr
from pathassets.errors import EncoderError, SelectionError, SlideUnreadable


@pytest.fixture(autouse=True)
def _own_handlers() -> Iterator[None]:
    """Leave the logs of the other tests as they are."""
    root, ours = logging.getLogger(), logging.getLogger("pathassets")
    before, level = root.handlers[:], ours.level
    root.handlers.clear()
    yield
    root.handlers[:] = before
    ours.setLevel(level)


def test_a_record_is_one_line_of_json_whatever_it_says(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATHASSETS_LOG_FORMAT", "JSON")
    assert log_as_told()
    assert log_as_told()  # the same handler
    hostile = 'a\x1b[2J\n{"level": "ERROR"} b.svs'
    extra = {"slide_id": hostile, "run_id": "run", "asset": "", "made": ["features/f"]}
    logging.getLogger("pathassets.engine").info("%s: made", hostile, extra=extra)
    report.error("no such slide")
    with report.slide_progress():
        logging.getLogger("pathassets.engine.platform.batch").info("1/1 done")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    made, error, done = lines
    assert made.pop("time").endswith("+00:00")
    assert made == {
        "level": "INFO", "logger": "pathassets.engine", "message": f"{hostile}: made",
        "slide_id": hostile, "run_id": "run", "made": ["features/f"],
    }  # fmt: skip
    assert (error["level"], error["message"]) == ("ERROR", "no such slide")
    assert done["message"] == "1/1 done"


def test_an_error_is_logged_with_its_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATHASSETS_LOG_FORMAT", "json")
    log_as_told()
    try:
        raise ValueError("a\nb")  # noqa: TRY301
    except ValueError:
        logging.getLogger("pathassets").exception("it ended")
    [line] = capsys.readouterr().err.splitlines()
    assert "ValueError: a\nb" in json.loads(line)["traceback"]


def test_nothing_is_logged_as_json_unless_asked() -> None:
    assert not log_as_told()
    assert logging.getLogger("pathassets").level == logging.NOTSET


def begin_as_text() -> None:
    """Begin as a command does, where nobody logs yet; pytest does so within a test."""
    logging.getLogger().handlers.clear()
    assert not log_to_stderr()


HOSTILE = "a\x1b[2J\nERROR b.svs"


class Odd:
    """A number that says of itself what has lines."""

    def __str__(self) -> str:
        return HOSTILE

    def __int__(self) -> int:
        return 3

    def __float__(self) -> float:
        return 0.25


@pytest.mark.parametrize(
    ("said", "arguments", "line"),
    [
        ("%s: no slide", (HOSTILE,), r"a\x1b[2J\nERROR b.svs: no slide"),
        ("%s: no slide", (Path(HOSTILE),), r"a\x1b[2J\nERROR b.svs: no slide"),
        ("%(path)s: no", ({"path": HOSTILE},), r"a\x1b[2J\nERROR b.svs: no"),
        ("it said %s", (OSError(HOSTILE),), r"it said a\x1b[2J\nERROR b.svs"),
        ("%s", (SlideUnreadable(HOSTILE, "gone"),), r"a\x1b[2J\nERROR b.svs: gone"),
        ("%r", (HOSTILE,), r"'a\x1b[2J\nERROR b.svs'"),
        ("%d of %.1f MB\nare left", (3, 0.25), "3 of 0.2 MB\n    are left"),
        ("%d of %.1f MB", (Odd(), Odd()), "3 of 0.2 MB"),
        ("%(a)s %(b)s", (defaultdict(lambda: HOSTILE, a=1),), r"1 a\x1b[2J\nERROR b.svs"),
        ("%s", ("Größe\t1",), "Größe\t1"),
        ("a\x1b[2J\nERROR", (), "a\\x1b[2J\n    ERROR"),
        ("%s", (EncoderError("vit", "failed:\n  in x"),), "encoder vit: failed:\n      in x"),
        (
            "%s",
            (SelectionError("selection: no field\n  x:1\n  ^", remedy="Did you mean id?"),),
            "selection: no field\n      x:1\n      ^\n    Did you mean id?",
        ),
    ],
)
def test_what_a_record_tells_of_others_makes_no_line_and_gives_no_order(
    capsys: pytest.CaptureFixture[str], said: str, arguments: tuple[object, ...], line: str
) -> None:
    begin_as_text()
    logging.getLogger("pathassets").warning(said, *arguments)
    assert capsys.readouterr().err == f"WARNING {line}\n"


def test_lines_of_a_traceback_stay_lines(capsys: pytest.CaptureFixture[str]) -> None:
    begin_as_text()
    try:
        raise ValueError("gone")  # noqa: TRY301
    except ValueError:
        logging.getLogger("pathassets").exception("%s: it ended", HOSTILE)
    first, *others = capsys.readouterr().err.splitlines()
    assert first == r"ERROR a\x1b[2J\nERROR b.svs: it ended"
    assert others[0] == "    Traceback (most recent call last):"
    assert others[-1] == "    ValueError: gone"


def test_no_path_makes_a_line_where_nobody_says_how_to_log(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("pathassets"), "propagate", False)
    log_as_told()
    logging.getLogger("pathassets").warning("%s: no slide", HOSTILE)
    assert capsys.readouterr().err == "a\\x1b[2J\\nERROR b.svs: no slide\n"
