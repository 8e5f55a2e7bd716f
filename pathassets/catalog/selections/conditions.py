"""Selection -> SQL over `slide`: the same slides as `core.selection.rows.matches` would choose.

Every condition is true or false, and never NULL, so that `!` turns it around as it should.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Double,
    Float,
    Select,
    and_,
    case,
    cast,
    exists,
    false,
    func,
    not_,
    or_,
    select,
    union_all,
)

from pathassets.catalog.database.dialects import IN_VALUES
from pathassets.catalog.selections.sources import COLUMNS, SOURCES, Holds
from pathassets.catalog.tables import (
    artifact,
    bad_tile,
    mpp_override,
    slide,
    tile_check,
    wanted,
)
from pathassets.core.selection.fields import FACT_OF
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

_COMPARE: Mapping[Operator, Callable[[Any, float], ColumnElement[bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    "=": operator.eq,
    ">=": operator.ge,
    ">": operator.gt,
}


class Conditions:
    """Selections as SQL of one dialect; what is asked of assets, of one plan."""

    def __init__(self, dialect: str, plan_id: int | None = None) -> None:
        self._is_sqlite = dialect == "sqlite"
        self._plan_id = plan_id

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
        asked = []
        if field.name in COLUMNS and not field.of:
            asked.append(_known(COLUMNS[field.name], holds))
        if field.name in _NUMBERS:
            asked.append(_known(_NUMBERS[field.name](), holds))
        if field.name in SOURCES:
            slides = union_all(*(one.where(holds) for one in SOURCES[field.name](field)))
            asked.append(slide.c.slide_id.in_(slides))
        if field.name in _OF_ASSETS:
            of_assets = _OF_ASSETS[field.name](holds).where(*self._of_plan(field))
            asked.append(slide.c.slide_id.in_(of_assets))
        return or_(*asked)

    def _of_plan(self, field: Field) -> list[ColumnElement[bool]]:
        """Which assets are asked: those of the plan, all or one of them."""
        if self._plan_id is None:
            raise ValueError(f"{field}: of which plan is not said")
        of_plan = [wanted.c.plan_id == self._plan_id]
        if field.of:
            stage, _, name = field.of.partition("/")
            of_plan += [wanted.c.stage == stage, wanted.c.name == name]
        return of_plan

    def _is_like(self, asked: Match) -> Holds:
        texts = [value.text for value in asked.values if value.text is not None]
        patterns = [value.glob for value in asked.values if value.text is None]

        def holds(column: Texts) -> ColumnElement[bool]:
            lists = (texts[start : start + IN_VALUES] for start in range(0, len(texts), IN_VALUES))
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
    if isinstance(column.type, Float):
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


def _n_bad_tiles() -> ColumnElement[float]:
    """Of a slide of which a tile was met that cannot be read, or all were read; else NULL."""
    n = select(func.count()).where(bad_tile.c.slide_id == slide.c.slide_id).scalar_subquery()
    is_checked = exists().where(tile_check.c.slide_id == slide.c.slide_id)
    return case((or_(n > 0, is_checked), cast(n, Double)))


_NUMBERS: Mapping[str, Callable[[], ColumnElement[float]]] = {
    "mpp": _mpp_in_force,
    "n_bad_tiles": _n_bad_tiles,
}
"""Numbers of a slide that are worked out."""


def _states(holds: Holds) -> Select[Any]:
    return select(wanted.c.slide_id).where(holds(wanted.c.state))


def _reasons(holds: Holds) -> Select[Any]:
    return select(wanted.c.slide_id).where(wanted.c.reason != "", holds(wanted.c.reason))


def _facts(fact: str, holds: Holds) -> Select[Any]:
    """A number among the facts of assets that are there as they are wanted."""
    same = [artifact.c[name] == wanted.c[name] for name in ("stage", "name", "digest")]
    joined = wanted.join(artifact, and_(artifact.c.partition_key == wanted.c.slide_id, *same))
    counted = _known(artifact.c.facts[fact].as_float(), holds)
    return select(wanted.c.slide_id).select_from(joined).where(wanted.c.state == "current", counted)


_OF_ASSETS: Mapping[str, Callable[[Holds], Select[Any]]] = {
    "state": _states,
    "reason": _reasons,
    **{field: partial(_facts, fact) for field, fact in FACT_OF.items()},
}
ASKS_PLAN = frozenset(_OF_ASSETS)
"""Fields that are asked of a plan."""
