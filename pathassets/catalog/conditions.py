"""Selection -> SQL over `slide`: the same slides as `core.selection.rows.matches` would choose.

Every condition is true or false, and never NULL, so that `!` turns it around as it should.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Double,
    Select,
    and_,
    case,
    cast,
    false,
    func,
    not_,
    or_,
    select,
)

from pathassets.catalog.tables import annotation, mpp_override, slide, slide_path
from pathassets.core.selection.globs import pieces
from pathassets.core.selection.nodes import (
    All,
    Compare,
    Condition,
    Either,
    Field,
    Match,
    Not,
    Operator,
    Saved,
    Selection,
)
from pathassets.core.selection.parser import NUMBER

Texts = ColumnElement[str]
Holds = Callable[[ColumnElement[Any]], ColumnElement[bool]]
"""What is asked of a column."""

N_IN = 900
"""Values of one IN: an old SQLite takes 999."""
_COMPARE: Mapping[Operator, Callable[[Any, float], ColumnElement[bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    "=": operator.eq,
    ">=": operator.ge,
    ">": operator.gt,
}
_COLUMNS = {
    "id": slide.c.slide_id,
    "patient": slide.c.patient,
    "vendor": slide.c.vendor,
    "objective_power": slide.c.objective_power,
}


class Conditions:
    """Selections as SQL of one dialect."""

    def __init__(self, dialect: str) -> None:
        self._is_sqlite = dialect == "sqlite"

    def of(self, selection: Selection) -> ColumnElement[bool]:
        """Rows of `slide` that are meant.

        Raises:
            ValueError: it names a saved selection; put in what it stands for first.
        """
        if isinstance(selection, Not):
            return not_(self.of(selection.of))
        if isinstance(selection, All):
            return and_(*(self.of(one) for one in selection.of))
        if isinstance(selection, Either):
            return or_(*(self.of(one) for one in selection.of))
        return self._condition(selection)

    def _condition(self, asked: Condition) -> ColumnElement[bool]:
        if isinstance(asked, Saved):
            raise ValueError(f"{asked}: not expanded")  # noqa: TRY004 - it is of the right type
        holds = self._is_like(asked) if isinstance(asked, Match) else self._is_beside(asked)
        return self._asked(asked.field, holds)

    def _asked(self, field: Field, holds: Holds) -> ColumnElement[bool]:
        """Whether something that is known of a slide in this field holds."""
        column = _COLUMNS.get(field.name)
        if column is not None:
            return _known(column, holds)
        if field.name == "mpp":
            return _known(_mpp_in_force(), holds)
        return slide.c.slide_id.in_(_SOURCES[field.name](field, holds))

    def _is_like(self, asked: Match) -> Holds:
        texts = [value.text for value in asked.values if value.text is not None]
        patterns = [value.glob for value in asked.values if value.text is None]

        def holds(column: Texts) -> ColumnElement[bool]:
            lists = (texts[start : start + N_IN] for start in range(0, len(texts), N_IN))
            return or_(
                false(),
                *(column.in_(some) for some in lists),
                *(self._matches(column, glob) for glob in patterns),
            )

        return holds

    def _matches(self, column: Texts, glob: str) -> ColumnElement[bool]:
        """Whether a text matches a glob, in its case: SQLite's LIKE knows none."""
        if self._is_sqlite:
            return column.op("GLOB", is_comparison=True)(sqlite_glob(glob))
        return column.like(like_pattern(glob), escape="\\")

    def _is_beside(self, asked: Compare) -> Holds:
        compare = _COMPARE[asked.operator]
        return lambda column: compare(_number(column), asked.number)


def sqlite_glob(glob: str) -> str:
    r"""A glob as SQLite's operator GLOB takes it.

    >>> sqlite_glob(r"a[\*b*")
    'a[[][*]b*'
    """
    said = {"*": "[*]", "?": "[?]", "[": "[[]"}
    return "".join(
        "".join(said.get(one, one) for one in text) if kind == "text" else text
        for kind, text in pieces(glob)
    )


def like_pattern(glob: str) -> str:
    r"""A glob as LIKE takes it, with a backslash for escape.

    >>> print(like_pattern("a_%*?"))
    a\_\%%_
    """
    said = {"any": "%", "one": "_"}
    return "".join(
        said.get(kind) or "".join(f"\\{one}" if one in "\\%_" else one for one in text)
        for kind, text in pieces(glob)
    )


def _known(column: ColumnElement[Any], holds: Holds) -> ColumnElement[bool]:
    return and_(column.is_not(None), func.coalesce(holds(column), false()))


def _number(column: ColumnElement[Any]) -> ColumnElement[float]:
    """The number in a column; NULL where a text is none."""
    if isinstance(column.type, Double):
        return column
    return case((column.regexp_match(rf"\A({NUMBER})\Z"), cast(column, Double)))


def _mpp_in_force() -> ColumnElement[float]:
    """What was stated last of a slide, else what its file says."""
    stated = (
        select(mpp_override.c.mpp)
        .where(mpp_override.c.slide_id == slide.c.slide_id)
        .order_by(mpp_override.c.id.desc())
        .limit(1)
    )
    return func.coalesce(stated.scalar_subquery(), slide.c.mpp, type_=Double)


def _paths(_field: Field, holds: Holds) -> Select[Any]:
    return select(slide_path.c.slide_id).where(holds(slide_path.c.path))


def _annotated(_field: Field, holds: Holds) -> Select[Any]:
    newest = select(func.max(annotation.c.id)).group_by(annotation.c.slide_id, annotation.c.name)
    in_force = annotation.c.id.in_(newest) & (annotation.c.digest != "")
    return select(annotation.c.slide_id).where(in_force, holds(annotation.c.name))


_SOURCES: Mapping[str, Callable[[Field, Holds], Select[Any]]] = {
    "path": _paths,
    "annotated": _annotated,
}
"""Fields that are not columns of a slide: the slides where something holds."""
