"""Slides -> the text of a page, whole: its style, its script and its pictures are in it."""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from pathassets.core.text import visible
from pathassets.engine.platform.cohort_page.page import PageSlide
from pathassets.engine.platform.cohort_page.survey import Survey
from pathassets.engine.platform.cohort_page.task import FRAME_PX
from pathassets.engine.platform.cohorts.verdicts import MAX_WHO_CHARS, MAX_WHY_CHARS
from pathassets.report.cohort_page.words import (
    field_words,
    look_words,
    measured_of,
    script_json,
    slide_words,
)

_HERE = Path(__file__).parent
_SCRIPTS = ("selection.js", "filter.js", "picture.js", "sheet.js", "map.js", "viewer.js", "page.js")
"""In the order in which they stand on the page; each uses those before it."""
GENERATOR = "pathassets report"
"""By which a page is told from files of others that are named alike."""
NOTHING = "No slide matches the filter."
NO_SLIDES = "There is no slide yet: pathassets ingest FOLDER registers some."


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """What is asked of a page that is served, and what came of it."""

    selection: str = ""
    """Which slides are shown, as it was typed; empty for all."""
    fault: str = ""
    """What is wrong with it."""
    opened: str = ""
    """Id of the slide that is shown large."""
    is_read_only: bool = False
    """Whether nobody can give a verdict there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page of a cohort."""

    title: str
    slides: Sequence[PageSlide]
    survey: Survey = field(default_factory=Survey)
    """What slides are compared by."""
    number: int = 1
    links: Sequence[str] = ("",)
    """Where each page is."""
    served: Served | None = None
    """None where it is a file by itself."""


def title_of(home: Path) -> str:
    """What the page of a home is called."""
    return f"Cohort {visible(home.name)}"


def page_html(page: Page) -> str:
    """Write a page."""
    served = page.served or Served()
    takes_verdicts = page.served is not None and not served.is_read_only
    style, script = _text("page.css"), _script()
    data = {
        "served": page.served is not None, "takesVerdicts": takes_verdicts,
        "opened": served.opened, "number": page.number, "links": [*page.links],
        "mapOf": page.survey.map_of, "frame": FRAME_PX,
        "measuredOf": measured_of(page.survey), "isSurveyed": page.survey.quality is None,
        "fields": field_words(),
        "slides": [slide_words(one, n) for n, one in enumerate(page.slides)],
    }  # fmt: skip
    looks = (look_words(one.look, one.thumbnail) for one in page.slides if one.look is not None)
    return _templates().get_template("page.html").render(
        policy=_policy(style, script, is_served=page.served is not None),
        generator=GENERATOR,
        title=page.title, style=style, script=script, data=script_json(data),
        looks=[script_json(look) for look in looks], served=page.served is not None,
        takes_verdicts=takes_verdicts, selection=served.selection, fault=served.fault,
        nothing=NOTHING if page.slides else NO_SLIDES,
        max_who=MAX_WHO_CHARS, max_why=MAX_WHY_CHARS,
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class PageLine:
    """A page in the index of many."""

    href: str
    n_slides: int
    first: str
    last: str
    states: str
    """How many slides are in each state."""


def page_line(href: str, slides: Sequence[PageSlide]) -> PageLine:
    """What the index says of a page, which has a slide at least."""
    states = Counter(slide.row.state for slide in slides)
    return PageLine(
        href=href, n_slides=len(slides),
        first=slides[0].row.slide_id, last=slides[-1].row.slide_id,
        states=", ".join(f"{n} {state}" for state, n in sorted(states.items())),
    )  # fmt: skip


def index_html(title: str, pages: Sequence[PageLine]) -> str:
    """Write the index of several pages."""
    style = _text("page.css")
    return (
        _templates()
        .get_template("index.html")
        .render(
            policy=_policy(style, Markup(), is_served=False),
            generator=GENERATOR,
            title=title,
            style=style,
            pages=pages,
        )
    )


def _policy(style: str, script: str, *, is_served: bool) -> str:
    """Nothing but what is on the page; where it is served, its own pictures and verdicts, too."""
    own, sent_to = (" 'self'", "'self'") if is_served else ("", "'none'")
    return "; ".join(
        [
            "default-src 'none'", f"script-src '{_hash(script)}'", f"style-src '{_hash(style)}'",
            f"img-src data:{own}", *(["connect-src 'self'"] if is_served else []),
            f"form-action {sent_to}", "base-uri 'none'",
        ]
    )  # fmt: skip


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


@cache
def _templates() -> Environment:
    return Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined,
        keep_trailing_newline=True,
    )  # fmt: skip


@cache
def _text(name: str) -> Markup:
    """A file of the package, as it is."""
    return Markup((_HERE / name).read_text(encoding="utf-8"))  # noqa: S704 - it is ours


@cache
def _script() -> Markup:
    """All scripts as one, whose names are the page's alone."""
    parts = "\n".join(_text(name) for name in _SCRIPTS)
    return Markup(f'"use strict";\n{{\n{parts}\n}}\n')  # noqa: S704 - they are ours
