"""What is known of slides -> JSON for the page's own script."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from pathassets.catalog.records import Verdict
from pathassets.core.recipe import ANNOTATIONS
from pathassets.core.selection.fields import FIELDS
from pathassets.core.text import shortened, visible
from pathassets.engine.platform.cohort_page.page import PageSlide
from pathassets.engine.platform.cohort_page.survey import Survey
from pathassets.engine.platform.cohort_page.task import (
    N_SURVEYED,
    SURVEY_MPP,
    SURVEY_PX,
    SlideLook,
)

WORD_CHARS = 300
"""Longest fact that the page repeats."""
MESSAGE_CHARS = 2000
"""Longest message and remedy."""
_UNSAFE = {ord(one): f"\\u{ord(one):04x}" for one in "<>&\u2028\u2029"}


def script_json(value: object) -> Markup:
    r"""JSON for within a script element, which nothing in it can end.

    >>> print(script_json({"a": "</script>&"}))
    {"a":"\u003c/script\u003e\u0026"}
    """
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return Markup(text.translate(_UNSAFE))  # noqa: S704 - none of <, > and & is left


def _word(text: str, n_chars: int = WORD_CHARS) -> str:
    """Text of others: bounded, and whatever is invisible in it is written out."""
    return visible(shortened(text, n_chars), keep="\n")


def _words(said: Mapping[str, str]) -> dict[str, str]:
    return {_word(name): _word(value) for name, value in said.items()}


def measured_of(found: Survey) -> str:
    """What focus and colour are the median of."""
    if found.quality is None:
        return f"{N_SURVEYED} squares of {SURVEY_PX} px at {SURVEY_MPP:g} µm per pixel"
    return f"the patches of {found.quality.of}"


def slide_words(slide: PageSlide, number: int) -> dict[str, Any]:
    """One slide, for the page."""
    row, trouble = slide.row, slide.row.trouble
    record, paths = row.planned.record, row.planned.paths
    focus, colour = slide.measures.focus_median, slide.measures.rgb
    return {
        "n": number,
        "id": row.slide_id,
        "state": row.state,
        "asset": "" if trouble is None else "/".join(trouble.key),
        "reason": "" if trouble is None else trouble.reason,
        "message": "" if trouble is None else _word(trouble.message, MESSAGE_CHARS),
        "remedy": "" if trouble is None else _word(trouble.remedy, MESSAGE_CHARS),
        "assets": _assets(slide),
        "facts": _words(row.facts),
        "labels": _words(row.labels),
        "covered": _words(row.covered),
        "tags": [_word(tag) for tag in row.tags],
        "cohorts": [_word(name) for name in row.cohorts],
        "mm2": row.tissue_mm2,
        "patches": row.n_patches,
        "bad": row.n_bad_tiles,
        "focus": None if focus is None else round(focus, 1),
        "colour": None if colour is None else "#{:02x}{:02x}{:02x}".format(*colour),
        "tiles": slide.asked.n_bad_tiles,
        "odd": [*slide.oddities],
        "broken": dict(slide.broken),
        "place": slide.place,
        "thumbnail": slide.has_thumbnail,
        "size": [record.width_px0, record.height_px0],
        "mpp": row.planned.slide_mpp,
        "vendor": _word(record.vendor),
        "power": record.objective_power,
        "paths": [_word(one.path, MESSAGE_CHARS) for one in paths],
        "annotated": [_word(name) for name, _, _ in slide.asked.drawn],
        "verdict": verdict_words(slide.row.verdict),
    }


def _assets(slide: PageSlide) -> list[list[Any]]:
    """Name, state, reason and numbers of each: what is drawn on it is among them."""
    numbers = slide.asked.numbers
    made = [
        ["/".join(one.key), one.state, one.reason, dict(numbers.get(one.key, {}))]
        for one in slide.row.cells
    ]
    drawn = [
        [f"{ANNOTATIONS}/{_word(name)}", state, reason, {}]
        for name, state, reason in slide.asked.drawn
    ]
    return [*made, *drawn]


def verdict_words(given: Verdict | None) -> dict[str, str] | None:
    """The verdict in force; None where there is none.

    `at` tells it from any other of the slide: the page sends it back with the next one.
    """
    if given is None:
        return None
    return {
        "word": given.verdict, "who": _word(given.who), "why": _word(given.why, MESSAGE_CHARS),
        "when": verdict_date(given), "at": given.made_at.isoformat(timespec="microseconds"),
    }  # fmt: skip


def verdict_date(given: Verdict) -> str:
    """When it was given (UTC), to the minute."""
    return f"{given.made_at:%Y-%m-%d %H:%M}"


def field_words() -> dict[str, Any]:
    """What may be asked of a slide, for the filter: a selection's fields, by name."""
    return {
        name: {
            "isText": kind.is_text, "isNumber": kind.is_number, "which": kind.which,
            "values": [*kind.values],
        }
        for name, kind in FIELDS.items()
    }  # fmt: skip


def look_words(
    look: SlideLook, thumbnail: bytes = b"", *, has_picture: bool = True
) -> dict[str, Any]:
    """What is seen of a slide: pictures as addresses that hold them.

    Where pages are served the picture has an address of its own.
    """
    picture = _address("webp", look.picture) or _address("jpeg", thumbnail)
    return {
        **({"picture": picture} if has_picture else {}),
        "outline": look.outline,
        "grid": _address("webp", look.grid),
        "map": _address("webp", look.map),
        "mapSize": look.map_size,
        "problems": [_word(problem, MESSAGE_CHARS) for problem in look.problems],
    }


def _address(kind: str, data: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}" if data else ""
