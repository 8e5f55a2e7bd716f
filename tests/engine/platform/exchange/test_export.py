from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

from pathassets.adapters.exchange.parts import folder as folder_module
from pathassets.adapters.exchange.stamp import stamp_tables
from pathassets.adapters.tifffile import PyramidSpec
from pathassets.adapters.zarr.arrays import FeatureRows
from pathassets.catalog.records import CohortFacts
from pathassets.core.datasets.spec import DatasetSpec
from pathassets.core.datasets.splits import split_of
from pathassets.core.exchange.footprints import side_of
from pathassets.core.exchange.training import TrainingRow
from pathassets.engine.platform.batch import run_batch
from pathassets.engine.platform.datasets.build import build_dataset
from pathassets.engine.platform.datasets.freeze import freeze
from pathassets.engine.platform.exchange.export import ExportRequest, export
from pathassets.engine.platform.plan import plan_slides
from pathassets.engine.stages import features as stage
from pathassets.errors import CatalogError, SpecError, StoreError
from tests.engine.foreign_readers import (
    read_clam_h5,
    read_clam_patches,
    read_clam_pt,
    read_clam_splits,
    read_stamp,
    read_trident,
    read_trident_patches,
)

pytestmark = pytest.mark.usefixtures("here")
FEATURES = ("features", "stats")
PATCH_PX, PATCH_MPP = 64, 0.5


def do(platform, tool, to, what="features/stats", **how):
    return list(export(platform, ExportRequest(tool=tool, what=what, to=to, **how)))


def states(done):
    return [one.state for one in done]


def rows_of(platform, planned):
    address = planned.steps[FEATURES].address
    rows = FeatureRows(platform.store.path_of(address) / "features.zarr")
    return np.concatenate(list(rows.chunks())), rows.boxes_px0


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.endswith(".lock")
    }


@pytest.fixture
def planned(platform, get_ready):
    """Two slides with features, a.svs and b.svs, at 0.5 um."""
    return get_ready(platform, 2, is_run=True)


@pytest.fixture
def odd(platform, reopen, make_slide, register):
    """One slide at 0.2738 um: a patch of 32 um has 116.87 px of it, and 117 in its coordinates."""
    recipe = platform.settings.recipe.read_text()
    small = reopen(recipe.replace("{mpp: 8.0}", "{mpp: 8.0, min_object_um2: 100.0}"))
    spec = PyramidSpec(tile_px=64, mpp=0.2738)
    planned = register(small, make_slide("odd.svs", spec=spec))
    list(run_batch(small, planned, small.recipe.per_slide, run_id="run"))
    return small, plan_slides(small)[0]


def only(folder: Path, pattern: str) -> Path:
    (found,) = folder.glob(pattern)
    return found


# TRIDENT


def test_trident_reads_the_rows_and_where_they_lie(platform, planned, tmp_path):
    done = do(platform, "trident", tmp_path / "job")
    assert states(done) == ["written", "written"]
    for one in planned:
        name = Path(one.paths[0].path).stem
        seen = read_trident(tmp_path / f"job/20x_64px_0px_overlap/features_colour_stats/{name}.h5")
        rows, boxes_px0 = rows_of(platform, one)
        np.testing.assert_array_equal(seen.rows, rows)
        np.testing.assert_array_equal(seen.corners_px0, boxes_px0[:, :2])
        assert (seen.rows.dtype, seen.corners_px0.dtype) == (np.float32, np.int64)


def test_trident_works_out_the_footprint_at_an_odd_mpp_to_the_pixel(odd, tmp_path):
    platform, planned = odd
    do(platform, "trident", tmp_path)
    path = only(tmp_path, "20x_64px_0px_overlap/features_colour_stats/odd.h5")
    seen = read_trident(path)
    _, boxes_px0 = rows_of(platform, planned)
    assert (boxes_px0[:, 2] - boxes_px0[:, 0]).tolist() == [117] * len(boxes_px0)
    assert abs(seen.side_px0 - PATCH_PX * PATCH_MPP / 0.2738) < 1
    assert abs(seen.side_px0 - 117) < 1e-6
    _, said = read_trident_patches(only(tmp_path, "20x*/patches/odd_patches.h5"))
    assert said["patch_size_level0"] == 117
    assert said["patch_size"] * said["level0_magnification"] // said["target_magnification"] == 117
    assert side_of(64, said["level0_magnification"], 20.0) == pytest.approx(117)
    assert {"overlap", "name", "savetodir", "level0_width", "level0_height"} <= set(said)


