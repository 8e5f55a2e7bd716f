"""Runs over slides: when and where they worked."""

from __future__ import annotations

from sqlalchemy import Column, Integer, Table

from pathassets.catalog.tables.base import Moment, metadata, words

batch = Table(
    "batch",
    metadata,
    words("run_id", primary_key=True),
    Column("began_at", Moment, nullable=False),
    # NULL: it has not come to its end, or was killed.
    Column("ended_at", Moment),
    # Processor and cores; device as it is called, or `cpu`.
    words("machine"),
    words("device"),
    Column("n_workers", Integer, nullable=False),
    # When a device line had its first patch; NULL: none did, or nobody heard of it.
    Column("encoding_at", Moment),
)
