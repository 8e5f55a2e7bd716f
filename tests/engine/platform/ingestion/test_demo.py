import csv
import hashlib
import json
import shutil
from dataclasses import replace

import cv2
import numpy as np
import openslide
import pytest

from pathassets.engine.platform.ingestion import demo
from pathassets.engine.platform.ingestion.demo import _is_current, write_sample_cohort
from pathassets.errors import StoreError

TILE_PX0 = 256


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo") / "scans"
    return folder, write_sample_cohort(folder)


@pytest.fixture(scope="module")
def truth(cohort):
    return json.loads((cohort[0] / "truth.json").read_text())


def digests_of(folder):
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir()}


def stamps_of(folder):
    return {p.name: (p.stat().st_mtime_ns, p.stat().st_ino) for p in folder.iterdir()}


def mask_of(folder, slide):
    return cv2.imread(str(folder / slide["truth"]), cv2.IMREAD_GRAYSCALE)


def saturation_of(slide, level):
    with openslide.OpenSlide(slide) as handle:
        whole = handle.read_region((0, 0), level, handle.level_dimensions[level])
    return cv2.cvtColor(np.asarray(whole)[..., :3], cv2.COLOR_RGB2HSV)[..., 1]


def test_the_cohort_has_four_good_slides_a_blank_and_a_corrupt_one(cohort):
    folder, slides = cohort
    assert [s.kind for s in slides] == ["good"] * 4 + ["blank", "corrupt"]
    assert [s.path for s in slides] == sorted(folder.glob("*.svs"))
    assert len({s.patient for s in slides}) == 5
    assert len({s.label for s in slides if s.kind == "good"}) == 2


