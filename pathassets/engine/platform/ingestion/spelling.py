"""Spellings -> those that a person reads as one, and a computer as two."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Iterable

from pathassets.core.text import QUOTED_CHARS, quoted, shortened


def alike(spellings: Iterable[str]) -> list[tuple[str, ...]]:
    r"""Group spellings that differ by case, blanks, or what cannot be seen; in the order given.

    >>> alike(["P1", "p 1", "P2", "P\u200b1"])
    [('P1', 'p 1', 'P\u200b1')]
    """
    groups: dict[str, dict[str, None]] = defaultdict(dict)
    for spelling in spellings:
        groups[_as_read(spelling)][spelling] = None
    return [tuple(group) for group in groups.values() if len(group) > 1]


def told(spelling: str) -> str:
    """Write a spelling so that all that tells it apart is seen: blanks, and separate accents."""
    is_seen = spelling.isprintable() and unicodedata.is_normalized("NFC", spelling)
    return quoted(spelling) if is_seen else ascii(shortened(spelling, QUOTED_CHARS))


def _as_read(text: str) -> str:
    plain = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return "".join(c for c in plain if not c.isspace() and unicodedata.category(c) != "Cf")
