r"""A value as people write it: text, in which `*` stands for any characters and `?` for one.

A glob is such text in one spelling: a backslash stands before a `*`, `?` or backslash that is meant
as itself, and before nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal

from pathassets.core.text import in_marks

Piece = tuple[Literal["text", "any", "one"], str]
"""Text, any number of characters, or one."""

_PIECES = re.compile(r"\\(.)|(\*+)|(\?)|([^\\*?]+)", re.DOTALL)
_BARE = re.compile(r"[\w.\-/+%#]")
_SPECIAL = re.compile(r"[\\*?]")


def glob_of(text: str) -> str:
    r"""The glob that only this text matches.

    >>> print(glob_of("a*b"))
    a\*b
    """
    return _SPECIAL.sub(r"\\\g<0>", text)


def glob_of_word(word: str) -> str:
    r"""The glob that a word without quotation marks stands for; a backslash spares one character.

    >>> print(glob_of_word(r"a\ b\*c**"))
    a b\*c*
    """
    return "".join(
        glob_of(spared) if spared else "*" if many else one or text
        for spared, many, one, text in _PIECES.findall(word)
    )


def pieces(glob: str) -> Iterator[Piece]:
    r"""What a glob is made of, in order.

    >>> list(pieces(r"a\*b*"))
    [('text', 'a*b'), ('any', '*')]
    """
    held = ""
    for spared, many, one, text in _PIECES.findall(glob):
        if spared or text:
            held += spared or text
            continue
        if held:
            yield "text", held
            held = ""
        yield ("any", "*") if many else ("one", one)
    if held:
        yield "text", held


def is_pattern(glob: str) -> bool:
    """Whether more than one text matches it."""
    return any(kind != "text" for kind, _ in pieces(glob))


def literal(glob: str) -> str:
    """The only text that matches a glob which is no pattern."""
    return "".join(text for _, text in pieces(glob))


def regex_of(glob: str) -> re.Pattern[str]:
    """What `fullmatch` is asked of: whether a text matches, in its case."""
    said = {"any": ".*", "one": "."}
    return re.compile(
        "".join(said.get(kind) or re.escape(text) for kind, text in pieces(glob)), re.DOTALL
    )


def written(glob: str) -> str:
    r"""A glob as it is written in a selection, in quotation marks where it needs them.

    >>> print(written("acinar"), written("lung, left"), written("a b*"))
    acinar "lung, left" a\ b*
    """
    if is_pattern(glob):
        return "".join(_spared(text) if kind == "text" else text for kind, text in pieces(glob))
    text = literal(glob)
    if text and all(_BARE.match(one) for one in text):
        return text
    return in_marks(text)


def _spared(text: str) -> str:
    return "".join(one if _BARE.match(one) else f"\\{one}" for one in text)
