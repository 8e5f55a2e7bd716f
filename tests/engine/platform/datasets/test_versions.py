"""Versions: frozen, listed, compared, verified."""

from __future__ import annotations

import json
import shutil

import pandas as pd
import pytest

from pathassets.adapters.store.store import content_sha256_of
from pathassets.catalog.records import CohortFacts
from pathassets.engine.platform.batch import run_batch
from pathassets.engine.platform.datasets.build import build_dataset
from pathassets.engine.platform.datasets.contents import MANIFEST_TABLE
from pathassets.engine.platform.datasets.freeze import freeze
from pathassets.engine.platform.datasets.show import describe_version
from pathassets.engine.platform.datasets.verify import verify
from pathassets.engine.platform.datasets.versions import (
    compare_versions,
    find_version,
    list_versions,
    tables_of,
)
from pathassets.engine.platform.plan import plan_slides
from pathassets.errors import CatalogError, StoreError
from tests.engine.conftest import RECIPE

pytestmark = pytest.mark.usefixtures("here")
FEATURES = ("features", "stats")


def build(platform):
    [entry] = platform.recipe.datasets
    return build_dataset(platform, entry, run_id="build").artifact


def tell(platform, slide_id, **facts):
    platform.catalog.set_cohort_facts(
        [CohortFacts(slide_id=slide_id, **{"patient": None, "label": None, **facts})]
    )


@pytest.fixture
def planned(platform, get_ready):
    planned = get_ready(platform, 2, is_run=True)
    tell(platform, planned[0].slide_id, patient="p1", label="tumour")
    return planned


@pytest.fixture
def released(platform, planned):
    """Two slides, released; `planned` are both."""
    build(platform)
    freeze(platform, "cohort", who="Ann", why="the paper")
    return planned


def chunk_of(platform, planned):
    folder = platform.store.path_of(planned.steps[FEATURES].address)
    return folder / "features.zarr" / "features" / "c" / "0" / "0"


def test_a_release_has_a_number_and_all_that_its_members_were_made_from(platform, planned):
    artifact = build(platform)
    release = freeze(platform, "cohort", who="Ann", why="the paper")
    assert (release.name, release.who, release.why) == ("cohort@1", "Ann", "the paper")
    assert (release.digest, release.content_sha256) == (
        artifact.address.digest, artifact.content_sha256,
    )  # fmt: skip
    names = (release.tissue_mask, release.patch_locations, release.features)
    assert names == ("otsu", "grid", "stats")
    assert release.licences == {"colour_stats": "none needed: no weights"}
    assert release.recipe["features/stats"]["parameters"]["encoder"] == "colour_stats"
    assert release.report["n_slides"] == 2
    members = platform.catalog.release_members("cohort", 1)
    manifest = pd.read_parquet(platform.store.path_of(artifact.address) / MANIFEST_TABLE)
    assert [m["features_sha256"] for m in members] == manifest["features_sha256"].tolist()
    for one in planned:
        for step in one.steps.values():
            assert platform.catalog.is_held(step.address)


@pytest.mark.usefixtures("released")
def test_freezing_again_gives_the_same_number(platform):
    assert freeze(platform, "cohort", who="Bob", why="again").name == "cohort@1"
    assert [v.name for v in list_versions(platform)] == ["cohort@1"]


def test_what_would_be_another_version_now_is_not_frozen_by_its_name_alone(platform, planned):
    old = build(platform)
    tell(platform, planned[1].slide_id, label="normal")
    with pytest.raises(CatalogError, match="its slides would give another version now") as refused:
        freeze(platform, "cohort", who="Ann", why="why")
    named = f"cohort@{old.address.digest}"
    command = f"pathassets dataset freeze {named} --who NAME --why …"
    assert refused.value.remedy.startswith("pathassets run --select dataset/cohort; or ")
    assert refused.value.remedy.endswith(command)
    assert freeze(platform, named, who="Ann", why="why").digest == old.address.digest


@pytest.mark.usefixtures("planned")
def test_what_was_never_built_or_is_damaged_is_not_frozen(platform):
    with pytest.raises(CatalogError, match="dataset cohort: was never built"):
        freeze(platform, "cohort", who="Ann", why="why")
    with pytest.raises(CatalogError, match="Did you mean 'cohort'"):
        freeze(platform, "cohrt", who="Ann", why="why")
    artifact = build(platform)
    (platform.store.path_of(artifact.address) / MANIFEST_TABLE).write_bytes(b"other")
    with pytest.raises(StoreError, match=MANIFEST_TABLE):
        freeze(platform, f"cohort@{artifact.address.digest}", who="Ann", why="why")


