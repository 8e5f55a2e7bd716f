"""What upkeep asks and writes, on both kinds of database; dumps that go from one to the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from pathassets.catalog.catalog import Catalog
from pathassets.catalog.database import connect
from pathassets.catalog.database.connect import open_engine
from pathassets.catalog.human_inputs import now
from pathassets.catalog.records import (
    AnnotationRecord,
    ArtifactRecord,
    AttemptRecord,
    FileRecord,
    PathRecord,
    RejectedFile,
    SlideRecord,
)
from pathassets.catalog.upkeep.dump import is_empty, load_catalog
from pathassets.catalog.upkeep.soundness import find_faults, find_revision
from pathassets.core.address import ALL_SLIDES, Address
from pathassets.errors import CatalogError
from tests.catalog.merges import remember_merge

Url = Callable[[], str]


def slide_of(slide_id: str, patient: str = "Doe") -> SlideRecord:
    return SlideRecord(
        slide_id=slide_id, fingerprint=slide_id * 8, size_bytes=7, vendor="aperio", reader="tiff",
        width_px0=9, height_px0=8, n_levels=2, level_downsamples=(1.0, 4.000121), mpp=0.25,
        mpp_sources=(), patient=patient, label="'; DROP TABLE slide; --\n*é*",
    )  # fmt: skip


def path_of(slide_id: str) -> PathRecord:
    return PathRecord(
        path=f"/scans/{slide_id}.svs", slide_id=slide_id, size_bytes=7, mtime_ns=2**60, ctime_ns=1
    )


def artifact_at(address: Address) -> ArtifactRecord:
    return ArtifactRecord(
        address=address, uri=str(address), spec={"mpp": 0.5}, code_version="1",
        facts={"n_patches": 3}, files=(FileRecord(path="f", size_bytes=5, sha256="0" * 64),),
        made_by="run",
    )  # fmt: skip


MASK = Address("tissue_mask", "otsu", "a", "1")
FEATURES = Address("features", "colour", "a", "2")
OTHER = Address("features", "colour", "b", "3")
DATASET = Address("dataset", "cohort", ALL_SLIDES, "4")


def fill(catalog: Catalog) -> None:
    """Two slides of one patient, what was made of them, what was stated, what was refused."""
    for slide_id in "ab":
        thumbnail = bytes(range(256)) if slide_id == "a" else None
        catalog.register_slide(slide_of(slide_id), path_of(slide_id), thumbnail=thumbnail)
        catalog.override_mpp(slide_id, 0.3, who="Ann", why="measured")
    drawn = AnnotationRecord(
        slide_id="a", name="tumour", digest="d", file="a.geojson", sha256="s", n_polygons=1,
        labels={"": 1}, who="Ann", why="review",
    )  # fmt: skip
    catalog.record_annotation(drawn)
    catalog.record_artifact(artifact_at(MASK), [Address.of_slide("a", "v")])
    catalog.record_artifact(artifact_at(FEATURES), [MASK, Address.of_slide("a", "v")])
    catalog.record_artifact(artifact_at(OTHER), [Address.of_slide("b", "v")])
    catalog.record_artifact(artifact_at(DATASET), [FEATURES, OTHER])
    catalog.record_attempts([AttemptRecord(run_id="r", address=FEATURES, state="made")])
    catalog.refuse(
        RejectedFile(
            path="/scans/a.svs.part", reason="r", message="m", remedy="", size_bytes=1, mtime_ns=1
        )
    )


@pytest.fixture
def filled(catalog: Catalog) -> Catalog:
    fill(catalog)
    return catalog


def dumped(catalog: Catalog) -> tuple[str, dict[str, list[str]]]:
    tables: dict[str, list[str]] = {}

    def take(name: str, lines: Iterator[str]) -> None:
        tables[name] = list(lines)

    return catalog.dump(take), tables


def dumped_slide() -> str:
    """A line of the table of slides, as the first revision had it."""
    return (
        '{"slide_id":"a","fingerprint":"f","size_bytes":7,"vendor":"v","reader":"r","width_px0":1,'
        '"height_px0":1,"n_levels":1,"level_downsamples":[1.0],"mpp":null,"mpp_sources":[],'
        '"resolution_reason":"","resolution_message":"","objective_power":null,"patient":"Doe",'
        '"label":null,"registered_at":"2025-01-01T00:00:00.000000+00:00","thumbnail":null}'
    )


@pytest.mark.parametrize("target", ["sqlite", "postgresql"])
def test_a_dump_of_either_database_makes_the_same_catalog_in_either(
    filled: Catalog, target: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    revision, tables = dumped(filled)
    other = (
        f"sqlite:///{tmp_path / 'new.sqlite'}"
        if target == "sqlite"
        else request.getfixturevalue("make_schema")()
    )
    assert is_empty(other)
    load_catalog(other, revision, tables)
    assert not is_empty(other)
    with Catalog.open(other) as catalog:
        assert dumped(catalog) == (revision, tables)
        assert catalog.find_thumbnail("a") == bytes(range(256))
        catalog.override_mpp("a", 0.4, who="Ann", why="numbers go on behind the restored ones")
        assert [one.mpp for one in catalog.mpp_history("a")] == [0.4, 0.3]
        catalog.record_attempts([AttemptRecord(run_id="r2", address=FEATURES, state="made")])
    with pytest.raises(CatalogError, match="holds rows already"):
        load_catalog(other, revision, tables)


def test_a_dump_of_an_older_revision_is_brought_up_to_date(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del tmp_path
    line = (
        '{"path":"/a.svs","slide_id":"a","size_bytes":7,"mtime_ns":1,'
        '"seen_at":"2025-01-01T00:00:00.000000+00:00"}'
    )
    slide = dumped_slide()
    with monkeypatch.context() as patched:
        patched.setattr(connect, "HEAD", "0001")
        open_engine(url).dispose()
        assert find_revision(url) == "0001"
    load_catalog(url, "0001", {"slide": [slide], "slide_path": [line]})
    assert find_revision(url) == ""
    with Catalog.open(url) as catalog:
        assert catalog.slide("a").patient == "Doe"
        assert [one.ctime_ns for one in catalog.paths("a")] == [0]


def test_lines_that_are_no_rows_load_nothing(made_url: str, catalog: Catalog) -> None:
    revision, _ = dumped(catalog)
    whole = dumped_slide()
    plan_id = catalog.open_plan("recipe")  # as `status` leaves a home without slides
    catalog.note_dataset_plan("cohort", "inputs", "d1")
    catalog.note_dataset_rows("cohort", plan_id, "said", "hash")
    for lines in (
        {"slide": ["[]"]},
        {"slide": ["no JSON"]},
        {"slide": ['{"no_column":1}']},
        {"slide": [whole.replace('"thumbnail":null', '"thumbnail":"text"')]},
        {"slide": [whole.replace('"thumbnail":null', '"thumbnail":{"$bytes":1}')]},
        {"slide": [whole.replace('"thumbnail":null', '"thumbnail":{"$bytes":"a"}')]},
        {"stranger": ["{}"]},
    ):
        with pytest.raises(CatalogError):
            load_catalog(made_url, revision, lines)
        assert is_empty(made_url)


def test_a_sound_catalog_has_no_fault_and_one_that_is_none_has(url: str, tmp_path: Path) -> None:
    with Catalog.open(url) as catalog:
        fill(catalog)
    assert list(find_faults(url)) == []
    assert list(find_faults(f"sqlite:///{tmp_path / 'nowhere'}")) == []
    (tmp_path / "text").write_text("no database at all, but long enough to be taken for one" * 9)
    assert len(list(find_faults(f"sqlite:///{tmp_path / 'text'}"))) == 1
    with create_engine(url).begin() as connection:
        connection.execute(text("DROP TABLE rejected_file"))
        connection.execute(text("ALTER TABLE artifact_hash RENAME COLUMN hashed_at TO at"))
    assert set(find_faults(url)) == {
        "its table rejected_file is gone",
        "its column artifact_hash.hashed_at is gone",
    }


def test_known_slides_and_artifacts_are_told_from_others(filled: Catalog) -> None:
    unknown = Address("features", "colour", "a", "9")
    assert filled.known_artifacts([MASK, unknown]) == {MASK}
    remember_merge(filled, "old", into="a")
    assert filled.slides_ever(["a", "c", "old"]) == {"a", "old"}
    assert filled.known_slides(["a", "c", "old"]) == {"a"}
    files = [(one.slide_id, [p.path for p in one.paths]) for one in filled.slide_files()]
    assert files == [("a", ["/scans/a.svs"]), ("b", ["/scans/b.svs"])]
    assert list(filled.slide_pages()) == [["a", "b"]]
    assert filled.digests_of("features", "colour") == {("a", "2"), ("b", "3")}


def test_rows_that_point_at_no_slide_are_found(filled: Catalog) -> None:
    stray = Address("features", "colour", "nobody", "9")
    filled.record_artifact(artifact_at(stray), [])
    filled.record_attempts([AttemptRecord(run_id="r", address=stray, state="failed")])
    assert list(filled.homeless()) == [("artifact", stray), ("attempt", stray)]
    filled.drop_rows(stray)
    assert list(filled.homeless()) == []


def test_the_longest_not_hashed_come_first(filled: Catalog) -> None:
    before = now() + timedelta(seconds=1)
    order = [address for address, _ in filled.longest_unhashed(9, before=before)]
    assert order == [MASK, FEATURES, OTHER, DATASET]
    filled.note_hashed([MASK, OTHER])
    filled.note_hashed([MASK])
    order = [address for address, _ in filled.longest_unhashed(9, before=before)]
    assert order == [FEATURES, DATASET, OTHER, MASK]
    assert filled.hash_age().n_artifacts == 4
    assert filled.longest_unhashed(9, before=now() - timedelta(days=1)) == []


def test_what_was_made_of_slides_and_is_in_datasets_is_told(filled: Catalog) -> None:
    [page] = filled.made_partitions()
    assert page == ["a", ALL_SLIDES, "b"]
    kept = filled.kept_of(page)
    assert kept.made_at.keys() == {MASK, FEATURES, OTHER, DATASET}
    assert kept.in_datasets == {FEATURES, OTHER}
    assert kept.parents[FEATURES] == {MASK, Address.of_slide("a", "v")}
    assert kept.n_bytes[MASK] == 5
    filled.drop_artifacts([DATASET, FEATURES])
    assert filled.artifact_digests() == {MASK, OTHER}


def test_a_slide_is_erased_from_every_table_but_for_what_keeps_it_out(
    made_url: str, filled: Catalog
) -> None:
    filled.begin_forgetting("a", who="Ann", why="consent")
    filled.begin_forgetting("a", who="Bob", why="again")
    filled.erase_slide(["a"], keep_artifacts=False)
    _, tables = dumped(filled)
    [forgotten] = filled.forgotten()
    assert forgotten.has_content("a" * 8)
    assert forgotten.had_id("a")
    assert not forgotten.has_content("b" * 8)
    assert (forgotten.who, forgotten.n_artifacts) == ("Ann", 2)
    own = {"forgotten_slide", "pathassets_revision"}
    left = "".join(line for name, lines in tables.items() if name not in own for line in lines)
    assert '"a"' not in left
    assert '/scans/a.svs"' not in left
    assert [one.slide_id for one in filled.slides()] == ["b"]
    assert list(find_faults(made_url)) == []


def test_artifacts_of_an_erased_slide_stay_when_asked(filled: Catalog) -> None:
    filled.erase_slide(["a"], keep_artifacts=True)
    assert filled.artifact_digests() == {MASK, FEATURES, OTHER, DATASET}
    assert filled.parents_of(DATASET) == [FEATURES, OTHER]


def test_datasets_that_name_a_slide_are_told(filled: Catalog) -> None:
    assert filled.releases_with(["a"]) == ["cohort@4"]
    assert filled.releases_with(["c"]) == []
    assert filled.addresses_of(["a"]) == [FEATURES, MASK]
