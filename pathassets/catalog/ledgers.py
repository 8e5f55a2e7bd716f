"""What was found out on the way: tiles that cannot be read, encoders that a recipe named."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from sqlalchemy import Connection, delete, func, select

from pathassets.catalog.database.connect import reading, writing
from pathassets.catalog.database.dialects import upsert
from pathassets.catalog.human_inputs import check_known
from pathassets.catalog.part import CatalogPart, now
from pathassets.catalog.records import UNSTAMPED, BadTileRecord, EncoderRecord
from pathassets.catalog.rows import flat
from pathassets.catalog.tables import bad_tile, encoder, tile_check


class Ledgers(CatalogPart):
    """The part of the catalog that fills by itself."""

    def enter_bad_tiles(self, tiles: Sequence[BadTileRecord]) -> None:
        """Enter tiles that were met; one that is known keeps who found it first, and when.

        Raises:
            CatalogError: a slide is unknown.
        """
        if tiles:
            with writing(self._engine) as connection:
                check_known(connection, sorted({one.slide_id for one in tiles}))
                _enter(connection, tiles)

    def replace_bad_tiles(self, slide_id: str, tiles: Sequence[BadTileRecord]) -> None:
        """Enter that all tiles of a slide were read, and the bad ones: no other is one any more.

        Raises:
            CatalogError: the slide is unknown.
        """
        with writing(self._engine) as connection:
            check_known(connection, [slide_id])
            connection.execute(delete(bad_tile).where(bad_tile.c.slide_id == slide_id))
            if tiles:
                _enter(connection, tiles)
            upsert(connection, tile_check, [{"slide_id": slide_id, "checked_at": now()}])

    def bad_tiles(self, slide_id: str) -> list[BadTileRecord]:
        """Bad tiles of a slide, level by level, row by row."""
        query = (
            select(bad_tile)
            .where(bad_tile.c.slide_id == slide_id)
            .order_by(bad_tile.c.level, bad_tile.c.y_px, bad_tile.c.x_px)
        )
        with reading(self._engine) as connection:
            return [BadTileRecord(**row) for row in connection.execute(query).mappings()]

    def n_bad_tiles(self, slide_ids: Collection[str]) -> dict[str, int]:
        """How many bad tiles are listed of each of some slides that has any."""
        query = select(bad_tile.c.slide_id, func.count().label("n")).group_by(bad_tile.c.slide_id)
        return {r["slide_id"]: r["n"] for r in self._rows_of(query, bad_tile.c.slide_id, slide_ids)}

    def tiles_checked(self, slide_ids: Collection[str]) -> set[str]:
        """Those of some slides of which all tiles were read once."""
        query = select(tile_check.c.slide_id)
        return {r["slide_id"] for r in self._rows_of(query, tile_check.c.slide_id, slide_ids)}

    def note_encoders(self, seen: Iterable[EncoderRecord]) -> None:
        """Enter encoders that are new here, or declare something else by now.

        Costs one small query where there is nothing to enter.
        """
        named = list(seen)
        if not named:
            return
        known = {_key(one): one for one in self.encoders()}
        new = [one for one in named if known.get(_key(one)) != one]
        if new:
            with writing(self._engine) as connection:
                rows = [flat(one) | {"seen_at": now()} for one in new]
                upsert(connection, encoder, rows, keep_first=["seen_at"])

    def encoders(self) -> list[EncoderRecord]:
        """All encoders that a recipe named, by name."""
        with reading(self._engine) as connection:
            query = select(encoder).order_by(*encoder.primary_key)
            return [EncoderRecord(**row) for row in connection.execute(query).mappings()]


def _key(one: EncoderRecord) -> tuple[str, str, str]:
    return one.name, one.version, one.weights_sha256


def _enter(connection: Connection, tiles: Sequence[BadTileRecord]) -> None:
    at = now()
    stamped = (replace(one, found_at=at) if one.found_at == UNSTAMPED else one for one in tiles)
    rows = [flat(one) for one in stamped]
    upsert(connection, bad_tile, rows, keep_first=["found_by", "found_at"])
