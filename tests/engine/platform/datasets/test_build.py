import json
import resource
import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import zarr

from pathassets.adapters.store.staging import STAGING, SWEEP_LOCK
from pathassets.adapters.tifffile import corrupt_tile
from pathassets.catalog.records import CohortFacts
from pathassets.core.datasets.manifest import MANIFEST_COLUMNS
from pathassets.core.spec import canonical_json
from pathassets.engine.platform.batch import run_batch
from pathassets.engine.platform.datasets import plan
from pathassets.engine.platform.datasets.build import build_dataset
from pathassets.engine.platform.datasets.leakage import leaks_of
from pathassets.engine.platform.datasets.plan import plan_dataset
from pathassets.engine.platform.plan import plan_slides
from pathassets.engine.platform.standing.look import look
from pathassets.engine.platform.standing.refresh import refresh_wanted
from pathassets.engine.platform.status import cohort_status
from pathassets.errors import StoreError
from tests.cohort_rows import rows_of
from tests.engine.conftest import RECIPE

pytestmark = pytest.mark.usefixtures("here")
FEATURES = ("features", "stats")


def run(platform, run_id="run"):
    return list(
        run_batch(platform, plan_slides(platform), platform.recipe.per_slide, run_id=run_id)
    )


def build(platform, run_id="build"):
    [entry] = platform.recipe.datasets
    return build_dataset(platform, entry, run_id=run_id)


def version(platform):
    [entry] = platform.recipe.datasets
    return plan_dataset(platform, entry).address.digest


def tables(platform, built):
    folder = platform.store.path_of(built.artifact.address)
    return (
        pd.read_parquet(folder / "manifest.parquet"),
        pd.read_parquet(folder / "left_out.parquet"),
    )


def tell(platform, slide_id, **facts):
    platform.catalog.set_cohort_facts(
        [CohortFacts(slide_id=slide_id, **{"patient": None, "label": None, **facts})]
    )


@pytest.fixture
def planned(platform, get_ready):
    """Two slides with features, one of them with patient and label."""
    planned = get_ready(platform, 2, is_run=True)
    tell(platform, planned[0].slide_id, patient="p1", label="tumour")
    return planned


def test_a_row_tells_what_one_trains_on_and_what_it_was_made_from(platform, planned):
    manifest, left_out = tables(platform, build(platform))
    assert tuple(manifest.columns) == MANIFEST_COLUMNS
    assert manifest["slide_id"].tolist() == sorted(p.slide_id for p in planned)
    assert left_out.empty
    row = manifest.set_index("slide_id").loc[planned[0].slide_id]
    artifact = platform.store.read_checked(planned[0].steps[FEATURES].address)
    assert (row["patient"], row["label"]) == ("p1", "tumour")
    assert row["features_sha256"] == artifact.content_sha256
    assert row["n_patches"] == artifact.facts["n_patches"]
    assert row["slide_sha256"] == planned[0].record.fingerprint
    assert (row["slide_mpp"], row["slide_version"]) == (0.5, planned[0].version)
    for (stage, _), step in planned[0].steps.items():
        assert row[f"{stage}_digest"] == step.address.digest
    group = zarr.open_group(platform.store.root / row["features_uri"], mode="r")
    assert group["features"].shape[0] == row["n_patches"]


def test_a_slide_without_patient_or_label_is_kept_with_them_missing(platform, planned):
    manifest, _ = tables(platform, build(platform))
    row = manifest.set_index("slide_id").loc[planned[1].slide_id]
    assert row[["patient", "label"]].isna().all()


@pytest.mark.usefixtures("planned")
def test_building_again_makes_no_new_version(platform):
    first, second = build(platform), build(platform, "again")
    assert (first.is_new, second.is_new) == (True, False)
    assert first.artifact == second.artifact
    assert [a.state for a in platform.catalog.attempts(run_id="build")] == ["made"]
    assert [a.state for a in platform.catalog.attempts(run_id="again")] == ["current"]
    assert platform.catalog.find_artifact(first.artifact.address).made_by == "build"
    left = {p.name for p in (platform.store.root / STAGING).iterdir()}
    assert left == {SWEEP_LOCK}


