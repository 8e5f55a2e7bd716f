"""A table as people have it: names of columns, and lines of text, whatever file it is from."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pathassets.adapters.named_files import remedy_of
from pathassets.core.text import quoted
from pathassets.errors import SpecError

MAX_LISTED = 10
"""Columns that are named of those that are left alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableLine:
    """One line of a table."""

    number: int
    """Line of the file that it begins in, or row of the sheet, from 1; of Parquet the record."""
    cells: tuple[str, ...]
    """One for each column, as written; empty where there is nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table, and what its file was taken for."""

    source: str
    """Where it was read from."""
    sha256: str
    """Of the file."""
    taken_for: str
    """Such as `UTF-8, separated by commas`."""
    header: tuple[str, ...]
    """Names of its columns as they are written, without blanks around them."""
    columns: tuple[str, ...]
    """The same as `plain` has them."""
    lines: tuple[TableLine, ...]
    """All that have a cell with anything in it."""
    n_numbers: Mapping[str, int] = field(default_factory=dict)
    """Of a column how many cells are numbers, not text: a number has no leading zeros."""
    notes: tuple[str, ...] = ()
    """What was not taken as it stands there."""
    may_have_decimal_commas: bool = False
    """Whether a comma within a cell can be a decimal one: nothing else separates cells so."""


def trimmed(name: str) -> str:
    r"""A column's name as it is shown: in NFC, without blanks and byte order marks around it.

    >>> trimmed("\ufeff Gro\u0308ße (mm)\u00a0")
    'Größe (mm)'
    """
    return unicodedata.normalize("NFC", re.sub(r"\A[\s\ufeff]+|[\s\ufeff]+\Z", "", name))


def plain(name: str) -> str:
    r"""One spelling of a column's name: those that it makes alike, a person takes for one.

    >>> plain("\ufeff Slide ID\u00a0"), plain("FILE")
    ('slide_id', 'file')
    """
    text = unicodedata.normalize("NFKC", name).casefold()
    seen = "".join(c for c in text if unicodedata.category(c) != "Cf")
    return re.sub(r"[\s_-]+", "_", seen.strip())


def unreadable(path: Path, why: str, remedy: str) -> SpecError:
    """Build the error of a file that is no table."""
    return SpecError(f"{path}: cannot read the table: {why}", remedy=remedy)


def unread(path: Path, error: OSError) -> SpecError:
    """Build the error of a table of which the system says that it cannot be read."""
    return unreadable(path, error.strerror or str(error), remedy_of(error, "Look at its name"))


def check_header(
    columns: Sequence[str], header: Sequence[str], any_of: Sequence[str], path: Path
) -> None:
    """Let a header through that has a column of those names.

    Raises:
        SpecError: it is empty, or has none.
    """
    if not columns:
        raise unreadable(path, "it is empty", "Give a CSV file, or another table, with a header")
    if not set(any_of) & set(columns):
        found = ", ".join(name.strip() for name in header)
        wanted = " or ".join(repr(name) for name in any_of)
        raise SpecError(
            f"{path}: no column {wanted}, found {quoted(found)[1:-1]}",
            remedy=f"Name the slide's file in a column {any_of[0]!r}; "
            "separate columns by commas, semicolons or tabs",
        )


def check_names(columns: Sequence[str], read: Sequence[str], path: Path | str) -> None:
    """Let a header through that has none of the columns that are read twice.

    Raises:
        SpecError: it has; two lines of one name would say two things.
    """
    counts = Counter(columns)
    twice = [name for name in read if counts[name] > 1]
    if twice:
        raise SpecError(f"{path}: two columns are called {twice[0]!r}", remedy="Rename one")


def left_alone(header: Sequence[str], taken: Collection[int]) -> str:
    """Names of the columns that are not among those taken, the first few; empty where none is.

    >>> left_alone(["file", "label.grade", "", "remark"], [0])
    'label.grade, remark'
    """
    names = [quoted(name)[1:-1] for i, name in enumerate(header) if name and i not in taken]
    return ", ".join(names[:MAX_LISTED]) + (", …" if len(names) > MAX_LISTED else "")
