"""Who is told of trouble, by a web hook that is listened to here."""

from __future__ import annotations

import json
import threading
from collections import namedtuple
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import dagster as dg
import psutil
import pytest
from click.testing import CliRunner

from pathassets.adapters.telemetry.apprise import send
from pathassets.cli import main
from pathassets.defs import alerts
from pathassets.defs.build import build_definitions
from pathassets.defs.instance import open_instance
from pathassets.engine.platform.recipe import open_recipe
from pathassets.engine.platform.upkeep.home import look_at_home
from pathassets.engine.settings import read_settings
from pathassets.errors import SpecError
from tests.defs.dagster_state import copy_state

Told = list[dict[str, str]]
Usage = namedtuple("Usage", "total free")  # noqa: PYI024  (what psutil gives is one)


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Told]:
    """What the one address of a home has been told."""
    heard: Told = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Hook) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("PATHASSETS_HOME", str(tmp_path))
        monkeypatch.setenv("PATHASSETS_ALERTS", f"json://127.0.0.1:{server.server_port}/")
        yield heard
        server.shutdown()


@dg.op
def _fails() -> None:
    raise dg.Failure("slide P0001-secret.svs is bad")


@dg.job
def _nightly() -> None:
    _fails()


def test_a_run_of_a_schedule_that_failed_is_told_and_one_of_a_person_is_not(
    told: Told, tmp_path: Path, dagster_state: Path
) -> None:
    copy_state(dagster_state, tmp_path)
    with open_instance(read_settings()) as instance:
        for tags in ({}, {"dagster/schedule_name": "nightly_datasets"}):
            done = _nightly.execute_in_process(instance=instance, tags=tags, raise_on_error=False)
            context = dg.build_run_status_sensor_context(
                "alerts", done.get_run_failure_event(), instance, done.dagster_run
            )
            alerts.alerts(context.for_run_failure())
    [one] = told
    assert one["title"] == "pathassets: nightly_datasets failed"
    assert done.run_id in one["message"]
    assert "secret" not in str(one)  # what is told leaves the house


def test_a_disk_that_is_nearly_full_is_told_once_until_it_was_cleared(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    free: list[float] = []
    monkeypatch.setattr(psutil, "disk_usage", lambda _: Usage(10**12, free[-1]))
    cursor = None
    for free_bytes in (60e9, 49e9, 40e9, 60e9, 1e9):
        free.append(free_bytes)
        with dg.build_sensor_context(cursor=cursor) as context:
            alerts.disk_space(context)
            cursor = context.cursor
    assert [one["message"] for one in told] == [
        "home: 49.0 GB of 1000 GB, 4.9% left",
        "home: 1.0 GB of 1000 GB, 0.1% left",
    ]


def test_an_address_that_does_not_take_it_fails_the_tick_and_is_not_shown(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATHASSETS_ALERTS", "json://user:secret@127.0.0.1:9/")
    with pytest.raises(dg.Failure) as caught:
        alerts.tell("title", "text")
    assert "secret" not in str(caught.value)
    assert told == []


def test_what_is_no_address_is_refused_without_being_shown() -> None:
    with pytest.raises(SpecError, match="address 2 is none") as caught:
        send(["json://127.0.0.1:9/", "secret-token"], "title", "text")
    assert "secret" not in str(caught.value)


def test_who_can_be_told_is_told_beside_an_address_that_is_none(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook = read_settings().alerts[0]
    monkeypatch.setenv("PATHASSETS_ALERTS", f"nosuch://secret {hook}")
    with pytest.raises(dg.Failure, match="address 1 is none that apprise knows") as caught:
        alerts.tell("title", "text")
    assert "secret" not in str(caught.value)
    assert [one["message"] for one in told] == ["text"]


def test_an_address_that_is_none_is_refused_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("PATHASSETS_HOME", str(tmp_path))
    monkeypatch.setenv("PATHASSETS_ALERTS", "nosuch://secret")
    said = CliRunner().invoke(main, ["ui"])
    assert said.exit_code == 2
    assert "PATHASSETS_ALERTS: address 1 is none that apprise knows" in said.stderr
    with pytest.raises(SpecError, match="address 1 is none"):
        build_definitions(open_recipe(read_settings()))
    [found] = [one for one in look_at_home(read_settings()) if one.kind == "alerts_unknown"]
    assert (found.subject, found.is_note) == ("PATHASSETS_ALERTS", False)
    assert "secret" not in f"{said.output}{found}{caplog.text}"


def test_nobody_is_told_unless_there_is_an_address(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(alerts.alert_sensors(read_settings())) == 2
    monkeypatch.delenv("PATHASSETS_ALERTS")
    assert alerts.alert_sensors(read_settings()) == []
    assert told == []
