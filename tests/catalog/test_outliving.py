"""What was forgotten since outlives a restore: the catalog says then what it said before it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from pathassets.catalog.catalog import Catalog
from pathassets.catalog.database import connect
from pathassets.catalog.database.connect import open_engine
from pathassets.catalog.records import Verdict
from pathassets.catalog.releases.records import FindingRecord
from pathassets.catalog.upkeep.dump import load_catalog, releases_in
from pathassets.catalog.upkeep.outliving import Outlived, Outliving, read_outliving
from pathassets.catalog.upkeep.soundness import find_faults
from pathassets.errors import CatalogError, SlideForgotten
from tests.catalog import filled
from tests.catalog.hostile_words import path_of, slide_of
from tests.catalog.merges import remember_merge
from tests.catalog.test_releases import DRAFT, LEFT_OUT, member
from tests.catalog.test_upkeep import dumped


@pytest.mark.parametrize("keeps", [pytest.param(False, marks=pytest.mark.slow), True])
def test_an_older_dump_makes_the_catalog_that_was_there_after_the_slide_went(
    made_url: str, catalog: Catalog, tmp_path: Path, request: pytest.FixtureRequest, *, keeps: bool
) -> None:
    filled.fill(catalog)
    remember_merge(catalog, "older", into="a")
    older = dumped(catalog)
    catalog.begin_forgetting("a", who="Ann", why="consent")
    catalog.erase_slide(catalog.ids_of("a"), keep_artifacts=keeps)

    is_server = made_url.startswith("postgresql")
    other = request.getfixturevalue("make_schema")() if is_server else sqlite_at(tmp_path)
    settled: list[Outlived] = []
    load_catalog(other, *older, read_outliving(made_url), settled.append)
    with Catalog.open(other) as restored:
        assert restored.forgotten() == catalog.forgotten()
        assert tables_of(restored) == tables_of(catalog)
        assert len(restored.artifact_digests()) == (5 if keeps else 1)
    [[one]] = [told.kept_out for told in settled]
    assert (one.slide_ids, one.are_artifacts_kept) == (("a", "older"), keeps)
    assert one.forgotten.told.endswith("by Ann")
    assert list(find_faults(other)) == []
    if not is_server:
        assert path_of("a").path.encode() not in (tmp_path / "other.sqlite").read_bytes()


def test_a_number_of_a_release_means_after_a_restore_what_it_meant_before(
    made_url: str, catalog: Catalog, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    first = catalog.freeze(DRAFT, [member("a")], [LEFT_OUT])
    older = dumped(catalog)
    second = catalog.freeze(replace(DRAFT, digest="d2", who="Bob"), [member("a"), member("b")], [])
    other = catalog.freeze(replace(DRAFT, dataset="other"), [], [LEFT_OUT])

    is_server = made_url.startswith("postgresql")
    url = request.getfixturevalue("make_schema")() if is_server else sqlite_at(tmp_path)
    settled: list[Outlived] = []
    outliving = read_outliving(made_url, releases_in(older[1]))
    assert [one.numbered for one in outliving.released] == [("cohort", 2, "d2"), ("other", 1, "d1")]
    load_catalog(url, *older, outliving, settled.append)
    [told] = settled
    assert [(one.dataset, one.was, one.version, one.is_entered) for one in told.carried] == [
        ("cohort", 2, 2, True), ("other", 1, 1, True),
    ]  # fmt: skip
    with Catalog.open(url) as restored:
        assert restored.releases() == [first, second, other]
        assert tables_of(restored) == tables_of(catalog)
        assert restored.freeze(replace(DRAFT, digest="d3"), [], []).name == "cohort@3"
        assert restored.freeze(replace(DRAFT, digest="d2"), [], []) == second


def test_of_two_releases_of_one_number_none_is_lost_and_the_backup_s_keeps_it(
    made_url: str, catalog: Catalog, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    is_server = made_url.startswith("postgresql")
    url = request.getfixturevalue("make_schema")() if is_server else sqlite_at(tmp_path)
    catalog.freeze(replace(DRAFT, digest="d2"), [member("b")], [])
    catalog.freeze(replace(DRAFT, digest="d4"), [], [])
    catalog.freeze(replace(DRAFT, digest="d3"), [], [])
    revision, tables = dumped(catalog)
    row = json.loads(tables["release"][0])
    theirs = [row | {"version": 1, "digest": "d1"}, row | {"version": 2, "digest": "d3"}]
    tables |= {"release": [*map(json.dumps, theirs)], "release_member": []}
    settled: list[Outlived] = []
    load_catalog(
        url, revision, tables, read_outliving(made_url, releases_in(tables)), settled.append
    )
    [told] = settled
    assert [(one.digest, one.was, one.version, one.is_entered) for one in told.carried] == [
        ("d2", 1, 4, True), ("d4", 2, 5, True), ("d3", 3, 2, False),
    ]  # fmt: skip
    with Catalog.open(url) as restored:
        found = [(one.version, one.digest) for one in restored.releases("cohort")]
        assert found == [(1, "d1"), (2, "d3"), (4, "d2"), (5, "d4")]
        assert [one["slide_id"] for one in restored.release_members("cohort", 4)] == ["b"]
        assert restored.freeze(replace(DRAFT, digest="d2"), [], []).version == 4


def test_parts_and_accepted_findings_outlive_and_other_statements_are_counted(
    made_url: str, catalog: Catalog, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    filled.fill(catalog)
    catalog.place("cohort", "s", "d1", {("patient", "P1"): "train"})
    catalog.set_verdict(Verdict(slide_id="a", verdict="accept", who="Ann", why="seen"))
    older = dumped(catalog)
    revision, tables = older
    n_placed, n_accepted = len(tables["dataset_placement"]), len(tables["accepted_finding"])
    catalog.place("cohort", "s", "d2", {("patient", "P2"): "test", ("site", "Kyoto"): "val"})
    found = FindingRecord(
        finding="f9", kind="same_slide", one="a", other="b", message="alike", remedy="look",
        evidence={"slides": ["a", "b"]},
    )  # fmt: skip
    catalog.set_findings("cohort", "d2", [found])
    catalog.accept_finding("cohort", "f9", who="Bob", why="two levels of one block")
    for word in ("reject", "review"):
        catalog.set_verdict(Verdict(slide_id="a", verdict=word, who="Bob", why="a fold"))
    theirs = {**json.loads(tables["dataset_placement"][0]), "scheme": "s", "name": "P2"}
    tables["dataset_placement"].append(json.dumps({**theirs, "kind": "patient", "part": "val"}))

    is_server = made_url.startswith("postgresql")
    url = request.getfixturevalue("make_schema")() if is_server else sqlite_at(tmp_path)
    settled: list[Outlived] = []
    load_catalog(url, revision, tables, read_outliving(made_url), settled.append)
    [told] = [one.went_over for one in settled]
    assert (told.n_placed, told.n_elsewhere, told.n_accepted) == (1, 1, 1)
    [lost] = told.not_restored
    assert (lost.what, lost.n, lost.who) == ("verdict", 2, ("Bob",))
    assert lost.first_at <= lost.last_at
    with Catalog.open(url) as restored:
        placed = restored.placed("cohort", "s")
        assert placed[("site", "Kyoto")] == "val"
        assert placed[("patient", "P1")] == "train"
        assert placed[("patient", "P2")] == "val"
        after = dumped(restored)[1]
        assert len(after["dataset_placement"]) == n_placed + 2
        assert len(after["accepted_finding"]) == n_accepted + 1
        assert [one.who for one in restored.verdicts() if one.slide_id == "a"] == ["Ann"]


def test_a_line_that_is_no_release_is_refused() -> None:
    for line in ("[]", "{}", '{"dataset": "cohort", "version": "1", "digest": "d"}'):
        with pytest.raises(CatalogError, match="table release: a line of the dump is no row"):
            releases_in({"release": [line]})


def tables_of(catalog: Catalog) -> dict[str, list[str]]:
    """All but those that are numbered anew."""
    return {name: lines for name, lines in dumped(catalog)[1].items() if name != "forgotten_slide"}


def sqlite_at(folder: Path) -> str:
    return f"sqlite:///{folder / 'other.sqlite'}"


def test_a_database_that_is_no_catalog_does_not_tell_and_an_older_one_has_forgotten_nothing(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE other (id INTEGER)"))
    engine.dispose()
    with pytest.raises(CatalogError, match="is no catalog"):
        read_outliving(url)
    with monkeypatch.context() as patched:
        patched.setattr(connect, "HEAD", "0001")
        open_engine(url).dispose()
    assert read_outliving(url) == Outliving()


def test_whoever_names_a_slide_that_was_taken_out_is_told_and_no_other_slide_is_named(
    catalog: Catalog,
) -> None:
    for slide_id in ("gone-1", "gone-2"):
        catalog.register_slide(slide_of(slide_id), path_of(slide_id))
    catalog.begin_forgetting("gone-1", who="Ann", why="consent")
    catalog.erase_slide(["gone-1"], keep_artifacts=False)
    for ask in (catalog.slide, catalog.cohort_history, state_mpp(catalog)):
        with pytest.raises(SlideForgotten, match=r"slide gone-1: was taken out on \d") as caught:
            ask("gone-1")
        assert "gone-2" not in str(caught.value)
    with pytest.raises(CatalogError, match="Did you mean gone-2"):
        catalog.slide("gone-3")
    assert catalog.cohort_history("gone-3") == []


def state_mpp(catalog: Catalog) -> Callable[[str], None]:
    return lambda slide_id: catalog.override_mpp(slide_id, 0.5, who="Ann", why="measured")


def test_other_content_does_not_get_the_id_of_a_slide_that_was_taken_out(catalog: Catalog) -> None:
    catalog.register_slide(slide_of("a"), path_of("a"))
    catalog.begin_forgetting("a", who="Ann", why="consent")
    catalog.erase_slide(["a"], keep_artifacts=False)
    with pytest.raises(CatalogError, match="its id a is that of a slide which was taken out on"):
        catalog.register_slide(slide_of("a"), path_of("a"))
