"""Every table comes back from a dump, from either kind of database in the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pathassets.catalog.catalog import Catalog
from pathassets.catalog.tables import metadata
from pathassets.catalog.upkeep.dump import load_catalog
from tests.catalog import every_table

Tables = dict[str, list[str]]


def dumped(url: str) -> tuple[str, Tables]:
    tables: Tables = {}

    def take(name: str, lines: Iterator[str]) -> None:
        tables[name] = list(lines)

    with Catalog.open(url) as catalog:
        return catalog.dump(take), tables


@pytest.mark.parametrize("first", ["sqlite", "postgresql"])
def test_every_row_of_every_table_goes_to_the_other_database_and_comes_back(
    first: str, make_schema: Callable[[], str], tmp_path: Path
) -> None:
    def empty(kind: str) -> str:
        return make_schema() if kind == "postgresql" else f"sqlite:///{tmp_path / 'one.sqlite'}"

    other = "sqlite" if first == "postgresql" else "postgresql"
    begun, there = empty(first), empty(other)
    back = make_schema() if first == "postgresql" else f"sqlite:///{tmp_path / 'back.sqlite'}"
    with Catalog.open(begun) as catalog:
        every_table.fill(catalog)
    revision, tables = dumped(begun)
    assert tables.keys() == metadata.tables.keys()
    assert [name for name, lines in tables.items() if not lines] == []
    for url in (there, back):
        load_catalog(url, revision, tables)
        found = dumped(url)[1]
        for name in metadata.tables:
            assert found[name] == tables[name], name
        tables = found


def test_a_restored_catalog_goes_on_counting_and_says_what_it_said(
    url: str, make_schema: Callable[[], str]
) -> None:
    with Catalog.open(url) as catalog:
        every_table.fill(catalog)
        before = catalog.findings("cohort")
        accepted = catalog.accepted_findings("cohort")
    other = make_schema()
    load_catalog(other, *dumped(url))
    with Catalog.open(other) as catalog:
        assert catalog.findings("cohort") == before
        assert catalog.accepted_findings("cohort") == accepted
        assert catalog.unplanned(catalog.open_plan("recipe")) == []
        assert catalog.open_plan("another") not in {0, 1}
        catalog.accept_finding("cohort", before[0].finding, who="Bob", why="again")
        assert [one.who for one in catalog.accepted_findings("cohort")] == ["Ann", "Bob"]
        catalog.save_selection("mine", "all", who="Bob")
        assert catalog.saved_selections()["mine"].who == "Bob"
