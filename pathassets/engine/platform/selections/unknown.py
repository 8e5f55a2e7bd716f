"""A selection -> the ids and words in it that no slide has, each pointed at.

conditions ─▶ ids: registered, merged, taken out?
           └▶ words: said of any slide? ─no─▶ near ones, and the command that lists them
"""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterator
from typing import get_args

from pathassets.catalog.records import VerdictWord
from pathassets.catalog.selections.words import LABEL_NAMES
from pathassets.core.near_names import near_names, perhaps
from pathassets.core.selection.faults import fault
from pathassets.core.selection.fields import FIELDS, REASONS
from pathassets.core.selection.nodes import Condition, Field, Match, Saved, Selection, Value
from pathassets.core.selection.nodes import conditions as conditions_of
from pathassets.core.selection.parser import parse
from pathassets.core.text import quoted
from pathassets.engine.platform.forgotten import require_staying
from pathassets.engine.platform.platform import Platform
from pathassets.engine.platform.selections.names import slide_named
from pathassets.engine.platform.standing.refresh import refresh_wanted
from pathassets.errors import CatalogError, SelectionError, SlideForgotten

_LABEL = "label"
_OWN_WAY = ("id", "state")
"""Fields whose values are looked through otherwise: ids below, states where the text is read."""


def find_unknown(platform: Platform, text: str, selection: Selection) -> Iterator[SelectionError]:
    """What a text names, and no slide has; of one list the first, and how many more there are."""
    yield from _unknown_ids(platform, text, selection)
    for one in conditions_of(selection):
        if not isinstance(one, Saved) and one.field.name not in _OWN_WAY:
            yield from _unknown_words(platform, text, one)


def count_values(platform: Platform, asked: str, limit: int | None) -> list[tuple[str, int]]:
    """Values that a field has, and of how many slides, the most common first; `labels`: names.

    Raises:
        SelectionError: there is no such field, or it is a number.
        SpecError: it is one of an asset that the recipe has not.
    """
    field = LABEL_NAMES
    if asked != LABEL_NAMES.name:
        [one] = conditions_of(parse(f"{asked}:*"))
        field = one.field if isinstance(one, Match) else field
        if field.of and FIELDS[field.name].which == "asset":
            stage, _, name = field.of.partition("/")
            platform.recipe.entry((stage, name))
    return platform.catalog.count_words(field, _plan_of(platform, field), limit=limit)


def _unknown_ids(platform: Platform, text: str, selection: Selection) -> Iterator[SelectionError]:
    found = (one for one in conditions_of(selection) if isinstance(one, Match))
    values = [value for one in found if one.field.name == "id" for value in one.values]
    ids = {value.text: value for value in values if value.text is not None}
    unknown = ids.keys() - platform.catalog.known_slides(ids)
    if not unknown:
        return
    first = min(unknown, key=lambda slide_id: ids[slide_id].span)
    fact, remedy = _said_of_id(platform, first)
    yield fault(text, ids[first].span, f"{fact}{_and_more(unknown)}", remedy=remedy)


def _said_of_id(platform: Platform, slide_id: str) -> tuple[str, str]:
    """Fact and remedy of an id that is no slide's: one that was taken out is told as that."""
    catalog = platform.catalog
    try:
        known = slide_named(catalog, slide_id, is_going=True)
    except SlideForgotten as error:
        again = "of a saved one: pathassets select save NAME EXPRESSION --who …"
        return error.message, f"Write the selection without it; {again}"
    except CatalogError as error:
        return error.message, error.remedy
    try:
        require_staying(catalog, [known])
    except SlideForgotten as error:
        return error.message, f"{error.remedy}; or write the selection without it"
    return f"slide {slide_id}: was registered just now", "Ask again"


def _unknown_words(platform: Platform, text: str, asked: Condition) -> Iterator[SelectionError]:
    if isinstance(asked, Saved):
        return
    field = asked.field
    if field.name == _LABEL and field.of and not _known(platform, LABEL_NAMES, [field.of]):
        fact = f"no slide has a label called {quoted(field.of)}"
        remedy = _remedy(platform, LABEL_NAMES, field.of)
        yield fault(text, field.span, fact, remedy=remedy)
        return
    if isinstance(asked, Match):
        yield from _unknown_values(platform, text, field, asked.values)


def _unknown_values(
    platform: Platform, text: str, field: Field, values: Collection[Value]
) -> Iterator[SelectionError]:
    texts = {value.text: value for value in values if value.text is not None}
    unknown = texts.keys() - _known(platform, field, texts)
    if not unknown:
        return
    first = min(unknown, key=lambda word: texts[word].span)
    fact = f"no slide has {field} {quoted(first)}{_and_more(unknown)}"
    yield fault(text, texts[first].span, fact, remedy=_remedy(platform, field, first))


def _and_more(unknown: Collection[str]) -> str:
    return f", nor {len(unknown) - 1} more of these" if len(unknown) > 1 else ""


def _known(platform: Platform, field: Field, words: Collection[str]) -> set[str]:
    """Those of some words that a slide has, or that could be said of one at any time."""
    listed = _listed(platform, field).intersection(words)
    rest = [word for word in words if word not in listed]
    if not rest:
        return listed
    return listed | platform.catalog.known_words(field, rest, _plan_of(platform, field))


def _listed(platform: Platform, field: Field) -> set[str]:
    """Words that a field may have before any slide has them."""
    if field == LABEL_NAMES:
        return {_LABEL}
    if field.name == "annotated":
        return {entry.name for entry in platform.recipe.recorded}
    return set({"reason": REASONS, "verdict": get_args(VerdictWord)}.get(field.name, ()))


def _plan_of(platform: Platform, field: Field) -> int | None:
    return (
        refresh_wanted(platform) if FIELDS.get(field.name, FIELDS["id"]).which == "asset" else None
    )


def _remedy(platform: Platform, field: Field, word: str) -> str:
    near = platform.catalog.near_words(field, word, _plan_of(platform, field))
    near = near_names(word, {*near, *_listed(platform, field)})
    command = f"pathassets select values {shlex.quote(str(field))}"
    shown = _as_label if field == LABEL_NAMES else repr
    return f"{perhaps(near, shown)}{command} lists what there is"


def _as_label(name: str) -> str:
    """A label's name as a selection asks for it."""
    return str(Field(name=_LABEL, of=name))