def test_trident_gets_tissue_as_its_contours(platform, planned, tmp_path):
    do(platform, "trident", tmp_path)
    drawn = json.loads((tmp_path / "contours_geojson" / "a.geojson").read_text())
    assert [f["properties"] for f in drawn["features"]] == [{"tissue_id": 0}]
    assert planned


def test_trident_gets_an_overlap_in_whole_pixels_and_no_other(platform, planned, reopen, tmp_path):
    recipe = platform.settings.recipe.read_text()
    whole = reopen(recipe.replace("mpp: 0.5}", "mpp: 0.5, stride_px: 48}"))
    list(run_batch(whole, plan_slides(whole), whole.recipe.per_slide, run_id="r"))
    do(whole, "trident", tmp_path / "whole")
    coords, said = read_trident_patches(
        tmp_path / "whole/20x_64px_16px_overlap/patches/a_patches.h5"
    )
    assert said["overlap"] == 16
    assert set(np.unique(np.diff(np.unique(coords[:, 0])))) == {48}
    assert planned


def test_patches_that_are_drawn_are_refused_for_trident_and_said_to_clam(
    platform, planned, reopen, tmp_path
):
    recipe = platform.settings.recipe.read_text()
    drawn = reopen(recipe.replace("mpp: 0.5}", "mpp: 0.5, sampler: random, n_patches: 5}"))
    list(run_batch(drawn, plan_slides(drawn), drawn.recipe.per_slide, run_id="r"))
    refused = do(drawn, "trident", tmp_path / "t")
    assert states(refused) == ["refused"] * 2
    assert "an overlap of patches that are drawn" in refused[0].said
    assert "anndata" in refused[0].said
    assert not list((tmp_path / "t").rglob("*.h5"))
    assert states(do(drawn, "clam", tmp_path / "c")) == ["written"] * 2
    assert planned


# CLAM


def test_clam_trains_from_tensors_and_reads_patches_where_they_lie(platform, planned, tmp_path):
    do(platform, "clam", tmp_path)
    for one in planned:
        name = Path(one.paths[0].path).stem
        rows, boxes_px0 = rows_of(platform, one)
        features, coords = read_clam_h5(tmp_path / "h5_files" / f"{name}.h5")
        np.testing.assert_array_equal(features, rows)
        np.testing.assert_array_equal(coords, boxes_px0[:, :2])
        assert (features.dtype, coords.dtype) == (np.float32, np.int32)
        np.testing.assert_array_equal(
            read_clam_pt(tmp_path / "pt_files" / f"{name}.pt").numpy(), rows
        )
        seen = read_clam_patches(tmp_path / "patches" / f"{name}.h5", one.record.level_downsamples)
        assert abs(seen.side_px0 - 64) < 1
        assert seen.corners_px0.dtype == np.int64


def test_clam_gets_the_features_and_no_patches_between_the_levels(odd, tmp_path):
    platform, planned = odd
    (one,) = do(platform, "clam", tmp_path / "to")
    assert one.state == "written"
    assert "without patches/" in one.said
    assert "0.5 um per pixel" in one.said
    assert {path.parent.name for path in (tmp_path / "to").rglob("odd.*")} == {
        "h5_files",
        "pt_files",
    }
    features, _ = read_clam_h5(tmp_path / "to" / "h5_files" / "odd.h5")
    np.testing.assert_array_equal(features, rows_of(platform, planned)[0])


def test_locations_alone_are_refused_between_the_levels(odd, tmp_path):
    platform, planned = odd
    (one,) = do(platform, "clam", tmp_path, "patch_locations/grid")
    assert (one.subject, one.state) == (planned.slide_id, "refused")
    assert "CLAM cannot say patches at 0.5 um" in one.said
    assert "Export the features" in one.said


# Datasets


def tell(platform, planned, labels=("tumour", "normal")):
    platform.catalog.set_cohort_facts(
        CohortFacts(slide_id=one.slide_id, patient=f"p{i}", label=label)
        for i, (one, label) in enumerate(zip(planned, labels, strict=True))
    )


def build(platform):
    (entry,) = platform.recipe.datasets
    build_dataset(platform, entry, run_id="build")


