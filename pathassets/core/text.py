"""Text of strangers -> text that shows all it is made of, no longer than it may be.

A header, a file's name or a table's cell can hold what a terminal obeys (escape sequences), what
turns the rest of a line around, or a megabyte. Whatever shows such text asks here first.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

UNSEEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Unicode categories without a picture of their own: controls, formats, halves, line ends."""
QUOTED_CHARS = 60
"""Of a name or a cell that a message repeats."""
HEADER_CHARS = 80
"""Longest value of a header that is told."""


def visible(text: str, *, keep: str = "") -> str:
    r"""Write what cannot be seen as Python would; characters of `keep` stay as they are.

    >>> visible("a\x1b[2J\u202eb\n")
    'a\\x1b[2J\\u202eb\\n'
    """
    if text.isprintable():
        return text
    return "".join(
        one.encode("unicode_escape").decode()
        if unicodedata.category(one) in UNSEEN and one not in keep
        else one
        for one in text
    )


def shortened(text: str, n_chars: int) -> str:
    """Leave out the end of what is longer than that.

    >>> shortened("abcdef", 3), shortened("abc", 3)
    ('abc …', 'abc')
    """
    return text if len(text) <= n_chars else f"{text[:n_chars]} …"


def quoted(text: str, n_chars: int = QUOTED_CHARS) -> str:
    r"""Repeat text in a message: in quotation marks, bounded, with all that is invisible written.

    >>> print(quoted("P\u200b1\x1b[31m"))
    'P\u200b1\x1b[31m'
    """
    return f"'{visible(shortened(text, n_chars))}'"


def names_one(text: str, names: Iterable[str]) -> bool:
    """Whether one of these names stands in a text, and not as a part of a longer one.

    >>> names_one("slides a-1, b-2", ["a-1"]), names_one("slides a-10, ba-1", ["a-1"])
    (True, False)
    """
    return any(re.search(rf"(?<![\w.-]){re.escape(name)}(?![\w-])", text) for name in names)


def header_text(value: str) -> str:
    """A header's value as it may be told."""
    return visible(shortened(value, HEADER_CHARS))
