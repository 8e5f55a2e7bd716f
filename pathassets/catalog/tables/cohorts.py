"""Whose slides they are, and what people say of them beyond resolution and drawings.

`slide.patient` and `slide.label` stand beside the slide; the label there is called `label`. What
else is said has rows here, and every change of it one in `cohort_change`, whoever made it.
"""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, Integer, Table, Text, text

from pathassets.catalog.tables.base import Moment, metadata, of_slide, words

patient = Table(
    "patient",
    metadata,
    words("patient", primary_key=True),
    # Where the patient was treated, or the slides were made.
    Column("site", Text),
)


def _said_of(owner: Column[str], table: str) -> Table:
    """Labels: what each says, of what kind it is, and the file it is from."""
    return Table(
        table,
        metadata,
        owner,
        words("name", primary_key=True),
        words("value"),
        # category, number, boolean or text.
        words("kind"),
        words("source"),
    )


def _key_of_slide() -> Column[str]:
    return Column("slide_id", Text, ForeignKey("slide.slide_id"), primary_key=True, nullable=False)


slide_label = _said_of(_key_of_slide(), "slide_label")
# No foreign key: slide.patient is none either.
patient_label = _said_of(words("patient", primary_key=True), "patient_label")

cohort = Table(
    "cohort",
    metadata,
    words("name", primary_key=True),
    Column("made_at", Moment, nullable=False),
)

cohort_slide = Table(
    "cohort_slide",
    metadata,
    Column("cohort", Text, ForeignKey("cohort.name"), primary_key=True, nullable=False),
    Column(
        "slide_id", Text, ForeignKey("slide.slide_id"), primary_key=True, nullable=False, index=True
    ),
)

slide_tag = Table(
    "slide_tag",
    metadata,
    _key_of_slide(),
    Column("tag", Text, primary_key=True, nullable=False, index=True),
)

cohort_change = Table(
    "cohort_change",
    metadata,
    Column("id", Integer, primary_key=True),
    # slide or patient, and its id; label, and the name of those whose kind changed.
    words("subject"),
    words("key"),
    # patient, label, label.NAME, site, stain, mpp, tag or cohort; kind of labels.
    words("field"),
    # NULL: there was nothing, or there is nothing any more.
    Column("old", Text),
    Column("new", Text),
    words("who"),
    # The table that it is from, and its SHA-256; empty where somebody stated it by hand.
    words("file"),
    words("sha256"),
    Column("at", Moment, nullable=False),
    Index(None, "key", "field", "id"),
)

verdict = Table(
    "verdict",
    metadata,
    Column("id", Integer, primary_key=True),
    of_slide(),
    # accept, reject or review.
    words("verdict"),
    words("who"),
    words("why"),
    Column("made_at", Moment, nullable=False),
    # As of cohort_change; last, as they were added.
    Column("file", Text, nullable=False, server_default=text("''")),
    Column("sha256", Text, nullable=False, server_default=text("''")),
)
