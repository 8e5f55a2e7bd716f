r"""Text of a selection -> its tree, or an error that points at the place.

    cohort:luad,lusc          a field has one of these values; `*` and `?` stand for any characters
    mpp<0.3  label.age>=60    numbers
    a,b  TCGA-*               slide ids
    @pilot                    what was saved under that name
    !x  x & y  x | y  (x)     not, and, or: `!` before `&` before `|`

In quotation marks a value is what it says, and after a backslash what `pathassets.core.text` writes
so (\n, \u202e, \\); outside of them a backslash spares one character, whatever it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from typing import cast

from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedCharacters, UnexpectedInput, UnexpectedToken

from pathassets.core.near_names import did_you_mean
from pathassets.core.selection.faults import fault
from pathassets.core.selection.fields import FIELDS, FieldKind
from pathassets.core.selection.globs import glob_of, glob_of_word, literal
from pathassets.core.selection.nodes import (
    Compare,
    Field,
    Operator,
    Saved,
    Selection,
    Span,
    Value,
    both,
    either,
    match,
    negated,
)
from pathassets.core.text import EscapeError, quoted, within_marks

GRAMMAR = r"""
start: _any
_any: all (_OR all)*
all: _one (_AND _one)*
_one: negation | group | saved | compared | matched | ids
negation: _NOT _one
group: _OPEN _any _CLOSE
saved: _AT (WORD | QUOTED)
compared: field OPERATOR (WORD | QUOTED)
matched: field _COLON _values
ids: _values
_values: value (_COMMA value)* [_COMMA]
value: WORD | QUOTED
field: WORD [QUOTED]

