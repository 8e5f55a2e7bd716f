"""Table of verdicts -> what would be stated, shown to a person -> stated, all or nothing.

Columns: one that says which slide (`slide` or `slide_id`, `file`, `path`), `verdict`, `why`, and
`who`, where lines are of several people. Other columns are left alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

from pathassets.adapters.tables.reading import read_table
from pathassets.adapters.tables.table import Table, TableLine, check_names
from pathassets.catalog.catalog import Catalog
from pathassets.catalog.records import Verdict, VerdictWord
from pathassets.core.text import counted, quoted
from pathassets.engine.platform.cohorts.preview import Conflict, ConflictKind
from pathassets.engine.platform.cohorts.sheet import notes_on
from pathassets.engine.platform.cohorts.words import check_value
from pathassets.engine.platform.selections.names import Matches, at_odds, match_slides, several
from pathassets.errors import SpecError

_ALIASES = {"slide_id": "slide", "path": "file", "filename": "file", "file_name": "file"}
_CHARS = {"slide": 4_096, "file": 4_096, "verdict": 40, "why": 10_000, "who": 200}
WORDS: tuple[VerdictWord, ...] = get_args(VerdictWord)


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictPreview:
    """What a table would state."""

    source: str
    sha256: str
    reading: str
    verdicts: tuple[Verdict, ...]
    """In the order of the lines; without those that are in force already."""
    n_same: int
    """Lines that say, in every word, what is in force."""
    conflicts: tuple[Conflict, ...]
    """In the order of the lines; where there is one, nothing is stated."""
    notes: tuple[str, ...]


@dataclass(slots=True)
class _Read:
    """Lines of a table, as they are taken."""

    table: Table
    in_force: Mapping[str, Verdict]
    verdicts: dict[str, tuple[Verdict, int]] = field(default_factory=dict)
    """By slide, with the line."""
    conflicts: list[Conflict] = field(default_factory=list)

    def refuse(self, line: int, kind: ConflictKind, fact: str, remedy: str) -> None:
        """Enter a conflict."""
        message = f"{self.table.source}:{line}: {fact}"
        self.conflicts.append(Conflict(line=line, kind=kind, message=message, remedy=remedy))

    def take(self, new: Verdict, line: int) -> None:
        """Take what a line states, unless another says otherwise."""
        first, before = self.verdicts.setdefault(new.slide_id, (new, line))
        if first != new:
            self.refuse(
                line, "contradiction",
                f"slide {new.slide_id} has another verdict in line {before}",
                "Let one line speak of each slide",
            )  # fmt: skip


def preview_verdicts(
    catalog: Catalog, path: Path, *, who: str, sheet: str | None = None
) -> VerdictPreview:
    """Read a table and work out what it would state; `who` stands in where a line names nobody.

    Raises:
        SpecError: it is no table of verdicts, or a cell is not what it should be.
    """
    table = read_table(path, any_of=("slide", *_ALIASES, "file"), sheet=sheet)
    columns = _columns(table)
    cells = [*_cells(table, columns)]
    names = [said.get(key, "") for _, said in cells for key in ("slide", "file")]
    matches = match_slides(catalog, filter(None, names))
    read = _Read(table, {one.slide_id: one for one in catalog.verdicts()})
    for line, said in cells:
        _take(read, line.number, said, matches, who)
    new = [one for one, _ in read.verdicts.values() if not _is_same(one, read.in_force)]
    return VerdictPreview(
        source=table.source, sha256=table.sha256,
        reading=f"{counted(len(cells), 'line')}, {table.taken_for}",
        verdicts=tuple(new), n_same=len(read.verdicts) - len(new),
        conflicts=tuple(read.conflicts), notes=(*table.notes, *notes_on(table, columns)),
    )  # fmt: skip


def _is_same(new: Verdict, in_force: Mapping[str, Verdict]) -> bool:
    """Whether a verdict says what is in force, whatever table that is from."""
    old = in_force.get(new.slide_id)
    return old is not None and (old.verdict, old.who, old.why) == (new.verdict, new.who, new.why)


def _columns(table: Table) -> dict[str, int]:
    """Places of the columns that are read."""
    names = [_ALIASES.get(name, name) for name in table.columns]
    read = [name for name in dict.fromkeys(names) if name in _CHARS]
    check_names(names, read, table.source)
    for name in ("verdict", "why"):
        if name not in read:
            raise SpecError(
                f"{table.source}: no column {name!r}",
                remedy="Give a verdict (accept, reject or review) and a why in each line",
            )
    return {name: names.index(name) for name in read}


def _cells(table: Table, columns: Mapping[str, int]) -> Iterator[tuple[TableLine, dict[str, str]]]:
    """What each line says, by column."""
    for line in table.lines:
        said = {name: line.cells[place].strip() for name, place in columns.items()}
        for name, cell in said.items():
            check_value(cell, name, f"{table.source}:{line.number}", max_chars=_CHARS[name])
        yield line, said


_WRITE_BREAK = (
    "A line break in a file's name is written as such, in a cell within quotation marks, not as "
    "\\n; or give the slide's id"
)


def _take(read: _Read, line: int, said: Mapping[str, str], matches: Matches, who: str) -> None:
    name = said.get("slide") or said.get("file", "")
    ids = matches.slides.get(name, ())
    word = next((one for one in WORDS if one == said["verdict"].casefold()), None)
    if len(ids) > 1:
        read.refuse(line, "two_slides", *several(name, ids))
    elif against := at_odds(matches, name, said.get("file", "")):
        read.refuse(line, "contradiction", *against)
    elif name in matches.gone:
        fact = f"slide {quoted(name)} was {matches.gone[name].told}"
        read.refuse(line, "unknown_slide", fact, "Take the line out of the table")
    elif not ids:
        close = f"Did you mean {quoted(matches.near[name])}? " if name in matches.near else ""
        fact = f"slide {quoted(name)} is not in the catalog"
        remedy = f"{close}Register it first, or leave it out"
        if "\\" in name or not name.isprintable():
            remedy += f". {_WRITE_BREAK}"
        read.refuse(line, "unknown_slide", fact, remedy)
    elif word is None:
        fact = f"{quoted(said['verdict'])} is no verdict"
        read.refuse(line, "other_word", fact, f"Write {', '.join(WORDS[:-1])} or {WORDS[-1]}")
    elif not said["why"]:
        read.refuse(line, "no_why", "does not say why", "Say what speaks for or against the slide")
    else:
        table = read.table
        new = Verdict(
            slide_id=ids[0], verdict=word, who=said.get("who") or who, why=said["why"],
            file=table.source, sha256=table.sha256,
        )  # fmt: skip
        read.take(new, line)


def take_verdicts(catalog: Catalog, preview: VerdictPreview) -> None:
    """State all that a preview has, in one transaction.

    Raises:
        SpecError: something speaks against it.
        CatalogError: a slide is not known any more.
    """
    if preview.conflicts:
        first = preview.conflicts[0]
        raise SpecError(f"{first.message}; nothing was stated", remedy=first.remedy)
    catalog.set_verdicts(preview.verdicts)