def test_the_version_changes_with_a_label_a_slide_or_a_resolution(
    platform, planned, make_slide, register
):
    versions = [version(platform)]
    tell(platform, planned[1].slide_id, label="normal")
    versions.append(version(platform))
    register(platform, make_slide("c.svs", seed=2))
    versions.append(version(platform))
    run(platform)
    versions.append(version(platform))
    platform.catalog.override_mpp(planned[0].slide_id, 0.4, who="me", why="log")
    versions.append(version(platform))
    assert len(set(versions)) == 5
    platform.catalog.override_mpp(planned[0].slide_id, 0.5, who="me", why="no")
    assert version(platform) == versions[3]


@pytest.mark.usefixtures("planned")
def test_the_digest_is_that_of_the_tables_whole_however_they_are_cut(
    platform, planned, monkeypatch
):
    tell(platform, planned[0].slide_id, patient='"Ä\\/\n', label="x")
    [entry] = platform.recipe.datasets
    monkeypatch.setattr(plan, "N_ROWS", 1)
    found = plan_dataset(platform, entry)
    tables = (found.manifest, found.left_out)
    assert found.address.digest == entry.digest(
        [canonical_json(json.loads(one.to_json(orient="split"))) for one in tables]
    )


def test_the_version_changes_with_its_spec(platform, reopen):
    before = version(platform)
    other = reopen(RECIPE.replace("{features: stats}", "{features: stats, seed: 1}"))
    assert version(other) != before


def test_features_made_again_with_the_same_bytes_are_the_same_version(
    platform, planned, reopen, register, tmp_path
):
    before = build(platform).artifact
    other = reopen(store=tmp_path / "other", catalog_url=f"sqlite:///{tmp_path / 'other.sqlite'}")
    (tmp_path / "again").mkdir()
    for one in planned:
        file = Path(one.paths[0].path)
        shutil.copyfile(file, tmp_path / "again" / file.name)
    planned = register(other, tmp_path / "again")
    tell(other, planned[0].slide_id, patient="p1", label="tumour")
    run(other)
    after = build(other).artifact
    assert after.address == before.address
    assert after.content_sha256 == before.content_sha256


def test_slides_without_features_or_patches_are_left_out_and_listed(
    platform, planned, make_slide, register
):
    bad = make_slide("bad.svs", seed=3)
    corrupt_tile(bad, level=0, tile_index=34)
    ids = [p.slide_id for p in register(platform, bad, make_slide("blank.svs", blank=True))]
    run(platform)
    manifest, left_out = tables(platform, build(platform))
    assert manifest["slide_id"].tolist() == ids[:2]
    assert dict(zip(left_out["slide_id"], left_out["why"], strict=True)) == {
        ids[2]: "no features",
        ids[3]: "fewer than 1 patches",
    }
    assert planned[0].slide_id == ids[0]


@pytest.mark.usefixtures("planned")
def test_facts_count_what_is_in_it(platform):
    facts = build(platform).artifact.facts
    assert (facts["n_slides"], facts["n_left_out"]) == (2, 0)
    assert (facts["n_patients"], facts["n_without_patient"]) == (1, 1)
    assert sum(facts["split"].values()) == 2
    manifest, _ = tables(platform, build(platform))
    assert facts["n_patches"] == manifest["n_patches"].sum()


def test_its_parents_are_the_features_of_its_rows(platform, planned):
    artifact = build(platform).artifact
    expected = {p.steps[FEATURES].address for p in planned}
    assert set(artifact.parents) == expected
    assert set(platform.catalog.parents_of(artifact.address)) == expected


def test_a_dataset_of_no_slides_is_a_value_with_typed_columns(platform):
    built = build(platform)
    manifest, left_out = tables(platform, built)
    assert tuple(manifest.columns) == MANIFEST_COLUMNS
    assert len(manifest) == len(left_out) == 0
    assert manifest["n_patches"].dtype == "int64"
    assert built.artifact.facts["n_slides"] == 0


