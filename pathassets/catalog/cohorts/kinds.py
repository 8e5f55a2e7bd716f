"""Labels of one name -> the one kind that all of them are of, and its change.

What is read as numbers is a whole column: one value that is none, or one number among categories,
and a person's query gives half of it. So a label is of the kind that those of its name have.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import cast

from sqlalchemy import Connection, select, update

from pathassets.catalog.cohorts.state import LABEL, NAMED
from pathassets.catalog.records import CohortChange, LabelKind
from pathassets.catalog.tables import patient_label, slide_label
from pathassets.core.near_names import near_names, perhaps
from pathassets.core.text import in_marks, quoted
from pathassets.errors import CatalogError

KIND = "kind"
"""Field of a change of what kind labels are."""
_TABLES = (slide_label, patient_label)


def wider(kinds: Collection[LabelKind]) -> LabelKind:
    """The kind of which values of all these kinds are, too.

    >>> wider(["number"]), wider(["number", "boolean"]), wider(["category", "text"])
    ('number', 'category', 'text')
    """
    if len({*kinds}) == 1:
        return next(iter(kinds))
    return "text" if "text" in kinds else "category"


def read_kinds(
    connection: Connection, names: Collection[str] | None = None
) -> dict[str, LabelKind]:
    """Kind of the labels of each name, or of some hundreds of names."""
    found: dict[str, set[LabelKind]] = {}
    for table in _TABLES:
        query = select(table.c.name, table.c.kind).distinct()
        if names is not None:
            query = query.where(table.c.name.in_(sorted(names)))
        for name, kind in connection.execute(query):
            found.setdefault(name, set()).add(kind)
    return {name: wider(kinds) for name, kinds in found.items()}


def require_kinds(connection: Connection, changes: Iterable[CohortChange]) -> None:
    """Let labels through that are of the kind that those of their name are of by now.

    Raises:
        CatalogError: one is not.
    """
    stated = {
        one.field.removeprefix(NAMED): one.kind
        for one in changes
        if one.kind is not None and (one.subject, one.field) != ("slide", LABEL)
    }
    for name, kind in read_kinds(connection, stated).items() if stated else ():
        if kind != stated[name]:
            raise CatalogError(
                f"label {quoted(name)}: is of the kind {kind} by now, and was of none, or another",
                remedy="Somebody stated it meanwhile: look again, and state it again",
            )


def change_kind(
    connection: Connection, name: str, kind: LabelKind, fits: Callable[[str], bool]
) -> list[CohortChange]:
    """Let all labels of a name be of a kind, if every value fits; returns what changed.

    Raises:
        CatalogError: there is no such label, or a value does not fit.
    """
    known = read_kinds(connection)
    if name not in known:
        raise CatalogError(
            f"label {quoted(name)}: nobody stated any of this name",
            remedy=_instead(name, known) if known else "State one first",
        )
    for value in _values(connection, name):
        if not fits(value):
            raise CatalogError(
                f"label {quoted(name)}: its value {quoted(value)} is of another kind than {kind}",
                remedy="State those values otherwise first, or choose category or text",
            )
    for table in _TABLES:
        of_name = table.c.name == name
        connection.execute(update(table).where(of_name, table.c.kind != kind).values(kind=kind))
    change = CohortChange(subject="label", key=name, field=KIND, old=known[name], new=kind)
    return [change] if change.old != change.new else []


def _instead(name: str, known: Collection[str]) -> str:
    near = perhaps(near_names(name, known, n=1), in_marks)
    return near.rstrip() or f"There are {', '.join(sorted(known))}"


def _values(connection: Connection, name: str) -> Sequence[str]:
    found: set[str] = set()
    for table in _TABLES:
        query = select(table.c.value).where(table.c.name == name).distinct()
        found.update(cast("Sequence[str]", connection.execute(query).scalars().all()))
    return sorted(found)
