"""What is said of slides and patients, and what a table would change, for a terminal or JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from itertools import groupby
from typing import Any

from rich.markup import escape
from rich.table import Table

from pathassets.catalog.cohorts.state import LABEL, NAMED
from pathassets.catalog.records import CohortChange, CohortState, PastChange
from pathassets.core.selection.globs import glob_of, written
from pathassets.core.selection.nodes import Field
from pathassets.core.text import counted, quoted, visible
from pathassets.engine.platform.cohorts.preview import CohortPreview
from pathassets.report.console import open_console
from pathassets.report.json_text import json_text

MAX_CONFLICTS = 20
SAID_ALREADY = "the catalog says so already"
_NO_HISTORY = (
    "nothing was ever changed of a slide or patient called so: pathassets select values id lists "
    "the slides, pathassets select values patient the patients"
)
MAX_SUBJECTS = 200
"""Slides and patients whose changes are told one by one."""


def cohort_preview(preview: CohortPreview, *, as_json: bool) -> None:
    """Print what a table would change: what speaks against it first, then slide by slide."""
    console = open_console()
    if as_json:
        console.print(json_text(asdict(preview), indent=1), markup=False)
        return
    console.print(visible(f"{preview.source}: {preview.reading}"), markup=False)
    for conflict in preview.conflicts[:MAX_CONFLICTS]:
        line = visible(f"{conflict.message}. {conflict.remedy}")
        console.print(line, markup=False, style="bold red")
    _more(len(preview.conflicts) - MAX_CONFLICTS, "conflict")
    for label in preview.labels[:MAX_SUBJECTS]:
        values = counted(label.n_values, "different value")
        console.print(
            visible(f"{field_words(NAMED + label.name)}: {label.kind}, {values}"), markup=False
        )
    for note in preview.notes:
        console.print(visible(f"mind: {note}"), markup=False, style="yellow")
    cohort_changes(preview.changes)
    console.print(visible(_end(preview)), markup=False)


def _end(preview: CohortPreview) -> str:
    subjects = {(one.subject, one.key) for one in preview.changes}
    said = f"{counted(len(preview.changes), 'change')} of {_counted_subjects(subjects)}"
    if not preview.changes and not preview.conflicts:
        said = "nothing to change"
        said += f": {SAID_ALREADY}" if preview.n_skipped < preview.n_lines else ""
    if preview.restated:
        said += f", {counted(len(preview.restated), 'resolution')}: what was made is stale then"
    if preview.n_skipped:
        said += f"; {counted(preview.n_skipped, 'line')} left out"
    if preview.conflicts:
        said += f"; nothing is changed: {counted(len(preview.conflicts), 'conflict')}"
    return said


def _counted_subjects(subjects: Iterable[tuple[str, str]]) -> str:
    kinds = [subject for subject, _ in subjects]
    n_patients = kinds.count("patient")
    said = counted(len(kinds) - n_patients, "slide")
    return f"{said} and {counted(n_patients, 'patient')}" if n_patients else said


def cohort_changes(changes: Sequence[CohortChange]) -> None:
    """Print changes, a line for each slide and patient."""
    console = open_console()
    groups = groupby(sorted(changes, key=_subject), key=_subject)
    for n, ((subject, key), some) in enumerate(groups):
        if n == MAX_SUBJECTS:
            n_all = len({_subject(one) for one in changes})
            _more(n_all - MAX_SUBJECTS, "slide or patient", "slides and patients")
            return
        said = ", ".join(change_words(one) for one in some)
        console.print(visible(f"{subject} {visible(key)}: {said}"), markup=False)


def _subject(change: CohortChange) -> tuple[str, str]:
    return change.subject, change.key


def change_words(change: CohortChange) -> str:
    """One change: old to new; of tags and cohorts what comes or goes."""
    if change.field in ("tag", "cohort"):
        sign = "+" if change.new is not None else "-"
        return f"{change.field} {sign}{change.new or change.old}"
    return f"{field_words(change.field)} {_value(change.old)} → {_value(change.new)}"


def field_words(field: str) -> str:
    """A field as a selection asks for it: a label's name in quotation marks where it needs them.

    >>> field_words("label.grade"), field_words("label.Tumour stage"), field_words("site")
    ('label.grade', 'label."Tumour stage"', 'site')
    """
    if not field.startswith(NAMED) or field == NAMED + LABEL:
        return field.removeprefix(NAMED)
    return str(Field(name=LABEL, of=field.removeprefix(NAMED)))


def _value(value: str | None) -> str:
    return "not stated" if value is None else quoted(value)


def _more(n: int, noun: str, nouns: str = "") -> None:
    if n > 0:
        words = f"{n} {nouns}" if nouns and n > 1 else counted(n, noun)
        open_console().print(f"… and {words} more; --json has all", markup=False)


def cohort_list(sizes: Mapping[str, int]) -> None:
    """Print cohorts, and their slides' numbers."""
    table = Table("cohort", "slides")
    for name, n in sizes.items():
        table.add_row(escape(visible(name)), f"{n:,}")
    open_console().print(
        table if sizes else "no cohorts: pathassets cohort import TABLE --name NAME"
    )


def cohort_slides(slide_ids: Sequence[str], state: CohortState, *, as_json: bool) -> None:
    """Print the slides of a cohort, with what is said of them."""
    rows = [_slide_plain(one, state) for one in slide_ids]
    if as_json:
        open_console().print(json_text(rows, indent=1), markup=False)
        return
    table = Table("slide", "patient", "site", "label", "labels", "stain", "tags")
    for row in rows[:MAX_SUBJECTS]:
        said = row["labels"].items()
        labels = ", ".join(f"{written(glob_of(name))} {quoted(value)}" for name, value in said)
        cells = (
            row["slide_id"], row["patient"], row["site"], row["label"], labels, row["stain"],
            ", ".join(row["tags"]),
        )  # fmt: skip
        table.add_row(*(escape(visible(cell or "")) for cell in cells))
    console = open_console()
    console.print(table)
    if len(rows) > MAX_SUBJECTS:
        console.print(f"{MAX_SUBJECTS} of {len(rows)} slides are shown; --json has all")


def _slide_plain(slide_id: str, state: CohortState) -> dict[str, Any]:
    said = state.slides[slide_id]
    of_patient = state.patients.get(said.get("patient", ""), {})
    labels = {
        name.removeprefix(NAMED): value
        for name, value in (*of_patient.items(), *said.items())
        if name.startswith(NAMED)
    }
    return {
        "slide_id": slide_id,
        "patient": said.get("patient"),
        "site": of_patient.get("site"),
        "label": said.get("label"),
        "labels": labels,
        "stain": said.get("stain"),
        "tags": sorted(state.tags.get(slide_id, ())),
    }


def cohort_history(changes: Sequence[PastChange], *, as_json: bool) -> None:
    """Print changes that were made, newest first."""
    console = open_console()
    if as_json:
        rows = [
            {**asdict(one.change), **asdict(one.by), "at": one.at.isoformat(timespec="seconds")}
            for one in changes
        ]
        console.print(json_text(rows, indent=1), markup=False)
        return
    table = Table("when", "what", "who", "file", "SHA-256")
    for one in changes:
        when, by = f"{one.at:%Y-%m-%d %H:%M}", one.by
        cells = (when, change_words(one.change), by.who, by.file, by.sha256[:12])
        table.add_row(*(escape(visible(cell)) for cell in cells))
    console.print(table if changes else _NO_HISTORY)
