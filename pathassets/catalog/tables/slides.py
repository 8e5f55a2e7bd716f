"""Slides, the files that hold them, and files that could not be registered."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    text,
)

from pathassets.catalog.tables.base import Moment, metadata, of_slide, words

slide = Table(
    "slide",
    metadata,
    words("slide_id", primary_key=True),
    Column("fingerprint", Text, nullable=False, index=True, unique=True),
    Column("size_bytes", BigInteger, nullable=False),
    words("vendor"),
    words("reader"),
    Column("width_px0", Integer, nullable=False),
    Column("height_px0", Integer, nullable=False),
    Column("n_levels", Integer, nullable=False),
    Column("level_downsamples", JSON, nullable=False),
    Column("mpp", Double),
    Column("mpp_sources", JSON, nullable=False),
    words("resolution_reason"),
    words("resolution_message"),
    Column("objective_power", Double),
    Column("patient", Text),
    Column("label", Text),
    Column("registered_at", Moment, nullable=False),
    # NULL: neither the file says so nor a person.
    Column("scanner", Text),
    Column("stain", Text),
    # Of level 0; NULL: not known.
    Column("codec", Text),
    # Last, so that SQLite reads all other columns without walking its overflow pages.
    Column("thumbnail", LargeBinary),
    # Slides are listed in this order, page by page.
    Index(None, "registered_at", "slide_id"),
)

slide_path = Table(
    "slide_path",
    metadata,
    words("path", primary_key=True),
    of_slide(),
    Column("size_bytes", BigInteger, nullable=False),
    Column("mtime_ns", BigInteger, nullable=False),
    Column("seen_at", Moment, nullable=False),
    # As it was added; 0: not known.
    Column("ctime_ns", BigInteger, nullable=False, server_default="0"),
    # Last, as it was added; of an object, what its storage calls this version; empty of a file.
    Column("etag", Text, nullable=False, server_default=text("''")),
)

merged_slide = Table(
    "merged_slide",
    metadata,
    # An id that a slide had before its content was found to be another slide's, too.
    words("slide_id", primary_key=True),
    Column("into_slide_id", Text, ForeignKey("slide.slide_id"), nullable=False, index=True),
    # What was known of both at the time: where that differs, the slide has neither.
    Column("patient", Text),
    Column("label", Text),
    Column("into_patient", Text),
    Column("into_label", Text),
    Column("merged_at", Moment, nullable=False),
)

rejected_file = Table(
    "rejected_file",
    metadata,
    words("path", primary_key=True),
    words("reason"),
    words("message"),
    words("remedy"),
    Column("size_bytes", BigInteger, nullable=False),
    Column("mtime_ns", BigInteger, nullable=False),
    Column("rejected_at", Moment, nullable=False),
    # As it was added; 0: not known.
    Column("ctime_ns", BigInteger, nullable=False, server_default="0"),
    # Last, as it was added; of an object, what its storage calls this version; empty of a file.
    Column("etag", Text, nullable=False, server_default=text("''")),
)
