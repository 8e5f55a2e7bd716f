from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest

from pathassets import report
from pathassets.engine.logs import log_as_told


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
