"""Where what is said of slides is kept: of each field the columns, and whose slides their rows are.

column of `slide` ─┐
rows of its own ───┼─▶ (slides, words): `conditions` asks for the slides of some words,
rows of a patient ─┘                    `words` for the words that there are
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, select

from pathassets.catalog.human_inputs import is_newest
from pathassets.catalog.tables import (
    annotation,
    cohort_slide,
    patient,
    patient_label,
    slide,
    slide_label,
    slide_path,
    slide_tag,
    verdict,
)
from pathassets.core.selection.nodes import Field

Holds = Callable[[ColumnElement[Any]], ColumnElement[bool]]
"""What is asked of a column."""

COLUMNS: Mapping[str, ColumnElement[Any]] = {
    "id": slide.c.slide_id,
    "patient": slide.c.patient,
    "label": slide.c.label,
    "stain": slide.c.stain,
    "scanner": slide.c.scanner,
    "vendor": slide.c.vendor,
    "objective_power": slide.c.objective_power,
}
"""Fields that are columns of `slide`; `label` is that, where no name of one is asked, and more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Rows that say a word of a slide."""

    slides: Select[Any]
    """Ids of the slides, a row for each word."""
    word: ColumnElement[Any]

    def where(self, holds: Holds) -> Select[Any]:
        """Ids of the slides whose word holds."""
        return self.slides.where(holds(self.word))

    def words(self) -> Select[Any]:
        """Each word with the id of a slide that it is said of."""
        words = self.slides.add_columns(self.word.label("word"))
        return words.where(self.word.is_not(None))


def _paths(_field: Field) -> list[Source]:
    return [Source(slides=select(slide_path.c.slide_id), word=slide_path.c.path)]


def _sites(_field: Field) -> list[Source]:
    of_patient = slide.alias("of_patient")
    joined = of_patient.join(patient, patient.c.patient == of_patient.c.patient)
    known = select(of_patient.c.slide_id).select_from(joined).where(patient.c.site.is_not(None))
    return [Source(slides=known, word=patient.c.site)]


def _cohorts(_field: Field) -> list[Source]:
    return [Source(slides=select(cohort_slide.c.slide_id), word=cohort_slide.c.cohort)]


def _tags(_field: Field) -> list[Source]:
    return [Source(slides=select(slide_tag.c.slide_id), word=slide_tag.c.tag)]


def _labels(field: Field) -> list[Source]:
    """Labels of that name of the slide itself, and of its patient."""
    name = field.of or "label"
    own, shared = label_rows()
    return [
        Source(slides=own.where(slide_label.c.name == name), word=slide_label.c.value),
        Source(slides=shared.where(patient_label.c.name == name), word=patient_label.c.value),
    ]


def label_rows() -> tuple[Select[Any], Select[Any]]:
    """Ids of slides, a row for each label: their own, and their patients'."""
    of_patient = slide.alias("of_patient")
    joined = of_patient.join(patient_label, patient_label.c.patient == of_patient.c.patient)
    return select(slide_label.c.slide_id), select(of_patient.c.slide_id).select_from(joined)


def _verdicts(_field: Field) -> list[Source]:
    in_force = select(verdict.c.slide_id).where(is_newest(verdict, "slide_id"))
    return [Source(slides=in_force, word=verdict.c.verdict)]


def _annotated(_field: Field) -> list[Source]:
    in_force = is_newest(annotation, "slide_id", "name") & (annotation.c.digest != "")
    return [Source(slides=select(annotation.c.slide_id).where(in_force), word=annotation.c.name)]


SOURCES: Mapping[str, Callable[[Field], list[Source]]] = {
    "site": _sites,
    "cohort": _cohorts,
    "tag": _tags,
    "label": _labels,
    "verdict": _verdicts,
    "path": _paths,
    "annotated": _annotated,
}
"""Fields that are not columns of a slide, or not only."""
