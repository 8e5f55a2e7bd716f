"""Cohort table + files -> which line is about which file, and which lines are about none."""

from __future__ import annotations

import csv
import io
import logging
import os
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pathassets.adapters.objects.remote_file import FilePlace
from pathassets.catalog.records import SlideRecord
from pathassets.core.text import quoted
from pathassets.engine.platform.ingestion.cohort_table import Cohort, CohortRow
from pathassets.engine.platform.ingestion.spelling import alike, told
from pathassets.errors import SpecError

logger = logging.getLogger(__name__)

COLUMNS = ("line", "file", "patient", "label", "mpp", "slide_id")
MAX_TOLD = 5
"""Lines that fit no file, told one by one; the file has all."""


@dataclass(frozen=True)
class CohortFit:
    """A cohort table laid beside the files that were given."""

    cohort: Cohort
    rows: dict[FilePlace, CohortRow]
    """The line about each file that has one, be the file a slide or not."""

    @cached_property
    def unused(self) -> list[CohortRow]:
        """Lines that are about none of the files."""
        used = set(self.rows.values())
        return [row for row in self.cohort.rows if row not in used]

    def unfit(self, known: Iterable[FilePlace]) -> list[CohortRow]:
        """Lines that are about no known file either: a misspelt name loses its label silently."""
        about = {row for path in (*self.rows, *known) for row in self.cohort.rows_of(path)}
        return [row for row in self.unused if row not in about]

    def passed_over(self) -> list[tuple[CohortRow, CohortRow]]:
        """Lines that are about no file, for another line says more of its name: both of them."""
        unused = {*self.unused}
        return [
            (row, first)
            for first, *others in map(self.cohort.rows_of, self.rows)
            for row in others
            if row in unused
        ]


def fit_cohort(cohort: Cohort, files: Iterable[FilePlace]) -> CohortFit:
    """Find the line about each file.

    Raises:
        SpecError: no line is about any of them.
    """
    found = {path: cohort.row_of(path) for path in files}
    rows = {path: row for path, row in found.items() if row is not None}
    if cohort.rows and found and not rows:
        raise SpecError(
            f"{cohort.source}: none of its lines fits a file, such as "
            f"{quoted(cohort.rows[0].file)}; a file is called {quoted(next(iter(found)).name)}",
            remedy="Write names of files, or the ends of their paths, into the column 'file'",
        )
    return CohortFit(cohort, rows)


def tell_unfit(fit: CohortFit, known: Iterable[FilePlace], home: Path) -> None:
    """Point at the lines that fit no file: a few in the log, all in a file beside the table.

    The file is in `home` where the table's folder cannot be written. One of an earlier time goes.
    """
    source = Path(fit.cohort.source)
    name = f"{source.stem}.unfit.csv"
    places = [source.with_name(name), home / name]
    for row, first in fit.passed_over()[:MAX_TOLD]:
        logger.warning(
            "%s: %s is passed over: %s, in line %d, says more of the same file",
            fit.cohort.place(row), quoted(row.file), quoted(first.file), first.line,
        )  # fmt: skip
    unfit = fit.unfit(known)
    if not unfit:
        _remove_ours(places)
        return
    kept = next((place for place in places if _is_kept(place, unfit)), None)
    few = unfit[:MAX_TOLD] if kept else unfit
    logger.warning(
        "%s: %d of %d lines fit none of the files given, and no known one: %s%s",
        source, len(unfit), len(fit.cohort.rows), ", ".join(quoted(row.file) for row in few),
        f"{', …' if len(few) < len(unfit) else ''}; all of them: {kept}" if kept else "",
    )  # fmt: skip


def _is_kept(place: Path, rows: Iterable[CohortRow]) -> bool:
    """Write lines into a file that only its owner can read; tell whether that could be done.

    It gets its name when it is whole, so that a link in its place is replaced, not followed.
    """
    text = io.StringIO(newline="")
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    table.writerows([getattr(row, name) for name in COLUMNS] for row in rows)
    try:
        handle, made = tempfile.mkstemp(prefix=f".{place.name}.", dir=place.parent)
    except OSError:
        return False
    try:
        with open(handle, "w", encoding="utf-8") as file:  # noqa: PTH123 - it is open already
            file.write(text.getvalue())
        Path(made).replace(place)
    except OSError:
        Path(made).unlink(missing_ok=True)
        return False
    return True


def _remove_ours(places: Iterable[Path]) -> None:
    header = ",".join(COLUMNS) + "\n"
    for place in places:
        try:
            handle = os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            with open(handle, encoding="utf-8") as file:  # noqa: PTH123 - it is open already
                is_ours = file.readline(len(header)) == header
            if is_ours:
                place.unlink()
        except (OSError, ValueError):
            continue  # there is none, or what is there is somebody's


def tell_alike_known(fit: CohortFit, records: Iterable[SlideRecord]) -> None:
    """Point at patients and labels that earlier tables wrote in another way.

    Those that differ within the table were told when it was read.
    """
    known = list(records)
    for name in ("patient", "label"):
        here = {getattr(row, name) for row in fit.rows.values()}
        stored = dict.fromkeys(said for one in known if (said := getattr(one, name)))
        for group in alike(stored):
            new = [one for one in group if one in here]
            old = [one for one in group if one not in here]
            if new and old:
                logger.warning(
                    "%s: %s %s is taken as another one than %s, which is in the catalog",
                    fit.cohort.source, name, told(new[0]), told(old[0]),
                )  # fmt: skip
