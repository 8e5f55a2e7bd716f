"""Names that people give and values that they state: which can be one, and of what kind."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from pathassets.catalog.cohorts.kinds import wider
from pathassets.catalog.records import LabelKind
from pathassets.core.text import is_text, quoted
from pathassets.engine.platform.cohorts.typed import name_argument
from pathassets.errors import SpecError

MAX_NAME_CHARS = 64
MAX_CATEGORY_CHARS = 100
"""A label that is longer is text: nobody groups slides by it."""

_WORDS: Mapping[LabelKind, str] = MappingProxyType(
    {
        "number": "numbers",
        "boolean": "true or false",
        "category": "categories",
        "text": "text",
    }
)
_NAME = re.compile(rf"\w[\w.+-]{{0,{MAX_NAME_CHARS - 1}}}")
_NUMBER = re.compile(r"[+-]?(?:0|[1-9]\d*)(?:\.\d+)?(?:e[+-]?\d{1,3})?", re.IGNORECASE)
_BOOLEANS = frozenset({"true", "false"})


def check_name(name: str, what: str, where: str) -> str:
    """Let a name through by which cohorts and tags can be asked for.

    Raises:
        SpecError: it is empty, long, or has blanks, commas or other signs.
    """
    if not _NAME.fullmatch(name):
        raise SpecError(
            f"{where}: {what} {quoted(name)} cannot be a name",
            remedy=f"Use up to {MAX_NAME_CHARS} letters, digits, '_', '-', '.' and '+'",
        )
    return name


def check_value(value: str, what: str, where: str, *, max_chars: int) -> str:
    """Let text through that both databases can keep; nothing else is asked of it.

    Raises:
        SpecError: it is too long, or holds NUL or half a character.
    """
    if len(value) > max_chars:
        raise SpecError(
            f"{where}: {what} {quoted(value)} has {len(value)} characters",
            remedy=f"Use up to {max_chars}",
        )
    if not is_text(value):
        raise SpecError(
            f"{where}: {what} {quoted(value)} holds what is no character", remedy="Remove it"
        )
    return value


def kind_of(values: Iterable[str]) -> LabelKind:
    r"""Of what kind labels are: what all values of a column are.

    >>> kind_of(["1", "2.5"]), kind_of(["true", "FALSE"]), kind_of(["a", "1"])
    ('number', 'boolean', 'category')
    >>> kind_of(["007", "12"]), kind_of(["a long\nremark"])
    ('category', 'text')
    """
    said = list(values)
    if all(_NUMBER.fullmatch(value) for value in said):
        return "number"
    if all(value.casefold() in _BOOLEANS for value in said):
        return "boolean"
    is_text = any(len(value) > MAX_CATEGORY_CHARS or "\n" in value for value in said)
    return "text" if is_text else "category"


def fits(value: str, kind: LabelKind) -> bool:
    r"""Whether a value can be one of labels of a kind, as it stands.

    >>> fits("2", "category"), fits("high", "number"), fits("a\nb", "category"), fits("2", "text")
    (True, False, False, True)
    """
    own = kind_of([value])
    return kind in {own, "text"} or (kind == "category" and own != "text")


def unfit(name: str, value: str, kind: LabelKind) -> tuple[str, str]:
    """What speaks against a value among labels of another kind, and what helps."""
    common = wider([kind, kind_of([value])])
    helps = f"pathassets cohort kind {name_argument(name)} {common}"
    return (
        f"labels {quoted(name)} are {_WORDS[kind]}, and {quoted(value)} is not",
        f"State another value, or let them be {_WORDS[common]}: {helps}",
    )