def chunk_of(platform, planned):
    folder = platform.store.path_of(planned.steps[FEATURES].address)
    return folder / "features.zarr" / "features" / "c" / "0" / "0"


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_features_that_are_gone_are_left_out_and_listed_until_a_run_makes_them(platform, planned):
    whole = version(platform)
    shutil.rmtree(platform.store.path_of(planned[0].steps[FEATURES].address))
    chunk_of(platform, planned[1]).unlink()
    manifest, left_out = tables(platform, build(platform))
    assert manifest.empty
    assert dict(zip(left_out["slide_id"], left_out["why"], strict=True)) == {
        planned[0].slide_id: "features gone",
        planned[1].slide_id: "features damaged",
    }
    run(platform, "mended")
    built = build(platform)
    assert built.is_new
    assert built.artifact.address.digest == whole


def test_a_flipped_bit_is_found_before_a_dataset_names_it_and_the_features_made_again(
    platform, planned, caplog
):
    good = chunk_of(platform, planned[0]).read_bytes()
    flip(chunk_of(platform, planned[0]))
    built = build(platform)
    assert chunk_of(platform, planned[0]).read_bytes() == good
    manifest, left_out = tables(platform, built)
    assert left_out.empty
    for one in planned:
        artifact = platform.store.read_checked(one.steps[FEATURES].address)
        row = manifest.set_index("slide_id").loc[one.slide_id]
        assert row["features_sha256"] == artifact.content_sha256
    assert "features/c/0/0 has other bytes than were published" in caplog.text
    tried = [(a.address.key, a.state) for a in platform.catalog.attempts(run_id="build")]
    assert tried == [(FEATURES, "made"), (built.artifact.address.key, "made")]
    assert not build(platform).is_new


def test_features_whose_damage_cannot_be_mended_are_left_out_and_tried_by_each_run(
    platform, make_slide, register
):
    path = make_slide()
    [planned] = register(platform, path)
    run(platform)
    flip(chunk_of(platform, planned))
    away = path.rename(path.with_suffix(".away"))
    _, left_out = tables(platform, build(platform))
    assert left_out["why"].tolist() == ["features damaged"]
    assert cohort_status(platform).datasets[0].state == "current"
    [failed] = [slide.failure for slide in rows_of(platform)]
    assert failed.reason == "file_missing"
    away.rename(path)
    [outcome] = run(platform, "mended")
    assert [step.state for step in outcome.steps] == ["current", "current", "made"]
    manifest, _ = tables(platform, build(platform))
    assert len(manifest) == 1


def test_where_the_catalog_names_other_bytes_than_the_store_the_stores_are_named(platform, planned):
    """A run was killed between publishing an artifact made anew and recording it."""
    address = planned[0].steps[FEATURES].address
    record = platform.catalog.find_artifact(address)
    files = (replace(record.files[0], sha256="0" * 64), *record.files[1:])
    platform.catalog.record_artifact(replace(record, files=files), [])
    manifest, _ = tables(platform, build(platform))
    named = manifest.set_index("slide_id").loc[planned[0].slide_id]["features_sha256"]
    assert named == platform.store.read_checked(address).content_sha256


@pytest.mark.usefixtures("planned")
def test_a_disk_that_is_full_is_a_store_error_and_leaves_no_version(platform):
    look(
        platform, refresh_wanted(platform)
    )  # the catalog is on the same disk, with the hashes of thumbnails
    [entry] = platform.recipe.datasets
    leaks_of(platform, plan_dataset(platform, entry))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, before[1]))  # bytes that a file may have
    try:
        with pytest.raises(StoreError, match=r"cannot be published: .*File too large") as e:
            build(platform)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert e.value.remedy == "Free or mend the disk"
    assert not platform.store.root.joinpath("dataset").exists()
    assert {p.name for p in (platform.store.root / STAGING).iterdir()} == {SWEEP_LOCK}
    assert build(platform).is_new