def test_a_dataset_has_its_split_as_clam_reads_it(platform, planned, tmp_path):
    tell(platform, planned)
    build(platform)
    done = do(platform, "clam", tmp_path, "dataset/cohort")
    assert [one.subject for one in done][-1] == "tables"
    splits = read_clam_splits(tmp_path / "splits" / "splits_0.csv")
    assert sorted(name for part in splits.values() for name in part) == ["a", "b"]
    table = (tmp_path / "dataset.csv").read_text().splitlines()
    assert table[0] == "case_id,slide_id,label"
    assert sorted(line.split(",")[1] for line in table[1:]) == ["a", "b"]


def test_an_older_version_of_a_dataset_is_exported_by_its_digest(platform, planned, tmp_path):
    tell(platform, planned)
    build(platform)
    (first,) = platform.catalog.artifacts("dataset", "cohort")
    tell(platform, planned, ("tumour", "tumour"))
    build(platform)
    for what, label in ((f"cohort@{first.address.digest}", "normal"), ("dataset/cohort", "tumour")):
        do(platform, "clam", tmp_path / label, what)
        assert f"p1,b,{label}" in (tmp_path / label / "dataset.csv").read_text()
    freeze(platform, f"cohort@{first.address.digest}", who="Ann", why="paper")
    do(platform, "clam", tmp_path / "release", "cohort@1")
    assert "p1,b,normal" in (tmp_path / "release" / "dataset.csv").read_text()
    with pytest.raises(CatalogError, match="there is no such version"):
        do(platform, "clam", tmp_path, "cohort@0123456789abcdef")


def test_features_that_were_made_anew_to_other_bytes_are_no_release_s(
    platform, planned, tmp_path, monkeypatch
):
    build(platform)
    freeze(platform, "cohort", who="Ann", why="paper")
    before = tmp_path / "before"
    assert states(do(platform, "anndata", before))[:2] == ["written"] * 2
    one, other = planned
    shutil.rmtree(platform.store.path_of(one.steps[FEATURES].address))
    monkeypatch.setattr(stage, "software_versions", lambda: {"torch": "of another year"})
    [outcome] = run_batch(platform, [one], platform.recipe.per_slide, run_id="again")
    assert outcome.failure is None
    done = do(platform, "trident", tmp_path / "then", "dataset/cohort@1")
    assert [(m.subject, m.state) for m in done[:2]] == [
        (one.slide_id, "refused"), (other.slide_id, "written"),
    ]  # fmt: skip
    assert "was made anew since, to other bytes than the dataset names" in done[0].said
    assert "which pathassets run builds" in done[0].said
    there = do(platform, "anndata", before)
    assert states(there)[:2] == ["refused", "kept"]
    assert "is there, and has other content" in there[0].said
    assert states(do(platform, "anndata", before, overwrite=True))[:2] == ["written", "kept"]
    build(platform)
    for what in ("features/stats", "dataset/cohort"):  # what is in force now
        assert states(do(platform, "trident", tmp_path / what, what))[:2] == ["written"] * 2


def test_a_dataset_without_labels_is_refused_to_clam(platform, planned, tmp_path):
    build(platform)
    done = do(platform, "clam", tmp_path, "dataset/cohort")
    assert states(done) == ["written", "written", "refused"]
    assert "has no label" in done[-1].said
    assert planned


@pytest.mark.usefixtures("planned")
def test_parts_that_clam_has_no_name_for_are_refused(platform, reopen, tmp_path):
    recipe = platform.settings.recipe.read_text()
    other = reopen(
        recipe.replace("{features: stats}", "{features: stats, split: {fit: 0.5, hold: 0.5}}")
    )
    tell(other, plan_slides(other))
    build(other)
    done = do(other, "clam", tmp_path, "dataset/cohort")
    assert done[-1].state == "refused"
    assert "CLAM knows the parts train, val, test" in done[-1].said
    assert "Name the parts of the split" in done[-1].said


@pytest.mark.usefixtures("planned")
def test_a_dataset_that_was_never_built_is_refused_with_the_command(platform, tmp_path):
    with pytest.raises(CatalogError, match=r"was never built\. pathassets run builds it"):
        do(platform, "clam", tmp_path, "dataset/cohort")


