"""A field -> the words that are said of slides in it: whether there is one, near ones, all of them.

text ─▶ is it said of any slide? ─no─▶ words that are spelt like it
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from sqlalchemy import Select, func, select, union_all

from pathassets.catalog.forgotten import is_staying
from pathassets.catalog.human_inputs import MAX_COMPARED
from pathassets.catalog.part import CatalogPart, portions
from pathassets.catalog.selections.sources import COLUMNS, SOURCES, Source, label_rows
from pathassets.catalog.tables import cohort, patient_label, slide, slide_label, wanted
from pathassets.core.near_names import near_names
from pathassets.core.selection.nodes import Field

LABEL_NAMES = Field(name="labels")
"""In place of a field: what labels are called."""


class Words(CatalogPart):
    """The part of the catalog that knows which words selections may ask for."""

    def known_words(self, field: Field, words: Collection[str], plan_id: int | None) -> set[str]:
        """Those of some words that are said of a slide in a field; of assets, by a plan."""
        found: set[str] = set()
        for some in portions(words):
            for said in _texts(field, plan_id, some):
                found.update(row["word"] for row in self._rows(said.distinct()))
        return found

    def near_words(self, field: Field, word: str, plan_id: int | None) -> list[str]:
        """Words of a field that are spelt like one; of many, those near it by name are compared."""
        half = MAX_COMPARED // 2
        near: set[str] = set()
        for texts in _texts(field, plan_id):
            said = texts.distinct().subquery()
            column = said.c.word
            for beside in (
                select(column).where(column < word).order_by(column.desc()),
                select(column).where(column >= word).order_by(column),
            ):
                near.update(row["word"] for row in self._rows(beside.limit(half)))
        return near_names(word, sorted(near))

    def count_words(
        self, field: Field, plan_id: int | None, *, limit: int | None = None
    ) -> list[tuple[str, int]]:
        """Words of a field and of how many slides each is said, the most common first."""
        pairs = [source.words() for source in _sources(field, plan_id)]
        said = union_all(*pairs).subquery()
        n_slides = func.count(said.c.slide_id.distinct())
        counted = select(said.c.word, n_slides.label("n")).where(is_staying(said.c.slide_id))
        of_each = counted.group_by(said.c.word)
        in_order = of_each.order_by(n_slides.desc(), said.c.word).limit(limit)
        return [(row["word"], row["n"]) for row in self._rows(in_order)]


def _sources(field: Field, plan_id: int | None) -> Iterator[Source]:
    """Where the words of a field stand."""
    if field == LABEL_NAMES:
        own, shared = label_rows()
        yield Source(slides=own, word=slide_label.c.name)
        yield Source(slides=shared, word=patient_label.c.name)
        return
    if field.name in COLUMNS and not field.of:
        yield Source(slides=select(slide.c.slide_id), word=COLUMNS[field.name])
    if field.name in SOURCES:
        yield from SOURCES[field.name](field)
    if field.name in {"reason", "state"}:
        word = wanted.c[field.name]
        yield Source(slides=_of_assets(field, plan_id).where(word != ""), word=word)


def _of_assets(field: Field, plan_id: int | None) -> Select[Any]:
    """Ids of slides, a row for each of their assets, or for the one that a field names."""
    rows = select(wanted.c.slide_id).where(wanted.c.plan_id == plan_id)
    stage, _, name = field.of.partition("/")
    return rows.where(wanted.c.stage == stage, wanted.c.name == name) if field.of else rows


def _texts(
    field: Field, plan_id: int | None, words: Collection[str] | None = None
) -> Iterator[Select[Any]]:
    """The words alone: all, or those of some that there are; a cohort may be empty."""
    for source in _sources(field, plan_id):
        query = source.words().with_only_columns(source.word.label("word"))
        yield query if words is None else query.where(source.word.in_(words))
    if field.name == "cohort":
        names = select(cohort.c.name.label("word"))
        yield names if words is None else names.where(cohort.c.name.in_(words))
