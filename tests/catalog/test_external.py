from __future__ import annotations

from pathassets.catalog.records import ArtifactRecord
from pathassets.core.address import Address


def record(digest: str, *, code_version: str = "external", name: str = "uni") -> ArtifactRecord:
    address = Address("features", name, "a-1", digest * 16)
    return ArtifactRecord(
        address=address, uri=str(address), spec={"external": {"tool": digest}},
        code_version=code_version, facts={"n_patches": 3}, files=(), made_by="import-1",
    )  # fmt: skip


def test_what_was_adopted_is_told_by_slide_the_last_first(catalog):
    for digest in "ab":
        catalog.record_artifact(record(digest), ())
    catalog.record_artifact(record("c", code_version="3"), ())
    (found,) = catalog.adopted().values()
    assert [(one.digest[0], one.source) for one in found] == [
        ("b", {"tool": "b"}),
        ("a", {"tool": "a"}),
    ]


def test_it_is_told_of_some_slides(catalog):
    catalog.record_artifact(record("a"), ())
    assert catalog.adopted(["b-2"]) == {}
    assert list(catalog.adopted(["a-1", "b-2"])) == ["a-1"]


def test_what_is_withdrawn_counts_no_more_and_stays(catalog):
    catalog.record_artifact(record("a"), ())
    catalog.record_artifact(record("b", name="virchow"), ())
    assert catalog.withdraw_adopted("uni", ["z-9"], who="Ann", why="doubt") == []
    assert catalog.withdraw_adopted("uni", ["a-1"], who="Ann", why="doubt") == ["a-1"]
    assert [one.name for one in catalog.adopted()["a-1"]] == ["virchow"]
    kept = catalog.find_artifact(record("a").address)
    assert kept is not None
    assert kept.facts["withdrawn"]["who"] == "Ann"
    catalog.record_artifact(record("a"), ())
    assert {one.name for one in catalog.adopted()["a-1"]} == {"uni", "virchow"}
