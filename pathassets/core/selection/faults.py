"""An error of a selection, which points at the place."""

from __future__ import annotations

import unicodedata

from pathassets.core.selection.nodes import Span
from pathassets.core.text import visible
from pathassets.errors import SelectionError

SHOWN_CHARS = 72
"""Of a longer text, that much around the place."""


def fault(text: str, span: Span, fact: str, *, remedy: str) -> SelectionError:
    """Build the error of what stands at `span` of a text."""
    return SelectionError(f"selection: {visible(fact)}\n{pointed(text, span)}", remedy=remedy)


def pointed(text: str, span: Span) -> str:
    """The text, and a line below it that marks the place.

    >>> print(pointed("cohrot:luad & stain:HE", (0, 6)))
      cohrot:luad & stain:HE
      ^^^^^^
    """
    start, end = span
    first = max(0, min(start - SHOWN_CHARS // 2, len(text) - SHOWN_CHARS))
    last = first + SHOWN_CHARS
    before, marked = visible(text[first:start]), visible(text[start : min(end, last)])
    lead, tail = "… " if first else "", " …" if last < len(text) else ""
    shown = f"{lead}{before}{marked}{visible(text[max(start, min(end, last)) : last])}{tail}"
    indent = " " * (len(lead) + _columns(before))
    return f"  {shown}\n  {indent}{'^' * max(1, _columns(marked))}"


def _columns(text: str) -> int:
    """Columns of a terminal that a text takes."""
    return sum(_width(one) for one in text)


def _width(one: str) -> int:
    if unicodedata.combining(one):
        return 0
    return 2 if unicodedata.east_asian_width(one) in {"W", "F"} else 1
