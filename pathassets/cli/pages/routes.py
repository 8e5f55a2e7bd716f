"""Requests for the cohort page -> answers: the page as the catalog is now, pictures, verdicts.

    GET  /cohort?slides=SELECTION&page=2&slide=ID      the page
    GET  /cohort/thumbnail, /cohort/look, /cohort/picture ?slide=ID
    POST /cohort/verdict                               {slide_id, verdict, who, why, seen}

`seen` is the time `at` of the verdict that the page showed, or null for none: where another one is
in force that one is the answer (409), and nothing is stated.

Who may ask at all is the guard's affair, which stands before this.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import wraps
from threading import BoundedSemaphore, Lock
from typing import Any, Self
from urllib.parse import urlencode

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from pathassets.engine.platform.cohort_page.address import COHORT
from pathassets.engine.platform.cohort_page.kept import LARGE
from pathassets.engine.platform.cohort_page.page import (
    PagedCohort,
    Surveys,
    describe_slides,
    look_task,
    open_cohort,
)
from pathassets.engine.platform.cohort_page.rows import PageRow, choose_shown, page_rows
from pathassets.engine.platform.cohort_page.survey import Survey
from pathassets.engine.platform.cohort_page.task import SlideLook, look_at_slide
from pathassets.engine.platform.cohorts.verdicts import give_verdict_over
from pathassets.engine.platform.forgotten import require_staying
from pathassets.engine.platform.platform import Platform, open_platform
from pathassets.engine.platform.selection import choose_slides
from pathassets.engine.settings import Settings
from pathassets.engine.slides.scratch import scratch_for
from pathassets.engine.workers.pool import LocalWorkers
from pathassets.errors import CatalogError, PathAssetsError, SelectionError, SpecError
from pathassets.report.cohort_page.html import Page, Served, page_html, title_of
from pathassets.report.cohort_page.words import look_words, verdict_words

MAX_BODY_BYTES = 16_384
"""Longest request that gives a verdict."""
LOOK_S = 60.0
"""How long a slide may take to be read for its picture."""
MAX_LOOKING = 2
"""Slides that are read at once: each takes a process of its own."""
UNCHANGED_S = 300
"""How long a browser may keep a slide's picture."""
OVERTAKEN = (
    "slide {}: has {} this page showed, and yours was not kept; "
    "read that one, and give yours again where it is to count"
)

Answer = Callable[[Request], Response]


