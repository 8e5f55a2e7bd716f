"""Lines + what is said now -> what would change, and what speaks against it.

Nothing is changed here. The same preview is shown before a table is taken and for `--dry-run`, and
what it has of changes is what is made.
"""

from __future__ import annotations

import shlex
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from pathassets.catalog.catalog import Catalog
from pathassets.catalog.cohorts.state import LABEL, NAMED
from pathassets.catalog.records import CohortChange, CohortState, LabelKind, Subject
from pathassets.core.text import quoted
from pathassets.engine.platform.cohorts.labels import TakenLabel, label_notes, take_labels
from pathassets.engine.platform.cohorts.overtaken import LaterThan, Overtaken, overtaken_among
from pathassets.engine.platform.cohorts.sheet import Sheet, SheetLine
from pathassets.engine.platform.cohorts.words import fits, unfit
from pathassets.engine.platform.ingestion.cohort_lines import would_move
from pathassets.engine.platform.ingestion.spelling import alike, told
from pathassets.engine.platform.selections.names import (
    Matches,
    at_odds,
    match_slides,
    nearest,
    several,
)

ConflictKind = Literal[
    "contradiction",
    "patient_moves",
    "unknown_slide",
    "unknown_patient",
    "two_slides",
    "no_patient",
    "other_kind",
    "other_word",
    "no_why",
]
Place = tuple[Subject, str, str]
"""Subject, key and field: of what something is said."""
MAX_ALIKE = 10
"""Spellings of one patient that are told one by one."""
_REGISTER: Mapping[Subject, str] = MappingProxyType(
    {"slide": "pathassets ingest FILE", "patient": "pathassets ingest FILE --cohort TABLE"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """One reason why a table cannot be taken as it is."""

    line: int
    kind: ConflictKind
    message: str
    """`TABLE:LINE: fact`."""
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Leniency:
    """What of a table a person lets pass."""

    may_move: bool = False
    """A slide's patient may become another one."""
    may_skip: bool = False
    """Lines about slides and patients that nobody knows are left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CohortPreview:
    """What a table would change."""

    source: str
    sha256: str
    reading: str
    n_lines: int
    n_slides: int
    """Slides that its lines are about."""
    changes: tuple[CohortChange, ...]
    """In the order of the lines."""
    conflicts: tuple[Conflict, ...]
    """In the order of the lines; where there is one, nothing is changed."""
    n_skipped: int
    """Lines that are left out, for nobody knows their slide or patient."""
    labels: tuple[TakenLabel, ...]
    """What its columns of labels become, in the order of the columns."""
    notes: tuple[str, ...]
    overtaken: tuple[Overtaken, ...] = ()
    """What is not changed, in the order of the lines."""

    @property
    def restated(self) -> list[str]:
        """Slides that would get another resolution: what was made of them is stale then."""
        return sorted({one.key for one in self.changes if one.field == "mpp"})

    @property
    def slides(self) -> list[str]:
        """Slides of which something would be changed."""
        return sorted({one.key for one in self.changes if one.subject == "slide"})


@dataclass(slots=True)
class _Said:
    """What lines say, of each place the first that says something."""

    sheet: Sheet
    state: CohortState
    labels: Mapping[str, TakenLabel]
    """What its columns of labels become, by what it calls them."""
    cohort: str
    lenient: Leniency
    slides: set[str] = field(default_factory=set)
    """Slides that lines are about."""
    n_skipped: int = 0
    values: dict[Place, tuple[str, int]] = field(default_factory=dict)
    """Value, and the line it is from."""
    kinds: dict[Place, LabelKind] = field(default_factory=dict)
    members: dict[tuple[str, str, str], int] = field(default_factory=dict)
    """Slide, `tag` or `cohort`, name -> line."""
    conflicts: list[Conflict] = field(default_factory=list)

    def say(self, place: Place, value: str | None, line: int) -> None:
        """Take what a line says; one that contradicts an earlier line is a conflict."""
        if value is None:
            return
        first, before = self.values.setdefault(place, (value, line))
        if first != value:
            subject, key, what = place
            self.refuse(
                line, "contradiction",
                f"{what} of {subject} {quoted(key)} is {quoted(value)}, "
                f"and {quoted(first)} in line {before}",
                "Let the lines of both state the same",
            )  # fmt: skip

    def refuse(self, line: int, kind: ConflictKind, fact: str, remedy: str) -> None:
        """Enter a conflict."""
        message = f"{self.sheet.place(line)}: {fact}"
        self.conflicts.append(Conflict(line=line, kind=kind, message=message, remedy=remedy))


def preview_table(
    catalog: Catalog,
    sheet: Sheet,
    *,
    cohort: str = "",
    leniency: Leniency | None = None,
    later: LaterThan | None = None,
) -> CohortPreview:
    """Work out what a table would change; `cohort` is one that all of its slides come into."""
    state = catalog.cohort_state()
    labels = take_labels(
        sheet.labels, catalog.label_kinds(), sheet.source, is_clinical=sheet.is_clinical
    )
    said = _Said(sheet, state, labels, cohort, leniency or Leniency())
    if sheet.is_clinical:
        _read_patients(said)
    else:
        _read_slides(said, match_slides(catalog, _names(sheet)))
    lines = _changes(said)
    overtaken = overtaken_among(lines, state, later)
    left_out = {one.change for one in overtaken}
    changes = tuple(change for _, change in lines if change not in left_out)
    if not said.lenient.may_move:
        _refuse_moves(said, changes)
    return CohortPreview(
        source=sheet.source, sha256=sheet.sha256, reading=sheet.reading, n_lines=len(sheet.lines),
        n_slides=len(said.slides), changes=changes, n_skipped=said.n_skipped,
        conflicts=tuple(sorted(said.conflicts, key=lambda one: one.line)),
        labels=tuple(labels.values()),
        overtaken=overtaken,
        notes=(
            *sheet.notes, *label_notes(sheet.labels, labels), *_spellings(changes, state),
            *_left_behind(changes, state),
        ),
    )  # fmt: skip


def _names(sheet: Sheet) -> Iterator[str]:
    """What its lines call slides."""
    for line in sheet.lines:
        yield line.slide
        if line.file:
            yield line.file


def _read_slides(said: _Said, matches: Matches) -> None:
    """Take the lines of a table of slides."""
    patients: dict[str, str] = {}
    for line in said.sheet.lines:
        ids = matches.slides.get(line.slide, ())
        if against := at_odds(matches, line.slide, line.file):
            said.refuse(line.number, "contradiction", *against)
        elif len(ids) == 1:
            _read_slide(said, line, ids[0])
            if line.patient is not None:
                patients.setdefault(ids[0], line.patient)
        elif ids:
            said.refuse(line.number, "two_slides", *several(line.slide, ids))
        elif line.slide in matches.gone and not said.lenient.may_skip:
            said.refuse(
                line.number, "unknown_slide",
                f"slide {quoted(line.slide)} was {matches.gone[line.slide].told}",
                "Take the line out of the table, or leave such lines out: --skip-unknown",
            )  # fmt: skip
        else:
            _pass_over(said, line.number, "slide", line.slide, matches.near)
    _read_sites(said, matches, patients)


def _read_slide(said: _Said, line: SheetLine, slide_id: str) -> None:
    stated = {
        "patient": line.patient,
        "stain": line.stain,
        "mpp": None if line.mpp is None else repr(line.mpp),
    }
    for name, value in stated.items():
        said.say(("slide", slide_id, name), value, line.number)
    _read_labels(said, line, "slide", slide_id)
    _read_members(said, line, [slide_id])


def _read_labels(said: _Said, line: SheetLine, subject: Subject, key: str) -> None:
    for written, cell in line.labels.items():
        label = said.labels[written]
        value = label.value_of(cell)
        place = (subject, key, LABEL if label.name == LABEL else NAMED + label.name)
        if place == ("slide", key, LABEL) or fits(value, label.kind):
            said.say(place, value, line.number)
            said.kinds[place] = label.kind
        else:
            said.refuse(line.number, "other_kind", *unfit(label.name, value, label.kind))


def _read_members(said: _Said, line: SheetLine, slide_ids: Iterable[str]) -> None:
    cohorts = (*line.cohorts, said.cohort) if said.cohort else line.cohorts
    for slide_id in slide_ids:
        said.slides.add(slide_id)
        for what, names in (("tag", line.tags), ("cohort", cohorts)):
            for name in names:
                said.members.setdefault((slide_id, what, name), line.number)


def _read_sites(said: _Said, matches: Matches, patients: Mapping[str, str]) -> None:
    """Take sites, which are a patient's, once it is known whose the slides are."""
    for line in said.sheet.lines:
        ids = matches.slides.get(line.slide, ())
        if line.site is None or len(ids) != 1:
            continue
        patient = patients.get(ids[0]) or said.state.slides[ids[0]].get("patient")
        if patient is None:
            said.refuse(
                line.number, "no_patient",
                f"a site is stated of slide {ids[0]}, and nobody knows its patient",
                "State the patient, too: sites are kept by patient",
            )  # fmt: skip
        else:
            said.say(("patient", patient, "site"), line.site, line.number)


def _read_patients(said: _Said) -> None:
    """Take the lines of a clinical table."""
    of_patient: defaultdict[str, list[str]] = defaultdict(list)
    for slide_id, known in said.state.slides.items():
        if "patient" in known:
            of_patient[known["patient"]].append(slide_id)
    known_patients = said.state.patients
    near = nearest(
        (one for line in said.sheet.lines if (one := line.patient or "") not in known_patients),
        known_patients,
    )
    for line in said.sheet.lines:
        patient = line.patient or ""
        if patient not in known_patients:
            _pass_over(said, line.number, "patient", patient, near)
            continue
        said.say(("patient", patient, "site"), line.site, line.number)
        _read_labels(said, line, "patient", patient)
        _read_members(said, line, of_patient.get(patient, ()))


def _pass_over(
    said: _Said, line: int, subject: Subject, name: str, near: Mapping[str, str]
) -> None:
    """Leave out a line about what nobody knows, where it may be; else it is a conflict."""
    if said.lenient.may_skip:
        said.n_skipped += 1
        return
    close = f"Did you mean {quoted(near[name])}? " if name in near else ""
    without = shlex.join(["pathassets", "cohort", "import", said.sheet.source, "--skip-unknown"])
    said.refuse(
        line, "unknown_slide" if subject == "slide" else "unknown_patient",
        f"{subject} {quoted(name)} is not in the catalog",
        f"{close}Register it: {_REGISTER[subject]}; or leave such lines out: {without}",
    )  # fmt: skip


def _changes(said: _Said) -> list[tuple[int, CohortChange]]:
    """What is said otherwise than now, and by which line, in their order."""
    lines: list[tuple[int, CohortChange]] = []
    known = {"slide": said.state.slides, "patient": said.state.patients}
    for place, (value, line) in said.values.items():
        subject, key, what = place
        old = known[subject].get(key, {}).get(what)
        if old != value:
            change = CohortChange(
                subject=subject, key=key, field=what, old=old, new=value, kind=said.kinds.get(place)
            )
            lines.append((line, change))
    held = {"tag": said.state.tags, "cohort": said.state.cohorts}
    for (slide_id, what, name), line in said.members.items():
        if name not in held[what].get(slide_id, ()):
            change = CohortChange(subject="slide", key=slide_id, field=what, old=None, new=name)
            lines.append((line, change))
    return sorted(lines, key=lambda one: one[0])


def _refuse_moves(said: _Said, changes: Iterable[CohortChange]) -> None:
    for one in changes:
        if one.field == "patient" and one.old is not None:
            _, line = said.values[one.subject, one.key, one.field]
            said.refuse(
                line, "patient_moves",
                would_move(one.key, one.old, one.new or ""),
                "Correct the table, or let slides change hands: --move-patients",
            )  # fmt: skip


def _spellings(changes: Iterable[CohortChange], state: CohortState) -> Iterator[str]:
    """Patients that a person takes for one, and that would be parted."""
    new = dict.fromkeys(one.new or "" for one in changes if one.field == "patient")
    if not new:
        return
    groups = [g for g in alike(dict.fromkeys((*state.patients, *new))) if any(n in new for n in g)]
    for group in groups[:MAX_ALIKE]:
        yield f"patients {' and '.join(map(told, group))} are taken as {len(group)} different ones"
    if len(groups) > MAX_ALIKE:
        yield f"{len(groups) - MAX_ALIKE} more patients are spelled in ways like these"


def _left_behind(changes: Iterable[CohortChange], state: CohortState) -> Iterator[str]:
    """Patients of whom something is said, and who would have no slide any more."""
    new = {one.key: one.new for one in changes if one.field == "patient"}
    stay = {new.get(slide_id, said.get("patient")) for slide_id, said in state.slides.items()}
    gone = sorted({said.get("patient", "") for key, said in state.slides.items() if key in new})
    for patient in gone:
        if patient not in stay and state.patients.get(patient):
            said = ", ".join(sorted(state.patients[patient]))
            yield f"patient {quoted(patient)} has no slide then; {said} stay with that name"
