from __future__ import annotations

from dataclasses import replace

import pytest

from pathassets.catalog.catalog import Catalog
from pathassets.catalog.releases.records import FindingRecord, ReleaseRecord
from pathassets.core.address import ALL_SLIDES, Address
from pathassets.errors import CatalogError

HOSTILE = '"; DROP TABLE release; --\n| [x](y) é\u202e'
DRAFT = ReleaseRecord(
    dataset="cohort",
    version=0,
    digest="d1",
    content_sha256="c" * 64,
    tissue_mask="otsu",
    patch_locations="grid",
    features="stats",
    recipe={"features/stats": {"parameters": {"encoder": "colour_stats"}}},
    report={"n_slides": 2},
    licences={"colour_stats": "none needed"},
    who="Ann",
    why=HOSTILE,
)
FINDING = FindingRecord(
    finding="f1", kind="same_slide", one="a", other="b", message=HOSTILE, remedy="mend it",
    evidence={"correlation": 0.9, "slides": ["a", "b"]},
)  # fmt: skip


def member(slide_id: str, **changed: object) -> dict[str, object]:
    return {
        "slide_id": slide_id,
        "patient": HOSTILE,
        "label": None,
        "split": "train",
        "n_patches": 7,
        "features_uri": "not kept: it follows from the digest",
        "features_sha256": f"{slide_id}-sha256",
        "slide_sha256": f"{slide_id}-slide",
        "slide_mpp": 0.25,
        "slide_version": f"{slide_id}-version",
        "tissue_mask_digest": f"{slide_id}-mask",
        "patch_locations_digest": f"{slide_id}-grid",
        "features_digest": f"{slide_id}-stats",
        **changed,
    }


LEFT_OUT = {"slide_id": "z", "patient": None, "label": "x", "why": "no features"}


def test_releases_are_numbered_from_one_and_give_back_what_they_hold(catalog: Catalog) -> None:
    first = catalog.freeze(DRAFT, [member("b"), member("a")], [LEFT_OUT])
    second = catalog.freeze(replace(DRAFT, digest="d2"), [], [])
    other = catalog.freeze(replace(DRAFT, dataset="other"), [], [])
    assert [first.name, second.name, other.name] == ["cohort@1", "cohort@2", "other@1"]
    assert catalog.releases() == [first, second, other]
    assert catalog.release("cohort") == second
    assert catalog.release("cohort", 1) == first == replace(DRAFT, version=1)
    rows = catalog.release_members("cohort", 1)
    kept = {name: value for name, value in member("a").items() if name != "features_uri"}
    assert [row["slide_id"] for row in rows] == ["a", "b"]
    assert rows[0] == kept
    assert catalog.release_left_out("cohort", 1) == [LEFT_OUT]
    assert catalog.release_members("cohort", 2) == []


def test_a_version_that_has_a_number_keeps_it(catalog: Catalog) -> None:
    first = catalog.freeze(DRAFT, [member("a")], [])
    catalog.freeze(replace(DRAFT, digest="d2"), [], [])
    again = catalog.freeze(replace(DRAFT, who="Bob"), [member("b")], [])
    assert again == first
    assert [row["slide_id"] for row in catalog.release_members("cohort", 1)] == ["a"]


def test_a_release_that_there_is_not_names_one_that_there_is(catalog: Catalog) -> None:
    with pytest.raises(CatalogError, match=r"release cohort@3: there is none"):
        catalog.release("cohort", 3)
    catalog.freeze(DRAFT, [], [])
    with pytest.raises(CatalogError, match=r"cohort@3: there is none\. There is cohort@1"):
        catalog.release("cohort", 3)


def test_what_a_release_names_is_held_and_nothing_else(catalog: Catalog) -> None:
    catalog.freeze(DRAFT, [member("a"), member("b")], [])
    held = {
        Address("dataset", "cohort", ALL_SLIDES, "d1"),
        *(
            Address(stage, name, slide, f"{slide}-{word}")
            for slide in "ab"
            for stage, name, word in (
                ("features", "stats", "stats"),
                ("patch_locations", "grid", "grid"),
                ("tissue_mask", "otsu", "mask"),
            )
        ),
    }
    assert catalog.held() == held
    assert all(catalog.is_held(address) for address in held)
    for free in (
        Address("features", "stats", "a", "b-stats"),
        Address("features", "other", "a", "a-stats"),
        Address("dataset", "cohort", ALL_SLIDES, "d2"),
        Address("patch_set", "grid", "a", "a-grid"),
    ):
        assert not catalog.is_held(free)


def test_the_releases_that_have_a_slide_are_named(catalog: Catalog) -> None:
    catalog.freeze(DRAFT, [member("a")], [])
    catalog.freeze(replace(DRAFT, digest="d2"), [member("a", split="test"), member("b")], [])
    assert catalog.releases_with(["a"]) == ["cohort@1", "cohort@2"]
    assert catalog.releases_with(["c"]) == []


def test_who_was_placed_stays_and_a_second_opinion_is_refused_whole(catalog: Catalog) -> None:
    catalog.place("cohort", "s", "d1", {("patient", "p1"): "train", ("site", HOSTILE): "test"})
    catalog.place("cohort", "s", "d2", {("patient", "p1"): "train", ("patient", "p2"): "val"})
    placed = {("patient", "p1"): "train", ("site", HOSTILE): "test", ("patient", "p2"): "val"}
    assert catalog.placed("cohort", "s") == placed
    assert catalog.placed("cohort", "other scheme") == catalog.placed("other", "s") == {}
    assert catalog.placing_versions("cohort", "s") == {"d1": 2, "d2": 1}
    with pytest.raises(CatalogError, match="patient 'p1' was placed in train meanwhile, not in t"):
        catalog.place("cohort", "s", "d3", {("patient", "p9"): "val", ("patient", "p1"): "test"})
    assert catalog.placed("cohort", "s") == placed


def test_findings_are_those_of_the_last_build_and_one_is_accepted_with_who_and_why(
    catalog: Catalog,
) -> None:
    catalog.set_findings("cohort", "d1", [FINDING, replace(FINDING, finding="f2", one="c")])
    catalog.set_findings("cohort", "d2", [FINDING])
    assert catalog.findings("cohort") == [FINDING]
    accepted = catalog.accept_finding("cohort", "f1", who="Ann", why=HOSTILE)
    assert catalog.accepted_findings("cohort") == [accepted]
    assert (accepted.one, accepted.other, accepted.why) == ("a", "b", HOSTILE)
    assert catalog.accepted_findings("other") == []
    catalog.set_findings("cohort", "d3", [])
    assert catalog.findings("cohort") == []


def test_what_was_not_found_cannot_be_accepted(catalog: Catalog) -> None:
    with pytest.raises(CatalogError, match="finding 'f1' does not block it"):
        catalog.accept_finding("cohort", "f1", who="Ann", why="why")
    catalog.set_findings("cohort", "d1", [FINDING])
    with pytest.raises(CatalogError, match="Its findings are f1"):
        catalog.accept_finding("cohort", "f2", who="Ann", why="why")


def test_hashes_are_kept_by_method_and_another_method_replaces_them(catalog: Catalog) -> None:
    catalog.keep_slide_hashes("one", {"a": b"\x00\xff", "b": b""})
    assert catalog.slide_hashes("one") == {"a": b"\x00\xff", "b": b""}
    catalog.keep_slide_hashes("two", {"a": b"x"})
    assert catalog.slide_hashes("one") == {"b": b""}
    assert catalog.slide_hashes("two") == {"a": b"x"}