@pytest.mark.usefixtures("planned")
def test_splits_of_train_and_test_are_stamp_s_too(platform, reopen, tmp_path):
    halves = {"train": 0.5, "test": 0.5}
    seed = next(
        seed
        for seed in range(50)
        if split_of("p0", DatasetSpec(split=halves, seed=seed)) == "train"
        and split_of("p1", DatasetSpec(split=halves, seed=seed)) == "test"
    )
    recipe = platform.settings.recipe.read_text()
    said = f"{{features: stats, seed: {seed}, split: {{train: 0.5, test: 0.5}}}}"
    two = reopen(recipe.replace("{features: stats}", said))
    tell(two, plan_slides(two))
    build(two)
    do(two, "stamp", tmp_path, "dataset/cohort")
    (split,) = json.loads((tmp_path / "splits.json").read_text())["splits"]
    assert split == {"train_patients": ["p0"], "test_patients": ["p1"]}
    assert (tmp_path / "clini_table_test.csv").read_text() == "PATIENT,label\np1,normal\n"


def test_a_patient_of_two_labels_is_refused_to_stamp(platform, planned, tmp_path):
    platform.catalog.set_cohort_facts(
        CohortFacts(slide_id=one.slide_id, patient="p", label=label)
        for one, label in zip(planned, ("tumour", "normal"), strict=True)
    )
    build(platform)
    done = do(platform, "stamp", tmp_path, "dataset/cohort")
    assert done[-1].state == "refused"
    assert "STAMP has one label a patient" in done[-1].said


# STAMP


def test_stamp_reads_micrometres_that_lead_to_the_same_pixels(odd, tmp_path):
    platform, planned = odd
    do(platform, "stamp", tmp_path)
    seen = read_stamp(only(tmp_path, "colour_stats-*/odd.h5"), 0.2738)
    rows, boxes_px0 = rows_of(platform, planned)
    np.testing.assert_array_equal(seen.rows, rows.astype(np.float16))
    np.testing.assert_array_equal(seen.corners_px0, boxes_px0[:, :2])
    assert abs(seen.side_px0 - 117) < 1


def test_stamp_has_no_file_of_a_slide_without_patches(platform, make_slide, register, tmp_path):
    planned = register(platform, make_slide("bare.svs", blank=True))
    list(run_batch(platform, planned, platform.recipe.per_slide, run_id="run"))
    assert states(do(platform, "stamp", tmp_path / "s")) == ["empty"]
    assert states(do(platform, "trident", tmp_path / "t")) == ["written"]
    seen = read_trident(only(tmp_path, "t/20x*/features_colour_stats/bare.h5"))
    assert (seen.rows.shape, seen.corners_px0.shape) == ((0, 25), (0, 2))
    for tool in ("clam", "anndata", "spatialdata", "qupath"):
        assert states(do(platform, tool, tmp_path / tool)) == ["written"]
    assert read_clam_pt(tmp_path / "clam" / "pt_files" / "bare.pt").shape == (0, 25)
    assert states(do(platform, "slideflow", tmp_path / "f")) == ["empty"]


def test_stamp_gets_the_slides_of_a_patient_one_after_the_other():
    rows = [
        TrainingRow(slide_id=name, name=name, patient=patient, label="x", part="train")
        for name, patient in (("a", "p"), ("b", "q"), ("c", "p"))
    ]
    table = next(stamp_tables(rows))
    assert table.source == "PATIENT,FILENAME\np,a.h5\np,c.h5\nq,b.h5\n"


def test_stamp_trains_from_tables_of_patients(platform, planned, tmp_path):
    tell(platform, planned)
    build(platform)
    do(platform, "stamp", tmp_path, "dataset/cohort")
    assert (tmp_path / "slide_table.csv").read_text() == "PATIENT,FILENAME\np0,a.h5\np1,b.h5\n"
    assert (tmp_path / "clini_table.csv").read_text() == "PATIENT,label\np0,tumour\np1,normal\n"


# slideflow


def test_slideflow_filters_by_the_part_of_the_split(platform, planned, tmp_path):
    tell(platform, planned)
    build(platform)
    do(platform, "slideflow", tmp_path, "dataset/cohort")
    lines = (tmp_path / "annotations.csv").read_text().splitlines()
    assert lines[0] == "patient,slide,label,dataset"
    assert [line.split(",")[:3] for line in lines[1:]] == [
        ["p0", "a", "tumour"],
        ["p1", "b", "normal"],
    ]
    assert {line.split(",")[3] for line in lines[1:]} <= {"train", "val", "test"}
    config = json.loads((tmp_path / "bags" / "bags_config.json").read_text())
    assert (config["extractor"]["class"], config["num_features"]) == ("colour_stats", 25)
    assert (config["tile_px"], config["tile_um"]) == (64, 32.0)
    bag = read_clam_pt(tmp_path / "bags" / "a.pt").numpy()
    np.testing.assert_array_equal(bag, rows_of(platform, planned[0])[0])


