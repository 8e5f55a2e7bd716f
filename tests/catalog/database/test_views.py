from __future__ import annotations

import re
import sqlite3
import time
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest
from sqlalchemy import create_engine, inspect, text

from pathassets.catalog.catalog import Catalog
from pathassets.catalog.database import views
from pathassets.catalog.database.connect import open_engine, reading, writing
from pathassets.catalog.database.dialects import in_dialect
from pathassets.catalog.database.query import open_query
from pathassets.catalog.database.views import VIEWS, drop_views, make_views
from pathassets.catalog.migrations import HEAD
from pathassets.catalog.records import AttemptRecord, CohortChange
from pathassets.catalog.releases.records import FindingRecord, ReleaseRecord
from pathassets.catalog.standing.standing import Wanted
from pathassets.catalog.tables import metadata
from pathassets.core.spec import digest_of
from pathassets.errors import CatalogError
from tests.catalog.filled import CARD, FEATURES, QUALITY, TABLE, fill
from tests.catalog.hostile_words import HOSTILE, path_of, slide_of

PAGE = (Path(__file__).parents[3] / "docs" / "catalog.md").read_text()
EXAMPLES = re.findall(r"^```sql\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
RELEASE = ReleaseRecord(
    dataset="cohort", version=0, digest="d1", content_sha256="c" * 64, tissue_mask="otsu",
    patch_locations="grid", features="stats", recipe={}, report={}, licences={}, who="Ann",
    why="for the paper",
)  # fmt: skip
MEMBER = {
    "slide_id": "a", "patient": "P1", "label": "tumour", "split": "test", "n_patches": 7,
    "features_sha256": "f" * 64, "slide_sha256": "s" * 64, "slide_mpp": 0.25, "slide_version": "v",
    "tissue_mask_digest": "m", "patch_locations_digest": "l", "features_digest": "none",
}  # fmt: skip
LEFT_OUT = {"slide_id": "b", "patient": "P1", "label": None, "why": "no features"}
FINDING = FindingRecord(
    finding="f1", kind="same_slide", one="a", other="b", message="alike", remedy="leave one out",
    evidence={},
)  # fmt: skip
OF_REVISION = {
    "0008": "1dfebf67aeda846d",
    "0011": "6bc2f64fba0d6f2c",
    "0012": "6bc2f64fba0d6f2c",
    "0013": "98570df4e535198a",
    "0014": "0f132359df46267e",
    "0015": "0f132359df46267e",
    "0016": "0f132359df46267e",
    "0017": "0f132359df46267e",
    "0018": "0f132359df46267e",
    "0019": "0f132359df46267e",
    "0020": "0f132359df46267e",
    "0021": "0f132359df46267e",
}
"""Digest of the views with which each revision leaves a catalog."""


@pytest.fixture(
    scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)]
)
def filled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A catalog of either kind for all tests that only read."""
    if request.param == "sqlite":
        return fill_at(f"sqlite:///{tmp_path_factory.mktemp('views') / 'catalog.db'}")
    return fill_at(request.getfixturevalue("make_schema")())


def fill_at(url: str) -> str:
    with Catalog.open(url) as catalog:
        fill(catalog)
        plan_id = catalog.open_plan("recipe")
        catalog.plan_some(plan_id, ["a", "b"], lambda _: [Wanted(stage="features", name="stats",
                                                                 digest="none")])  # fmt: skip
        catalog.freeze(RELEASE, [MEMBER], [LEFT_OUT])
        catalog.set_findings("cohort", "d1", [FINDING])
    return url


def rows(url: str, query: str) -> list[dict[str, Any]]:
    engine = open_engine(url)
    with reading(engine) as connection:
        found = [dict(row) for row in connection.execute(text(query)).mappings()]
    engine.dispose()
    return found


def one(url: str, query: str) -> dict[str, Any]:
    (row,) = rows(url, query)
    return row


def test_a_slide_has_one_row_with_all_that_is_known_of_it(filled) -> None:
    found = rows(filled, "SELECT * FROM v_slides ORDER BY slide_id")
    a, b = found
    expected = {
        "slide_id": "a", "patient": "P1", "site": "Lyon", "label": "tumour", "mpp": 0.25,
        "file_mpp": 0.5, "mpp_stated_by": "Bob", "cohorts": "luad,pilot", "tags": "biopsy",
        "n_bad_tiles": 1, "n_paths": 2, "verdict": "review", "verdict_by": "Ann",
        "path": HOSTILE["quotes"] + ".svs",
    }  # fmt: skip
    assert {name: a[name] for name in expected} == expected
    empty = ("label", "mpp_stated_by", "cohorts", "tags", "verdict", "scanner", "stain")
    assert [b[name] for name in empty] == [None] * len(empty)
    assert (b["site"], b["mpp"], b["n_bad_tiles"]) == ("Lyon", 0.5, None)


def test_a_state_is_that_of_the_plan_that_was_used_last(filled) -> None:
    found = rows(filled, "SELECT slide_id, stage, name, state, digest FROM v_states ORDER BY 1")
    assert [tuple(row.values()) for row in found if row["slide_id"] == "b"] == [
        ("b", "features", "stats", "missing", "none")
    ]


def test_a_release_says_whom_it_has_whom_it_left_out_and_why(filled) -> None:
    release = one(filled, "SELECT * FROM v_releases")
    counts = ("release_name", "n_slides", "n_patients", "n_left_out", "who", "why")
    assert [release[n] for n in counts] == ["cohort@1", 1, 1, 1, "Ann", "for the paper"]
    member = one(filled, "SELECT * FROM v_release_members")
    assert {n: member[n] for n in ("release_name", "slide_id", "split", "features")} == {
        "release_name": "cohort@1", "slide_id": "a", "split": "test", "features": "stats",
    }  # fmt: skip
    left = one(filled, "SELECT * FROM v_release_left_out")
    assert (left["release_name"], left["slide_id"], left["why"]) == ("cohort@1", "b", "no features")
    assert one(filled, "SELECT * FROM v_findings")["finding"] == "f1"


def test_labels_of_slides_and_patients_stand_below_each_other(filled) -> None:
    found = rows(filled, "SELECT * FROM v_labels ORDER BY slide_id, name")
    said = [(r["slide_id"], r["said_of"], r["name"], r["kind"], r["number"]) for r in found]
    assert said == [
        ("a", "slide", "grade", "number", 2.5),
        ("a", "slide", "label", "category", None),
        ("a", "patient", "os_months", "number", 12.0),
        ("a", "slide", "remark", "text", None),
        ("b", "patient", "os_months", "number", 12.0),
    ]
    assert {row["source"] for row in found} == {TABLE.file}
    assert found[3]["value"] == HOSTILE["newline"]


def test_artifacts_have_their_key_facts_as_columns(filled) -> None:
    mask = one(filled, "SELECT * FROM v_artifacts WHERE stage = 'tissue_mask'")
    assert (mask["tissue_mm2"], mask["tissue_share"], mask["n_patches"]) == (1.5, 0.25, None)
    assert (mask["n_files"], mask["size_bytes"]) == (2, 2**32)
    features = one(filled, "SELECT * FROM v_features")
    assert (features["patient"], features["dim"], features["n_patches"]) == ("P1", 512, 8)
    assert features["features_uri"] == f"{FEATURES}/features.zarr"
    dataset = one(filled, "SELECT * FROM v_datasets")
    assert (dataset["n_slides"], dataset["n_left_out"]) == (1, 1)


def test_quality_has_the_newest_numbers_of_each_slide_and_null_for_what_is_not_known(
    filled,
) -> None:
    quality = one(filled, "SELECT * FROM v_quality")
    assert (quality["slide_id"], quality["name"], quality["digest"]) == ("a", "numbers", "q0")
    assert (quality["focus_median"], quality["ink_share"]) == (130.5, 0.0)
    assert (quality["fold_share"], quality["coverage"]) == (None, None)
    assert quality["quality_uri"] == f"{QUALITY}/quality.parquet"


def test_a_failure_is_listed_until_the_next_attempt_ends_well(url) -> None:
    filled = fill_at(url)
    failure = one(filled, "SELECT * FROM v_failures")
    assert (failure["slide_id"], failure["reason"]) == ("a", "tile_unreadable")
    assert (failure["message"], failure["is_final"]) == (HOSTILE["terminal"], 1)
    with Catalog.open(filled) as catalog:
        catalog.record_attempts([AttemptRecord(run_id="next", address=FEATURES, state="made")])
    assert rows(filled, "SELECT * FROM v_failures") == []
    assert len(rows(filled, "SELECT * FROM v_attempts")) == 3


def test_drawings_encoders_tiles_and_changes_have_their_views(filled) -> None:
    drawn = one(filled, "SELECT * FROM v_annotations")
    assert (drawn["name"], drawn["is_withdrawn"], drawn["n_polygons"]) == ("tumour", 0, 3)
    card = one(filled, "SELECT * FROM v_encoders")
    assert (card["licence"], card["is_gated"], card["dim"]) == (CARD.licence, 0, 512)
    assert one(filled, "SELECT * FROM v_bad_tiles")["reason"] == "no_pixels"
    changes = rows(filled, "SELECT * FROM v_changes WHERE key = 'P1' ORDER BY change_id")
    assert [(r["field"], r["new"]) for r in changes] == [
        ("site", "Lyon"),
        ("label.os_months", "12"),
    ]


def test_both_databases_have_the_same_views_with_the_same_columns(sqlite_url, make_schema) -> None:
    found = []
    for url in (sqlite_url, make_schema()):
        engine = open_engine(url)
        with reading(engine) as connection:
            found.append(
                {
                    name: list(connection.execute(text(f"SELECT * FROM {name}")).keys())  # noqa: S608
                    for name in inspect(connection).get_view_names()
                }
            )
        engine.dispose()
    assert found[0] == found[1]
    assert set(found[0]) == set(VIEWS)


def test_the_views_of_a_migrated_catalog_are_those_of_the_code(sqlite_url, tmp_path) -> None:
    Catalog.open(sqlite_url).close()
    connection = sqlite3.connect(tmp_path / "catalog.db")
    found = dict(
        connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'view'").fetchall()
    )
    connection.close()
    assert found == {
        name: f"CREATE VIEW {name} AS {in_dialect(sql.strip(), 'sqlite')}"
        for name, sql in VIEWS.items()
    }


def test_who_changes_a_view_adds_a_migration_which_brings_it_to_catalogs_that_are_there() -> None:
    assert digest_of(dict(VIEWS)) == OF_REVISION[HEAD]


def test_making_views_anew_gives_the_new_ones_and_leaves_those_of_people(url, monkeypatch) -> None:
    filled = fill_at(url)
    engine = open_engine(filled)
    monkeypatch.setattr(views, "VIEWS", {**VIEWS, "v_encoders": "SELECT 1 AS x"})
    with writing(engine) as connection:
        connection.execute(text("CREATE VIEW mine AS SELECT slide_id FROM slide"))
        drop_views(connection)
        make_views(connection)
    engine.dispose()
    assert rows(filled, "SELECT * FROM v_encoders") == [{"x": 1}]
    assert len(rows(filled, "SELECT * FROM mine")) == 2


def documented() -> dict[str, list[str]]:
    """Columns of each view, in the order of the page."""
    parts = re.split(r"^### (v_\w+)$", PAGE, flags=re.MULTILINE)[1:]
    return {
        name: [c for row in re.findall(r"^\| (`.*?) \|", text, re.MULTILINE)
               for c in re.findall(r"`(\w+)`", row)]
        for name, text in zip(parts[::2], parts[1::2], strict=True)
    }  # fmt: skip


def test_the_page_names_every_column_of_every_view(sqlite_url) -> None:
    engine = open_engine(sqlite_url)
    with reading(engine) as connection:
        columns = {
            name: sorted(connection.execute(text(f"SELECT * FROM {name}")).keys())  # noqa: S608
            for name in VIEWS
        }
    engine.dispose()
    assert {name: sorted(found) for name, found in documented().items()} == columns


@pytest.mark.parametrize("query", EXAMPLES)
def test_an_example_of_the_page_is_answered_with_rows(filled, query) -> None:
    with open_query(filled, query, timeout_s=20) as result:
        assert list(result.rows())
    assert len(EXAMPLES) >= 5


def test_no_view_hides_a_table_of_the_catalog() -> None:
    assert not set(VIEWS) & set(metadata.tables)


def test_pandas_reads_the_views(filled) -> None:
    engine = create_engine(filled)
    table = pd.read_sql("SELECT * FROM v_slides ORDER BY slide_id", engine)
    engine.dispose()
    assert table["mpp"].tolist() == [0.25, 0.5]
    assert table["path"][0] == HOSTILE["quotes"] + ".svs"


def test_duckdb_reads_the_views_of_a_file(sqlite_url, tmp_path) -> None:
    with Catalog.open(sqlite_url) as catalog:
        fill(catalog)
    connection = sqlite3.connect(tmp_path / "catalog.db")
    found = pd.read_sql("SELECT * FROM v_labels", connection)
    connection.close()
    assert len(found) == 5
    query = "SELECT name, count(*) AS n FROM found GROUP BY name ORDER BY n DESC, name LIMIT 1"
    assert duckdb.sql(query).fetchall() == [("os_months", 2)]


@pytest.mark.slow
def test_a_hundred_thousand_slides_are_read_in_two_seconds(sqlite_url) -> None:
    n = 100_000
    with Catalog.open(sqlite_url) as catalog:
        engine = catalog._engine
        with writing(engine) as connection:
            connection.execute(
                text(
                    "INSERT INTO slide (slide_id, fingerprint, size_bytes, vendor, reader, "
                    "width_px0, height_px0, n_levels, level_downsamples, mpp, mpp_sources, "
                    "resolution_reason, resolution_message, registered_at) "
                    "VALUES (:id, :id, 1, '', '', 1, 1, 1, '[]', 0.5, '[]', '', '', '')"
                ),
                [{"id": f"s{i:06}"} for i in range(n)],
            )
        changes = [
            CohortChange(subject="slide", key=f"s{i:06}", field=field, old=None, new=f"x{i % 9}")
            for i in range(n)
            for field in ("patient", "label.x", "tag", "cohort")
        ]
        begin_s = time.process_time()
        catalog.record_changes(changes, TABLE)
        assert time.process_time() - begin_s < 30
    begin_s = time.process_time()
    assert len(rows(sqlite_url, "SELECT * FROM v_slides")) == n
    assert time.process_time() - begin_s < 4


def test_words_of_strangers_are_in_the_views_as_they_are(catalog, made_url) -> None:
    catalog.register_slide(slide_of("a"), path_of("a"))
    changes = [
        CohortChange(subject="slide", key="a", field=f"label.{name}", old=None, new=word)
        for name, word in HOSTILE.items()
    ]
    catalog.record_changes(changes, TABLE)
    found = rows(made_url, "SELECT name, value FROM v_labels")
    assert {row["name"]: row["value"] for row in found} == HOSTILE


def test_a_view_of_a_person_upon_ours_is_never_dropped(make_schema) -> None:
    engine = open_engine(make_schema())
    with writing(engine) as connection:
        connection.execute(text("CREATE VIEW mine AS SELECT slide_id FROM v_slides"))
    with pytest.raises(CatalogError, match="depend"), writing(engine) as connection:
        drop_views(connection)
    with reading(engine) as connection:
        assert "mine" in inspect(connection).get_view_names()
    engine.dispose()
