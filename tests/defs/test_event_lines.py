"""Where logs are asked for as JSON, what Dagster says of a run on standard error is JSON, too."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import dagster._loggers as run_loggers
import pytest
from dagster._core.definitions import instigation_logger

from pathassets.defs.build import build_definitions
from pathassets.engine.platform.recipe import open_recipe
from pathassets.engine.settings import read_settings
from tests.defs.small_slides import RECIPE

CONFIGURED = {"loggers": {"console": {"config": {"log_level": "ERROR"}}}}


@pytest.fixture
def definitions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.Definitions]:
    """Definitions of a process that logs as JSON; logs of other tests stay as they are."""
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    monkeypatch.setenv("PATHASSETS_HOME", str(tmp_path))
    monkeypatch.setenv("PATHASSETS_LOG_FORMAT", "json")
    for module in (run_loggers, instigation_logger):
        monkeypatch.setattr(module, "create_console_logger", module.create_console_logger)
    root, ours = logging.getLogger(), logging.getLogger("pathassets")
    before, level = root.handlers[:], ours.level
    yield build_definitions(open_recipe(read_settings()))
    root.handlers[:] = before
    ours.setLevel(level)


@dg.op
def break_off(context: dg.OpExecutionContext) -> None:
    """Say something of lines, and fail."""
    context.log.info("a\nb")
    raise ValueError("c\nd")


@dg.job
def broken() -> None:
    """Fail."""
    break_off()


def lines_of(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """All that was written to standard error."""
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


@pytest.mark.usefixtures("definitions")
def test_what_is_said_of_a_run_without_configuration_is_json(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        done = broken.execute_in_process(instance=instance, raise_on_error=False)
    lines = lines_of(capsys)
    assert {(one["logger"], one["run_id"], one["job"]) for one in lines} == {
        ("dagster", done.run_id, "broken")
    }
    events = [one["event"] for one in lines if "event" in one]
    assert (events[0], events[-1]) == ("PIPELINE_START", "PIPELINE_FAILURE")
    [said] = [one for one in lines if "event" not in one]
    assert (said["level"], said["step"]) == ("INFO", "break_off")
    assert said["message"].endswith("a\nb")
    [failure] = [one for one in lines if one.get("event") == "STEP_FAILURE"]
    assert "ValueError: c\nd" in failure["message"]


@pytest.mark.usefixtures("definitions")
def test_what_is_said_of_a_run_that_configures_its_logger_is_json(
    capsys: pytest.CaptureFixture[str],
) -> None:
    broken.execute_in_process(run_config=CONFIGURED, raise_on_error=False)
    assert {one["level"] for one in lines_of(capsys)} == {"ERROR"}


@pytest.mark.usefixtures("definitions")
def test_what_a_sensor_says_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    instigation_logger.InstigationLogger().info("a\nb")
    [line] = lines_of(capsys)
    assert (line["level"], line["message"]) == ("INFO", "a\nb")


def test_what_is_said_of_a_run_stays_text_unless_asked(capsys: pytest.CaptureFixture[str]) -> None:
    broken.execute_in_process(raise_on_error=False)
    assert " - broken - " in capsys.readouterr().err.splitlines()[0]