# The folder


@pytest.mark.parametrize(
    "tool", ["trident", "clam", "stamp", "slideflow", "anndata", "qupath", "spatialdata"]
)
@pytest.mark.usefixtures("planned")
def test_the_same_export_has_the_same_bytes_wherever_it_goes(platform, tool, tmp_path):
    do(platform, tool, tmp_path / "one")
    do(platform, tool, tmp_path / "other" / "place")
    one = bytes_of(tmp_path / "one")
    assert one == bytes_of(tmp_path / "other" / "place")
    assert len(one) > 2


@pytest.mark.usefixtures("planned")
def test_an_export_that_ended_early_goes_on(platform, tmp_path, monkeypatch):
    put = folder_module.ExportFolder.put
    n = iter(range(10))

    def put_three(self, file, artifact):
        if next(n) == 3:
            raise KeyboardInterrupt
        return put(self, file, artifact)

    monkeypatch.setattr(folder_module.ExportFolder, "put", put_three)
    with pytest.raises(KeyboardInterrupt):
        do(platform, "trident", tmp_path / "a")
    begun = {p: p.stat().st_ino for p in (tmp_path / "a").rglob("*.h5")}
    assert len(begun) == 2
    monkeypatch.setattr(folder_module.ExportFolder, "put", put)
    assert states(do(platform, "trident", tmp_path / "a")) == ["kept", "written"]
    assert {p: p.stat().st_ino for p in begun} == begun
    do(platform, "trident", tmp_path / "b")
    assert bytes_of(tmp_path / "a") == bytes_of(tmp_path / "b")


@pytest.mark.usefixtures("planned")
def test_other_content_is_overwritten_only_when_that_is_said(platform, tmp_path):
    do(platform, "clam", tmp_path)
    target = tmp_path / "h5_files" / "a.h5"
    whole = target.read_bytes()
    target.write_bytes(b"another's")
    done = do(platform, "clam", tmp_path)
    assert states(done) == ["refused", "kept"]
    assert "--overwrite" in done[0].said
    assert target.read_bytes() == b"another's"
    assert states(do(platform, "clam", tmp_path, overwrite=True)) == ["written", "kept"]
    assert target.read_bytes() == whole
    assert not list(tmp_path.rglob(".*.partial"))


@pytest.mark.usefixtures("planned")
def test_a_link_that_somebody_planted_is_not_followed(platform, tmp_path):
    (tmp_path / "to").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "to" / "h5_files").symlink_to(tmp_path / "elsewhere")
    done = do(platform, "clam", tmp_path / "to")
    assert states(done) == ["refused", "refused"]
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.usefixtures("planned")
def test_two_exports_at_once_into_one_folder_are_refused(platform, tmp_path):
    with (
        folder_module.ExportFolder(tmp_path).hold(),
        pytest.raises(StoreError, match="another export"),
    ):
        do(platform, "clam", tmp_path)


def test_names_that_cannot_name_files_are_refused_or_told_apart_by_id(
    platform, make_slide, register, tmp_path
):
    """Slides of one name, and one whose name cannot be seen; the others are written."""
    names = ("x/a.svs", "y/a.svs", "new\nline.svs", "c.svs")
    slides = [make_slide(name, seed=seed) for seed, name in enumerate(names)]
    planned = register(platform, *slides)
    list(run_batch(platform, planned, platform.recipe.per_slide, run_id="run"))
    for tool in ("trident", "clam", "stamp", "slideflow", "anndata", "qupath"):
        done = do(platform, tool, tmp_path / tool)
        assert [one.state for one in done] == ["refused", "refused", "written", "refused"]
        assert all("--names slide_id" in done[at].said for at in (0, 1, 3))
        assert r"name 'new\nline' cannot name others" in done[3].said
    do(platform, "trident", tmp_path / "t", names="slide_id")
    names = {path.stem for path in (tmp_path / "t").rglob("features_*/*.h5")}
    assert names == {one.slide_id for one in planned}
    (one,) = do(platform, "trident", tmp_path / "u", slides=[planned[0].slide_id])
    assert (one.subject, one.state) == (planned[0].slide_id, "written")


