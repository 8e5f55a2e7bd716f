"""Rows of a dataset -> what the tables of other tools are made of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from pathassets.errors import SpecError


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRow:
    """A slide of a dataset, as a table tells it."""

    slide_id: str
    name: str
    """What its files are called in the export."""
    patient: str
    """A slide without a patient is one of its own."""
    label: str
    """Empty where it has none."""
    part: str
    """Of the split."""


def columns_of_parts(
    rows: Sequence[TrainingRow], parts: Sequence[str], tool: str
) -> Iterator[tuple[str, ...]]:
    """Lines of a table with a column for each part, which holds the names of its slides.

    Raises:
        SpecError: a row is of another part.

    >>> row = TrainingRow(slide_id="a-1", name="a", patient="p", label="x", part="test")
    >>> list(columns_of_parts([row], ("train", "test"), "CLAM"))
    [('', 'a')]
    """
    refuse_other_parts(rows, parts, tool)
    columns = [[row.name for row in rows if row.part == part] for part in parts]
    return zip_longest(*columns, fillvalue="")


def refuse_other_parts(rows: Sequence[TrainingRow], parts: Sequence[str], tool: str) -> None:
    """Refuse parts of a split that a tool has no name for.

    Raises:
        SpecError: there is one.
    """
    others = sorted({row.part for row in rows} - {*parts})
    if others:
        raise SpecError(
            f"{tool} knows the parts {', '.join(parts)}, and the dataset has {', '.join(others)}",
            remedy=f"Name the parts of the split {', '.join(parts)}",
        )
