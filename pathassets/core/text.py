"""Text of strangers -> text that shows all it is made of, no longer than it may be.

A header, a file's name or a table's cell can hold what a terminal obeys (escape sequences), what
turns the rest of a line around, or a megabyte. Whatever shows such text asks here first.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Iterable

UNSEEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Unicode categories without a picture of their own: controls, formats, halves, line ends."""
QUOTED_CHARS = 60
"""Of a name or a cell that a message repeats."""
HEADER_CHARS = 80
"""Longest value of a header that is told."""
_ESCAPE = re.compile(
    r"\\(?:(?P<sign>[nrt\\\"'])"
    r"|(?P<hex>x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8})|.?)",
    re.DOTALL,
)
_NO_TEXT = re.compile("[\0\ud800-\udfff]")
_POINTED = re.compile(r"\n  [^\n]*\n +\^+(?=\n|\. |$)")
"""Two lines below a message that show a place of a text, as `core.selection.faults` writes them."""
_SIGNS = {"n": "\n", "r": "\r", "t": "\t"}


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


def visible_lines(lines: Iterable[str]) -> str:
    r"""Lines of ours, of which each stays one, whatever it tells of others.

    >>> visible_lines(["copied", "left out: a\nb.svs"])
    'copied\nleft out: a\\nb.svs'
    """
    return "\n".join(map(visible, lines))


def one_line(message: str) -> str:
    r"""A message as one line; the lines by which it points at a place stay below it.

    >>> one_line("new\nline.yaml:1: not YAML")
    'new\\nline.yaml:1: not YAML'
    >>> print(one_line("selection: no field\n  x:1\n  ^\nDid you mean id?"))
    selection: no field
      x:1
      ^
    Did you mean id?
    """
    places = list(_POINTED.finditer(message))
    if not places:
        return visible(message)
    start, end = places[-1].span()
    end += message.startswith("\n", end)
    place = visible(message[start:end], keep="\n")
    return visible(message[:start]) + place + visible(message[end:])


def paragraph(text: str) -> str:
    r"""Text of which no line can be taken for one of ours.

    >>> paragraph("a\nrefused b")
    'a\n    refused b'
    """
    return text.replace("\n", "\n    ")


class EscapeError(ValueError):
    """Something after a backslash that stands for no character."""

    def __init__(self, written: str, start: int) -> None:
        super().__init__(f"{quoted(written)} stands for no character")
        self.start = start
        """Of the backslash, in the text between the marks."""
        self.end = start + len(written)


def in_marks(text: str) -> str:
    r"""Put text into quotation marks, all that is invisible written: `within_marks` reads it again.

    >>> print(in_marks('new\nline "x" C:\\'))
    "new\nline \"x\" C:\\"
    """
    spared = re.sub(r'["\\]', r"\\\g<0>", text)
    return f'"{visible(spared)}"'


def typed(text: str) -> str:
    r"""Text as it stands where it can be typed back so, else in quotation marks.

    >>> print(typed("Größe (mm)"), typed("new\nline"), typed(r"C:\new"))
    Größe (mm) "new\nline" "C:\\new"
    """
    return in_marks(text) if "\\" in text or visible(text) != text else text


def within_marks(written: str) -> str:
    r"""The text that stands between quotation marks: `in_marks` the other way round.

    Raises:
        EscapeError: what follows a backslash stands for no character that a name can have: NUL
            and halves of characters are none.

    >>> within_marks(r"a\tb \u202e \"") == 'a\tb \u202e "'
    True
    """
    return _ESCAPE.sub(_read_escape, written)


def _read_escape(found: re.Match[str]) -> str:
    if found["sign"]:
        return _SIGNS.get(found["sign"], found["sign"])
    code = int(found["hex"][1:], 16) if found["hex"] else sys.maxunicode + 1
    if not 0 < code <= sys.maxunicode or unicodedata.category(chr(code)) == "Cs":
        raise EscapeError(found[0], found.start())
    return chr(code)


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


def is_text(text: str) -> bool:
    r"""Whether it is text throughout, as both databases can keep: without NUL and half characters.

    Bytes of a file's name that are no text become halves of characters.

    >>> is_text("Größe"), is_text("\udcff"), is_text("a\0")
    (True, False, False)
    """
    return not _NO_TEXT.search(text)


def names_one(text: str, names: Iterable[str]) -> bool:
    """Whether one of these names stands in a text, and not as a part of a longer one.

    >>> names_one("slides a-1, b-2", ["a-1"]), names_one("slides a-10, ba-1", ["a-1"])
    (True, False)
    """
    return any(re.search(rf"(?<![\w.-]){re.escape(name)}(?![\w-])", text) for name in names)


def counted(n: int, noun: str) -> str:
    """Count in words.

    >>> counted(1, "slide"), counted(2, "slide"), counted(2, "patch")
    ('1 slide', '2 slides', '2 patches')
    """
    return f"{n} {noun}" + ("" if n == 1 else "es" if noun.endswith("ch") else "s")


def counted_part(n_part: int | None, n: int, noun: str) -> str:
    """Count in words, and say how many of them count where not all do; None: all.

    >>> counted_part(48, 68, "patch"), counted_part(68, 68, "patch"), counted_part(None, 1, "patch")
    ('48 of 68 patches', '68 patches', '1 patch')
    """
    return f"{n_part} of {counted(n, noun)}" if n_part not in {None, n} else counted(n, noun)


def header_text(value: str) -> str:
    """A header's value as it may be told."""
    return visible(shortened(value, HEADER_CHARS))
