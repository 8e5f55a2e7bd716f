from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from pathassets.catalog.catalog import Catalog
from pathassets.catalog.database import connect
from pathassets.catalog.database.connect import open_engine, reading, writing
from pathassets.catalog.records import BadTileRecord, EncoderRecord
from pathassets.catalog.rows import flat, slide_row
from pathassets.catalog.tables import bad_tile, slide
from pathassets.errors import CatalogError
from tests.catalog.hostile_words import HOSTILE, path_of, slide_of

TILE = BadTileRecord(
    slide_id="a", level=0, x_px=256, y_px=0, width_px=256, height_px=256, tile=1,
    reason="undecodable", message=HOSTILE["terminal"], found_by="features",
)  # fmt: skip
CARD = EncoderRecord(
    name="uni", version="1", weights_sha256="a" * 64, dim=1024, input_px=224, mpp=0.5,
    pooling="cls", precision="float16", weights="trained", licence="CC-BY-NC-ND-4.0",
    is_gated=True, source="https://huggingface.co/x", description="x",
)  # fmt: skip


@pytest.fixture
def one(catalog: Catalog) -> Catalog:
    catalog.register_slide(slide_of("a"), path_of("a"))
    return catalog


def test_a_tile_that_is_met_again_keeps_who_found_it_first(one) -> None:
    one.enter_bad_tiles([TILE, replace(TILE, x_px=0, tile=0)])
    one.enter_bad_tiles([replace(TILE, found_by="patch_set")])
    one.enter_bad_tiles([])
    assert one.bad_tiles("a") == [replace(TILE, x_px=0, tile=0), TILE]


def test_a_look_at_every_tile_replaces_what_was_listed(one) -> None:
    one.enter_bad_tiles([TILE])
    assert one.tiles_checked(["a", "b"]) == set()
    one.replace_bad_tiles("a", [replace(TILE, level=1, found_by="check")])
    assert [(t.level, t.found_by) for t in one.bad_tiles("a")] == [(1, "check")]
    one.replace_bad_tiles("a", [])
    assert one.bad_tiles("a") == []
    assert one.tiles_checked(["a", "b"]) == {"a"}
    with pytest.raises(CatalogError, match="slide b: not in the catalog"):
        one.replace_bad_tiles("b", [])


def test_an_encoder_is_entered_once_for_each_of_its_weights(one) -> None:
    other = replace(CARD, weights_sha256="b" * 64)
    one.note_encoders([CARD, other])
    first = one.encoders()
    assert first == [CARD, other]
    one.note_encoders([CARD])
    assert [e.seen_at for e in one.encoders()] == [e.seen_at for e in first]
    one.note_encoders([replace(CARD, licence="Apache-2.0")])
    assert [e.licence for e in one.encoders()] == ["Apache-2.0", CARD.licence]


SINCE_0006 = {"scanner", "stain", "codec"}
"""Columns of slides that came after that revision."""


def test_what_artifacts_of_an_older_catalog_list_is_entered(url, monkeypatch) -> None:
    monkeypatch.setattr(connect, "HEAD", "0006")
    old = open_engine(url)
    monkeypatch.undo()
    tiles = [{n: getattr(TILE, n) for n in TILE.__dataclass_fields__ if n not in
              ("slide_id", "found_by", "found_at")}]  # fmt: skip
    now = datetime.now(UTC).isoformat(timespec="microseconds")
    row = {n: v for n, v in vars_of(slide_of("a")).items() if n not in SINCE_0006}
    with writing(old) as connection:
        row |= {"registered_at": now, "patient": "P1", "level_downsamples": "[1.0]"}
        names = ", ".join(row)
        values = ", ".join(f":{name}" for name in row)
        connection.execute(text(f"INSERT INTO slide ({names}) VALUES ({values})"), row)  # noqa: S608
        insert = text(
            "INSERT INTO artifact VALUES "
            "(:stage, 'x', 'a', :stage, 'uri', '{}', '1', :facts, '[]', 'run', :now)"
        )
        for stage, bad in (("tissue_mask", []), ("features", tiles), ("patch_set", tiles)):
            facts = json.dumps({"bad_tiles": bad}, separators=(",", ":"))
            connection.execute(insert, {"stage": stage, "facts": facts, "now": now})
    old.dispose()
    with Catalog.open(url) as catalog:
        assert catalog.bad_tiles("a") == [replace(TILE, found_by="patch_set")]
        assert catalog.cohort_state().patients == {"P1": {}}
        assert catalog.slide("a").scanner is None


def test_slides_of_an_older_catalog_were_looked_at_where_check_found_a_tile(url, monkeypatch):
    monkeypatch.setattr(connect, "HEAD", "0012")
    old = open_engine(url)
    monkeypatch.undo()
    at = datetime(2026, 1, 31, tzinfo=UTC)
    with writing(old) as connection:
        for slide_id, found_by in (("a", "check"), ("b", "features")):
            row = slide_row(slide_of(slide_id)) | {"registered_at": at}
            names = [name for name in row if name != "codec"]  # of revision 0015
            connection.execute(slide.insert().values({name: row[name] for name in names}))
            found = replace(TILE, slide_id=slide_id, found_by=found_by, found_at=at)
            connection.execute(bad_tile.insert(), flat(found))
    old.dispose()
    with Catalog.open(url) as catalog, reading(catalog._engine) as connection:
        asked = text("SELECT slide_id, n_bad_tiles, tiles_checked_at FROM v_slides ORDER BY 1")
        assert [tuple(row) for row in connection.execute(asked)] == [
            ("a", 1, "2026-01-31T00:00:00.000000+00:00"), ("b", 1, None)
        ]  # fmt: skip


def vars_of(record):
    plain = {name: getattr(record, name) for name in record.__dataclass_fields__}
    return plain | {"mpp_sources": "[]", "resolution_reason": "", "resolution_message": ""}
