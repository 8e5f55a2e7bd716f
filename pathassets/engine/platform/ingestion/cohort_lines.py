"""Lines of a cohort table -> what is stated of the slides whose files they fit.

slide ─▶ its line ─▶ contradicts another, or would move it to another patient? ─no─▶ catalog
                                      │yes
                                      └─▶ states nothing; raised once all are registered
"""

from __future__ import annotations

import shlex

from pathassets.adapters.objects.remote_file import FilePlace
from pathassets.catalog.catalog import Catalog
from pathassets.catalog.records import ChangedBy, CohortFacts, SlideRecord
from pathassets.core.text import quoted
from pathassets.engine.platform.ingestion.cohort_matching import CohortFit
from pathassets.engine.platform.ingestion.cohort_table import CohortRow
from pathassets.errors import SpecError

TABLE = "cohort table"
"""Who states what comes in with the files: nobody is asked for a name there."""


def would_move(slide_id: str, patient: str, new: str) -> str:
    """What is said of a line that gives a slide another patient than it has."""
    return f"slide {slide_id} is of patient {quoted(patient)}, and would become {quoted(new)}'s"


class CohortLines:
    """The lines of a table as slides are registered, one after the other."""

    def __init__(self, catalog: Catalog, fit: CohortFit) -> None:
        self._catalog = catalog
        self._fit = fit
        self._by = ChangedBy(who=TABLE, file=fit.cohort.source, sha256=fit.cohort.sha256)
        self._used: dict[CohortRow, str] = {}
        """Lines that fitted a file that is a slide, and its id."""
        self._said: dict[tuple[str, str], CohortRow] = {}
        """The first line that states something of a slide."""
        self._contradictions: list[SpecError] = []

    def state(self, path: FilePlace, slide_id: str) -> str:
        """State what the line of a file says; returns what is to be told of that."""
        try:
            return self._state(path, slide_id)
        except SpecError as contradiction:
            self._contradictions.append(contradiction)
            return str(contradiction)

    def raise_contradictions(self) -> None:
        """Say which lines of the cohort table stated nothing, and why.

        Raises:
            SpecError: there are some.
        """
        if not self._contradictions:
            return
        first, *others = self._contradictions
        if not others:
            raise first
        raise SpecError(
            f"{first.message}; {len(others)} more of its lines contradict others, or what is known",
            remedy=first.remedy,
        )

    def _state(self, path: FilePlace, slide_id: str) -> str:
        """State what its line of the cohort table says; returns what that changed of a label.

        Raises:
            SpecError: the line contradicts another, or would move the slide to another patient.
        """
        row = self._fit.rows.get(path)
        if row is None:
            return ""
        self._require_one_truth(path, slide_id, row)
        known = self._catalog.slide(slide_id)
        self._require_same_patient(known, row)
        if row.patient or row.label:
            self._catalog.set_cohort_facts(
                [CohortFacts(slide_id=slide_id, patient=row.patient, label=row.label)], self._by
            )
        stated = self._catalog.mpp_history(slide_id) if row.mpp is not None else []
        if row.mpp is not None and (not stated or stated[0].mpp != row.mpp):
            self._catalog.override_mpp(slide_id, row.mpp, who=TABLE, why=self._by.file, by=self._by)
        if not row.label or not known.label or known.label == row.label:
            return ""
        return f"label {quoted(known.label)} is {quoted(row.label)} now"

    def _require_same_patient(self, known: SlideRecord, row: CohortRow) -> None:
        """Refuse a line that would move a slide to another patient, as all other tables do.

        Raises:
            SpecError: it would.
        """
        if not row.patient or not known.patient or known.patient == row.patient:
            return
        said = would_move(known.slide_id, known.patient, row.patient)
        raise SpecError(
            f"{self._fit.cohort.place(row)}: {said}",
            remedy="Correct the table, or let slides change hands: pathassets cohort import "
            f"{shlex.quote(self._by.file)} --move-patients --who …",
        )

    def _require_one_truth(self, path: FilePlace, slide_id: str, row: CohortRow) -> None:
        """Refuse a line about two slides, and two lines that contradict each other about one.

        Raises:
            SpecError: there are such.
        """
        place = self._fit.cohort.place(row)
        if self._used.setdefault(row, slide_id) != slide_id:
            raise SpecError(
                f"{place}: {row.file} fits two slides, {self._used[row]} and {slide_id} ({path})",
                remedy="Give more of the path, or its suffix, in the column 'file', one line for "
                "each slide",
            )
        for name in ("patient", "label", "mpp"):
            said = getattr(row, name)
            first = row if said is None else self._said.setdefault((slide_id, name), row)
            if getattr(first, name) != said:
                raise SpecError(
                    f"{place}: {row.file} has the same content as {first.file}, and another {name}",
                    remedy="Let the lines of both state the same",
                )
