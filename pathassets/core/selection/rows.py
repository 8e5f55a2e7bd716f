"""Selection, a slide's row -> whether the slide is meant: what the SQL of the catalog equals."""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection, Iterator, Mapping

from pathassets.core.selection.fields import FIELDS
from pathassets.core.selection.globs import regex_of
from pathassets.core.selection.nodes import (
    All,
    Compare,
    Either,
    Field,
    Match,
    Not,
    Operator,
    Saved,
    Selection,
    number_text,
)
from pathassets.core.selection.parser import number_of

Known = str | float | None
"""One thing that is known of a slide; None where nothing is."""
Row = Mapping[str, Known | Collection[Known]]
"""By the name of the field (`patient`, `label.subtype`, `state.features/colour_stats`); where there
may be several, as of cohorts or paths, a collection."""

_COMPARE: Mapping[Operator, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    "=": operator.eq,
    ">=": operator.ge,
    ">": operator.gt,
}
_OF_ANY = frozenset(name for name, kind in FIELDS.items() if kind.which == "asset")
"""Fields that, asked without saying of which asset, are asked of all."""


def matches(selection: Selection, row: Row) -> bool:
    """Whether a slide is meant.

    Raises:
        ValueError: it names a saved selection; put in what it stands for first.
    """
    match selection:
        case Match():
            patterns = [regex_of(value.glob) for value in selection.values]
            found = [_text(one) for one in known(row, selection.field)]
            return any(pattern.fullmatch(text) for pattern in patterns for text in found)
        case Compare():
            holds = _COMPARE[selection.operator]
            numbers = (_number(one) for one in known(row, selection.field))
            return any(n is not None and holds(n, selection.number) for n in numbers)
        case Not():
            return not matches(selection.of, row)
        case All():
            return all(matches(one, row) for one in selection.of)
        case Either():
            return any(matches(one, row) for one in selection.of)
        case Saved():
            raise ValueError(f"{selection}: not expanded")


def known(row: Row, field: Field) -> Iterator[str | float]:
    """All that a row says of a field."""
    keys = [field.key]
    if field.name in _OF_ANY and not field.of:
        keys += [key for key in row if key.startswith(f"{field.name}.")]
    for key in keys:
        said = row.get(key)
        for one in (said,) if said is None or isinstance(said, str | float | int) else said:
            if one is not None:
                yield one


def _text(said: str | float) -> str:
    return said if isinstance(said, str) else number_text(float(said))


def _number(said: str | float) -> float | None:
    return number_of(said) if isinstance(said, str) else float(said)
