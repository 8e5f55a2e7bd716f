"""Columns of labels -> what each label is called, of which kind it is, and what its cells say.

header ─▶ name as it is written ─▶ name by which it is known, if it is known in another spelling
cells ──▶ kind of all of them ──▶ kind that labels of this name are of by now, if there are any
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from pathassets.adapters.tables.table import plain, trimmed
from pathassets.catalog.cohorts.state import LABEL, NAMED
from pathassets.catalog.records import LabelKind
from pathassets.core.text import quoted
from pathassets.engine.platform.cohorts.words import check_value, kind_of
from pathassets.errors import SpecError

SPLIT = "split"
FIXED = (LABEL, SPLIT)
"""Labels that have columns of their own."""
MAX_NAME_CHARS = 200
"""Of a label's name: a question of a form can be one."""

Commas = Literal["none", "decimal", "unclear"]
"""What commas in the cells of a column are."""
_WITH_COMMA = re.compile(r"[+-]?(?:0|[1-9]\d*)(?:,\d+)?(?:e[+-]?\d{1,3})?", re.IGNORECASE)
_LIKE_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}")
"""1,234 is a little more than one, or more than a thousand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelColumn:
    """The values of one label in a table."""

    kind: LabelKind
    """What all of them are."""
    n_values: int
    """Different ones."""
    commas: Commas
    example: str
    """A value with a comma, where `commas` tells of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenLabel:
    """A label of a table as the catalog gets it."""

    name: str
    written: str
    """What the table calls it."""
    kind: LabelKind
    """That which labels of this name are of by now, else that of the column."""
    n_values: int
    """Different ones in the table."""
    has_decimal_commas: bool
    """Whether its cells are numbers whose commas become points."""

    def value_of(self, cell: str) -> str:
        """What a cell says."""
        return cell.replace(",", ".") if self.has_decimal_commas else cell


def label_key(title: str) -> str | None:
    """One name for all spellings of a column of labels; None for other columns.

    >>> label_key("Label.Tumour Grade"), label_key("LABEL"), label_key("patient")
    ('label.tumour_grade', 'label', None)
    """
    word, dot, name = trimmed(title).partition(".")
    if dot and plain(word) == LABEL:
        return NAMED + plain(name)
    return found if (found := plain(title)) in FIXED else None


def label_name(title: str, where: str) -> str:
    """What the label of a column is called: as it is written there, `label` and `split` apart.

    Raises:
        SpecError: it cannot be a name.
    """
    _, dot, name = trimmed(title).partition(".")
    return check_label_name(name if dot else plain(title), where)


def check_label_name(name: str, where: str) -> str:
    """Let a label's name through: any text, in NFC and without blanks around it.

    Raises:
        SpecError: it is empty, too long, or no text that both databases can keep.
    """
    said = trimmed(name)
    if all(one.isspace() or unicodedata.category(one) == "Cf" for one in said):
        raise SpecError(
            f"{where}: label {quoted(said)} has no name that can be seen", remedy="Give it one"
        )
    check_value(said, "label's name", where, max_chars=MAX_NAME_CHARS)
    return folded if (folded := plain(said)) in FIXED else said


def spelled(name: str, known: Collection[str], where: str) -> str:
    """The known name that differs by no more than `plain` evens out; else the name itself.

    Raises:
        SpecError: several known names do, and none is the same.

    >>> spelled("Größe", ["grösse", "grade"], "x"), spelled("Grade", [], "x")
    ('grösse', 'Grade')
    """
    if name in known:
        return name
    alike = sorted(one for one in known if plain(one) == plain(name))
    if len(alike) > 1:
        names = " or ".join(map(quoted, alike))
        raise SpecError(
            f"{where}: label {quoted(name)} may be {names}", remedy="Write it as one of them"
        )
    return alike[0] if alike else name


def read_column(values: Collection[str], *, may_have_commas: bool) -> LabelColumn:
    """What a column of labels holds."""
    commas = _commas_of(values) if may_have_commas else "none"
    return LabelColumn(
        kind="number" if commas == "decimal" else kind_of(values),
        n_values=len({*values}),
        commas=commas,
        example=next((one for one in values if "," in one), "") if commas != "none" else "",
    )


def _commas_of(values: Iterable[str]) -> Commas:
    """What commas are.

    >>> _commas_of(["1,5", "2"]), _commas_of(["1,234", "2,500"]), _commas_of(["1,5", "2.5"])
    ('decimal', 'unclear', 'none')
    """
    said = list(values)
    with_comma = [value for value in said if "," in value]
    if not with_comma or not all(map(_WITH_COMMA.fullmatch, said)):
        return "none"
    return "unclear" if all(map(_LIKE_THOUSANDS.fullmatch, with_comma)) else "decimal"


def take_labels(
    columns: Mapping[str, LabelColumn], known: Mapping[str, LabelKind], source: str,
    *, is_clinical: bool,
) -> dict[str, TakenLabel]:  # fmt: skip
    """Labels of a table, by what it calls them; `known` are those of the catalog, by name.

    The one that stands beside a slide is a category, whatever its values.

    Raises:
        SpecError: a name may be that of several known ones.
    """
    taken = {}
    for written, column in columns.items():
        name = spelled(written, {*known, *FIXED}, source)
        is_category = name == LABEL and not is_clinical
        kind: LabelKind = "category" if is_category else known.get(name, column.kind)
        taken[written] = TakenLabel(
            name=name, written=written, kind=kind, n_values=column.n_values,
            has_decimal_commas=column.commas == "decimal" and kind == "number",
        )  # fmt: skip
    return taken


def label_notes(
    columns: Mapping[str, LabelColumn], taken: Mapping[str, TakenLabel]
) -> Iterator[str]:
    """What a person should know of how labels were taken."""
    for written, one in taken.items():
        label, column = f"label {quoted(one.name)}", columns[written]
        if one.name != written:
            yield f"{label} is what the catalog calls the table's {quoted(written)}"
        if one.has_decimal_commas:
            point = quoted(one.value_of(column.example))
            yield f"{label}: its commas are decimal ones, {quoted(column.example)} is {point}"
        elif column.commas == "decimal":
            yield f"{label}: its decimal commas stay, for it is of the kind {one.kind}"
        elif column.commas == "unclear":
            yield (
                f"{label}: {quoted(column.example)} may be a thousand or a decimal, and is taken "
                "for neither: write 1.234 or 1234"
            )
