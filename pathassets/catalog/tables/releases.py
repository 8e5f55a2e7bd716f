"""Releases of datasets, who is in which part, what parts share, and what of it was accepted."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    Column,
    Double,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
)
from sqlalchemy.schema import SchemaItem

from pathassets.catalog.tables.base import Moment, metadata, words

release = Table(
    "release",
    metadata,
    words("dataset", primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    # Of the dataset's artifact: what it is called in the store.
    Column("digest", Text, nullable=False, index=True),
    words("content_sha256"),
    # Entries of the recipe that its members were made by.
    words("tissue_mask"),
    words("patch_locations"),
    words("features"),
    Column("recipe", JSON, nullable=False),
    Column("report", JSON, nullable=False),
    Column("licences", JSON, nullable=False),
    words("who"),
    words("why"),
    Column("made_at", Moment, nullable=False),
)


def _slides_of_release(table: str, *said: SchemaItem) -> Table:
    """What releases say of slides: a row each, whose it is, its label, and more.

    Without a foreign key to slide: a release outlives what is said of slides later.
    """
    return Table(
        table,
        metadata,
        words("dataset", primary_key=True),
        Column("version", Integer, primary_key=True, autoincrement=False),
        words("slide_id", primary_key=True),
        Column("patient", Text),
        Column("label", Text),
        *said,
        ForeignKeyConstraint(["dataset", "version"], ["release.dataset", "release.version"]),
    )


release_member = _slides_of_release(
    "release_member",
    words("split"),
    Column("n_patches", Integer, nullable=False),
    words("features_sha256"),
    words("slide_sha256"),
    Column("slide_mpp", Double),
    words("slide_version"),
    words("tissue_mask_digest"),
    words("patch_locations_digest"),
    words("features_digest"),
    Index(None, "slide_id"),
)

release_left_out = _slides_of_release("release_left_out", words("why"))

dataset_placement = Table(
    "dataset_placement",
    metadata,
    words("dataset", primary_key=True),
    # How people were placed: with other shares, labels or seed nobody was placed before.
    words("scheme", primary_key=True),
    # patient or site, and its name.
    words("kind", primary_key=True),
    words("name", primary_key=True),
    words("part"),
    # Version of the dataset that placed it first.
    words("digest"),
    Column("placed_at", Moment, nullable=False),
)

dataset_finding = Table(
    "dataset_finding",
    metadata,
    words("dataset", primary_key=True),
    # Digest of kind and pair.
    words("finding", primary_key=True),
    words("kind"),
    words("one"),
    words("other"),
    words("message"),
    words("remedy"),
    Column("evidence", JSON, nullable=False),
    # Version of the dataset that it kept from being.
    words("digest"),
    Column("found_at", Moment, nullable=False),
)

accepted_finding = Table(
    "accepted_finding",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("dataset", Text, nullable=False, index=True),
    words("finding"),
    words("kind"),
    words("one"),
    words("other"),
    words("message"),
    words("who"),
    words("why"),
    Column("made_at", Moment, nullable=False),
)

slide_hash = Table(
    "slide_hash",
    metadata,
    words("slide_id", primary_key=True),
    # Which way of hashing; another way hashes again.
    words("method"),
    # Empty: there is nothing on its thumbnail that could be told from another's.
    Column("bits", LargeBinary, nullable=False),
)