def test_a_slide_without_features_is_refused_and_the_others_are_written(
    platform, planned, make_slide, register, tmp_path
):
    register(platform, make_slide("c.svs", seed=9))
    done = {one.subject: one for one in do(platform, "trident", tmp_path)}
    assert [done[one.slide_id].state for one in planned] == ["written", "written"]
    (new,) = [one for one in done.values() if one.state == "refused"]
    assert "was never made" in new.said


@pytest.mark.usefixtures("planned")
@pytest.mark.parametrize(
    ("what", "error"),
    [
        ("features/stat", "Did you mean 'features/stats'"),
        ("features", "names nothing"),
        ("tissue_mask/otsu", "QuPath"),
        ("a/b/c/d/e", "names nothing"),
    ],
)
def test_what_is_none_is_refused_with_what_is(platform, what, error, tmp_path):
    with pytest.raises((SpecError, CatalogError), match=error):
        do(platform, "trident", tmp_path / "t", what)
    assert not (tmp_path / "t").exists()


@pytest.mark.usefixtures("planned")
def test_nothing_is_exported_into_the_store(platform):
    with pytest.raises(SpecError, match="lies in the store"):
        do(platform, "trident", platform.store.root / "export")


def test_one_slide_s_artifact_is_exported_by_its_address_or_path(platform, planned, tmp_path):
    address = planned[1].steps[FEATURES].address
    for number, what in enumerate((str(address), str(platform.store.path_of(address)),
                                   f"features/stats/{planned[1].slide_id}")):  # fmt: skip
        (one,) = do(platform, "clam", tmp_path / str(number), what)
        assert (one.subject, one.state) == (planned[1].slide_id, "written")


def damage(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[7] ^= 1
    os.chmod(path, 0o600)  # noqa: PTH101
    path.write_bytes(bytes(data))


def test_a_damaged_artifact_is_not_exported(platform, planned, tmp_path):
    address = planned[0].steps[FEATURES].address
    damage(only(platform.store.path_of(address), "features.zarr/features/c/0/0"))
    done = do(platform, "clam", tmp_path)
    assert states(done) == ["refused", "written"]
    assert "has other bytes" in done[0].said or "damaged" in done[0].said


@pytest.mark.parametrize("tool", ["spatialdata", "qupath"])
def test_tissue_that_is_damaged_is_told_to_be_left_out_and_mended_by_a_run(
    platform, planned, tmp_path, tool
):
    mask = planned[0].steps["tissue_mask", "otsu"].address
    damage(only(platform.store.path_of(mask), "*.geojson"))
    lacking, whole = do(platform, tool, tmp_path)
    assert (lacking.state, whole.state, whole.said) == ("written", "written", "")
    assert lacking.said.startswith("without its tissue: ")
    assert "pathassets run makes it anew" in lacking.said
    list(run_batch(platform, plan_slides(platform), platform.recipe.per_slide, run_id="again"))
    done = do(platform, tool, tmp_path, overwrite=True)
    assert [(one.state, one.said) for one in done] == [("written", ""), ("kept", "")]


def test_tables_say_how_many_slides_are_not_in_them(platform, planned, tmp_path):
    tell(platform, planned)
    build(platform)
    (tmp_path / "pt_files").mkdir()
    (tmp_path / "pt_files" / "a.pt").write_bytes(b"another's")
    done = do(platform, "clam", tmp_path, "dataset/cohort")
    assert states(done) == ["refused", "written", "written"]
    assert done[-1].said == "without 1 refused slide"
    assert ",a," not in (tmp_path / "dataset.csv").read_text()


def test_a_file_is_made_anew_once_more_is_known_of_its_slide(platform, planned, tmp_path):
    slide = Path(planned[0].paths[0].path)
    slide.rename(tmp_path / "away.svs")
    try:
        assert states(do(platform, "clam", tmp_path / "to")) == ["written", "written"]
    finally:
        (tmp_path / "away.svs").rename(slide)
    done = do(platform, "clam", tmp_path / "to", overwrite=True)
    assert states(done) == ["written", "kept"]
    with h5py.File(tmp_path / "to" / "patches" / "a.h5") as file:
        assert file["coords"].attrs["level_dim"].tolist() == [600, 500]


def test_missing_h5py_names_the_extra(platform, planned, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    (one, _) = do(platform, "trident", tmp_path)
    assert "pip install 'pathassets[exchange]'" in one.said
    assert planned
