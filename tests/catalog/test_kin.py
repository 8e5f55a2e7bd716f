from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from sqlalchemy import insert

from pathassets.catalog import tables
from pathassets.catalog.catalog import Catalog
from pathassets.catalog.database import connect
from pathassets.catalog.records import ArtifactRecord, FileRecord
from pathassets.core.address import Address
from tests.catalog.test_catalog import BARE, SLIDE, path_of

SLIDE_ID, OTHER_ID = SLIDE.slide_id, BARE.slide_id
SCAN, SCAN_OF_BEFORE = (Address.of_slide(SLIDE_ID, version) for version in ("v1", "v0"))
MASK = Address("tissue_mask", "otsu", SLIDE_ID, "m1")
OLD_MASK, OLDER_MASK = replace(MASK, digest="m0"), replace(MASK, digest="a0")
GRID = Address("patch_locations", "grid", SLIDE_ID, "g0")
FILE = FileRecord(path="tissue.zarr/zarr.json", size_bytes=1, sha256="a" * 64)


def made(address: Address, **more: object) -> ArtifactRecord:
    known = {
        "uri": str(address),
        "spec": {"mpp": 8.0},
        "code_version": "1",
        "facts": {},
        "files": (FILE,),
        "made_by": "run-1",
    }
    return ArtifactRecord(address=address, **{**known, **more})  # type: ignore[arg-type]


@pytest.fixture
def known(catalog: Catalog) -> Catalog:
    """A slide with two masks of before, locations made from the last of them, and another slide."""
    catalog.register_slide(replace(SLIDE, patient="P 1"), path_of(SLIDE))
    catalog.register_slide(replace(BARE, patient="P 1"), path_of(BARE, "/b"))
    catalog.record_artifact(made(OLDER_MASK), [SCAN_OF_BEFORE])
    catalog.record_artifact(made(OLD_MASK, spec={"mpp": 4.0}, code_version="2"), [SCAN])
    catalog.record_artifact(made(GRID, files=()), [OLD_MASK, SCAN])
    return catalog


def want(catalog: Catalog, *wanted: Address) -> int:
    """Plan these artifacts; returns the number of the plan."""
    at = datetime(2026, 1, 1, tzinfo=UTC)
    with connect.writing(catalog._engine) as connection:
        plan = {"plan_id": 7, "recipe_digest": "d", "made_at": at, "used_at": at}
        connection.execute(insert(tables.plan), plan)
        for one in wanted:
            row = {
                "plan_id": 7, "slide_id": one.partition_key, "stage": one.stage, "name": one.name,
                "digest": one.digest, "lacks": "", "state": "stale", "reason": "",
                "is_final": False,
            }  # fmt: skip
            connection.execute(insert(tables.wanted), row)
    return 7


def test_kin_are_counted_by_stage_and_the_first_of_one_are_given(known: Catalog) -> None:
    assert known.count_kin(SCAN, "children") == {"patch_locations": 1, "tissue_mask": 1}
    assert known.count_kin(GRID, "parents") == {"slide": 1, "tissue_mask": 1}
    assert known.kin_of(SCAN, "children", stage="tissue_mask") == [OLD_MASK]
    many = [replace(GRID, name="many", digest=f"{n:04}") for n in range(5)]
    for address in many:
        known.record_artifact(made(address), [MASK])
    assert known.kin_of(MASK, "children", limit=2) == many[:2]
    assert known.kin_of(MASK, "children") == many


def test_a_slide_has_the_children_of_all_its_resolutions(known: Catalog) -> None:
    assert known.children_of_slide(SLIDE_ID) == [GRID, OLDER_MASK, OLD_MASK]
    assert known.children_of_slide(OTHER_ID) == []


def test_artifacts_are_found_by_the_hash_of_a_file(known: Catalog) -> None:
    found = [one.address for one in known.find_artifacts_with("a" * 64)]
    assert found == [OLDER_MASK, OLD_MASK]
    assert known.find_artifacts_with("a" * 64, {"partition_key": OTHER_ID}) == []
    assert known.find_artifacts_with("%") == []
    assert known.find_artifacts_with("b" * 64) == []


def test_a_patient_has_slides(known: Catalog) -> None:
    assert known.slides_of_patient("P 1") == sorted([SLIDE_ID, OTHER_ID])
    assert len(known.slides_of_patient("P 1", limit=1)) == 1
    assert known.count_slides_of("P 1") == 2
    assert known.count_slides_of("P 2") == 0


def test_slides_of_one_name_are_found_by_it(catalog: Catalog) -> None:
    named = ["case-0123456789", "case-abcdef0123", "case", "case-1", "Case-0123456789"]
    named += ["case_1-0123456789", "case--0123456789", "case-xyz_456789", "cas-0123456789"]
    for number, slide_id in enumerate(named):
        record = replace(SLIDE, slide_id=slide_id, fingerprint=f"{number:064}")
        catalog.register_slide(record, path_of(record, f"/{number}"))
    assert catalog.slides_named("case") == ["case-0123456789", "case-abcdef0123", "case"]
    assert catalog.slides_named("case-") == ["case--0123456789"]
    assert catalog.slides_named("case-1") == ["case-1"]
    assert catalog.slides_named("c%") == catalog.slides_named("") == []


def test_of_what_was_made_and_is_not_wanted_the_newest_is_given(known: Catalog) -> None:
    plan_id = want(known, MASK, GRID, replace(MASK, partition_key=OTHER_ID))
    assert known.superseded_slides(plan_id) == [SLIDE_ID]
    [found] = known.superseded(plan_id, [SLIDE_ID, OTHER_ID])
    assert found.address == OLD_MASK  # by when it was made, not by its digest
    assert (found.spec, found.code_version, found.wanted) == ('{"mpp":4.0}', "2", MASK.digest)
    assert known.superseded(plan_id, [OTHER_ID]) == []
    known.record_artifact(made(MASK), [SCAN])
    assert known.superseded_slides(plan_id) == []


def test_parents_of_many_are_given_at_once(known: Catalog) -> None:
    none = replace(GRID, digest="none")
    assert known.parents_by_child([GRID, OLD_MASK, none]) == {
        GRID: [SCAN, OLD_MASK], OLD_MASK: [SCAN], none: []
    }  # fmt: skip
