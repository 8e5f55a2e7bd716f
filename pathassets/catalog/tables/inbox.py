"""What lies in the inbox and is not taken yet; cohort tables that were taken from it."""

from __future__ import annotations

from sqlalchemy import JSON, BigInteger, Column, Double, Integer, Table, Text, text

from pathassets.catalog.tables.base import Moment, metadata, words

inbox_file = Table(
    "inbox_file",
    metadata,
    words("path", primary_key=True),
    Column("size_bytes", BigInteger, nullable=False),
    Column("mtime_ns", BigInteger, nullable=False),
    # By the inbox' own clock, which runs while it is looked into.
    Column("since_s", Double, nullable=False),
    # By which name its registration was asked for, with that of others; empty where it was not.
    words("asked"),
    # Why it is not asked for though it is still; empty where nothing speaks against it.
    words("lacks"),
    # How often a person asked for it to be tried again.
    Column("n_retries", Integer, nullable=False),
    # Of an object, what its storage calls this version; empty of a file.
    Column("etag", Text, nullable=False, server_default=text("''")),
)

inbox_clock = Table(
    "inbox_clock",
    metadata,
    # One row.
    Column("only", Integer, primary_key=True, autoincrement=False),
    Column("now_s", Double, nullable=False),
    Column("wall_s", Double, nullable=False),
    Column("monotonic_s", Double, nullable=False),
)

taken_table = Table(
    "taken_table",
    metadata,
    words("path", primary_key=True),
    Column("sha256", Text, nullable=False, index=True),
    Column("size_bytes", BigInteger, nullable=False),
    Column("mtime_ns", BigInteger, nullable=False),
    Column("n_lines", Integer, nullable=False),
    Column("n_changes", Integer, nullable=False),
    # Lines about what nobody knew, which are tried again when slides arrive.
    Column("open_lines", JSON, nullable=False),
    Column("taken_at", Moment, nullable=False),
    # Lines that waited, and of which something else was stated in the meantime; NULL of tables that
    # were taken before this was kept.
    Column("overtaken_lines", JSON),
)
