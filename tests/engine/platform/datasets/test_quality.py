"""Datasets that leave out slides and patches by rules of quality."""

from __future__ import annotations

import json
import shutil
from contextlib import ExitStack
from dataclasses import replace

import cv2
import h5py
import numpy as np
import pandas as pd
import pytest
import torch

import pathassets
from pathassets.adapters.parquet import load_table
from pathassets.adapters.tifffile import corrupt_tile, write_pyramid
from pathassets.catalog.records import Verdict
from pathassets.engine.platform.batch import run_batch
from pathassets.engine.platform.datasets import used_patches
from pathassets.engine.platform.datasets.build import build_dataset
from pathassets.engine.platform.datasets.freeze import freeze
from pathassets.engine.platform.datasets.plan import plan_dataset
from pathassets.engine.platform.datasets.versions import compare_versions
from pathassets.engine.platform.exchange.export import ExportRequest, export
from pathassets.engine.platform.plan import plan_slides
from pathassets.engine.platform.platform import open_platform
from pathassets.engine.platform.provenance.openlineage import tell_dataset
from pathassets.engine.platform.provenance.stale import find_stale
from pathassets.engine.platform.status import cohort_status
from pathassets.errors import ArtifactCorrupt, ArtifactMissing, StorageUnavailable
from tests.engine.conftest import PYRAMID, register_files, settings_in, settings_of
from tests.engine.workers_here import workers_here

pytestmark = pytest.mark.usefixtures("here")
SKIP = "bad_tiles: skip, max_bad_tile_share: 0.1"
RECIPE = f"""\
tissue_mask:
  otsu: {{mpp: 8.0, {SKIP}}}
patch_locations:
  grid: {{tissue_mask: otsu, patch_px: 64, mpp: 0.5}}
patch_quality:
  numbers: {{patch_locations: grid, blurred_below: 50.0}}
features:
  stats: {{patch_locations: grid, encoder: colour_stats, {SKIP}}}
dataset:
  cohort: {{features: stats, patch_quality: numbers, RULES}}
"""
SHARP = "patch_rules: {min_focus: 50}"
EDGE_PX0 = 320
"""From here on the second slide is out of focus; a line of the patches' grid."""


