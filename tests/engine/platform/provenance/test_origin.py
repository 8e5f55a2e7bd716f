from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from pathassets.engine.platform.datasets.build import build_dataset
from pathassets.engine.platform.provenance.lineage import lineage_of
from pathassets.engine.platform.provenance.origin import PATIENT_STAGE, find_origin
from pathassets.errors import ArtifactCorrupt, CatalogError, SpecError, StoreError
from tests.engine.conftest import RECIPE

pytestmark = pytest.mark.usefixtures("here")
FEATURES, GRID = ("features", "stats"), ("patch_locations", "grid")


@pytest.fixture
def planned(platform, get_ready):
    return get_ready(platform, 2, is_run=True)


@pytest.fixture
def copy(platform, planned, tmp_path):
    """Copy something of an artifact of the first slide to a place that says nothing."""

    def copied(key, name="."):
        source = platform.store.path_of(planned[0].steps[key].address) / name
        target = tmp_path / "elsewhere" / "copy"
        if source.is_dir():
            return Path(shutil.copytree(source, target))
        target.parent.mkdir()
        return Path(shutil.copyfile(source, target))

    return copied


@pytest.mark.parametrize(
    ("copied", "known_by"),
    [
        ((FEATURES, "features.zarr"), "its bytes"),
        ((FEATURES, "."), "its artifact.json"),
        ((GRID, "locations.parquet"), "its bytes"),
        ((("tissue_mask", "otsu"), "preview.jpg"), "its bytes"),
    ],
)
def test_a_copy_that_has_another_name_is_found_by_what_it_says(
    platform, planned, copy, copied, known_by
):
    path = copy(*copied)
    traced = lineage_of(platform, path)
    assert traced.address == planned[0].steps[copied[0]].address
    assert traced.facts["copy"] == str(path)
    assert (traced.facts["known_by"], traced.facts["copy_is"]) == (known_by, "as it was published")


def test_a_slide_file_that_lies_elsewhere_is_found_by_its_content(platform, planned, tmp_path):
    one = planned[0]
    target = tmp_path / "elsewhere" / "renamed.svs"
    target.parent.mkdir()
    shutil.copyfile(one.paths[0].path, target)
    traced = lineage_of(platform, target)
    assert (traced.address.stage, traced.address.partition_key) == ("slide", one.slide_id)
    said = {"copy": str(target), "known_by": "its bytes", "copy_is": "as it was registered"}
    assert traced.facts.items() >= said.items()
    target.write_bytes(target.read_bytes()[:-1])
    with pytest.raises(CatalogError, match="knows no artifact that it is a copy of"):
        lineage_of(platform, target)


def test_copied_features_whose_metadata_was_changed_are_found_by_their_attributes(
    platform, planned, copy
):
    path = copy(FEATURES, "features.zarr")
    metadata = json.loads((path / "zarr.json").read_text())
    metadata["attributes"]["note"] = "seen by Ann"
    (path / "zarr.json").write_text(json.dumps(metadata))
    traced = lineage_of(platform, path)
    assert traced.address == planned[0].steps[FEATURES].address
    assert traced.facts["known_by"] == "its attributes"
    assert traced.facts["copy_is"] == "changed since it was published"


def test_a_copied_artifact_that_was_changed_is_said_to_be(platform, planned, copy):
    path = copy(FEATURES)
    said = json.loads((path / "artifact.json").read_text())
    assert said["files"][0]["sha256"] != "0" * 64
    del said["files"][0]
    rest = {file["path"]: file["sha256"] for file in said["files"]}
    from pathassets.adapters.store.store import content_sha256_of  # noqa: PLC0415

    said["content_sha256"] = content_sha256_of(rest)
    (path / "artifact.json").write_text(json.dumps(said))
    traced = lineage_of(platform, path)
    assert traced.address == planned[0].steps[FEATURES].address
    assert traced.facts["copy_is"] == "changed since it was published"


def test_of_artifacts_with_equal_metadata_those_with_the_copy_s_other_files_are_named(
    platform, planned, copy
):
    path = copy(("tissue_mask", "otsu"), "tissue.zarr")
    masks = [one.steps["tissue_mask", "otsu"].address for one in planned]
    both = lineage_of(platform, path)  # both slides are drawn alike
    assert [str(both.address), *both.facts["also_in"]] == sorted(map(str, masks))
    record = platform.catalog.find_artifact(masks[1])
    files = tuple(
        replace(file, sha256="0" * 64) if "/c/" in file.path else file for file in record.files
    )
    assert files != record.files
    platform.catalog.record_artifact(replace(record, files=files), [])
    assert "also_in" not in lineage_of(platform, path).facts


def test_an_artifact_json_with_what_is_no_text_is_refused(platform, copy):
    path = copy(FEATURES)
    said = json.loads((path / "artifact.json").read_text())
    for none in "\0", "\udcff":
        said["address"]["name"] = f"stats{none}"
        (path / "artifact.json").write_text(json.dumps(said))
        with pytest.raises(ArtifactCorrupt, match="cannot be read"):
            lineage_of(platform, path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"address": 3}', "[" * 100_000])
def test_an_artifact_json_of_a_stranger_is_refused(platform, tmp_path, text):
    (tmp_path / "artifact.json").write_text(text)
    with pytest.raises(ArtifactCorrupt, match="cannot be read"):
        lineage_of(platform, tmp_path)


