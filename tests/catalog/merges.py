"""Ids that were merged away, without the catalog of old that the migration merges."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import insert

from pathassets.catalog.catalog import Catalog
from pathassets.catalog.database import connect
from pathassets.catalog.tables import merged_slide


def remember_merge(catalog: Catalog, old_id: str, *, into: str) -> None:
    row = {"slide_id": old_id, "into_slide_id": into, "merged_at": datetime.now(UTC)}
    with connect.writing(catalog._engine) as connection:
        connection.execute(insert(merged_slide), row)
