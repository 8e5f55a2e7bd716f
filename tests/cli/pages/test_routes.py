"""The cohort page as it is served: what is asked for, what is refused, verdicts that count."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

import pytest
from sqlalchemy import delete

from pathassets.catalog.database.connect import writing
from pathassets.catalog.records import PathRecord
from pathassets.catalog.tables import forgotten_slide
from pathassets.cli.pages import routes
from pathassets.cli.pages.routes import MAX_BODY_BYTES, CohortSite
from pathassets.defs.page.guard import Guard, own_origins
from pathassets.defs.page.webserver import Beside
from pathassets.engine.platform.batch import run_batch
from pathassets.engine.platform.datasets.build import build_dataset
from pathassets.engine.platform.ingestion.ingest import find_files, ingest
from pathassets.engine.platform.plan import plan_slides
from pathassets.engine.platform.platform import Platform, open_platform
from pathassets.engine.settings import read_settings
from tests.defs.small_slides import RECIPE, write_slide
from tests.engine.workers_here import workers_here

OWN = "127.0.0.1:3000"


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def slides(self) -> list[dict[str, Any]]:
        """Those on a page."""
        return self.page["slides"]

    @property
    def page(self) -> dict[str, Any]:
        (data,) = re.findall(r'<script type="application/json" id="page">(.*?)</script>', self.text)
        found: dict[str, Any] = json.loads(data)
        return found


@dataclass(frozen=True)
class Site:
    app: Any
    platform: Platform
    ids: list[str]

    def ask(self, path: str, body: bytes = b"", *, method: str = "", **headers: str) -> Answer:
        """Send a request as a browser would, through the guard."""
        path, _, query = path.partition("?")
        said = {"host": OWN, "content-type": "application/json", **headers}
        scope = {
            "type": "http", "method": method or ("POST" if body else "GET"), "path": path,
            "raw_path": path.encode(), "query_string": query.encode(), "root_path": "",
            "headers": [(name.encode(), value.encode()) for name, value in said.items()],
        }  # fmt: skip
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        async def receive() -> Any:
            return {"type": "http.request", "body": body, "more_body": False}

        asyncio.run(self.app(scope, receive, send))
        return Answer(sent[0]["status"], b"".join(one.get("body", b"") for one in sent[1:]))

    def ask_of(self, what: str, slide_id: str) -> Answer:
        return self.ask(f"/cohort/{what}?{urlencode({'slide': slide_id})}")

    def judge(self, **said: object) -> Answer:
        return self.ask("/cohort/verdict", json.dumps(said).encode())


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, cheap_databases: None) -> Iterator[Site]:
    """A home with two slides that were run, behind the guard."""
    del cheap_databases
    home = tmp_path_factory.mktemp("home")
    recipe = RECIPE.replace("{features: colour,", "{features: colour, verdict: not_rejected,")
    (home / "recipe.yaml").write_text(recipe)
    files = [write_slide(home / f"{seed}.svs", seed) for seed in (1, 2)]
    with pytest.MonkeyPatch.context() as patch, workers_here(), workers_here(routes):
        patch.setenv("PATHASSETS_HOME", str(home))
        settings = read_settings()
        with open_platform(settings) as platform, CohortSite(settings=settings) as served:
            list(ingest(platform, find_files(files)))
            planned = plan_slides(platform)
            list(run_batch(platform, planned, platform.recipe.per_slide, run_id="run"))
            beside = Beside(app=_nothing, others={"/cohort": served.app()})
            app = Guard(app=beside, origins=own_origins(3000))
            yield Site(app, platform, [one.slide_id for one in planned])


async def _nothing(_scope: Any, _receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def test_the_page_shows_slides_as_they_are_and_pictures_one_by_one_and_no_path_of_dagster_s(
    site: Site,
) -> None:
    first, second = site.ids
    assert [one["id"] for one in site.ask("/cohort").slides] == site.ids
    chosen = site.ask(f"/cohort?{urlencode({'slides': second})}")
    assert [one["id"] for one in chosen.slides] == [second]
    assert site.ask(f"/cohort?slide={second}&page=9").page["opened"] == second
    wrong = site.ask("/cohort?slides=stat:failed")
    assert wrong.status == 200
    assert "did you mean" in wrong.text.lower()

    assert site.ask_of("thumbnail", first).body.startswith(b"\xff\xd8")
    look = json.loads(site.ask_of("look", first).body)
    assert look["outline"].startswith("M")
    assert look["map"].startswith("data:image/webp")
    assert site.ask(f"/cohort?slide={first}").slides[0]["focus"] is None  # not read yet
    for _ in range(2):  # the second time it is kept
        assert site.ask_of("picture", first).body[8:12] == b"WEBP"
    assert site.ask(f"/cohort?slide={first}").slides[0]["focus"] > 0
    for what in ("thumbnail", "look", "picture"):
        assert site.ask_of(what, "../../etc/passwd").status == 404

    others = ("/", "/cohorts", "/cohortx/look", "/x/cohort", "/assets")
    assert {path: site.ask(path).status for path in others} == dict.fromkeys(others, 204)
    assert site.ask("/cohort/nothing").status == 404
    assert site.ask("/cohort", origin="http://evil.example").status == 403


def test_a_verdict_is_given_and_the_next_dataset_honours_it(site: Site) -> None:
    first = site.ids[0]
    given = {"slide_id": first, "verdict": "reject", "who": "Ada", "why": "a fold <b>"}
    given |= {"seen": None}
    refused = [
        ({**given, "who": " "}, "who"), ({**given, "why": "x" * 2001}, "2001"),
        ({**given, "verdict": "maybe"}, "maybe"), ({**given, "slide_id": first[:5]}, first),
        ({**given, "why": None}, "why"), ({**given, "who": "a\0b"}, "who"),
    ]  # fmt: skip
    for said, why in refused:
        answer = site.judge(**said)
        assert answer.status == 400
        assert why in json.loads(answer.body)["error"]
    body = json.dumps(given).encode()
    assert site.ask("/cohort/verdict", body, **{"content-type": "text/plain"}).status == 415
    assert site.ask("/cohort/verdict", body, origin="http://evil.example").status == 403
    assert site.ask("/cohort/verdict", method="GET").status == 405
    assert site.ask("/cohort/verdict", b" " * (MAX_BODY_BYTES + 1)).status == 413
    for bad in (b"[", b"[1]", b"[" * 9000):
        assert site.ask("/cohort/verdict", bad).status == 400
    assert [one["verdict"] for one in site.ask("/cohort").slides] == [None, None]

    answered = site.judge(**given)
    (kept,) = site.platform.catalog.verdicts()
    when = f"{kept.made_at:%Y-%m-%d %H:%M}"
    shown = {
        "word": "reject", "who": "Ada", "why": "a fold <b>", "when": when,
        "at": kept.made_at.isoformat(timespec="microseconds"),
    }  # fmt: skip
    assert (answered.status, json.loads(answered.body)) == (200, {"verdict": shown})
    page = site.ask("/cohort")
    assert [one["verdict"] for one in page.slides] == [shown, None]
    assert "<b>" not in page.text.partition('id="page"')[2].partition("</script>")[0]
    built = build_dataset(site.platform, site.platform.recipe.datasets[0], run_id="run-2")
    assert built.artifact is not None
    facts = built.artifact.facts
    assert (facts["n_slides"], facts["n_left_out"]) == (1, 1)


UNSEEN = (
    "", "none", 0, 1.5, True, [], {}, [None], "2026-11-30", "2026-11-30T15:55:10", "9" * 5000,
    "\ud800", "\0", "' OR 1=1 --", "2026-11-30T15:55:10+99:00",
)  # fmt: skip
"""What is no time of a verdict."""


def test_a_verdict_over_one_that_its_reader_has_not_seen_is_answered_with_that_one(
    site: Site,
) -> None:
    catalog, slide_id = site.platform.catalog, site.ids[1]
    shown = [page.slides[1]["verdict"] for page in (site.ask("/cohort"), site.ask("/cohort"))]
    assert shown == [None, None]
    by_ada = {"slide_id": slide_id, "verdict": "reject", "who": "Ada", "why": "a fold"}
    by_bob = {"slide_id": slide_id, "verdict": "accept", "who": "Bob", "why": "fine"}
    for seen in UNSEEN:
        assert site.judge(**by_ada, seen=seen).status == 400, seen
    refused = site.judge(**by_ada)  # of a page that does not say what it showed
    assert (refused.status, "seen" in refused.text) == (400, True)
    assert catalog.verdict_history(slide_id) == []

    kept = json.loads(site.judge(**by_ada, seen=None).body)["verdict"]
    answer = site.judge(**by_bob, seen=None)
    assert answer.status == 409
    said = json.loads(answer.body)
    assert said["verdict"] == kept == site.ask("/cohort").slides[1]["verdict"]
    assert said["error"].startswith(f"slide {slide_id}: has another verdict than this page showed")
    assert [one.who for one in catalog.verdict_history(slide_id)] == ["Ada"]

    assert site.judge(**by_bob, seen=kept["at"]).status == 200  # given again, and now it counts
    assert site.judge(**by_ada, seen=kept["at"]).status == 409
    assert [one.who for one in catalog.verdict_history(slide_id)] == ["Bob", "Ada"]


def test_a_page_to_read_asks_for_no_verdict_and_takes_none(site: Site) -> None:
    with CohortSite(settings=site.platform.settings, is_read_only=True) as served:
        app = Guard(app=served.app(), origins=own_origins(3000))
        to_read = Site(app, site.platform, site.ids)
        page = to_read.ask("/cohort")
        assert to_read.judge(slide_id=site.ids[0]).status == 403
    assert (page.page["served"], page.page["takesVerdicts"]) == (True, False)
    assert '<form id="verdict-form"' not in page.text
    assert site.ask("/cohort").page["takesVerdicts"] is True


def test_no_picture_is_given_of_a_slide_whose_removal_was_begun(site: Site) -> None:
    first = site.ids[0]
    site.platform.catalog.begin_forgetting(first, who="Ann", why="consent withdrawn")
    for what in ("thumbnail", "look", "picture"):
        answer = site.ask_of(what, first)
        assert answer.status == 404
        assert f"slide {first} is being taken out" in answer.text
    with writing(site.platform.catalog._engine) as connection:
        connection.execute(delete(forgotten_slide))  # the other tests have the same site
    assert site.ask_of("thumbnail", first).status == 200


def test_the_page_knows_which_slides_have_no_thumbnail(site: Site) -> None:
    catalog = site.platform.catalog
    record = replace(
        catalog.slide(site.ids[0]), slide_id="bare", fingerprint="f" * 64, patient=None
    )
    path = PathRecord(
        path="/nowhere/bare.svs", slide_id="bare", size_bytes=9, mtime_ns=1, ctime_ns=1
    )
    catalog.register_slide(record, path)
    slides = {one["id"]: one["thumbnail"] for one in site.ask("/cohort").slides}
    assert slides == {**dict.fromkeys(site.ids, True), "bare": False}
    assert {i: site.ask_of("thumbnail", i).status == 200 for i in slides} == slides


def test_another_recipe_is_seen_at_once_and_a_wrong_one_is_told(site: Site) -> None:
    recipe = site.platform.settings.recipe
    before = recipe.read_text()
    recipe.write_text("tissue_mask: {other: {mpp: 8.0}}")
    assert site.ask("/cohort").slides[0]["assets"] == [["tissue_mask/other", "missing", "", {}]]
    recipe.write_text("tissue_mask: 7")
    answer = site.ask("/cohort")
    assert (answer.status, "is a mapping" in answer.text) == (503, True)
    recipe.write_text(before)
    assert site.ask("/cohort").status == 200
