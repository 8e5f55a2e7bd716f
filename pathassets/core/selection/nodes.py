"""A selection as a tree. Its text is canonical: equal selections have equal text.

Trees are built by `match`, `either`, `both` and `negated`, which bring them into one form: nested
lists are one, what is said twice is said once, conditions and values are in order, and values of
one field that are joined by "or" are one list. Places in the text take no part in comparisons.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from dataclasses import field as attribute
from typing import Literal, Self, TypeVar

from pathassets.core.selection.globs import glob_of, is_pattern, literal, written

Span = tuple[int, int]
"""First character in the text, and the one after the last."""
NOWHERE: Span = (0, 0)
Operator = Literal["<", "<=", "=", ">=", ">"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """What is asked of a slide."""

    name: str
    """Such as `label` or `state`."""
    of: str = ""
    """Which one, where there are several: a label's name, or stage/name of an asset."""
    span: Span = attribute(default=NOWHERE, compare=False)

    @property
    def key(self) -> str:
        """Its name in a row."""
        return f"{self.name}.{self.of}" if self.of else self.name

    def __str__(self) -> str:
        return f"{self.name}.{written(glob_of(self.of))}" if self.of else self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """A text, or a pattern of texts."""

    glob: str
    span: Span = attribute(default=NOWHERE, compare=False)

    @classmethod
    def of(cls, text: str) -> Self:
        """The value that only this text matches."""
        return cls(glob=glob_of(text))

    @property
    def text(self) -> str | None:
        """The one text that matches; None where it is a pattern."""
        return None if is_pattern(self.glob) else literal(self.glob)

    def __str__(self) -> str:
        return written(self.glob)


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """A field has one of these values."""

    field: Field
    values: tuple[Value, ...]

    def __str__(self) -> str:
        return f"{self.field}:{','.join(map(str, self.values))}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Compare:
    """A number is on this side of another; what is no number, or not known, is on none."""

    field: Field
    operator: Operator
    number: float

    def __str__(self) -> str:
        return f"{self.field}{self.operator}{number_text(self.number)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """What was saved under a name."""

    name: str
    span: Span = attribute(default=NOWHERE, compare=False)

    def __str__(self) -> str:
        return f"@{written(glob_of(self.name))}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Not:
    """Every slide but those."""

    of: Selection

    def __str__(self) -> str:
        return f"!({self.of})" if isinstance(self.of, All | Either) else f"!{self.of}"


@dataclass(frozen=True, slots=True, kw_only=True)
class All:
    """All of these hold."""

    of: tuple[Selection, ...]

    def __str__(self) -> str:
        return " & ".join(f"({one})" if isinstance(one, Either) else str(one) for one in self.of)


@dataclass(frozen=True, slots=True, kw_only=True)
class Either:
    """At least one of these holds."""

    of: tuple[Selection, ...]

    def __str__(self) -> str:
        return " | ".join(map(str, self.of))


Condition = Match | Compare | Saved
Selection = Condition | Not | All | Either
_Said = TypeVar("_Said", Value, Selection)


def match(field: Field, values: Iterable[Value]) -> Match:
    """A field has one of these values; the first of equal ones is kept."""
    return Match(field=field, values=_in_order(values))


def negated(selection: Selection) -> Selection:
    """Every slide but those; twice is not at all."""
    return selection.of if isinstance(selection, Not) else Not(of=selection)


def both(selections: Iterable[Selection]) -> Selection:
    """All of them hold."""
    flat = (one for s in selections for one in (s.of if isinstance(s, All) else (s,)))
    found = _in_order(flat)
    return found[0] if len(found) == 1 else All(of=found)


def either(selections: Iterable[Selection]) -> Selection:
    """At least one of them holds."""
    flat = [one for s in selections for one in (s.of if isinstance(s, Either) else (s,))]
    found = _in_order(_joined(flat))
    return found[0] if len(found) == 1 else Either(of=found)


def conditions(selection: Selection) -> Iterator[Condition]:
    """Every condition of a selection."""
    if isinstance(selection, Not):
        yield from conditions(selection.of)
    elif isinstance(selection, All | Either):
        for one in selection.of:
            yield from conditions(one)
    else:
        yield selection


def replaced(selection: Selection, by: Callable[[Condition], Selection]) -> Selection:
    """The same with other conditions: what saved ones stand for, say."""
    if isinstance(selection, Not):
        return negated(replaced(selection.of, by))
    if isinstance(selection, All):
        return both(replaced(one, by) for one in selection.of)
    if isinstance(selection, Either):
        return either(replaced(one, by) for one in selection.of)
    return by(selection)


def number_text(number: float) -> str:
    """Write a number in the one way that equal ones share.

    >>> number_text(60.0), number_text(0.30), number_text(-0.0)
    ('60', '0.3', '0')
    """
    return repr(number + 0.0).removesuffix(".0")


def _joined(selections: Iterable[Selection]) -> Iterator[Selection]:
    """Values of one field as one list."""
    lists: dict[Field, Match] = {}
    for one in selections:
        if isinstance(one, Match):
            known = lists.get(one.field)
            values = one.values if known is None else (*known.values, *one.values)
            lists[one.field] = match(one.field if known is None else known.field, values)
        else:
            yield one
    yield from lists.values()


def _in_order(items: Iterable[_Said]) -> tuple[_Said, ...]:
    """Each once, in the order of their texts."""
    by_text: dict[str, _Said] = {}
    for item in items:
        by_text.setdefault(str(item), item)
    return tuple(by_text[text] for text in sorted(by_text))
