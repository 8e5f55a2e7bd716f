"""A hostile cohort in a running Dagster: its page shows it, and asks for nothing of it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver.common.by import By

from tests.defs.browser import Page, browsing
from tests.defs.daemon import ENDED, Daemon, pathassets, running, wait_for
from tests.defs.hostile import BAIT, bait, write_hostile, write_recipe

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

SETTLED_S = 3
"""How long a page that has its words may take to ask for what is in them."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose hostile cohort was run once."""
    home = tmp_path_factory.mktemp("home")
    write_recipe(home)
    written = write_hostile(home / "slides")
    python = {"PYTHONPATH": str(home)}
    slides = home / "slides"
    pathassets(home, "ingest", slides, "--cohort", written.cohort, code=1, **python)
    ids = {
        Path(row["paths"][0]).name[0]: row["slide_id"]
        for row in json.loads(pathassets(home, "status", "--json", **python).stdout)["slides"]
    }
    who = ["--who", bait("who"), "--why", bait("why")]
    pathassets(home, "mpp", "set", ids["a"], "0.51", *who, **python)
    named = ["--name", "tumour", *who]
    pathassets(home, "annotations", "set", ids["a"], written.annotation, *named, **python)
    written.lost.unlink()
    pathassets(home, "run", code=1, **python)
    return home


@pytest.fixture(scope="module")
def daemon(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    log = tmp_path_factory.mktemp("log") / "ui.log"
    with running(home, log, PYTHONPATH=str(home)) as daemon:
        yield daemon


@pytest.fixture(scope="module")
def page(daemon: Daemon, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with browsing(daemon.url, tmp_path_factory.mktemp("chromium")) as page:
        yield page


def register(daemon: Daemon, file: Path) -> str:
    """Launch the job that registers a file, as the inbox does; returns its run."""
    launched = daemon.ask(
        """mutation ($params: ExecutionParams!) {
             launchPipelineExecution(executionParams: $params) {
               __typename ... on LaunchRunSuccess { run { runId } }
               ... on PythonError { message } } }""",
        params={
            "selector": {
                "repositoryLocationName": "pathassets.definitions",
                "repositoryName": "__repository__",
                "pipelineName": "ingest_files",
            },
            "mode": "default",
            "runConfigData": {"ops": {"register_files": {"config": {"files": [str(file)]}}}},
        },
    )
    run_id = str(launched["run"]["runId"])

    def is_ended() -> bool:
        return any(r["runId"] == run_id and r["status"] in ENDED for r in daemon.runs())

    wait_for(is_ended, f"end of run {run_id}", within_s=120)
    return run_id


def test_no_event_makes_the_readers_browser_ask_for_anything(daemon: Daemon, page: Page) -> None:
    a, b, c = sorted(daemon.partitions(), key=lambda slide_id: slide_id[0])
    events = [
        ("slide", a, ("name", "patient", "label", "who", "why")),
        ("annotations/tumour", a, ("annotation", "who", "why")),
        ("tissue_mask/otsu", b, ("header",)),
        ("tissue_mask/otsu", c, ("lost",)),
        ("features/broken", a, ("error",)),
    ]
    asked: list[str] = []
    for asset, slide_id, fields in events:
        page.open(f"assets/{asset}?view=events")
        page.wait_for_text(slide_id)
        # The list comes before the event shown, newest first; an annotation is observed last.
        page.click(slide_id, -1 if asset.startswith("annotations") else 0)
        page.wait_for_text(*(f"{BAIT}{field}" for field in fields))
        page.shot(f"hostile_{asset.replace('/', '_')}_{slide_id[0]}")
        asked += seen_by(page)
    require_own(asked, daemon)


def test_no_asset_or_run_makes_the_readers_browser_ask_for_anything(
    daemon: Daemon, page: Page, home: Path
) -> None:
    (refused,) = (home / "slides").glob("d *.svs")
    register(daemon, refused)
    asked: list[str] = []
    runs = {run["jobName"]: run["runId"] for run in daemon.runs()}
    pages = [
        ("assets/annotations/tumour", "about"),
        ("assets/features/broken", "parameter"),
        (f"runs/{runs['ingest_files']}", "refused"),
        ("assets/quarantine?view=events", "refused"),
        (f"runs/{runs['process_slides']}", "header"),
    ]
    for number, (path, field) in enumerate(pages):
        page.open(path)
        page.wait_for_text(f"{BAIT}{field}")
        page.shot(f"hostile_page_{number}")
        asked += seen_by(page)
    require_own(asked, daemon)


def test_a_partition_leads_to_its_slide_among_all_and_back_and_nothing_is_asked_for(
    daemon: Daemon, page: Page
) -> None:
    a = min(daemon.partitions(), key=lambda slide_id: slide_id[0])
    page.open(f"assets/slide?partition={a}&view=partitions")
    page.wait_for_text("cohort_page")
    link = page.driver.find_element(By.CSS_SELECTOR, f"a[href='/cohort?slide={a}']")
    page.open(str(link.get_dom_attribute("href")).removeprefix("/"))
    page.wait_for_text(a, *(f"{BAIT}{field}" for field in ("patient", "label", "error")))
    page.shot("hostile_cohort_page")
    asked = seen_by(page)
    page.click("its partition")
    page.wait_for_text("cohort_page")
    require_own(asked + seen_by(page), daemon)


def require_own(asked: list[str], daemon: Daemon) -> None:
    """Let through what the browser asked for where all of it is the page's own."""
    assert any(url.endswith("/graphql") for url in asked)
    assert [url for url in asked if BAIT in url] == []
    own = (f"http://127.0.0.1:{daemon.port}/", f"ws://127.0.0.1:{daemon.port}/", "data:", "blob:")
    browsers = ("chrome:", "chrome-untrusted:", "devtools:")  # of its own new tab
    assert [url for url in asked if not url.startswith((*own, *browsers))] == []


def seen_by(page: Page) -> list[str]:
    """What the browser asked for until a page has settled; no link or picture is a stranger's."""
    time.sleep(SETTLED_S)
    acts = f"""return document.querySelectorAll('[href*="{BAIT}"], [src*="{BAIT}"]').length"""
    assert page.driver.execute_script(acts) == 0
    return page.requests()
