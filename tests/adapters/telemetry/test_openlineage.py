from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from pathassets.adapters.telemetry import openlineage
from pathassets.adapters.telemetry.openlineage import API, Events

Seen = list[tuple[str, bytes]]
EVENT = {"eventType": "START", "job": {"name": "é"}}


@contextmanager
def endpoint(status: int) -> Iterator[tuple[str, Seen]]:
    """A server that answers each event with a status, and what it was sent."""
    seen: Seen = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            seen.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def test_a_file_gets_a_line_for_each_event_and_is_its_owner_s_alone(tmp_path: Path) -> None:
    file = tmp_path / "log" / "events.ndjson"
    for _ in range(2):
        events = Events(f"file:{file}")
        events.send(EVENT)
    assert [json.loads(line) for line in file.read_text().splitlines()] == [EVENT, EVENT]
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(("place", "path"), [("", API), ("/", API), ("/own?key=k", "/own?key=k")])
def test_an_endpoint_is_sent_each_event_where_it_takes_them(place: str, path: str) -> None:
    with endpoint(201) as (url, seen):
        events = Events(f"{url}{place}")
        events.send(EVENT)
        events.send(EVENT)
    assert [where for where, _ in seen] == [path, path]
    assert [json.loads(data) for _, data in seen] == [EVENT, EVENT]


def test_an_endpoint_that_refuses_is_told_no_more_and_warned_of_once_without_its_key(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with endpoint(500) as (url, seen):
        events = Events(f"{url}/events?key=secret")
        events.send(EVENT)
        events.send(EVENT)
    assert len(seen) == 1
    [said] = warnings(caplog)
    assert f"{url}/events takes no event (HTTP 500)" in said
    assert "secret" not in said


@pytest.mark.parametrize("target", ["http://127.0.0.1:1", "file:/dev/null/x"])
def test_a_place_that_takes_nothing_raises_nothing(
    caplog: pytest.LogCaptureFixture, target: str
) -> None:
    events = Events(target)
    events.send(EVENT)
    events.send(EVENT)
    assert len(warnings(caplog)) == 1


def test_an_endpoint_that_hangs_costs_its_timeout_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openlineage, "TIMEOUT_S", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        events = Events(f"http://127.0.0.1:{silent.getsockname()[1]}")
        events.send(EVENT)
        events.send(EVENT)
    assert len(warnings(caplog)) == 1