def test_a_change_makes_the_next_version_and_the_difference_names_it(platform, released):
    tell(platform, released[1].slide_id, label="normal", patient="p2")
    build(platform)
    assert freeze(platform, "cohort", who="Ann", why="more labels").name == "cohort@2"
    changes = compare_versions(platform, "cohort@1", "cohort@2")
    assert changes.relabelled["to"].tolist() == ["normal"]
    assert changes.renamed["to"].tolist() == ["p2"]
    assert {k: n for k, n in changes.counts.items() if n} == {
        "relabelled": 1, "renamed": 1, **({"moved": 1} if len(changes.moved) else {}),
    }  # fmt: skip
    assert compare_versions(platform, "cohort@2", "cohort").is_none


def test_a_dataset_that_goes_back_is_in_force_again(platform, released):
    tell(platform, released[0].slide_id, label="normal")
    build(platform)
    tell(platform, released[0].slide_id, label="tumour")
    build(platform)
    assert find_version(platform, "cohort").name == "cohort@1"
    assert len(list_versions(platform)) == 2


@pytest.mark.usefixtures("released")
def test_a_whole_release_has_no_fault(platform):
    verified = verify(platform, find_version(platform, "cohort@1"))
    assert verified.faults == ()
    assert (verified.n_slides, verified.n_files > 2, verified.n_bytes > 0) == (2, True, True)


def test_each_way_in_which_a_release_is_not_what_it_was_is_named(platform, released):
    one, other = released
    data = bytearray(chunk_of(platform, one).read_bytes())
    data[len(data) // 2] ^= 1
    chunk_of(platform, one).write_bytes(data)
    shutil.rmtree(platform.store.path_of(other.steps[FEATURES].address))
    version = find_version(platform, "cohort@1")
    shutil.rmtree(platform.store.path_of(version.address))
    faults = {fault.name: fault for fault in verify(platform, version).faults}
    assert faults[one.slide_id].reason == "artifact_corrupt"
    assert "has other bytes than were published" in faults[one.slide_id].said
    assert faults[other.slide_id].reason == "artifact_missing"
    assert faults["cohort@1"].reason == "artifact_missing"
    own = verify(platform, version, features=False)
    assert [fault.name for fault in own.faults] == ["cohort@1"]


def test_a_release_whose_files_are_gone_can_still_be_told_and_compared(platform, released):
    version = find_version(platform, "cohort@1")
    before = tables_of(platform, version).manifest
    tell(platform, released[1].slide_id, label="normal")
    build(platform)
    shutil.rmtree(platform.store.path_of(version.address))
    assert tables_of(platform, version).manifest.equals(before)
    assert compare_versions(platform, "cohort@1", "cohort").counts["relabelled"] == 1


@pytest.mark.usefixtures("planned")
def test_a_version_without_a_number_whose_files_are_gone_is_an_error(platform):
    artifact = build(platform)
    shutil.rmtree(platform.store.path_of(artifact.address))
    with pytest.raises(StoreError):
        tables_of(platform, find_version(platform, "cohort"))


@pytest.mark.usefixtures("planned")
def test_a_release_of_a_dataset_of_before_has_what_its_tables_tell(platform):
    """One built before there were more files than two."""
    artifact = build(platform)
    folder = platform.store.path_of(artifact.address)
    said = json.loads((folder / "artifact.json").read_text())
    kept = [f for f in said["files"] if f["path"].endswith(".parquet")]
    for file in said["files"]:
        if file not in kept:
            (folder / file["path"]).unlink()
    said["files"] = kept
    said["content_sha256"] = content_sha256_of({f["path"]: f["sha256"] for f in kept})
    (folder / "artifact.json").write_text(json.dumps(said, indent=1, sort_keys=True) + "\n")
    release = freeze(platform, "cohort", who="Ann", why="why")
    assert (release.report["n_slides"], release.recipe, release.licences) == (2, {}, {})
    assert verify(platform, find_version(platform, "cohort@1")).faults == ()


def test_an_empty_dataset_can_be_released_compared_and_verified(platform):
    build(platform)
    assert freeze(platform, "cohort", who="Ann", why="why").features == ""
    assert compare_versions(platform, "cohort@1", "cohort").is_none
    assert verify(platform, find_version(platform, "cohort@1")).faults == ()


def test_who_was_placed_by_a_version_stays_in_the_next_and_is_told(
    platform, planned, reopen, make_slide, register
):
    stratified = RECIPE.replace("{features: stats}", "{features: stats, split_by: stratified}")
    platform = reopen(stratified)
    first = build(platform)
    before = tables_of(platform, find_version(platform, "cohort")).manifest
    register(platform, *(make_slide(f"{i}.svs", seed=10 + i) for i in range(3)))
    list(run_batch(platform, plan_slides(platform), platform.recipe.per_slide, run_id="more"))
    second = build(platform)
    after = tables_of(platform, find_version(platform, "cohort")).manifest
    parts = after.set_index("slide_id")["split"]
    assert len(after) == len(planned) + 3
    for slide_id, part in before[["slide_id", "split"]].itertuples(index=False):
        assert parts[slide_id] == part
    assert describe_version(platform, "cohort").placed == {
        first.address.digest: 2,
        second.address.digest: 3,
    }
