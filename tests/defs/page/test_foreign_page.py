"""A page of another origin, in the same browser as Dagster's, tries to drive it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import quote

import pytest

from tests.defs.browser import Page, browsing
from tests.defs.daemon import Daemon, pathassets, running, wait_for
from tests.defs.small_slides import RECIPE, write_slide

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

REBOUND = "rebound.example"
"""A name of a stranger's that resolves to this machine."""
WIPE = """mutation { wipeAssets(assetPartitionRanges: [{assetKey: {path: ["slide"]}}]) {
  __typename ... on AssetWipeSuccess { assetPartitionRanges { __typename } } } }"""
N_TRIES = 8
"""HTTP requests of the page below."""
TRIES = """<!doctype html><title>foreign</title><body><script>
const url = "//NAME:PORT/graphql", wipe = WIPE, asked = url + "?query=" + QUOTED;
const said = [];
const note = (what, did) => said.push(what + " " + did);
const body = JSON.stringify({query: wipe});
function element(tag, fields) {
  const made = Object.assign(document.createElement(tag), fields);
  made.onload = () => note(tag, "loaded");
  made.onerror = () => note(tag, "failed");
  document.body.append(made);
  return made;
}
element("img", {src: asked});
element("script", {src: asked});
element("iframe", {src: "//NAME:PORT/"});
element("iframe", {name: "posted"});
const form = document.createElement("form");
Object.assign(form, {action: asked, method: "post", enctype: "text/plain", target: "posted"});
document.body.append(form);
form.submit();
// Of these types a browser asks nobody; Dagster looks whether application/json is in them.
for (const type of ["text/plain", "text/plain; application/json"]) {
  const headers = {"Content-Type": type};
  for (const to of [url, asked]) {
    fetch(to, {method: "POST", mode: "no-cors", headers, body})
      .then(() => note("post", "sent"), () => note("post", "failed"));
  }
}
const socket = new WebSocket("ws://NAME:PORT/graphql", "graphql-ws");
socket.onopen = () => {
  note("socket", "open");
  socket.send(JSON.stringify({type: "connection_init", payload: {}}));
  socket.send(JSON.stringify({type: "start", id: "1", payload: {query: wipe}}));
};
socket.onerror = () => note("socket", "failed");
</script>"""


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    home = tmp_path_factory.mktemp("home")
    (home / "recipe.yaml").write_text(RECIPE)
    write_slide(home / "a.svs", 1)
    pathassets(home, "ingest", home / "a.svs")
    with running(home, tmp_path_factory.mktemp("log") / "ui.log") as daemon:
        yield daemon


@pytest.fixture(scope="module")
def page(daemon: Daemon, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    rebinding = f"--host-resolver-rules=MAP {REBOUND} 127.0.0.1"
    with browsing(daemon.url, tmp_path_factory.mktemp("chromium"), rebinding) as page:
        yield page


@pytest.fixture
def foreign_port(daemon: Daemon, tmp_path: Path) -> Iterator[int]:
    """Port of a server with a page for each name of this machine."""
    words = {"WIPE": json.dumps(WIPE), "QUOTED": json.dumps(quote(WIPE)), "PORT": str(daemon.port)}
    for name in ("127.0.0.1", "localhost"):
        tries = TRIES.replace("NAME", name)
        for word, meant in words.items():
            tries = tries.replace(word, meant)
        (tmp_path / f"{name}.html").write_text(tries)
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        serving = Thread(target=server.serve_forever)
        serving.start()
        yield server.server_port
        server.shutdown()
        serving.join()


def n_slides(daemon: Daemon) -> int:
    return daemon.health()["slide"][0]


@pytest.mark.parametrize("here", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("target", ["127.0.0.1", "localhost"])
def test_a_page_of_another_origin_can_do_nothing(
    daemon: Daemon, page: Page, foreign_port: int, here: str, target: str
) -> None:
    page.network()
    page.driver.get(f"http://{here}:{foreign_port}/{target}.html")

    def said() -> list[str]:
        found: list[str] = page.driver.execute_script("return said")
        return found if len({one.split()[0] for one in found}) == 5 and len(found) >= 9 else []

    found = wait_for(said, "the end of all tries", within_s=60)
    assert {"img failed", "script failed", "socket failed"} <= {*found}
    assert "socket open" not in found
    network = page.network()
    sent = {
        said["requestId"]: said["request"]["url"]
        for event, said in network
        if event == "Network.requestWillBeSent"
    }
    statuses = [
        said["statusCode"]
        for event, said in network
        if event == "Network.responseReceivedExtraInfo"
        if f":{daemon.port}/" in sent.get(said["requestId"], "")
    ]
    assert len(statuses) >= N_TRIES
    assert {*statuses} == {403}
    assert n_slides(daemon) == 1


def test_a_name_that_resolves_to_this_machine_opens_nothing(daemon: Daemon, page: Page) -> None:
    page.driver.get(f"http://{REBOUND}:{daemon.port}/")
    page.wait_for_text("refused: the address is not one of 127.0.0.1")


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_the_page_itself_goes_on_working(daemon: Daemon, page: Page, name: str) -> None:
    page.network()
    page.driver.get(f"http://{name}:{daemon.port}/assets/slide?view=events")
    page.wait_for_text("materialized")
    time.sleep(2)
    network = page.network()
    bad = [
        said["response"]["url"]
        for event, said in network
        if event == "Network.responseReceived" and said["response"]["status"] >= 400
    ]
    assert bad == []
    sockets = [s for event, s in network if event == "Network.webSocketHandshakeResponseReceived"]
    assert {one["response"]["status"] for one in sockets} == {101}
    page.shot(f"own_page_{name}")


def test_a_program_may_still_ask_for_what_the_foreign_page_asked_for(daemon: Daemon) -> None:
    assert n_slides(daemon) == 1
    assert daemon.ask(WIPE)["__typename"] == "AssetWipeSuccess"
    assert n_slides(daemon) == 0
