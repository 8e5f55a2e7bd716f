from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from click.testing import CliRunner

from pathassets.cli import main
from pathassets.defs.instance import open_instance
from pathassets.defs.page.metrics import WithMetrics
from pathassets.engine.settings import read_settings
from tests.defs.dagster_state import copy_state
from tests.defs.small_slides import RECIPE, write_corrupt_slide, write_slide
from tests.engine.workers_here import workers_here


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, dagster_state: Path) -> Path:
    """A home in which a slide was made, one failed, and a file was refused."""
    home = tmp_path_factory.mktemp("home")
    copy_state(dagster_state, home)
    (home / "recipe.yaml").write_text(RECIPE)
    (home / "scans").mkdir()
    write_slide(home / "scans" / "good.svs", seed=1)
    write_corrupt_slide(home / "scans" / "bad.svs", seed=2)
    (home / "scans" / "none.svs").write_bytes(b"no slide")
    with pytest.MonkeyPatch.context() as patch, workers_here():
        patch.setenv("PATHASSETS_HOME", str(home))
        patch.setenv("PATHASSETS_RETRY_PAUSES_S", "none")
        CliRunner().invoke(main, ["ingest", str(home / "scans")])
        CliRunner().invoke(main, ["run"])
    return home


def ask(app: Any, path: str, method: str = "GET") -> tuple[int, str]:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": b""}

    async def twice() -> None:
        scope = {"type": "http", "path": path, "method": method, "headers": []}
        await app(scope, receive, send)
        await app(scope, receive, send)

    asyncio.run(twice())
    first, again = sent[1]["body"], sent[3]["body"]
    assert first == again  # kept for a while, or passed on both times
    return sent[0]["status"], first.decode()


async def dagster(_scope: Any, _receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"the page"})


def test_metrics_count_what_stands_where_and_name_no_slide(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATHASSETS_HOME", str(home))
    with open_instance(read_settings()) as instance:
        instance.add_run(dg.DagsterRun("nightly", "r" * 36, status=dg.DagsterRunStatus.STARTED))
        status, text = ask(WithMetrics(dagster, instance), "/metrics")
    assert status == 200
    lines = set(text.splitlines())
    assert {
        "pathassets_slides 2.0",
        'pathassets_assets{asset="features/colour",state="current"} 1.0',
        'pathassets_failed_assets{asset="features/colour",reason="tile_unreadable"} 1.0',
        'pathassets_attempts_total{asset="tissue_mask/otsu",state="made"} 2.0',
        'pathassets_unfinished_runs{job="nightly",status="started"} 1.0',
    } <= lines, text
    assert any(line.startswith("pathassets_rejected_files{reason=") for line in lines)
    assert any(line.startswith('pathassets_disk_free_bytes{place="store"} ') for line in lines)
    assert not [word for word in ("good", "bad", str(home)) if word in text]

    target = home / "metrics.prom"
    for _ in range(2):  # a timer writes it each minute
        said = CliRunner().invoke(main, ["metrics", "--to", str(target)])
        assert (said.exit_code, said.output) == (0, "")
    told = {line for line in lines if line.startswith("pathassets_assets")}
    assert told <= set(target.read_text().splitlines())


def test_metrics_replace_no_file_but_their_own(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATHASSETS_HOME", str(home))
    recipe = home / "recipe.yaml"
    text = recipe.read_text()
    said = CliRunner().invoke(main, ["metrics", "--to", str(recipe)])
    assert said.exit_code == 2
    assert f"{recipe}: is there already" in said.stderr
    assert recipe.read_text() == text


def test_all_else_is_dagsters(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATHASSETS_HOME", str(home))
    with open_instance(read_settings()) as instance:
        app = WithMetrics(dagster, instance)
        for path, method in (("/", "GET"), ("/metrics", "POST"), ("/metrics/x", "GET")):
            assert ask(app, path, method) == (200, "the page")


def test_what_cannot_be_measured_says_why(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATHASSETS_HOME", str(home))
    with open_instance(read_settings()) as instance:
        monkeypatch.setenv("PATHASSETS_CATALOG", "postgresql+psycopg2://a:secret@127.0.0.1:1/x")
        status, text = ask(WithMetrics(dagster, instance), "/metrics")
    assert status == 503
    assert "catalog" in text
    assert "secret" not in text


@pytest.mark.parametrize("url", ["slides.example", "https://", "ftp://a", "https://a.example/b"])
def test_what_is_no_address_of_a_page_is_refused(url: str) -> None:
    said = CliRunner().invoke(main, ["ui", "--public-url", url])
    assert said.exit_code == 2
    assert "no address of a page" in said.output
