"""What a person says of a slide's fitness -> a verdict in the catalog: the one way into it."""

from __future__ import annotations

from datetime import datetime
from typing import get_args

from pathassets.catalog.catalog import Catalog
from pathassets.catalog.records import Verdict, VerdictWord
from pathassets.core.text import quoted
from pathassets.engine.platform.cohorts.words import check_value
from pathassets.engine.platform.selections.names import slide_named
from pathassets.errors import SpecError

MAX_WHO_CHARS = 200
MAX_WHY_CHARS = 2000


def give_verdict(catalog: Catalog, slide_id: str, word: str, *, who: str, why: str) -> Verdict:
    """State that a slide is to be used, left out, or looked at again; the newest is in force.

    Raises:
        CatalogError: there is no such slide; the remedy names ids like it.
        SpecError: the word is none of these, or nobody states it, or nothing speaks for it.
    """
    given = _verdict(catalog, slide_id, word, who=who, why=why)
    catalog.set_verdict(given)
    return given


def give_verdict_over(  # noqa: PLR0913 - what a person says, and what they saw
    catalog: Catalog, slide_id: str, word: str, *, who: str, why: str, seen: datetime | None
) -> tuple[bool, Verdict | None]:
    """State the same in place of the verdict that was `seen`, by its time, or of none.

    Returns whether that was done, and the verdict in force. Where another one is in force than was
    seen, nothing is stated.

    Raises:
        CatalogError: there is no such slide; the remedy names ids like it.
        SpecError: the word is none of these, or nobody states it, or nothing speaks for it.
    """
    return catalog.replace_verdict(_verdict(catalog, slide_id, word, who=who, why=why), seen)


def _verdict(catalog: Catalog, slide_id: str, word: str, *, who: str, why: str) -> Verdict:
    words: dict[str, VerdictWord] = {one: one for one in get_args(VerdictWord)}
    if word not in words:
        raise SpecError(f"verdict: {quoted(word)} is none", remedy=f"Use {', '.join(words)}")
    _check("who", who, MAX_WHO_CHARS)
    _check("why", why, MAX_WHY_CHARS)
    known = slide_named(catalog, slide_id)
    return Verdict(slide_id=known, verdict=words[word], who=who, why=why)


def _check(name: str, text: str, max_chars: int) -> None:
    check_value(text, name, "verdict", max_chars=max_chars)
    if not text.strip():
        raise SpecError(f"verdict: {name} says nothing", remedy=f"Say {name}")