def test_the_table_names_every_slide_with_its_patient_and_label(cohort):
    folder, slides = cohort
    with (folder / "cohort.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows == [{"file": s.path.name, "patient": s.patient, "label": s.label} for s in slides]


def test_openslide_reads_the_facts_that_the_truth_states(cohort, truth):
    for slide in truth["slides"]:
        with openslide.OpenSlide(cohort[0] / slide["file"]) as handle:
            width_px0, height_px0 = slide["width_px0"], slide["height_px0"]
            assert handle.properties["openslide.vendor"] == "aperio"
            assert float(handle.properties["openslide.mpp-x"]) == slide["mpp"] == 0.5
            assert float(handle.properties["openslide.objective-power"]) == slide["objective"]
            assert handle.level_dimensions[0] == (width_px0, height_px0)
            assert handle.level_dimensions[1] == (width_px0 // 4, height_px0 // 4)
            assert width_px0 % TILE_PX0
            assert height_px0 % TILE_PX0


def test_the_cohort_is_small(cohort):
    assert sum(p.stat().st_size for p in cohort[0].iterdir()) < 5_000_000


def test_slides_with_tissue_hold_some_dozens_of_patches(cohort, truth):
    for slide in truth["slides"]:
        mask = mask_of(cohort[0], slide)
        assert set(np.unique(mask)) <= {0, 255}
        assert np.mean(mask > 0) == pytest.approx(slide["tissue_share"], abs=1e-4)
        if slide["kind"] == "blank":
            assert slide["tissue_share"] == 0
            continue
        assert 0.3 < slide["tissue_share"] < 0.5
        side = TILE_PX0 // slide["truth_downsample"]
        rows, columns = mask.shape[0] // side, mask.shape[1] // side
        cells = mask[: rows * side, : columns * side].reshape(rows, side, columns, side)
        assert 20 <= np.sum(cells.mean(axis=(1, 3)) > 127) <= 40


def test_the_mask_is_where_the_decoded_slide_is_coloured(cohort, truth):
    for slide in truth["slides"]:
        saturation = saturation_of(cohort[0] / slide["file"], level=1)
        mask = mask_of(cohort[0], slide)
        size = (saturation.shape[1], saturation.shape[0])
        large = cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST)
        near = np.ones((33, 33), np.uint8)  # 4:2:0 smears colour over blocks of 16 pixels
        assert saturation[cv2.dilate(large, near) == 0].max() < 15
        if slide["kind"] != "blank":
            assert np.median(saturation[large > 0]) > 30
            found = (
                cv2.morphologyEx(
                    (saturation > 20).astype(np.uint8), cv2.MORPH_CLOSE, np.ones((15, 15))
                )
                > 0
            )
            assert np.sum(found & (large > 0)) / np.sum(found | (large > 0)) > 0.9


def test_the_blank_slide_is_nearly_white_at_level_0(cohort):
    blank = cohort[1][4]
    assert saturation_of(blank.path, level=0).max() < 15
    with openslide.OpenSlide(blank.path) as handle:
        assert np.asarray(handle.read_region((0, 0), 0, handle.dimensions)).min() > 225


def test_openslide_raises_on_the_corrupt_tile_and_on_no_other(cohort, truth):
    slide = truth["slides"][5]
    path, damage = cohort[0] / slide["file"], slide["damage"]
    bad = []
    for y_px0 in range(0, slide["height_px0"], TILE_PX0):
        for x_px0 in range(0, slide["width_px0"], TILE_PX0):
            width_px0 = min(TILE_PX0, slide["width_px0"] - x_px0)
            height_px0 = min(TILE_PX0, slide["height_px0"] - y_px0)
            with openslide.OpenSlide(path) as handle:  # an error poisons a handle
                try:
                    handle.read_region((x_px0, y_px0), 0, (width_px0, height_px0))
                except openslide.OpenSlideError:
                    bad.append((x_px0, y_px0))
    assert bad == [(damage["x_px0"], damage["y_px0"])]


def test_the_corrupt_tile_and_its_neighbours_are_all_tissue(cohort, truth):
    slide = truth["slides"][5]
    step = slide["damage"]["side_px0"] // slide["truth_downsample"]
    x, y = (slide["damage"][axis] // slide["truth_downsample"] for axis in ("x_px0", "y_px0"))
    around = mask_of(cohort[0], slide)[
        y - step // 2 : y + step * 3 // 2, x - step // 2 : x + step * 3 // 2
    ]
    assert around.mean() == 255


def test_a_second_call_writes_nothing_and_says_the_same(cohort):
    folder, slides = cohort
    before = stamps_of(folder)
    assert write_sample_cohort(folder) == slides
    assert stamps_of(folder) == before


@pytest.fixture
def small_plans(monkeypatch):
    """A cohort of one small slide of each kind: to paint all six takes seconds."""
    plans = {plan.kind: plan for plan in demo._PLANS}.values()
    looks = [replace(plan.look, width_px0=1110, height_px0=1010) for plan in plans]
    small = [replace(plan, look=look) for plan, look in zip(plans, looks, strict=True)]
    monkeypatch.setattr(demo, "_PLANS", small)


@pytest.mark.usefixtures("small_plans")
def test_a_half_written_cohort_is_completed_with_the_same_bytes(tmp_path):
    folder = tmp_path / "scans"
    assert [slide.kind for slide in write_sample_cohort(folder)] == ["good", "blank", "corrupt"]
    whole = digests_of(folder)
    assert len(whole) == 8
    (folder / "truth.json").unlink()
    (folder / "demo-04.svs").unlink()
    (folder / ".demo-06-corrupt.svs.part").write_bytes(b"II*\0 half a slide")
    write_sample_cohort(folder)
    assert digests_of(folder) == whole


@pytest.mark.usefixtures("small_plans")
def test_another_seed_replaces_every_slide_and_mask(tmp_path):
    folder = tmp_path / "scans"
    old = write_sample_cohort(folder)
    before = digests_of(folder)
    slides = write_sample_cohort(folder, seed=1)
    after = digests_of(folder)
    same = {name for name in before if before[name] == after[name]}
    assert same == {"cohort.csv", "demo-05-blank.truth.png"}
    assert {s.tissue_share for s in slides} != {s.tissue_share for s in old}
    truth = json.loads((folder / "truth.json").read_text())
    assert truth["seed"] == 1
    del after["truth.json"]
    assert {name: facts["sha256"] for name, facts in truth["files"].items()} == after


def test_a_cohort_is_current_only_with_its_seed_and_all_its_bytes(cohort, truth, tmp_path):
    folder = shutil.copytree(cohort[0], tmp_path / "scans")
    assert _is_current(folder, truth, seed=0)
    assert not _is_current(folder, truth, seed=1)
    assert not _is_current(folder, truth | {"generator": "pathassets sample 0"}, seed=0)
    (folder / "demo-02.svs").write_bytes(b"II*\0")
    assert not _is_current(folder, truth, seed=0)
    (folder / "demo-02.svs").unlink()
    assert not _is_current(folder, truth, seed=0)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("cohort.csv", "file,patient\nmine.svs,7\n"),
        ("truth.json", "{"),
        ("truth.json", "[]"),
        ("truth.json", '{"generator": "another tool"}'),
    ],
)
def test_a_folder_with_files_of_another_origin_is_left_alone(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    with pytest.raises(StoreError, match="not a file of the demo cohort"):
        write_sample_cohort(tmp_path)
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [(name, text)]


def test_a_folder_that_cannot_be_made_is_a_store_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written"):
        write_sample_cohort(tmp_path / "file")
