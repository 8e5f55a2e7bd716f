"""Rows that a reader takes by their ids, put into the order of a text: in the database alone.

    the first by text that stands behind one which belongs behind it ─▶ where it belongs
      ─▶ new ids from there on, greater than all there are, in order of the text

Each arrow is one statement: of 100,000 rows none is read here, and whoever is killed half-way has
changed nothing. What others add meanwhile has the greatest id, and is put into its place by the
next look.
"""

from __future__ import annotations

from sqlalchemy import Column, ColumnElement, Connection, Select, Table, Update, func, select

from pathassets.catalog.database.dialects import by_code_points, number_behind


def put_in_order(
    connection: Connection, rows: Table, by: Column[str], among: ColumnElement[bool]
) -> None:
    """Number the rows `among` all, whose key is `id`, anew from the first on that is out of place.

    The order is that of code points, as Python sorts.
    """
    text = by_code_points(connection.dialect, by)
    while (lowest := connection.execute(_lowest_behind(rows, text, among)).scalar()) is not None:
        place = select(func.min(rows.c.id)).where(among, text >= lowest).scalar_subquery()
        connection.execute(_numbered(connection, rows, text, among & (rows.c.id >= place)))


def _lowest_behind(
    rows: Table, text: ColumnElement[str], among: ColumnElement[bool]
) -> Select[tuple[str]]:
    """The first by text of those that stand behind one which belongs behind them."""
    before = func.max(text).over(order_by=rows.c.id, rows=(None, -1))
    seen = select((text < before).label("is_behind"), text.label("own")).where(among).subquery()
    return select(func.min(seen.c.own)).where(seen.c.is_behind)


def _numbered(
    connection: Connection, rows: Table, text: ColumnElement[str], among: ColumnElement[bool]
) -> Update:
    """New ids for some, greater than all there are, in order of the text."""
    ordered = select(rows.c.id, text.label("own")).where(among).order_by(text).subquery()
    next_id = number_behind(connection.dialect, rows, ordered.c.own)
    new = select(ordered.c.id, next_id.label("next_id")).subquery()
    return rows.update().values(id=new.c.next_id).where(rows.c.id == new.c.id)