@pytest.mark.parametrize(
    "text",
    ["", "[]", '{"attributes": 3}', "[" * 100_000, '{"attributes": {"slide_id": {"a": 1}}}',
     '{"attributes": {"patch_locations": 3}}', '{"attributes": {"patch_locations": "a/b/c/d"}}',
     r'{"attributes": {"slide_id": "\ud800"}}', r'{"attributes": {"slide_id": "\u0000"}}',
     r'{"attributes": {"patch_locations": "a/b/c/\udcff"}}'],
)  # fmt: skip
def test_the_metadata_of_a_stranger_leads_nowhere(platform, tmp_path, text):
    (tmp_path / "zarr.json").write_text(text)
    with pytest.raises(CatalogError, match="knows no artifact that it is a copy of"):
        lineage_of(platform, tmp_path)


def test_two_entries_with_the_same_bytes_are_both_named(reopen, make_slide, register):
    from pathassets.engine.platform.batch import run_batch  # noqa: PLC0415

    both = RECIPE.replace(
        "  stats: {patch_locations: grid, encoder: colour_stats}\n",
        "  stats: {patch_locations: grid, encoder: colour_stats}\n"
        "  twin: {patch_locations: grid, encoder: colour_stats}\n",
    )
    platform = reopen(both)
    [planned] = register(platform, make_slide())
    list(run_batch(platform, [planned], platform.recipe.per_slide, run_id="run-1"))
    source = platform.store.path_of(planned.steps[FEATURES].address) / "features.zarr"
    traced = lineage_of(platform, shutil.copytree(source, platform.settings.home / "copy"))
    assert traced.address == planned.steps[FEATURES].address
    assert traced.facts["also_in"] == [str(planned.steps["features", "twin"].address)]


def test_an_address_is_traced_as_its_folder_is(platform, planned):
    address = planned[0].steps[FEATURES].address
    assert lineage_of(platform, str(address)) == lineage_of(
        platform, platform.store.path_of(address)
    )
    with pytest.raises(CatalogError, match="knows no such artifact") as caught:
        lineage_of(platform, f"{address}0")
    assert f"pathassets lineage slide:{address.partition_key}" in caught.value.remedy


def test_a_slide_and_a_patient_are_named_by_themselves_or_with_what_they_are(platform, planned):
    slide_id = planned[0].slide_id
    from pathassets.catalog.records import CohortFacts  # noqa: PLC0415

    platform.catalog.set_cohort_facts(
        [CohortFacts(slide_id=one.slide_id, patient=slide_id, label=None) for one in planned]
    )
    by_id, said = lineage_of(platform, slide_id), lineage_of(platform, f"slide:{slide_id}")
    assert by_id == said
    assert by_id.address.partition_key == slide_id
    assert by_id.address.digest == planned[0].version
    assert [one.address.stage for one in by_id.parents] == [PATIENT_STAGE]
    patient = lineage_of(platform, f"patient:{slide_id}")
    assert patient.address.stage == PATIENT_STAGE
    assert [one.address.partition_key for one in patient.children] == [p.slide_id for p in planned]
    assert patient.facts["n_slides"] == 2


def test_a_patient_is_found_without_saying_so_where_no_slide_is_called_like_that(platform, planned):
    from pathassets.catalog.records import CohortFacts  # noqa: PLC0415

    facts = CohortFacts(slide_id=planned[0].slide_id, patient="P 1", label=None)
    platform.catalog.set_cohort_facts([facts])
    assert lineage_of(platform, "P 1").address.stage == PATIENT_STAGE
    with pytest.raises(CatalogError, match="patient 'P 2': has no slide"):
        lineage_of(platform, "patient:P 2")
    with pytest.raises(CatalogError, match="slide P 2: not in the catalog"):
        lineage_of(platform, "P 2")


def test_a_row_of_features_is_shown_where_it_is_on_the_slide(platform, planned):
    import zarr  # noqa: PLC0415

    folder = platform.store.path_of(planned[0].steps[FEATURES].address)
    boxes = zarr.open_array(store=str(folder / "features.zarr" / "coordinates"), mode="r")[:]
    traced = lineage_of(platform, folder / "features.zarr", row=3)
    assert [*traced.facts["patch_px0"].values()] == boxes[3].tolist()
    assert traced.facts["row"] == 3
    for row in (-1, len(boxes)):
        with pytest.raises(SpecError, match=f"has no row {row}"):
            lineage_of(platform, folder, row=row)
    grid = platform.store.path_of(planned[0].steps[GRID].address)
    with pytest.raises(SpecError, match="has no rows of patches"):
        lineage_of(platform, grid, row=0)


def test_a_dataset_means_its_newest_version_and_an_entry_with_a_slide_what_is_in_force(
    platform, planned
):
    with pytest.raises(CatalogError, match="was never built") as unbuilt:
        find_origin(platform, "cohort")
    assert "pathassets run builds it" in unbuilt.value.remedy
    built = build_dataset(platform, platform.recipe.datasets[0], run_id="run-2").artifact.address
    assert {find_origin(platform, name).address for name in ("cohort", "dataset/cohort")} == {built}
    slide_id, made = planned[0].slide_id, planned[0].steps[FEATURES].address
    assert find_origin(platform, f"features/stats/{slide_id}").address == made
    with pytest.raises(SpecError, match="has an artifact of each slide") as entry:
        find_origin(platform, "features/stats")
    assert "pathassets lineage features/stats/SLIDE" in entry.value.remedy
    with pytest.raises(StoreError, match="is not inside the store"):
        find_origin(platform, f"/features/stats/{slide_id}")
    with pytest.raises(CatalogError) as nobody:
        find_origin(platform, "nobody")
    assert nobody.value.remedy.startswith("pathassets status lists the slides")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read anything")
def test_a_file_that_cannot_be_read_is_told(platform, tmp_path):
    file = tmp_path / "x.parquet"
    file.write_bytes(b"x")
    file.chmod(0)
    with pytest.raises(StoreError, match=r"x\.parquet"):
        lineage_of(platform, file)
