r"""What a person types of a label -> its name and value, whatever the name is made of.

grade=3            up to the first `=`, without blanks around name and value
"T = 1"=yes        a name in quotation marks ends with them
"new\nline"=yes    within them a backslash is read as `pathassets.core.text` writes it
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection

from pathassets.adapters.tables.table import plain, trimmed
from pathassets.catalog.records import Subject
from pathassets.core.text import EscapeError, in_marks, quoted, visible, within_marks
from pathassets.errors import SpecError

_MARKED = re.compile(r'"((?:[^"\\]|\\.)+)"', re.DOTALL)
_MARKED_WITH_VALUE = re.compile(rf"{_MARKED.pattern}=(.*)", re.DOTALL)


def read_name(text: str) -> str:
    """The name of a label, in quotation marks or without.

    Raises:
        SpecError: something after a backslash stands for no character.
    """
    found = _MARKED.fullmatch(text)
    return _unmarked(text, found) if found else text


def name_argument(name: str) -> str:
    r"""A label's name as an argument in a shell, by which `read_name` reads it.

    >>> print(name_argument("Tumour stage"), name_argument("new\nline"))
    'Tumour stage' '"new\nline"'
    """
    is_plain = visible(name) == name and not name.startswith('"')
    return shlex.quote(name if is_plain else in_marks(name))


def read_label(text: str, known: Collection[str], subject: Subject, key: str) -> tuple[str, str]:
    """Name and value of NAME=VALUE; `known` are the names of labels that there are.

    Raises:
        SpecError: it is none, or a known name has the first `=` within.
    """
    if found := _MARKED_WITH_VALUE.fullmatch(text):
        return _unmarked(text, found), trimmed(found[2])
    name, sign, value = text.partition("=")
    if not sign:
        raise SpecError(
            f"{subject} {key}: {quoted(text)} is not NAME=VALUE", remedy="Write it so, as grade=3"
        )
    _refuse_longer(text, known, subject, key)
    return trimmed(name), trimmed(value)


def _unmarked(text: str, found: re.Match[str]) -> str:
    try:
        return within_marks(found[1])
    except EscapeError as error:
        place = found.start(1) + error.start + 1
        raise SpecError(
            f"label {quoted(text)}: {error}, at character {place}",
            remedy=r"Write \\ for the backslash itself, \n, \t or \u202e for what is not seen",
        ) from None


def _refuse_longer(text: str, known: Collection[str], subject: Subject, key: str) -> None:
    """Refuse what would be of a shorter name, where one with `=` in it is known."""
    names = {plain(name): name for name in known if "=" in name}
    first, *later = (place for place, one in enumerate(text) if one == "=")
    for place in later:
        if (longer := names.get(plain(text[:place]))) is not None:
            splits = ((trimmed(text[:first]), text[first + 1 :]), (longer, text[place + 1 :]))
            commands = (_command(subject, key, name, value) for name, value in splits)
            raise SpecError(
                f"{subject} {key}: {quoted(text)} may be of a label "
                + " or ".join(quoted(name) for name, _ in splits),
                remedy=f"Write which is meant: {', or '.join(commands)}",
            )


def _command(subject: Subject, key: str, name: str, value: str) -> str:
    words = ["pathassets", "cohort", "label", key, f"{in_marks(name)}={trimmed(value)}"]
    return shlex.join([*words, *(["--patient"] if subject == "patient" else [])])