_OR: "|"
_AND: "&"
_NOT: "!"
_OPEN: "("
_CLOSE: ")"
_AT: "@"
_COLON: ":"
_COMMA: /,(\s*,)*/
OPERATOR: /[<>]=?|=/
QUOTED: /"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'/s
WORD: /(?:[^\s&|!()<>=:,@"'\\]|\\.)+/s
%ignore /\s+/
"""
MAX_CHARS = 1_000_000
MAX_DEPTH = 50
"""Of brackets and of `!` within each other."""
MAX_VALUES = 30_000
"""SQLite takes 32,766 in one statement."""

_WORDS = {
    "WORD": "a field, a slide id or a value",
    "_OR": "|",
    "_AND": "&",
    "_NOT": "!",
    "_OPEN": "(",
    "_CLOSE": ")",
    "_AT": "@",
    "_COLON": ":",
    "_COMMA": ",",
    "OPERATOR": "< <= = >= >",
    "$END": "the end",
}
"""What is expected, as a person says it."""
_SPELLED = {"and": "&", "or": "|", "not": "!"}
NUMBER = r"[+-]?([0-9]{1,30}([.][0-9]{0,30})?|[.][0-9]{1,30})([eE][+-]?[0-9]{1,2})?"
"""What is a number, to Python, SQLite and PostgreSQL alike; none is too large for a double."""
_NUMBER = re.compile(NUMBER)


def parse(text: str) -> Selection:
    """Read a selection.

    Raises:
        SelectionError: it points at the place, and says what was expected or meant there.
    """
    if len(text) > MAX_CHARS:
        raise fault(
            text, (MAX_CHARS, MAX_CHARS + 1), f"it is longer than {MAX_CHARS} characters",
            remedy="Put the slides into a cohort, and select that",
        )  # fmt: skip
    try:
        tree = _lark().parse(text)
    except UnexpectedInput as error:
        raise _unexpected(text, error) from None
    return _Reading(text).read(tree)


def number_of(text: str) -> float | None:
    """The number that a text is; None where it is none.

    >>> number_of("0.50"), number_of("1e3"), number_of("nan"), number_of("II")
    (0.5, 1000.0, None, None)
    """
    return float(text) if _NUMBER.fullmatch(text) else None


@cache
def _lark() -> Lark:
    return Lark(GRAMMAR, parser="lalr", propagate_positions=True, maybe_placeholders=False)


class _Reading:
    """Tree of the grammar -> tree of the selection; `text` is for errors."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._n_values = 0

    def read(self, tree: Tree[Token], depth: int = 0) -> Selection:
        """Read a node and all below it."""
        if depth > 2 * MAX_DEPTH:  # between two brackets there is a list
            raise fault(
                self._text, _span(tree), f"more than {MAX_DEPTH} brackets within each other",
                remedy="Save a part of it: pathassets select save",
            )  # fmt: skip
        below = [one for one in tree.children if isinstance(one, Tree)]
        joined = {"start": either, "group": either, "all": both}.get(tree.data)
        if joined is not None:
            return joined(self.read(one, depth + 1) for one in below)
        if tree.data == "negation":
            return negated(self.read(below[0], depth + 1))
        return self._condition(tree, below)

    def _condition(self, tree: Tree[Token], below: list[Tree[Token]]) -> Selection:
        match tree.data:
            case "saved":
                return Saved(name=literal(self._glob(_token(tree))), span=_span(tree))
            case "compared":
                return self._compared(tree, below[0])
            case "matched":
                return self._matched(below[0], below[1:])
            case _:
                return match(Field(name="id", span=_span(tree)), self._values(below))

    def _matched(self, field: Tree[Token], values: list[Tree[Token]]) -> Selection:
        asked, kind = self._field(field)
        if not kind.is_text:
            raise fault(
                self._text, asked.span, f"{asked.name} is a number",
                remedy=f"Compare it: {asked} < 1, or = 1",
            )  # fmt: skip
        found = self._values(values)
        for value in found:
            self._require_known(asked, kind, value)
        return match(asked, found)

    def _require_known(self, asked: Field, kind: FieldKind, value: Value) -> None:
        if kind.values and value.text is not None and value.text not in kind.values:
            raise fault(
                self._text, value.span, f"no {asked.name} is called {quoted(value.text)}",
                remedy=did_you_mean(value.text, kind.values),
            )  # fmt: skip

    def _compared(self, tree: Tree[Token], field: Tree[Token]) -> Selection:
        asked, kind = self._field(field)
        operator, value = [one for one in tree.children if isinstance(one, Token)]
        if not kind.is_number:
            raise fault(
                self._text, _span_of(operator), f"{asked.name} is a text, and no number",
                remedy=f"Write {asked}:{value}",
            )  # fmt: skip
        number = number_of(literal(self._glob(value)))
        if number is None:
            raise fault(
                self._text, _span_of(value), f"{quoted(value)} is no number",
                remedy=f"Write one, or {asked}:{value}" if kind.is_text else "Write one, as 0.25",
            )  # fmt: skip
        return Compare(field=asked, operator=_operator(operator), number=number)

    def _field(self, tree: Tree[Token]) -> tuple[Field, FieldKind]:
        """What is asked: `name`, `name.which`, or `name."which"`."""
        word, *more = [one for one in tree.children if isinstance(one, Token)]
        name, dot, which = word.partition(".")
        kind = FIELDS.get(name)
        if kind is None:
            start, _ = _span_of(word)
            raise fault(
                self._text, (start, start + len(name)), f"unknown field {quoted(name)}",
                remedy=did_you_mean(name, FIELDS),
            )  # fmt: skip
        of = literal(glob_of_word(which)) + "".join(literal(self._glob(one)) for one in more)
        asked = Field(
            name=str(name), of="" if (name, of) == ("label", "label") else of, span=_span(tree)
        )
        if remedy := _misasked(name, of, kind, is_asked=bool(dot or more)):
            raise fault(self._text, asked.span, f"{name} cannot be asked so", remedy=remedy)
        return asked, kind

    def _glob(self, token: Token) -> str:
        """The glob of a word, or of what stands in quotation marks."""
        if token.type != "QUOTED":
            return glob_of_word(token)
        try:
            return glob_of(within_marks(token[1:-1]))
        except EscapeError as error:
            first = _span_of(token)[0] + 1
            raise fault(
                self._text, (first + error.start, first + error.end), str(error),
                remedy=r"Write \\ for the backslash itself, \n, \t or \u202e for what is not seen",
            ) from None  # fmt: skip

    def _values(self, trees: Iterable[Tree[Token]]) -> list[Value]:
        found = [Value(glob=self._glob(_token(tree)), span=_span(tree)) for tree in trees]
        self._n_values += len(found)
        if self._n_values > MAX_VALUES:
            raise fault(
                self._text, found[-1].span, f"more than {MAX_VALUES} values",
                remedy="Put the slides into a cohort, and select that",
            )  # fmt: skip
        return found


def _misasked(name: str, of: str, kind: FieldKind, *, is_asked: bool) -> str:
    """The remedy, where what stands after the dot cannot; empty where it can."""
    if not is_asked:
        return ""
    if not kind.which:
        return f"Write {name}: a slide has no several kinds of it"
    if kind.which == "asset" and not all(of.partition("/")):
        return f"Write {name}, or {name}.STAGE/NAME, such as {name}.features/colour_stats"
    return "" if of else f"Write {name}, or {name}.NAME"


def _token(tree: Tree[Token]) -> Token:
    return next(one for one in tree.children if isinstance(one, Token))


def _operator(token: Token) -> Operator:
    known: dict[str, Operator] = {"<": "<", "<=": "<=", "=": "=", ">=": ">=", ">": ">"}
    return known[token]


def _span(tree: Tree[Token]) -> Span:
    return tree.meta.start_pos, tree.meta.end_pos


def _span_of(token: Token) -> Span:
    start = token.start_pos or 0
    return start, start + len(token)


def _unexpected(text: str, error: UnexpectedInput) -> Exception:
    """What is wrong at the place where the grammar ends."""
    if isinstance(error, UnexpectedCharacters):
        start = cast(int, error.pos_in_stream)
        if text[start] in "\"'":
            return fault(
                text, (start, len(text)), "a quotation mark that nothing closes",
                remedy=f"Close it with {text[start]}, or write \\{text[start]} for the mark itself",
            )  # fmt: skip
        return fault(
            text, (start, start + 1), "a backslash that nothing follows",
            remedy="Write \\\\ for the backslash itself",
        )  # fmt: skip
    token = error.token if isinstance(error, UnexpectedToken) else Token("$END", "")
    expected = set(error.accepts or error.expected) if isinstance(error, UnexpectedToken) else set()
    if token.type == "$END":
        span, found = (len(text), len(text) + 1), ""
    else:
        span, found = _span_of(token), quoted(token)
    said = [words for name, words in _WORDS.items() if name in expected]
    fact = f"{found} is not expected here"
    if token.type == "$END":
        fact = "it ends too early" if text.strip() else "it is empty"
    return fault(text, span, fact, remedy=_hint(token) or f"Expected {_listed(said)}")


def _hint(token: Token) -> str:
    """What a person most likely means who writes that; empty where nothing is likely."""
    if spelled := _SPELLED.get(token.lower()):
        return f"Write {spelled} for {token}"
    if token.type == "_NOT":
        return "Write ! before what is not to be: !field:value"
    if token.type == "_COLON":
        return "A comma stands between values of one field; write & or | between two conditions"
    if token.type == "WORD":
        return "Write & or | between two conditions, and quotation marks around a value with spaces"
    return ""


def _listed(words: list[str]) -> str:
    *first, last = words or ["a selection"]
    return f"{', '.join(first)} or {last}" if first else last