def write_slide(path, seed):
    """Stained noise; of the second slide the right part is blurred, the third has a bad tile."""
    pixels = np.full((500, 600, 3), 245, np.uint8)
    noise = np.random.default_rng(seed).integers(0, 40, (380, 480, 3), np.uint8)
    pixels[60:440, 60:540] = np.array([150, 60, 140], np.uint8) + noise
    if seed == 1:
        pixels[:, EDGE_PX0:] = cv2.GaussianBlur(pixels, (0, 0), 4.0)[:, EDGE_PX0:]
    path.parent.mkdir(exist_ok=True)
    write_pyramid(path, pixels, PYRAMID)
    if seed == 2:
        corrupt_tile(path, 0, 34)  # tiles of 64 px, ten a row: from (256, 192) to (320, 256)
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A home with three slides whose features and quality are made."""
    folder = tmp_path_factory.mktemp("quality")
    settings = settings_in(folder / "home")
    settings.recipe.write_text(RECIPE.replace("RULES", SHARP))
    files = [write_slide(folder / "scans" / f"{name}.svs", n) for n, name in enumerate("abc")]
    with workers_here(), open_platform(settings) as platform:
        register_files(platform, *files)
        run(platform)
    return settings


@pytest.fixture
def open_with(made, tmp_path):
    """Open a copy of that home with a dataset that has some rules."""
    with ExitStack() as opened:
        shutil.copytree(made.home, tmp_path / "home")

        def open_with(rules, blurred_below="50.0"):
            settings = settings_of(tmp_path / "home")
            recipe = RECIPE.replace("RULES", rules).replace("50.0", blurred_below)
            settings.recipe.write_text(recipe)
            return opened.enter_context(open_platform(settings))

        yield open_with


def run(platform):
    done = run_batch(platform, plan_slides(platform), platform.recipe.per_slide, run_id="run")
    outcomes = list(done)
    assert [one.failure for one in outcomes] == [None] * len(outcomes)
    return [step.state for one in outcomes for step in one.steps]


def ids_of(platform):
    return [one.slide_id for one in plan_slides(platform)]


def load(folder, **how):
    bags = pathassets.load_dataset(folder, unknown_label="keep", **how)
    return {bag.slide_id: bag for bag in bags}


def build(platform):
    [entry] = platform.recipe.datasets
    built = build_dataset(platform, entry, run_id="build")
    return built, platform.store.path_of(built.artifact.address)


def asked(to):
    return ExportRequest(tool="trident", what="dataset/cohort", to=to)


def left_out(platform):
    table = plan_dataset(platform, platform.recipe.datasets[0]).left_out
    return dict(zip(table["slide_id"], table["why"], strict=True))


def test_a_bag_has_the_rows_that_keep_the_rules_and_a_copy_has_the_same(open_with, tmp_path):
    whole = load(build(open_with("slide_rules: {max_blurred_share: 1.0}"))[1])
    platform = open_with(SHARP)
    assert set(run(platform)) == {"current"}  # nothing is encoded, or measured, again
    built, folder = build(platform)
    sharp = load(folder, verify=True)
    _, blurred, holed = ids_of(platform)
    is_kept = whole[blurred].coordinates[:, 2] <= EDGE_PX0
    assert 0 < int(is_kept.sum()) < len(is_kept)
    assert torch.equal(sharp[blurred].features, whole[blurred].features[is_kept])
    assert torch.equal(sharp[blurred].coordinates, whole[blurred].coordinates[is_kept])
    # The features have no row of patches on a bad tile, the quality has one without numbers.
    assert torch.equal(sharp[holed].features, whole[holed].features)

    manifest = pd.read_parquet(folder / "manifest.parquet").set_index("slide_id")
    assert manifest["n_used"].to_dict() == {s: len(bag.features) for s, bag in sharp.items()}
    assert built.artifact.facts["n_used"] == manifest["n_used"].sum()
    report = json.loads((folder / "report.json").read_text())
    assert sum(part["patches"] for part in report["parts"].values()) == manifest["n_used"].sum()
    assert [a.stage for a in built.artifact.parents] == ["features"] * 3 + ["patch_quality"] * 3
    assert [a.digest for a in built.artifact.parents[3:]] == manifest[
        "patch_quality_digest"
    ].tolist()

    exported = {one.subject: one for one in export(platform, asked(tmp_path / "trident"))}
    [name] = (file for file in exported[blurred].files if "features" in file)
    with h5py.File(tmp_path / "trident" / name) as file:
        assert np.array_equal(file["features"][:], sharp[blurred].features.numpy())
        assert np.array_equal(file["coords"][:], sharp[blurred].coordinates[:, :2].numpy())

    copy = pathassets.copy_dataset(folder, tmp_path / "copy")
    shutil.rmtree(platform.store.root)
    for slide_id, bag in load(copy).items():
        assert torch.equal(bag.features, sharp[slide_id].features)
    drawn = load(copy, max_patches=5, seed=1)
    assert {len(bag.features) for bag in drawn.values()} == {5}
    rows = {tuple(box) for box in sharp[blurred].coordinates.tolist()}
    assert {tuple(box) for box in drawn[blurred].coordinates.tolist()} <= rows


def test_a_dataset_stands_with_the_patches_that_it_uses_beside_all(open_with, tmp_path):
    platform = open_with(SHARP)
    facts = build(platform)[0].artifact.facts
    [cell] = cohort_status(platform).datasets
    assert (cell.n_used, cell.n_patches) == (facts["n_used"], facts["n_patches"])
    assert cell.n_used < cell.n_patches
    told = tmp_path / "events.ndjson"
    settings = replace(platform.settings, openlineage=f"file:{told}")
    with tell_dataset(settings, "dataset/cohort", "build") as rows:
        rows.append(build(platform)[0].artifact)
    *_, end = (json.loads(line) for line in told.read_text().splitlines())
    [made] = end["outputs"]
    assert made["outputFacets"]["outputStatistics"]["rowCount"] == facts["n_used"]
    plain = open_with("slide_rules: {max_blurred_share: 1.0}")
    build(plain)
    [cell] = cohort_status(plain).datasets
    assert cell.n_used is None


def test_slides_are_left_out_by_their_rules_and_a_verdict_may_decide(open_with):
    platform = open_with("slide_rules: {max_blurred_share: 0.2}, verdict: decides")
    _, blurred, holed = ids_of(platform)
    [why] = left_out(platform).values()
    assert why.startswith("blurred_share 0.4")
    assert why.endswith("is above max_blurred_share 0.2")
    platform.catalog.set_verdict(Verdict(slide_id=blurred, verdict="accept", who="A", why="left"))
    platform.catalog.set_verdict(Verdict(slide_id=holed, verdict="reject", who="A", why="torn"))
    assert left_out(platform) == {holed: "rejected in quality control"}
    only = open_with(f"{SHARP}, verdict: accepted")
    assert set(left_out(only).values()) == {"not accepted in quality control"}
    assert blurred not in left_out(only)
    few = open_with("patch_rules: {min_focus: 100000}, min_patches: 1")
    assert set(left_out(few).values()) == {"fewer than 1 patches"}


def test_a_slide_whose_quality_is_not_known_is_left_out_and_comes_back(open_with, monkeypatch):
    platform = open_with(SHARP)
    first, second, _ = (
        platform.store.path_of(one.steps["patch_quality", "numbers"].address)
        for one in plan_slides(platform)
    )
    ids, table = ids_of(platform), first / "quality.parquet"
    table.write_bytes(b"x" * table.stat().st_size)
    shutil.rmtree(second)
    assert left_out(platform) == {ids[0]: "patch quality damaged", ids[1]: "no patch quality"}

    def silent(*_: object) -> None:
        raise StorageUnavailable(first, "does not answer")

    with monkeypatch.context() as patch:
        patch.setattr(type(platform.store), "read_checked", silent)
        with pytest.raises(StorageUnavailable):
            left_out(platform)
    run(platform)
    shutil.rmtree(first)
    run(platform)
    assert left_out(platform) == {}
    assert left_out(open_with(SHARP, "9.0")) == dict.fromkeys(ids, "no patch quality")


def test_what_a_version_used_is_known_to_the_next_with_the_same_rules(open_with, monkeypatch):
    _, folder = build(open_with(SHARP))
    before = pd.read_parquet(folder / "used_patches.parquet")
    read = []

    def reading(path):
        read.append(path.parent.parent.name)
        return load_table(path)

    monkeypatch.setattr(used_patches, "load_table", reading)
    platform = open_with(f"{SHARP}, seed: 9")
    first, *others = ids_of(platform)
    shutil.rmtree(platform.store.root / "patch_quality" / "numbers" / others[0])
    run(platform)
    _, folder = build(platform)
    assert read == []
    assert pd.read_parquet(folder / "used_patches.parquet").equals(before)
    harder = open_with("patch_rules: {min_focus: 51}")
    plan_dataset(harder, harder.recipe.datasets[0])
    assert read == [first, *others]


def test_the_difference_of_two_versions_names_the_slides_of_which_other_patches_are_used(open_with):
    before = load(build(open_with("patch_rules: {min_focus: 1}"))[1])
    freeze(open_with("patch_rules: {min_focus: 1}"), "cohort", who="A", why="all")
    platform = open_with(SHARP)
    built, folder = build(platform)
    after = load(folder)
    lines = {one: (len(bag.features), len(after[one].features)) for one, bag in before.items()}
    wanted = [[one, *n] for one, n in lines.items() if n[0] != n[1]]
    assert wanted
    freeze(platform, "cohort", who="A", why="sharp ones")
    for name in ("cohort@2", f"cohort@{built.artifact.address.digest}"):
        changes = compare_versions(platform, "cohort@1", name)
        assert changes.other_patches.to_numpy().tolist() == wanted
        assert {kind for kind, n in changes.counts.items() if n} == {"other_patches"}
    (folder / "used_patches.parquet").unlink()
    assert compare_versions(platform, "cohort@1", "cohort@2").other_patches is None


@pytest.mark.slow
def test_a_dataset_is_stale_by_the_quality_that_it_was_judged_by(open_with):
    build(open_with(SHARP))
    platform = open_with(SHARP, "9.0")

    def causes():
        of_dataset = [one for one in find_stale(platform) if one.address.stage == "dataset"]
        return {str(change.cause) for one in of_dataset for change in one.changes}

    assert causes() == {
        "recipe blurred_below: 50.0 → 9.0",
        "members its patch quality is to be made anew: 3 slides",
    }
    run(platform)
    assert causes() == {"members 3 measured anew: 3 slides → 3 slides"}
    build(platform)
    assert causes() == set()


def test_a_table_of_used_patches_is_checked_before_it_is_believed(open_with):
    platform = open_with(SHARP)
    _, folder = build(platform)
    used = folder / "used_patches.parquet"
    whole = pd.read_parquet(used)
    used.write_bytes(b"no table")
    with pytest.raises(ArtifactCorrupt, match="bytes"):
        load(folder)
    (folder / "artifact.json").unlink()  # as if somebody had written it by hand
    for changed, said in (
        (whole.assign(bits=[b""] * 3), "bits of 0 rows"),
        (whole.assign(n_used=whole["n_used"] + 1), "does not have bits of"),
        (whole.assign(bits=["x"] * 3), "does not have bits of"),
        (whole.assign(n_patches=[0.5] * 3), "does not have bits of"),
        (whole[1:], "of other patches"),
        (whole[["slide_id"]], "no table of the patches"),
    ):
        changed.to_parquet(used)
        with pytest.raises(ArtifactCorrupt, match=said):
            load(folder)
    used.unlink()
    with pytest.raises(ArtifactMissing, match="which patches are used"):
        load(folder)
