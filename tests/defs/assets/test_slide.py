from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from sqlalchemy import Engine, event

from pathassets.catalog.records import ChangedBy, CohortChange
from pathassets.defs.assets.slide import report_slides, reported_versions
from pathassets.defs.events.data_versions import Provenance
from pathassets.defs.partitions import add_slides
from tests.catalog.hostile_words import HOSTILE
from tests.catalog.merges import remember_merge
from tests.defs.small_slides import write_slide
from tests.defs.workbench import Workbench


@pytest.fixture
def few_variables() -> Iterator[int]:
    """Let SQLite take as many variables as its oldest builds: what holds there holds anywhere."""
    n_variables = 999

    def limit(connection: sqlite3.Connection, _: object) -> None:
        connection.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, n_variables)

    event.listen(Engine, "connect", limit)
    yield n_variables
    event.remove(Engine, "connect", limit)


def n_reported(bench: Workbench) -> int:
    return len(bench.instance.fetch_materializations(dg.AssetKey("slide"), limit=100).records)


def test_a_slide_is_reported_once_and_again_when_its_resolution_changes(
    bench: Workbench, home: Path
) -> None:
    a, b = bench.ingest(write_slide(home / "b.svs", 2), write_slide(home / "a.svs", 1))
    assert bench.instance.get_dynamic_partitions("slides") == [b, a]  # by name
    assert n_reported(bench) == 2
    assert report_slides(bench.instance, bench.platform, [a, b]) == []
    assert n_reported(bench) == 2

    before = reported_versions(bench.instance, [a, b])
    bench.restate(a, 0.4)
    after = reported_versions(bench.instance, [a, b])
    assert n_reported(bench) == 3
    assert {s for s in (a, b) if before[s] != after[s]} == {a}
    seen = bench.latest("slide", a).asset_materialization
    assert seen is not None
    assert seen.metadata["mpp"].value == "0.4"
    assert seen.metadata["mpp_stated"].value == "0.4 by a test: it wants to"


def test_forty_thousand_slides_become_partitions_where_a_query_takes_32766_variables(
    bench: Workbench, few_variables: int
) -> None:
    ids = [f"s{i:05}" for i in range(few_variables + 300)]
    add_slides(bench.instance, ids)
    add_slides(bench.instance, [*ids, "t", "a", "s00001b"])
    assert bench.instance.get_dynamic_partitions("slides") == sorted([*ids, "t", "a", "s00001b"])


def test_a_run_looks_up_more_slides_than_a_query_takes_variables(
    bench: Workbench, few_variables: int
) -> None:
    entries = bench.platform.recipe.per_slide
    ids = [f"s{i:05}" for i in range(few_variables + 300)]
    assert Provenance(bench.instance, bench.platform.recipe, entries, ids)


def test_an_id_that_was_merged_away_is_no_partition_any_more(bench: Workbench, home: Path) -> None:
    a, b = bench.ingest(write_slide(home / "a.svs", 1), write_slide(home / "b.svs", 2))
    add_slides(bench.instance, ["ghost"])
    remember_merge(bench.platform.catalog, "ghost", into=a)
    assert bench.run().success
    assert bench.instance.get_dynamic_partitions("slides") == [a, b]
    add_slides(bench.instance, ["ghost"])
    report_slides(bench.instance, bench.platform, [])
    assert bench.instance.get_dynamic_partitions("slides") == [a, b]


def test_a_slide_s_page_shows_what_is_said_of_it_and_obeys_none_of_it(
    bench: Workbench, home: Path
) -> None:
    [a] = bench.ingest(write_slide(home / "a.svs", 1))
    catalog = bench.platform.catalog
    word = HOSTILE["markdown"]
    values = {"label.x": word, "label.y": HOSTILE["newline"], "stain": HOSTILE["terminal"]}
    changes = [
        CohortChange(subject="slide", key=a, field=field, old=None, new=value)
        for field, value in (values | {"patient": word}).items()
    ]
    changes += [CohortChange(subject="patient", key=word, field="site", old=None, new=word)]
    catalog.record_changes(changes, ChangedBy(who="Ann"))
    before = reported_versions(bench.instance, [a])
    report_slides(bench.instance, bench.platform, [a], is_anew=True)
    assert reported_versions(bench.instance, [a]) == before
    seen = bench.latest("slide", a).asset_materialization
    assert seen is not None
    shown = {name: seen.metadata[name] for name in ("patient", "site", "labels", "stain")}
    assert {type(one) for one in shown.values()} == {dg.TextMetadataValue}
    assert (shown["patient"].value, shown["site"].value) == (word, word)
    assert shown["labels"].value == f"x: {word}\ny: one\\ntwo\\r\\nthree"
    assert "\x1b" not in str(shown["stain"].value)