@dataclass(kw_only=True)
class CohortSite:
    """The cohort page of a home, and what is held open for it."""

    settings: Settings
    is_read_only: bool = False
    """Whether nobody can give a verdict."""
    _platform: Platform | None = None
    _recipe: tuple[int, int] = (0, 0)
    """How the recipe's file looked when the platform was opened."""
    _opening: Lock = field(default_factory=Lock)
    _looking: BoundedSemaphore = field(default_factory=lambda: BoundedSemaphore(MAX_LOOKING))
    _surveys: Surveys = field(default_factory=Surveys)

    def app(self) -> Starlette:
        """The ASGI application."""
        return Starlette(
            routes=[
                Route(COHORT, _answered(self.page)),
                Route(f"{COHORT}/thumbnail", _answered(self.thumbnail)),
                Route(f"{COHORT}/look", _answered(self.look)),
                Route(f"{COHORT}/picture", _answered(self.picture)),
                Route(f"{COHORT}/verdict", self.verdict, methods=["POST"]),
            ]
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._platform is not None:
            self._platform.close()

    def platform(self) -> Platform:
        """The platform, opened anew where the recipe was written to; the old one ends its requests.

        Raises:
            PathAssetsError: it cannot be opened.
        """
        with self._opening:
            found = self.settings.recipe.stat()
            looks = found.st_mtime_ns, found.st_size
            if self._platform is None or looks != self._recipe:
                self._platform = open_platform(self.settings).readable
                self._recipe = looks
            return self._platform

    # What is asked for

    def page(self, request: Request) -> Response:
        """The page; a selection that means nothing is told on it."""
        platform, asked = self.platform(), request.query_params
        selection, opened, fault = asked.get("slides", "").strip(), asked.get("slide", ""), ""
        chosen: list[str] | None = None
        try:
            chosen = choose_slides(platform, [selection]) if selection else None
        except SelectionError as error:
            fault = str(error)
        cohort = open_cohort(platform, chosen=chosen, surveys=self._surveys)
        number = _page_number(cohort, opened, asked.get("page", ""))
        links = [f"cohort?{urlencode({'slides': selection, 'page': n + 1})}"
                 for n in range(len(cohort.pages))]  # fmt: skip
        page = Page(
            title=title_of(self.settings.home),
            slides=describe_slides(platform, cohort, cohort.pages[number - 1]),
            survey=cohort.survey, number=number, links=links,
            served=Served(
                selection=selection, fault=fault, opened=opened, is_read_only=self.is_read_only
            ),
        )  # fmt: skip
        return HTMLResponse(page_html(page), headers={"Cache-Control": "no-store"})

    def thumbnail(self, request: Request) -> Response:
        """JPEG of a slide, as ingestion made it."""
        catalog, slide_id = self.platform().catalog, request.query_params.get("slide", "")
        require_staying(catalog, [slide_id])
        return _picture(catalog.find_thumbnail(slide_id), "jpeg")

    def look(self, request: Request) -> Response:
        """What lies over a slide: outline, grid, map; no slide is opened for it."""
        platform = self.platform()
        row, found = self._row(platform, request)
        look = look_at_slide(look_task(platform, row, found, LARGE, is_reading=False))
        words = look_words(look, has_picture=False)
        return JSONResponse(words, headers={"Cache-Control": "no-store"})

    def picture(self, request: Request) -> Response:
        """The large picture; where none is kept the slide is read, by a process that may die."""
        platform = self.platform()
        row, found = self._row(platform, request)
        task = look_task(platform, row, Survey(quality=found.quality), LARGE)
        if kept := task.kept.picture(task.fingerprint, LARGE):
            return _picture(kept, "webp")
        places = (place.path for place in row.paths)
        with self._looking, scratch_for(platform.settings, places) as scratch:
            workers = LocalWorkers(n_workers=1, timeout_s=LOOK_S)
            ((_, look),) = workers.imap(look_at_slide, [replace(task, scratch=scratch)])
        return _picture(look.picture if isinstance(look, SlideLook) else b"", "webp")

    async def verdict(self, request: Request) -> Response:
        """Keep a verdict that somebody gives."""
        if self.is_read_only:
            return _refused("this page is there to be read: no verdict is given here", 403)
        body = await _json_body(request)
        if isinstance(body, Response):
            return body
        return await run_in_threadpool(self._keep, body)

    def _keep(self, body: dict[str, Any]) -> Response:
        said = {name: body.get(name) for name in ("slide_id", "verdict", "who", "why")}
        missing = [name for name, text in said.items() if not isinstance(text, str)]
        if missing:
            return _refused(f"{missing[0]} is not stated", 400)
        catalog = self.platform().catalog
        try:
            is_kept, in_force = give_verdict_over(
                catalog, str(said["slide_id"]), str(said["verdict"]),
                who=str(said["who"]), why=str(said["why"]), seen=_seen(body),
            )  # fmt: skip
        except PathAssetsError as error:
            return _refused(str(error), 400)
        words = {"verdict": verdict_words(in_force)}
        if is_kept:
            return JSONResponse(words)
        other = "another verdict than" if in_force else "no more the verdict that"
        return JSONResponse({"error": OVERTAKEN.format(said["slide_id"], other), **words}, 409)

    def _row(self, platform: Platform, request: Request) -> tuple[PageRow, Survey]:
        """The slide that is asked for, and what all are compared by.

        Raises:
            CatalogError: there is no such slide.
        """
        slide_id = platform.catalog.slide(request.query_params.get("slide", "")).slide_id
        require_staying(platform.catalog, [slide_id])
        shown = choose_shown(platform.recipe)
        (row,) = page_rows(platform, [slide_id], shown)
        return row, self._surveys.of(platform, shown)


def _seen(body: Mapping[str, Any]) -> datetime | None:
    """When the verdict was given that the page showed; None where it showed none.

    Raises:
        SpecError: it is not stated, or is no such time.
    """
    said = body.get("seen", "")
    if said is None:
        return None
    seen: datetime | None = None
    with suppress(TypeError, ValueError):
        seen = datetime.fromisoformat(said)
    if seen is None or seen.tzinfo is None:
        raise SpecError(
            "verdict: seen is no time of a verdict",
            remedy="Send `at` of the one that is shown, or null where none is",
        )
    return seen


def _page_number(cohort: PagedCohort, opened: str, asked: str) -> int:
    """Which page is asked for, from 1 on: that of a slide, or by its number."""
    if opened in cohort.slide_ids:
        return next(n for n, ids in enumerate(cohort.pages, start=1) if opened in ids)
    number = int(asked) if asked.isascii() and asked.isdigit() and len(asked) < 7 else 1  # noqa: PLR2004
    return min(max(1, number), len(cohort.pages))


def _picture(data: bytes | None, kind: str) -> Response:
    if not data:
        return PlainTextResponse("there is no picture of it\n", status_code=404)
    headers = {"Cache-Control": f"private, max-age={UNCHANGED_S}"}
    return Response(data, media_type=f"image/{kind}", headers=headers)


def _refused(why: str, code: int) -> JSONResponse:
    return JSONResponse({"error": why}, status_code=code)


def _answered(answer: Answer) -> Callable[[Request], Awaitable[Response]]:
    """Answer in a thread, and in words where it cannot be done."""

    @wraps(answer)
    async def answered(request: Request) -> Response:
        try:
            return await run_in_threadpool(answer, request)
        except CatalogError as error:
            return PlainTextResponse(f"{error}\n", status_code=404)
        except (PathAssetsError, OSError) as error:
            return PlainTextResponse(f"{error}\n", status_code=503)

    return answered


async def _json_body(request: Request) -> dict[str, Any] | Response:
    """The object that a request holds; an answer where it holds none, or too much of it.

    No form of another page can send what is called JSON without being asked for first.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        return _refused("it is no application/json", 415)
    data = bytearray()
    async for part in request.stream():
        data += part
        if len(data) > MAX_BODY_BYTES:
            return _refused(f"it has more than {MAX_BODY_BYTES} bytes", 413)
    try:
        body = json.loads(data)
    except (ValueError, RecursionError):
        return _refused("it is no JSON", 400)
    return body if isinstance(body, dict) else _refused("it is no object", 400)
